"""What is in the zoo: `list`, `show`, `plugins`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganzoo.cli.options import json_option, load_registry, plugin_option, print_json, with_options
from ganzoo.cli.show_run import looks_like_run, runs_named, show_run

if TYPE_CHECKING:
    from ganzoo.zoo.registry import Registry


@click.command("list", short_help="Variants, objectives, datasets, metrics, models, ... by name.")
@click.argument("kind", required=False)
@with_options(plugin_option, json_option)
def list_command(kind: str | None, plugin_files: tuple[Path, ...], as_json: bool) -> None:
    """List what is registered: variants, objectives, datasets, features, metrics, callbacks, models; presets."""
    from ganzoo.bench.chosen import why_chosen
    from ganzoo.errors import UnknownName
    from ganzoo.zoo.describe import spec_json
    from ganzoo.zoo.specs import KINDS

    if kind in _OURS:
        _list_ours(kind, as_json)
        return
    if kind is not None and kind not in KINDS:
        raise UnknownName("kind", kind, [*KINDS, *_OURS])
    registry = load_registry(plugin_files)
    kinds = [kind] if kind else list(KINDS)
    compared = {spec.name: why_chosen(registry, spec.name) for spec in registry.variants()}
    if as_json:
        found = {k: [spec_json(registry, k, spec) for spec in registry.all(k)] for k in kinds}
        for one in found.get("variants", []):
            one["in_default_bench"] = compared[one["name"]]
        print_json(found)
        return
    from ganzoo.cli.tables import print_rows

    width = max((len(spec.name) for k in kinds for spec in registry.all(k)), default=0)
    for index, k in enumerate(kinds):
        click.echo(f"{chr(10) if index else ''}{k}")
        print_rows((), [(f"{spec.name:<{width}}", spec.summary) for spec in registry.all(k)], left=2, indent=2)
        if k == "variants":
            click.echo("\ncompared by `ganzoo bench` where no variant is named (--variants all: every one)")
            chosen = [(f"{name:<{width}}", why) for name, why in compared.items() if why is not None]
            print_rows((), chosen, left=2, indent=2)


_OURS = ("presets", "protocols")
"""What is listed and no plugin registers."""


def _list_ours(kind: str, as_json: bool) -> None:
    from ganzoo.config.presets import PRESETS
    from ganzoo.config.protocols import PROTOCOLS

    if kind == "presets":
        found = [{"name": name, "summary": one.summary, "sets": dict(one.values)} for name, one in PRESETS.items()]
    else:
        found = [
            {"name": name, "summary": one.summary, "features": one.features, "sets": list(one.sets)}
            for name, one in PROTOCOLS.items()
        ]
    if as_json:
        print_json({kind: found})
        return
    width = max(len(str(one["name"])) for one in found)
    click.echo(kind)
    for one in found:
        click.echo(f"  {one['name']:<{width}}  {one['summary']}")


@click.command(short_help="Everything about one of them, its settings, or a column.")
@click.argument("name", metavar="NAME|RUN|PROTOCOL")
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    metavar="DIR",
    help="Where to look for runs of a PROTOCOL.",
)
@click.option(
    "--dataset",
    default="digits",
    show_default=True,
    metavar="NAME[:PATH]",
    help="Say what settings are there, and a variant's recipe.",
)
@click.option("--preset", metavar="NAME", help="Say what settings are with it.  [default: the dataset's]")
@with_options(plugin_option, json_option)
def show(
    name: str, runs: Path, dataset: str, preset: str | None, plugin_files: tuple[Path, ...], as_json: bool
) -> None:
    """Everything about NAME: a variant, objective, dataset, ... or `train`, `eval`, and each of its settings; the
    `columns` of leaderboards; how a RUN, a run directory, is going, and what is wrong with it; or what the id of a
    PROTOCOL, as leaderboards print it, stands for.
    """
    if looks_like_run(name):
        show_run(Path(name), as_json)
        return
    from ganzoo.bench.chosen import why_chosen
    from ganzoo.config.families import FAMILIES, recipe_names
    from ganzoo.config.known import settings_of_spec
    from ganzoo.config.layers import preset_values
    from ganzoo.config.presets import PRESETS
    from ganzoo.config.protocols import PROTOCOLS
    from ganzoo.config.run_config import Eval, Train
    from ganzoo.config.settings import settings_of
    from ganzoo.scoring.protocol import looks_like_id
    from ganzoo.zoo.describe import facts, setting_json, spec_json, text
    from ganzoo.zoo.specs import Setting

    where = dataset if preset is None else f"{dataset} with {preset}"

    def table(section: str, settings: Sequence[Setting], there: Mapping[str, Any] | None = None) -> None:
        for setting in settings:
            found = (there or {}).get(setting.name, setting.default)
            other = "" if found == setting.default else f"  (on {where}: {text(found)})"
            click.echo(f"  --set {section}.{setting.name}={text(setting.default)}{other}")
            choices = f" One of: {', '.join(map(text, setting.choices))}." if setting.choices else ""
            click.echo(f"      {setting.doc.rstrip('.')}.{choices}")

    if name in ("train", "eval"):
        settings = settings_of(Train if name == "train" else Eval)
        there = preset_values(load_registry(plugin_files), dataset, preset, name)
        if as_json:
            print_json([setting_json(one) | {"effective": there.get(one.name, one.default)} for one in settings])
        else:
            click.echo(f"{name}: settings of every run; a variant's recipe comes on top: `ganzoo show VARIANT`")
            table(name, settings, there)
        return
    if name in PROTOCOLS:
        click.echo(f"{name}: protocol of published numbers; {PROTOCOLS[name].summary}")
        click.echo(f"  --features {PROTOCOLS[name].features} --set {' --set '.join(PROTOCOLS[name].sets)}")
        return
    if name == "columns":
        _show_columns(as_json)
        return
    if name in PRESETS:
        click.echo(f"{name}: preset; {PRESETS[name].summary}")
        for key, value in PRESETS[name].values.items():
            click.echo(f"  {key}={text(value)}")
        registry = load_registry(plugin_files)
        for kind in ("variants", "objectives"):
            for spec in registry.all(kind):
                for family in (None, *FAMILIES):
                    recipe = recipe_names(name, family)[-1]
                    values = getattr(spec, "presets", {}).get(recipe, {})
                    if values:
                        told = ", ".join(f"{key}={text(value)}" for key, value in values.items())
                        click.echo(f"  {kind[:-1]} {spec.name}{f' on {family}' if family else ''}: {told}")
        return
    if looks_like_id(name):
        _show_protocol(name, runs, as_json)
        return
    registry = load_registry(plugin_files)
    with runs_named(name):
        found = registry.find(name)
    recipes = {kind: _recipe(registry, spec.name, dataset, preset) for kind, spec in found if kind == "variants"}
    if as_json:
        print_json(
            [
                {
                    "kind": kind,
                    **spec_json(registry, kind, spec),
                    "settings": [setting_json(setting) for setting in settings_of_spec(spec)],
                    **({"effective": recipes[kind]} if isinstance(recipes.get(kind), dict) else {}),
                }
                for kind, spec in found
            ]
        )
        return
    for kind, spec in found:
        click.echo(f"{spec.name}: {'feature network' if kind == 'features' else kind[:-1]}; {spec.summary}")
        if spec.paper:
            click.echo(f"  source: {spec.paper}")
        click.echo(f"  plugin: {registry.owner(kind, spec.name)}")
        why = why_chosen(registry, spec.name) if kind == "variants" else None
        if why is not None:
            click.echo(f"  compared when none is named: {why}")
        for key, value in facts(spec).items():
            click.echo(f"  {key}: {value}")
        section = "features" if kind == "features" else kind[:-1]
        if kind in ("metrics", "regularizers", "augmentations"):  # of which a run may have several
            section = f"{'metrics' if kind == 'metrics' else section}.{spec.name}"
        effective = recipes.get(kind, {})
        if isinstance(effective, str):
            table(section, settings_of_spec(spec))
            click.echo(f"  on {where}: {effective}")
            continue
        table(section, settings_of_spec(spec), {key.partition(".")[2]: value for key, value in effective.items()})
        if effective:
            click.echo(f"  on {where}: {', '.join(f'{key}={text(value)}' for key, value in effective.items())}")


def _show_columns(as_json: bool) -> None:
    """Those of every leaderboard; plugins' metrics have their own beside them."""
    from ganzoo.cli.tables import print_rows
    from ganzoo.leaderboard.columns import COLUMNS
    from ganzoo.leaderboard.layout import WORDS

    if as_json:
        words = [{"key": key, "title": key, "unit": "", "better": "", "about": about} for key, about in WORDS.items()]
        fields = ("key", "title", "unit", "better", "about")
        print_json([*words, *({field: getattr(column, field) for field in fields} for column in COLUMNS)])
        return
    rows = [(key, key, about) for key, about in WORDS.items()]
    for column in COLUMNS:
        more = [*([column.unit] if column.unit else []), *([f"{column.better} is better"] if column.better else [])]
        rows.append((column.key, column.title, column.about + (f" ({', '.join(more)})" if more else "")))
    print_rows(("--columns", "title", "what it is"), rows, left=3)


def _recipe(registry: Registry, variant: str, dataset: str, preset: str | None) -> dict[str, Any] | str:
    """What a run on a dataset would be trained with, all layers counted; or why there can be none."""
    from ganzoo.config.layers import build_config
    from ganzoo.config.run_config import Train
    from ganzoo.config.settings import settings_of
    from ganzoo.errors import FitError

    try:
        config = build_config(registry, variant=variant, dataset=dataset, preset=preset)
    except FitError as error:
        return error.cause
    parts = [("variant", config.variant), (f"objective.{config.objective.name}", config.objective)]
    parts += [(f"regularizer.{one.name}", one) for one in config.regularizers]
    parts += [(f"augmentation.{one.name}", one) for one in config.augmentations]
    values = {f"{section}.{key}": value for section, part in parts for key, value in part.settings.items()}
    return values | {
        f"train.{setting.name}": getattr(config.train, setting.name)
        for setting in settings_of(Train)
        if getattr(config.train, setting.name) != setting.default or setting.name in ("g_lr", "d_lr", "batch_size")
    }


def _show_protocol(name: str, runs: Path, as_json: bool) -> None:
    from ganzoo.errors import RunError
    from ganzoo.runs.find import find_runs
    from ganzoo.scoring.protocol import explain

    results = []
    for run in find_runs([runs]):
        with contextlib.suppress(RunError):  # of another version, or damaged: the leaderboard names it
            if (result := run.read_result()) is not None:
                results.append((run, result))
    same = [(run, result["protocol"]) for run, result in results if result.get("protocol", {}).get("id") == name]
    if not same:
        raise RunError(f"no result under {runs}/ has the protocol {name}", "say where the runs are: --runs DIR")
    ingredients = same[0][1]
    if as_json:
        print_json({**ingredients, "runs": [str(run.path) for run, _ in same]})
        return
    click.echo(f"{name}: protocol of {len(same)} run{'s' if len(same) > 1 else ''} under {runs}/")
    for ingredient, value, meaning in explain(ingredients):
        click.echo(f"  {ingredient}: {value}")
        if meaning:
            click.echo(f"      {meaning}")


@click.command(short_help="Plugins, what they register, and why one is left out.")
@click.argument("name", required=False)
@with_options(plugin_option, json_option)
def plugins(name: str | None, plugin_files: tuple[Path, ...], as_json: bool) -> None:
    """List plugins, what they register, how long they load, and why one is left out; one NAME in full."""
    from ganzoo.config.recipes import known_settings
    from ganzoo.errors import UnknownName
    from ganzoo.zoo.plugins import load_plugins

    found = load_plugins(plugin_files, known=known_settings())
    if name is not None:
        chosen = [plugin for plugin in found if plugin.name == name]
        if not chosen:
            raise UnknownName("plugin", name, [plugin.name for plugin in found])
        found = chosen
    if as_json:
        print_json(
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
