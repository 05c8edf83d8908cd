"""What a command would do, before it does it: `--dry-run` and `--print-config`. Nothing is written."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from ganzoo.cli.options import load_registry, print_json
from ganzoo.files.progress import note, working
from ganzoo.files.text import clean, many

if TYPE_CHECKING:
    from ganzoo.config.gates import Gate
    from ganzoo.config.options import RunOptions
    from ganzoo.config.run_config import RunConfig
    from ganzoo.data.counted import Count
    from ganzoo.runs.forecast import Forecast, Present
    from ganzoo.zoo.registry import Registry

LISTED = 24
"""Configs that are shown one by one: more of them are told by variant."""

_LONG = 60.0
"""Seconds of scores that are worth saving."""

_SUMMED = ("train_seconds", "score_seconds", "disk_bytes", "memory_bytes")
"""Of an estimate."""


def plan_train(
    variant: str | None,
    options: Mapping[str, Any],
    gates: Sequence[Gate],
    dry_run: bool,
    print_config: bool,
    as_json: bool,
) -> bool:
    """Refuse what cannot be, and show what was asked for; whether that is all that was. Errors as of training."""
    from ganzoo.config.fit import check_config, check_scores
    from ganzoo.config.gates import check_known
    from ganzoo.config.layers import scores_of
    from ganzoo.config.options import check_used, config_of
    from ganzoo.config.places import cache_root
    from ganzoo.config.printed import to_toml
    from ganzoo.runs.find import RUNS
    from ganzoo.runs.packages import check_packages

    registry = load_registry(options["plugins"])
    config = config_of(registry, variant, options)
    check_used(options.get("sets"), [config])
    check_known(gates, scores_of(registry, config))
    check_scores(registry, config)
    if print_config:
        if as_json:
            print_json(config.to_dict())
        else:
            click.echo(to_toml(config), nl=False)
    elif dry_run:
        out, root = options.get("out"), cache_root(options.get("data_root"))
        check_packages(registry, [config], under=RUNS, out=out)
        count = _counted(registry, [config], root, scored=True)
        if count is not None:
            check_config(registry, config, count.size, count.channels, count.num_classes)
        sources = [RUNS, *([out.parent] if out is not None else [])]
        show_plan(
            registry, [config], seeds=1, root=root, under=RUNS, out=out, sources=sources, count=count, as_json=as_json
        )
    return dry_run or print_config


def plan_bench(
    variants: str | None,
    options: Mapping[str, Any],
    gates: Sequence[Gate],
    dry_run: bool,
    seeds: int,
    grid: Sequence[str],
    as_json: bool,
    search: int | None,
    executor: str,
    timed: bool,
) -> bool:
    """As `plan_train`. `timed`: speed is measured, and nothing is scored."""
    from ganzoo.bench.plan import LOCAL, asked_for, fitting
    from ganzoo.config.fit import check_scores
    from ganzoo.config.gates import check_known
    from ganzoo.config.layers import scores_of
    from ganzoo.runs.find import RUNS
    from ganzoo.runs.packages import check_packages

    out, asked_options = options["out"], cast("RunOptions", options)
    trials: Sequence[RunConfig] = ()
    if search is not None:
        from ganzoo.bench.search import of_the_comparison, trials_of

        trials = trials_of(variants, grid, out, asked_options, lambda _: None).asked.configs
        if dry_run:
            note(
                f"{search + 1} trials of each would be run before, on held-out images; what follows is as they are now"
            )
        grid, asked_options = (), of_the_comparison(asked_options)
    asked = asked_for(variants, out, asked_options, grid)
    for config in asked.configs:
        check_known(gates, scores_of(asked.registry, config))
    for config in () if timed else (*trials, *asked.configs):
        check_scores(asked.registry, config)
    if dry_run:
        if executor == LOCAL and not timed:  # other machines may have what this one lacks
            searched = None if search is None else True
            check_packages(asked.registry, asked.configs, under=out, seeds=seeds, scored=searched)
        configs, left_out = asked.configs, asked.left_out
        count = _counted(asked.registry, [*trials, *configs], asked.root, scored=not timed)
        if count is not None:
            configs, more = fitting(asked, count.size, count.channels, count.num_classes)
            left_out = [*left_out, *more]
        for line in left_out:
            note(line)
        show_plan(
            asked.registry,
            configs,
            seeds=seeds,
            root=asked.root,
            under=out,
            out=None,
            sources=[out, RUNS],
            count=count,
            as_json=as_json,
        )
    return dry_run


def _counted(registry: Registry, configs: Sequence[RunConfig], root: Path, *, scored: bool) -> Count | None:
    """The images of a dataset at a path, as far as they are known before they are decoded; None: there is no path.

    Raises:
        UserError: they cannot be had, or are too few for what `configs` do with them; `scored`: for their metrics, too.
    """
    dataset = configs[0].dataset
    if not dataset.settings.get("path"):
        return None
    from ganzoo.config.run_config import dataset_label, score_interval
    from ganzoo.scoring.images import check_real, count_images
    from ganzoo.scoring.selection import count_held_out

    with working(f"looking at {dataset_label(dataset.name, dataset.settings)}"):
        count = count_images(registry, configs[0], root)
    for config in configs:
        if scored and score_interval(config.train.scores, config.eval.every) is not None:
            check_real(registry, config, config.eval.num_images, count.images)
        elif config.eval.held_out:
            count_held_out(count.images, config.eval.held_out)
    return count


def show_plan(
    registry: Registry,
    configs: Sequence[RunConfig],
    *,
    seeds: int,
    root: Path,
    under: Path,
    out: Path | None,
    sources: Sequence[Path],
    count: Count | None,
    as_json: bool,
) -> None:
    """What would be run, with which settings, how long and how large; `sources`: where finished runs are to estimate
    from; `under` is the folder of run directories, `out` the one of a single run that was named; `count`: of the
    images, where they are at a path.
    """
    from ganzoo.runs.find import find_runs
    from ganzoo.runs.forecast import Forecasts, Present

    runs = find_runs(list(dict.fromkeys(sources)))
    forecast, place = Forecasts(runs, root), os.path.realpath(under)
    present = Present([run for run in runs if run.path.is_relative_to(place)])
    plans = [_plan(registry, config, forecast(config), present, seeds, under, out) for config in configs]
    there, totals = _data(configs[0], root, count), _totals(plans)
    if as_json:
        print_json({"runs": plans, "seeds": seeds, "data": there, "totals": totals})
        return
    if len(plans) > LISTED:
        _show_variants(plans)
    else:
        for plan in plans:
            _show(plan, seeds)
    if len(plans) * seeds > 1:
        finished = sum(plan["runs_finished"] for plan in plans)
        click.echo(
            f"{len(plans) * seeds:,} runs in all{f', {finished:,} of them finished' if finished else ''}, "
            f"one after the other: {_estimate(totals)}"
        )
    click.echo(f"data: {there}")
    click.echo("nothing was trained, nothing was written")


def _plan(
    registry: Registry,
    config: RunConfig,
    estimate: Forecast | None,
    present: Present,
    seeds: int,
    under: Path,
    out: Path | None,
) -> dict[str, Any]:
    """JSON-ready."""
    from ganzoo.config.changed import changed_settings
    from ganzoo.config.run_config import dataset_label
    from ganzoo.runs.directory import RunDirectory
    from ganzoo.runs.forecast import scored_snapshots, snapshots_of
    from ganzoo.runs.names import beside_the_variant

    name = f"{config.variant.name}{beside_the_variant(registry, config)}"
    if out is None:
        all_seeds = present.the_same(registry, config, seeds)
    else:
        all_seeds = [RunDirectory(out) if (out / "config.json").exists() else None]
    found, finished = all_seeds[0], [run is not None and run.result_file.exists() for run in all_seeds]
    train = config.train
    return {
        "variant": name,
        "dataset": dataset_label(config.dataset.name, config.dataset.settings),
        "seed": config.seed,
        "directory": str(out or under / config.dataset.name / f"{name}-s{config.seed}-..."),
        "there": None if found is None else str(found.path),
        "finished": finished[0],
        "runs": len(all_seeds),
        "runs_finished": sum(finished),
        "changed": {key: {"default": default, "value": value} for key, default, value in
                    changed_settings(registry, config)},
        "kimg": train.kimg,
        "minutes": train.minutes,
        "until": train.until,
        "steps": None if train.kimg is None else -(-round(1000 * train.kimg) // train.batch_size),
        "snapshots": len(snapshots_of(config)),
        "scores": scored_snapshots(config),
        "num_images": config.eval.num_images,
        "estimate": None
        if estimate is None
        else {
            "train_seconds": estimate.train,
            "score_seconds": estimate.score,
            "disk_bytes": estimate.disk,
            "memory_bytes": estimate.memory,
            "real_images_counted": estimate.real_counted,
            "from": None if estimate.source is None else str(estimate.source),
            "made_on": estimate.device,
        },
    }  # fmt: skip


def _show(plan: Mapping[str, Any], seeds: int) -> None:
    from ganzoo.zoo.describe import text

    what = "would train" if plan["there"] is None else "is finished:" if plan["finished"] else "would continue"
    seeds_to = "" if seeds == 1 else f" to {plan['seed'] + seeds - 1}"
    click.echo(clean(f"{what} {plan['variant']} on {plan['dataset']}, seed {plan['seed']}{seeds_to}"))
    click.echo(clean(f"  in {plan['there'] or plan['directory']}"))
    length = [] if plan["kimg"] is None else [f"{plan['kimg']:g} kimg, {many(plan['steps'], 'step')}"]
    length += [] if plan["minutes"] is None else [f"{plan['minutes']:g} minutes at most"]
    scores = f"{plan['scores']} scored with {plan['num_images']:,} images each" if plan["scores"] else "none scored"
    click.echo(f"  {', '.join(length)}; {many(plan['snapshots'], 'snapshot')}, {scores}")
    if plan["changed"]:
        click.echo("  not the defaults:")
        width = max(map(len, plan["changed"]))
        for key, value in plan["changed"].items():
            default = "no default" if value["default"] == "" else f"default {text(value['default'])}"
            click.echo(clean(f"    {key:<{width}}  {text(value['value'])}  ({default})", 300))
    estimate = plan["estimate"]
    if estimate is None:
        click.echo("  no estimate: no finished run of this kind is there to tell")
    else:
        click.echo(f"  estimate: {_estimate(estimate)}")
        source = estimate["from"] or "scores of other runs: none of this kind has finished"
        click.echo(clean(f"    from {source}, made on {estimate['made_on']}", 300))
        train, score = estimate["train_seconds"], estimate["score_seconds"]
        if plan["scores"] > 1 and not plan["until"] and None not in (train, score) and score > max(_LONG, train):
            click.echo(f"    most of it is scoring, {plan['scores']} times; once, at the end: --set train.scores=last")


def _estimate(one: Mapping[str, Any]) -> str:
    """What is not counted is said."""
    from ganzoo.leaderboard.columns import bytes_text

    train, score, disk, memory = (one[key] for key in _SUMMED)
    if train is score is None:
        return "none: some have no finished run of their kind to tell"
    parts = [f"training {'unknown, and not counted' if train is None else _clock(train)}"]
    parts.append(f"scoring {'unknown, and not counted' if score is None else _clock(score)}")
    if score and not one["real_images_counted"]:
        parts[-1] += " and, once, as long as the real images take"
    parts += [] if None in (train, score) else [f"{_clock(train + score)} in all"]
    parts += [] if disk is None else [f"disk {bytes_text(disk)}"]
    parts += [f"memory {bytes_text(memory)}"] if memory else []
    return ", ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _totals(plans: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of the runs that are not finished, one after the other; None where one has no estimate. "memory_bytes" is of the
    largest.
    """
    missing = [(plan["runs"] - plan["runs_finished"], plan["estimate"] or dict.fromkeys(_SUMMED)) for plan in plans]
    missing = [(runs, one) for runs, one in missing if runs]
    totals: dict[str, Any] = {
        key: None if any(one[key] is None for _, one in missing) else sum(runs * one[key] for runs, one in missing)
        for key in _SUMMED
    }
    if totals["memory_bytes"] is not None:
        totals["memory_bytes"] = max((int(one["memory_bytes"] or 0) for _, one in missing), default=0)
    return {**totals, "real_images_counted": all(one.get("real_images_counted") for _, one in missing)}


def _show_variants(plans: Sequence[Mapping[str, Any]]) -> None:
    """A line for each variant, where there are too many runs to say more of each."""
    by_variant: dict[str, list[Mapping[str, Any]]] = {}
    for plan in plans:
        by_variant.setdefault(f"{plan['variant']} on {plan['dataset']}", []).append(plan)
    width = max(map(len, by_variant))
    for name, group in by_variant.items():
        runs, finished = (sum(plan[key] for plan in group) for key in ("runs", "runs_finished"))
        said = f"{runs:,} runs of {len(group)} settings" + (f", {finished:,} finished" if finished else "")
        click.echo(clean(f"{name:<{width}}  {said}: {_estimate(_totals(group))}", 300))
    click.echo("each of them with its settings: --json")


def _data(config: RunConfig, root: Path, count: Count | None) -> str:
    """Whether the images are there."""
    from ganzoo.data.downloads import DOWNLOADS, missing

    name = config.dataset.name
    if count is not None:
        classes = f"{count.num_classes} classes" if count.num_classes else "unlabelled"
        return clean(f"{name}:{config.dataset.settings['path']}, {count.images:,} images, {classes}", 300)
    if name not in DOWNLOADS:
        return f"{name} brings its own, or looks under {clean(str(root))}"
    return f"{name} is there" if not missing(name, root) else f"{name} would be downloaded: `ganzoo fetch {name}`"
