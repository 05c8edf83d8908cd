"""From a name to a verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from ganzoo.config.layers import settings_of_spec
from ganzoo.doctor.contract.augmentations import check_augmentation
from ganzoo.doctor.contract.findings import Finding, Report, Verdict, guarded, ok, warning
from ganzoo.doctor.contract.losses import check_objective, check_regularizer
from ganzoo.doctor.contract.scoring import check_callback, check_dataset, check_features, check_metric
from ganzoo.doctor.contract.variants import check_variant
from ganzoo.engine.device import denormals_flushed, preserved_random_state
from ganzoo.errors import UserError
from ganzoo.zoo.plugins import Plugin
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Spec

IMPORT_SECONDS = 1.0
"""Every command loads every plugin: from so long on it is felt."""

Checks = Callable[[], Iterator[Finding]]


def check(
    name: str,
    *,
    plugins: Sequence[Path | str] = (),
    root: Path | None = None,
    registry: Registry | None = None,
    on_report: Callable[[Report], None] = lambda report: None,
) -> Verdict:
    """Try what `name` promises: a variant, objective, regularizer, augmentation, dataset ("NAME:PATH" where it takes a
    path), feature network, metric or callback; all of them where several have the name.

    `plugins`: Python files that are loaded, too. `root`: the folder of datasets; None: that of the command line.
    `registry`: the zoo; None: it is loaded, with `plugins`. `on_report` is told of each kind when it is done. Takes
    seconds, on the CPU; no images are downloaded (a feature network may fetch its weights), and torch's random state is
    left as it was.

    Raises:
        UnknownName: nothing is called so.
        UserError: one of `plugins` is broken, or not there.
    """
    import torch

    zoo = Registry.load([Path(file) for file in plugins]) if registry is None else registry
    for plugin in zoo.failures():
        if plugin.local:
            raise UserError(f"plugin {plugin} is broken: {plugin.error}", "mend it; `ganzoo plugins` has the traceback")
    bare, _, path = name.partition(":")
    reports = []
    for kind, spec in zoo.find(bare):
        if path and kind != "datasets":
            continue
        work = _checks(zoo, kind, spec.name, root or Path("~/.cache/ganzoo").expanduser(), path)
        plugin = zoo.owner(kind, spec.name)
        with preserved_random_state(torch.device("cpu")), denormals_flushed():
            findings = (*_of_spec(spec, plugin), *guarded("target", work))
        reports.append(Report(kind=kind, name=spec.name, plugin=str(plugin), findings=findings))
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
    }
    return of_kind[kind]


def _of_spec(spec: Spec, plugin: Plugin) -> Iterator[Finding]:
    settings = [setting.name for setting in settings_of_spec(spec)]
    yield ok("spec", f"settings: {', '.join(settings) or 'none'}")  # sound, or the plugin would not have been loaded
    if plugin.seconds > IMPORT_SECONDS:
        yield warning(
            "import time",
            f"the plugin took {plugin.seconds:.1f} seconds to load, in every command",
            'import torch in a module of its own, and name targets as text: "module:attribute"',
        )
    else:
        yield ok("import time", f"{plugin.seconds:.2f} seconds")
