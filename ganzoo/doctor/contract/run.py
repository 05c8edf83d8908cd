"""From a name to a verdict."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from ganzoo.config.layers import settings_of_spec
from ganzoo.config.options import Files, load_zoo
from ganzoo.config.places import cache_root
from ganzoo.doctor.contract.augmentations import check_augmentation
from ganzoo.doctor.contract.findings import (
    Finding,
    Findings,
    Report,
    Verdict,
    guarded,
    ok,
    warning,
    without_repetitions,
)
from ganzoo.doctor.contract.losses import check_objective, check_regularizer
from ganzoo.doctor.contract.models import check_model
from ganzoo.doctor.contract.scoring import check_callback, check_dataset, check_executor, check_features, check_metric
from ganzoo.doctor.contract.variants import check_variant
from ganzoo.engine.device import denormals_flushed, preserved_random_state
from ganzoo.errors import UserError
from ganzoo.zoo.plugins import Plugin
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Spec

IMPORT_SECONDS = 1.0
"""Every command loads every installed plugin: from so long on it is felt."""

_IMPORT = """
import sys, time
began = time.perf_counter()
import {}
print(time.perf_counter() - began, "torch" in sys.modules)
"""

Checks = Callable[[], Iterator[Finding]]


def check(
    name: str,
    *,
    plugins: Files = None,
    data_root: str | Path | None = None,
    registry: Registry | None = None,
    on_report: Callable[[Report], None] = lambda report: None,
) -> Verdict:
    """Try what `name` promises: a variant, objective, regularizer, augmentation, dataset ("NAME:PATH" where it takes a
    path), feature network, metric, callback or model; all of them where several have the name. Takes seconds, on the
    CPU; no images are downloaded (a feature network may fetch its weights), and torch's random state is left as it was.

    A test of a plugin is one line: `ganzoo.check("mine", plugins="my_gan.py").raise_if_failed()`.

    Args:
        name: as `ganzoo list` says.
        plugins: Python files to load plugins from, or one of them.
        data_root: folder of datasets and caches; None: $GANZOO_DATA, or the system's folder for caches.
        registry: the zoo; None: it is loaded, with `plugins`.
        on_report: told of each kind of thing that has the name, when it is done.

    Raises:
        UnknownName: nothing is called so.
        UserError: one of `plugins` is broken, or not there.
    """
    zoo = load_zoo(plugins) if registry is None else registry
    for plugin in zoo.failures():
        if plugin.local:
            cure = f"mend it; `ganzoo plugins {plugin.name} --plugin {plugin.origin}` has the traceback"
            raise UserError(f"plugin {plugin} is broken: {plugin.error}", cure)
    bare, _, path = name.partition(":")
    root = cache_root(data_root)
    reports = []
    specs = [(kind, spec) for kind, spec in zoo.find(bare) if not path or kind == "datasets"]
    if not specs:
        raise UserError(f"'{bare}' is no dataset, so it takes no path", f"check {bare}, or give a dataset's name")
    for kind, spec in specs:
        plugin = zoo.owner(kind, spec.name)
        with preserved_random_state(torch.device("cpu")), denormals_flushed():
            found = [*_of_spec(spec, plugin), *guarded("target", _checks(zoo, kind, spec.name, root, path))]
        reports.append(Report(kind=kind, name=spec.name, plugin=str(plugin), findings=without_repetitions(found)))
        on_report(reports[-1])
    return Verdict(reports=tuple(reports))


def _checks(zoo: Registry, kind: str, name: str, root: Path, path: str) -> Checks:
    of_kind: dict[str, Checks] = {
        "variants": partial(check_variant, zoo, name),
        "objectives": partial(check_objective, zoo, name),
        "regularizers": partial(check_regularizer, zoo, name),
        "augmentations": partial(check_augmentation, zoo, name),
        "datasets": partial(check_dataset, zoo, name, root, path),
        "features": partial(check_features, zoo, name),
        "metrics": partial(check_metric, zoo, name),
        "callbacks": partial(check_callback, zoo, name),
        "models": partial(check_model, zoo, name),
        "executors": partial(check_executor, zoo, name),
    }
    return of_kind[kind]


def _of_spec(spec: Spec, plugin: Plugin) -> Iterator[Finding]:
    settings = [setting.name for setting in settings_of_spec(spec)]
    yield ok("spec", f"settings: {', '.join(settings) or 'none'}")  # sound, or the plugin would not have been loaded
    yield from guarded("import time", lambda: _import_time(plugin))


def _import_time(plugin: Plugin) -> Findings:
    """Of a local file, as it was loaded; of what is installed, in a process that has imported nothing yet."""
    seconds, with_torch = plugin.seconds, False
    if not plugin.local:
        code = _IMPORT.format(plugin.module.partition(":")[0])
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
        if done.returncode == 0:
            told, imported = done.stdout.split()[-2:]
            seconds, with_torch = float(told), imported == "True"
    if with_torch or seconds > IMPORT_SECONDS:
        yield warning(
            "import time",
            f"the plugin took {seconds:.1f} seconds to load{', torch with it' * with_torch}, in every command",
            'import torch in a module of its own, and name targets as text: "module:attribute"',
        )
    else:
        yield ok("import time", f"{seconds:.2f} seconds")
