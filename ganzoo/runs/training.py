"""`ganzoo.train`: from options to a finished run. Torch-free until it works."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.config.options import RunOptions, better_said, check_used, config_of, load_zoo, takes_run_options
from ganzoo.config.places import as_path, as_source, cache_root
from ganzoo.config.run_config import dataset_label
from ganzoo.engine.stopping import Stop, signals_of_the_caller
from ganzoo.errors import UserError
from ganzoo.files.progress import Listen, as_job, listening, note, working
from ganzoo.runs.directory import RunDirectory, told_with_traceback
from ganzoo.runs.find import RUNS
from ganzoo.runs.names import folder_of
from ganzoo.runs.packages import check_packages
from ganzoo.runs.plugin_cure import plugins_named, runs_of
from ganzoo.runs.run import Run
from ganzoo.runs.telling import endings_told
from ganzoo.runs.watching import check_observers

if TYPE_CHECKING:
    from typing import Unpack

    from ganzoo.config.run_config import RunConfig
    from ganzoo.data import Images
    from ganzoo.engine.loop import Observer
    from ganzoo.zoo.registry import Registry


@takes_run_options
def train(
    variant: str | None = None,
    *,
    out: str | Path | None = None,
    init: str | os.PathLike[str] | None = None,
    observers: Sequence[Observer] = (),
    listen: Listen | None = None,
    stop: Stop | None = None,
    began: float | None = None,
    **options: Unpack[RunOptions],
) -> Run:
    """Train a variant and score it, as `ganzoo train` does. The same call finds a finished run and continues an
    interrupted one; a longer budget continues a finished one. Torch's random state is left as it was.

    Example:
        run = ganzoo.train("dcgan", kimg=2, sets={"variant.channels": 16})
        print(run.values["fid"])

    Args:
        variant: its name, as `ganzoo list` says; None: that of `config`.
        out: the run directory; None: runs/DATASET/VARIANT-sSEED-HASH.
        init: a run, snapshot, variant or model whose weights it starts from; None: fresh ones.
        observers: told of ticks (`on_status`), snapshots (`on_snapshot`) and the result (`on_end`).
        listen: told of events: what takes a while, ticks, pictures, scores, findings, the end; `print` shows them. See
            docs/python.md. None: nobody is.
        stop: of whoever handles signals; None: they are handled in here, and the state is saved.
        began: `time.perf_counter()` from which on time is the run's; None: now.
        options: those of every run.

    Returns:
        The run; `run.diverged` says whether training broke down.

    Raises:
        UserError: anything that the caller can mend, by its `cause` and `cure`; what has been computed is kept.
        KeyboardInterrupt: Ctrl-C; the state is saved, and the same call continues. SIGTERM and SIGHUP save it, too,
            and then do what they do elsewhere in the program.
        Stopped: `stop` has been asked to.
    """
    check_observers(observers)
    with listening(listen), signals_of_the_caller(stop) as stop, endings_told():
        registry = load_zoo(options.get("plugins"), note)
        path = None if out is None else as_path(out, "out")
        init = None if init is None else as_source(init, "init")
        with plugins_named(registry, runs_of(variant, path)):
            config = config_of(registry, variant, {**options, "init": init})
        check_used(options.get("sets"), [config])
        with working("loading torch"):
            from ganzoo.engine.device import preserved_random_state, resolve_device
            from ganzoo.runs.begin import init_sha256, shorter_run
            from ganzoo.runs.job import run_job
            from ganzoo.scoring.images import training_images

        check_packages(registry, [config], under=RUNS, out=path)
        root = cache_root(options.get("data_root"))
        with working(f"loading {config.dataset.name}"):
            images = training_images(registry, config, root)
        say_what_was_read(config, images)
        if path is None:
            fresh = folder_of(registry, config, RUNS, images.sha256 + init_sha256(registry, config.init))
            path = shorter_run(fresh, registry, config, images) or fresh
        if not os.path.exists(RunDirectory(path).config_file):
            say_recipes(registry, [(config, options)], images)
        with contextlib.ExitStack() as stack:
            stack.enter_context(as_job(config.variant.name))
            stack.enter_context(_failures_told(RunDirectory(path)))
            stack.enter_context(preserved_random_state(resolve_device(config.device)))
            run_job(
                registry,
                config,
                path,
                root=root,
                images=images,
                observers=observers,
                stop=stop,
                began=began,
            )
    return Run(path)


@contextlib.contextmanager
def _failures_told(run: RunDirectory) -> Iterator[None]:
    """A refused start leaves nothing behind where there was nothing before; a bug leaves failure.txt."""
    fresh = not os.path.exists(run.config_file)  # False, not an error, for a path the system refuses
    try:
        yield
    except UserError:
        if fresh:
            run.discard_unstarted()
        raise
    except Exception as error:
        run.write_failure(told_with_traceback(error))
        raise


def say_what_was_read(config: RunConfig, images: Images) -> None:
    """In a line: a folder of images is not known by its name."""
    if images.facts is not None:
        note(images.facts.line(dataset_label(config.dataset.name, config.dataset.settings)))


def say_recipes(registry: Registry, asked: Iterable[tuple[RunConfig, Mapping[str, Any]]], images: Images) -> None:
    """In a line: which variants have a recipe for such images that is not used, as nobody has said what they are.
    `asked`: configs of runs that have not begun, with the options that ask for them. Nothing is said where a run
    begins with another's weights, whose networks it has to have, and where one of them could not be run with it.
    """
    channels, height, width = images.shape
    if height != width:
        return
    found: dict[str, str] = {}  # variant -> what to add
    for config, options in asked:
        if config.init is not None or config.variant.name in found:
            continue
        try:
            words = better_said(registry, config, options, channels, height)
        except UserError:
            return
        if words is not None:
            found[config.variant.name] = words
    for words in dict.fromkeys(found.values()):
        names = [name for name, said in found.items() if said == words]
        have = "has a recipe" if len(names) == 1 else "have recipes"
        kind = f"{height}x{width} {'gray' if channels == 1 else 'rgb'} images"
        note(f"{', '.join(names)} {have} for {kind}, not used: add {words}")
