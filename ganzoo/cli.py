"""The command line: few stable options, every other knob through `--set`. Heavy imports stay inside the functions."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ganzoo import __version__
from ganzoo.errors import SettingError, UserError

if TYPE_CHECKING:
    from ganzoo.config import RunConfig
    from ganzoo.registry import Registry

F = TypeVar("F", bound=Callable[..., Any])


def _options(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_plugin = click.option(
    "--plugin",
    "plugin_files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also load plugins from this Python file.",
)
_data_root = click.option(
    "--data-root",
    type=click.Path(path_type=Path),
    metavar="DIR",
    envvar="GANZOO_DATA",
    help="Folder of datasets and caches.  [default: $GANZOO_DATA or ~/.cache/ganzoo]",
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_device = click.option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps.")
_run_options = _options(
    click.option("--dataset", metavar="NAME[:PATH]", help="Dataset; see `ganzoo list datasets`.  [default: digits]"),
    click.option("--objective", metavar="NAME", help="Objective; the default is the variant's own."),
    click.option("--features", metavar="NAME", help="Feature network for scoring; the default is the dataset's."),
    click.option("--size", type=int, metavar="PIXELS", help="Bring images to this square size."),
    click.option("--kimg", type=float, metavar="N", help="Train for this many thousand real images."),
    click.option("--minutes", type=float, metavar="M", help="Train for this many minutes."),
    click.option("--seed", type=int, metavar="S", help="Seed of the (first) run."),
    _device,
    click.option("--precision", metavar="NAME", help="auto, fp32 or bf16."),
    click.option("--preset", metavar="NAME", help="Bundle of settings: standard or laptop."),
    click.option("--log", metavar="NAMES", help="Callbacks, comma separated, e.g. tensorboard."),
    click.option("--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="TOML or JSON file."),
    click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Any setting, e.g. train.batch_size=32."),
    _data_root,
    _plugin,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="ganzoo")
def cli() -> None:
    """A GAN model zoo with a benchmark.

    Start with `ganzoo bench`, which trains and compares every variant in a few minutes.
    """


@cli.command("list")
@click.argument("kind", required=False)
@_options(_plugin, _as_json)
def list_command(kind: str | None, plugin_files: tuple[Path, ...], as_json: bool) -> None:
    """List what is registered: variants, objectives, datasets, features, metrics or callbacks."""
    from ganzoo.describe import spec_json
    from ganzoo.errors import UnknownName
    from ganzoo.specs import KINDS

    if kind is not None and kind not in KINDS:
        raise UnknownName("kind", kind, KINDS)
    registry = _registry(plugin_files)
    kinds = [kind] if kind else list(KINDS)
    if as_json:
        _print_json({k: [spec_json(registry, k, spec) for spec in registry.all(k)] for k in kinds})
        return
    width = max((len(spec.name) for k in kinds for spec in registry.all(k)), default=0)
    for index, k in enumerate(kinds):
        click.echo(f"{chr(10) if index else ''}{k}")
        for spec in registry.all(k):
            click.echo(f"  {spec.name:<{width}}  {spec.summary}")


@cli.command()
@click.argument("name")
@_options(_plugin, _as_json)
def show(name: str, plugin_files: tuple[Path, ...], as_json: bool) -> None:
    """Everything about NAME: a variant, objective, dataset, ... or `train`, `eval`, and each of its settings."""
    from ganzoo.config import Eval, Train, dataset_settings
    from ganzoo.describe import facts, setting_json, spec_json, text
    from ganzoo.presets import PRESETS
    from ganzoo.settings import settings_of
    from ganzoo.specs import Dataset, Setting

    def table(section: str, settings: Sequence[Setting]) -> None:
        for setting in settings:
            click.echo(f"  --set {section}.{setting.name}={text(setting.default)}")
            choices = f" One of: {', '.join(map(text, setting.choices))}." if setting.choices else ""
            click.echo(f"      {setting.doc.rstrip('.')}.{choices}")

    if name in ("train", "eval"):
        settings = settings_of(Train if name == "train" else Eval)
        if as_json:
            _print_json([setting_json(setting) for setting in settings])
        else:
            click.echo(f"{name}: settings of every run")
            table(name, settings)
        return
    if name in PRESETS:
        click.echo(f"{name}: preset; {PRESETS[name].summary}")
        for key, value in PRESETS[name].values.items():
            click.echo(f"  {key}={text(value)}")
        preset = PRESETS[name]
        for kind, names in (("variant", preset.by_variant), ("objective", preset.by_objective)):
            for one, values in names.items():
                click.echo(f"  {kind} {one}: {', '.join(f'{key}={text(value)}' for key, value in values.items())}")
        return
    registry = _registry(plugin_files)
    found = registry.find(name)
    if as_json:
        _print_json([{"kind": kind, **spec_json(registry, kind, spec)} for kind, spec in found])
        return
    for kind, spec in found:
        click.echo(f"{spec.name}: {'feature network' if kind == 'features' else kind[:-1]}; {spec.summary}")
        if spec.paper:
            click.echo(f"  source: {spec.paper}")
        click.echo(f"  plugin: {registry.owner(kind, spec.name)}")
        for key, value in facts(spec).items():
            click.echo(f"  {key}: {value}")
        section = {"features": "features", "metrics": f"metrics.{spec.name}"}.get(kind, kind[:-1])
        table(section, dataset_settings(spec) if isinstance(spec, Dataset) else spec.settings)


@cli.command()
@click.argument("name", required=False)
@_options(_plugin, _as_json)
def plugins(name: str | None, plugin_files: tuple[Path, ...], as_json: bool) -> None:
    """List plugins, what they register, how long they load, and why one is left out; one NAME in full."""
    from ganzoo.errors import UnknownName
    from ganzoo.plugins import load_plugins

    found = load_plugins(plugin_files)
    if name is not None:
        chosen = [plugin for plugin in found if plugin.name == name]
        if not chosen:
            raise UnknownName("plugin", name, [plugin.name for plugin in found])
        found = chosen
    if as_json:
        _print_json(
            [
                {
                    "name": plugin.name,
                    "origin": plugin.origin,
                    "module": plugin.module,
                    "status": plugin.status,
                    "error": plugin.error,
                    "details": plugin.details,
                    "seconds": round(plugin.seconds, 6),
                    "registers": {kind: [spec.name for spec in specs] for kind, specs in plugin.specs.items()},
                }
                for plugin in found
            ]
        )
        return
    for plugin in found:
        click.echo(f"{plugin.name}  {plugin.status}  {plugin.origin}  {plugin.seconds * 1000:.0f} ms")
        for kind, specs in plugin.specs.items():
            click.echo(f"  {kind}: {', '.join(spec.name for spec in specs)}")
        if plugin.error:
            click.echo(f"  {plugin.error}")
        if name is not None and plugin.details:
            click.echo(plugin.details)


@cli.command()
@click.argument("variant", required=False)
@_run_options
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Run directory.  [default: runs/DATASET/VARIANT-...]"
)
@_as_json
def train(variant: str | None, out: Path | None, as_json: bool, **options: Any) -> None:
    """Train VARIANT and score it. The same command continues an interrupted run."""
    registry = _registry(options["plugin_files"])
    config = _config(registry, variant, options)
    from ganzoo.bench import Job, plan_jobs

    root = _root(options["data_root"])
    job: Job = plan_jobs(registry, [config], 1, Path("runs"), root, options["plugin_files"])[0]
    path = out or Path(job.out)

    from ganzoo.display import TrainingDisplay, print_tables
    from ganzoo.job import run_job
    from ganzoo.leaderboard import make_tables
    from ganzoo.render import to_json
    from ganzoo.runs import RunDirectory

    run = RunDirectory(path)
    fresh = not os.path.exists(run.config_file)  # False, not an error, for a path the system refuses
    try:
        with TrainingDisplay(config.variant.name) as display:
            result = run_job(registry, config, path, root=root, observers=[display], announce=display.announce)
    except UserError:
        if fresh:
            run.discard_unstarted()
        raise
    except Exception as error:
        run.write_failure(f"{type(error).__name__}: {error}")
        raise
    tables = make_tables([RunDirectory(path)])
    if as_json:
        click.echo(to_json(tables))
    else:
        print_tables(tables)
        click.echo(f"samples: {path / 'samples'}\nresult: {path / 'result.json'}")
    if result["diverged"]:
        sys.exit(1)


@cli.command()
@click.option("--variants", metavar="A,B", help="Variants to compare.  [default: all that fit the dataset]")
@_run_options
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Training seeds per variant.")
@click.option("--num-images", type=int, metavar="N", help="Generated images per score.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/bench"), show_default=True, metavar="DIR")
@_as_json
def bench(variants: str | None, seeds: int, num_images: int | None, out: Path, as_json: bool, **options: Any) -> None:
    """Train and compare variants; print the leaderboard. Started again, it does only what is missing."""
    from ganzoo.bench import choose_configs, plan_jobs, run_jobs
    from ganzoo.config import check_fit
    from ganzoo.display import print_tables
    from ganzoo.engine.device import resolve_device
    from ganzoo.leaderboard import make_tables
    from ganzoo.render import to_json
    from ganzoo.scoring import load_images

    registry = _registry(options["plugin_files"])
    root = _root(options["data_root"])
    names = list(dict.fromkeys(name.strip() for name in (variants or "").split(",") if name.strip()))
    strict = bool(names)
    names = names or [spec.name for spec in registry.variants()]
    extra = {"eval.num_images": num_images} if num_images is not None else {}
    configs, left_out = choose_configs(names, lambda name: _config(registry, name, options, extra), strict)
    resolve_device(configs[0].device)  # refused once, rather than in every job
    images = load_images(registry, configs[0], root, "train")  # decoded or downloaded once, before the jobs
    by_name = {config.variant.name: config for config in configs}

    def fits_images(name: str) -> RunConfig:
        spec, objective = registry.variant(name), registry.objective(by_name[name].objective.name)
        check_fit(spec, objective, by_name[name].dataset.name, images.shape[1], images.shape[0], images.num_classes)
        return by_name[name]

    configs, more = choose_configs(list(by_name), fits_images, strict)
    for line in (*left_out, *more):
        click.echo(line, err=True)
    jobs = plan_jobs(registry, configs, seeds, out, root, options["plugin_files"])
    runs = run_jobs(jobs, lambda line: click.echo(line, err=True))
    started = [run for run in runs if run.config_file.exists()]
    if not started:
        sys.exit(1)
    tables = make_tables(started)
    if as_json:
        click.echo(to_json(tables))
    else:
        print_tables(tables)
        click.echo("sample grids (samples/), results (result.json):")
        for run in runs:
            grids = run.samples()
            click.echo(f"  {grids[-1] if grids else run.path}")
    if any(run.read_result() is None for run in runs):
        sys.exit(1)


@cli.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--sort", default="fid", show_default=True, metavar="COLUMN", help="Rank by this column.")
@click.option("--format", "form", type=click.Choice(["table", "md", "csv", "json"]), default="table", show_default=True)
@_as_json
def leaderboard(paths: tuple[Path, ...], sort: str, form: str, as_json: bool) -> None:
    """Rank the runs under PATHS (default: runs), one table per protocol."""
    from ganzoo.leaderboard import read_tables
    from ganzoo.render import to_csv, to_json, to_markdown

    tables = read_tables(list(paths) or [Path("runs")], sort)
    if as_json or form == "json":
        click.echo(to_json(tables))
    elif form == "table":
        from ganzoo.display import print_tables

        print_tables(tables)
    else:
        click.echo(to_markdown(tables) if form == "md" else to_csv(tables), nl=False)


@cli.command()
@click.argument("run", metavar="RUN|VARIANT")
@click.option("-n", "count", type=click.IntRange(min=1), metavar="N", help="Images.  [default: 64, or 8 per class]")
@click.option("--labels", metavar="0,1,2", help="Classes, one column each (conditional variants).")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--snapshot", type=float, metavar="KIMG", help="Use the snapshot nearest to this many kimg.  [default: last]"
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="PNG", help="[default: samples.png in the run directory]"
)
@_options(_device, _plugin)
def sample(
    run: str,
    count: int | None,
    labels: str | None,
    seed: int,
    snapshot: float | None,
    out: Path | None,
    device: str | None,
    plugin_files: tuple[Path, ...],
) -> None:
    """Make a grid of images from a run directory, or from the newest run of VARIANT under runs/."""
    from ganzoo.sampling import sample_grid

    path = sample_grid(
        _registry(plugin_files),
        run,
        count=count,
        labels=_integers(labels),
        seed=seed,
        kimg=snapshot,
        out=out,
        device=device or "auto",
    )
    click.echo(path)


@cli.command("eval")
@click.argument("source", metavar="RUN|FOLDER|NPZ")
@click.option("--dataset", metavar="NAME[:PATH]", help="Real images to compare with.  [default: the run's, or digits]")
@click.option("--features", metavar="NAME", help="Feature network.  [default: the dataset's]")
@click.option("--metrics", metavar="A,B", help="Metrics.  [default: all]")
@click.option("--num-images", type=int, metavar="N", help="Generated images, or at most this many of a folder's.")
@click.option("--size", type=int, metavar="PIXELS", help="Bring the dataset's images to this size.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Any setting.")
@_options(_device, _data_root, _plugin, _as_json)
def eval_command(
    source: str, as_json: bool, data_root: Path | None, plugin_files: tuple[Path, ...], **options: Any
) -> None:
    """Score a run, a folder of images or an npz against a dataset."""
    from ganzoo.display import TrainingDisplay
    from ganzoo.sampling import evaluate_source

    registry = _registry(plugin_files)
    with TrainingDisplay("eval") as display:
        document = evaluate_source(registry, source, root=_root(data_root), announce=display.announce, **options)
    if as_json:
        _print_json(document)
        return
    click.echo(f"{'':<12}  {'generated':>12}  {'real (floor)':>12}")
    floor = document["floor"]["values"]
    for name, value in document["values"].items():
        click.echo(f"{name:<12}  {value:>12.4f}  {floor.get(name, float('nan')):>12.4f}")
    click.echo(
        f"protocol: {document['protocol']}\nfloor: {document['floor']['what']}, {document['floor']['images']} images"
    )


@cli.command()
@click.argument("run", metavar="RUN|VARIANT")
@click.option("--out", type=click.Path(path_type=Path), metavar="GIF", help="[default: film.gif in the run directory]")
@click.option(
    "--seconds", type=click.FloatRange(min=0.02, max=200), default=0.5, show_default=True, help="Seconds per snapshot."
)
def film(run: str, out: Path | None, seconds: float) -> None:
    """Make an animation of a run's sample grids, or of the newest run of VARIANT, with the kimg written on it."""
    from ganzoo.grid import film as write_film
    from ganzoo.runs import find_run, kimg_of

    directory = find_run(run)
    variant = directory.read_config()["variant"]["name"]
    frames = [(path, f"{variant}  {kimg_of(path):.1f} kimg") for path in directory.samples()]
    if not frames:
        raise UserError(f"{run} has no sample grids yet", "train it first")
    path = out or directory.path / "film.gif"
    write_film(frames, path, seconds)
    click.echo(path)


def _registry(files: Sequence[Path]) -> Registry:
    """The zoo; broken plugins are reported on stderr and left out."""
    from ganzoo.registry import Registry

    registry = Registry.load(list(files))
    for plugin in registry.failures():
        click.echo(f"plugin {plugin} is left out: {plugin.error}", err=True)
    return registry


def _root(data_root: Path | None) -> Path:
    return (data_root or Path("~/.cache/ganzoo")).expanduser().absolute()


def _config(
    registry: Registry, variant: str | None, options: dict[str, Any], extra: dict[str, Any] | None = None
) -> RunConfig:
    from ganzoo.config import build_config, read_document

    overrides = dict(extra or {})
    for option, key in (
        ("kimg", "train.kimg"),
        ("minutes", "train.minutes"),
        ("size", "dataset.size"),
        ("seed", "seed"),
        ("device", "device"),
        ("precision", "precision"),
        ("log", "callbacks"),
    ):
        if options[option] is not None:
            overrides[key] = options[option]
    kimg_is_set = options["kimg"] is not None or any(text.startswith("train.kimg=") for text in options["sets"])
    if options["minutes"] is not None and not kimg_is_set:
        overrides["train.kimg"] = None
    document = read_document(options["config_file"]) if options["config_file"] else None
    return build_config(
        registry,
        variant=variant,
        dataset=options["dataset"],
        objective=options["objective"],
        features=options["features"],
        preset=options["preset"],
        document=document,
        sets=options["sets"],
        overrides=overrides,
    )


def _integers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise SettingError(f"--labels {text} are not whole numbers", "write them as 0,1,2") from None


def _print_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=1, ensure_ascii=False))
