"""Settings chosen before variants are compared: trials by Optuna, scored with training images that none was trained on.

Neither the images nor the seeds that choose are those of the comparison: `eval.held_out` keeps a share of the training
images for the trials' scores, the test split is not looked at, and trials have seed FIRST_SEED and on. Trials are
ordinary runs; asked for in rounds of AT_ONCE, they are the same whatever runs beside what, so that a search that was
stopped finds its own.
"""

from __future__ import annotations

import importlib.util
import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ganzoo.bench.grid import Axis, Grid, Point, Range, axes_of, point_of
from ganzoo.bench.plan import Asked, Elsewhere, asked_for, compete, entrants
from ganzoo.config.options import Names, RunOptions, config_of, texts_of
from ganzoo.config.run_config import RunConfig
from ganzoo.errors import FitError, RunError, SettingError, UnknownName, UserError
from ganzoo.files.writing import write_json
from ganzoo.runs.events import note
from ganzoo.zoo.registry import Registry

if TYPE_CHECKING:
    import optuna

HELD_OUT = 0.2
"""Of the training images, unless `eval.held_out` is set."""

FIRST_SEED = 1000
"""Of the trials; those of a comparison begin at 0."""

AT_ONCE = 4
"""Trials of a variant that are asked for together. More would learn less from each other."""

FOLDER = "search"
"""Below the bench's: the trials' runs, and search.json."""


@dataclass(kw_only=True)
class _Study:
    variant: str
    axes: Mapping[str, Axis]
    study: optuna.Study
    trials: list[dict[str, Any]] = field(default_factory=list)  # the first: as the variant is
    chosen: Point = field(default_factory=lambda: point_of({}))

    def ask(self, count: int) -> list[tuple[optuna.trial.Trial, Point]]:
        asked = []
        for _ in range(count):
            trial = self.study.ask()
            asked.append((trial, point_of({key: _suggested(trial, key, axis) for key, axis in self.axes.items()})))
        return asked


def search(
    variants: Names,
    count: int,
    grid: Grid,
    out: Path,
    options: RunOptions,
    *,
    concurrent: int | None,
    elsewhere: Elsewhere | None = None,
) -> dict[str, list[Point]]:
    """What is chosen for each variant, as the one point of a grid of its own: of `count` trials of what `grid` spans,
    and one of the variant as it is, the one of lowest FID. A setting that a variant has not is no part of its search.

    Everything is in OUT/search/search.json: the space, each trial's settings, FID and run, and what was chosen.

    Raises:
        SettingError: there is nothing to choose from, or runs are to end at a score.
        RunError: no trial has got a score.
        UserError: Optuna is not installed; and as `ganzoo.bench`.
    """
    trials = trials_of(variants, grid, out, options)
    asked, axes, trial_options = trials.asked, trials.axes, trials.options
    sampler = _sampler()
    for line in asked.left_out:
        note(line)
    names = [config.variant.name for config in asked.configs]
    spaces = _spaces(asked.registry, names, axes, trial_options)
    studies = [_Study(variant=name, axes=spaces[name], study=sampler()) for name in names]
    searched = [one for one in studies if one.axes]
    done = 0
    while done < count:
        fresh = min(AT_ONCE, count - done)
        rounds = {one.variant: one.ask(fresh) for one in searched}
        points = {name: [point for _, point in found] for name, found in rounds.items()}
        if not done:
            points = {name: [point_of({}), *found] for name, found in points.items()}
        told = _run(asked.registry, points, out / FOLDER, trial_options, concurrent, elsewhere)
        for one in searched:
            one.trials += [{"settings": p.said, **told[one.variant, p.label]} for p in points[one.variant]]
            for trial, point in rounds[one.variant]:
                _tell(one.study, trial, told[one.variant, point.label]["fid"])
        if all(trial["fid"] is None for one in searched for trial in one.trials):
            runs = [trial["run"] for one in searched for trial in one.trials if trial["run"]]
            folder = Path(asked.configs[0].dataset.name, runs[0]) if runs else Path()
            raise RunError("no trial has a score", f"look into {out / FOLDER / folder}")
        done += fresh
        note(f"search: {done} of {count} trials of {', '.join(one.variant for one in searched)}")
        _write(out, searched, count, trial_options)
    for one in searched:
        _choose(one)
    _write(out, searched, count, trial_options)
    return {one.variant: [one.chosen] for one in studies}


@dataclass(frozen=True, kw_only=True)
class Trials:
    """What a search is asked for, before any images are looked at."""

    axes: Mapping[str, Axis]  # what its trials differ in
    asked: Asked  # each variant as it is
    options: RunOptions  # of all trials


def trials_of(
    variants: Names, grid: Grid, out: Path, options: RunOptions, report: Callable[[str], None] = note
) -> Trials:
    """`report`: as of `asked_for`.

    Raises:
        SettingError: there is nothing to choose from, or runs are to end at a score; and as of `asked_for`.
        UserError: Optuna is not installed.
    """
    if importlib.util.find_spec("optuna") is None:
        raise UserError("Optuna is not installed", "install it: uv pip install 'ganzoo[optuna]'")
    axes = axes_of(grid, ranges=True)
    if not axes:
        raise SettingError("--search has nothing to choose from", "say what: --grid train.g_lr=1e-5..1e-2")
    said = {_setting(text) for text in texts_of(options.get("sets"))}
    if options.get("until") is not None or "train.until" in said:
        raise SettingError("--search compares scores at the end, and --until ends runs before", "leave one of them out")
    trial_options = _of_trials(options)
    asked = asked_for(variants, out / FOLDER, trial_options, report=report)
    if not all(config.eval.held_out for config in asked.configs):
        cause = "--search with eval.held_out=0 would choose by images that its trials have been trained on"
        raise SettingError(cause, f"leave it out, or hold a share of them out, such as {HELD_OUT}")
    return Trials(axes=axes, asked=asked, options=trial_options)


def of_the_comparison(options: RunOptions) -> RunOptions:
    """What comes after a search holds nothing out: those images have chosen the settings."""
    return cast(RunOptions, {**options, "sets": [*texts_of(options.get("sets")), "eval.held_out=0"]})


def _setting(text: str) -> str:
    return text.partition("=")[0].strip()


def _of_trials(options: RunOptions) -> RunOptions:
    ours = {"eval.metrics": "fid", "train.scores": "last"}
    sets = [text for text in texts_of(options.get("sets")) if _setting(text) not in ours]
    if not any(_setting(text) == "eval.held_out" for text in sets):
        ours["eval.held_out"] = str(HELD_OUT)
    return cast(
        RunOptions,
        {**options, "sets": [*sets, *(f"{key}={value}" for key, value in ours.items())], "seed": FIRST_SEED},
    )


def _spaces(
    registry: Registry, variants: Sequence[str], axes: Mapping[str, Axis], options: RunOptions
) -> dict[str, dict[str, Axis]]:
    """Of each variant those of `axes` that make a difference to it; one that makes none to any is refused."""
    found: dict[str, dict[str, Axis]] = {name: {} for name in variants}
    for key, axis in axes.items():
        values = [axis.text(axis.low), axis.text(axis.high)] if isinstance(axis, Range) else list(axis)
        refused: UserError = SettingError(f"--grid {key} makes no difference to {', '.join(variants)}", "leave it out")
        for name in variants:
            made = set()
            for value in values:
                try:
                    made.add(_key(_config(registry, name, point_of({key: value}), options)))
                except (FitError, UnknownName) as error:
                    refused = error
            if len(made) > 1:
                found[name][key] = axis
        if not any(key in space for space in found.values()):
            raise refused
    return found


def _key(config: RunConfig) -> str:
    return json.dumps(config.to_dict(), sort_keys=True)


def _config(registry: Registry, variant: str, point: Point, options: RunOptions) -> RunConfig:
    return config_of(
        registry, variant, {**options, **point.options, "sets": [*texts_of(options.get("sets")), *point.sets]}
    )


def _run(
    registry: Registry,
    points: Mapping[str, Sequence[Point]],
    out: Path,
    options: RunOptions,
    concurrent: int | None,
    elsewhere: Elsewhere | None,
) -> dict[tuple[str, str], dict[str, Any]]:
    """ "fid", None where there is no number, and "run", its folder, of each variant and label of a point. What has been
    run is not run again.
    """
    chosen = entrants(",".join(points), out, options, None, elsewhere is not None, points=points)
    runs = compete(chosen, seeds=1, out=out, concurrent=concurrent, elsewhere=elsewhere)
    by_config = dict(zip(map(_key, chosen.configs), runs, strict=True))
    told: dict[tuple[str, str], dict[str, Any]] = {}
    for name, found in points.items():
        for point in found:
            told[name, point.label] = {"fid": None, "run": None}
            try:
                run = by_config.get(_key(_config(registry, name, point, options)))
            except FitError:  # was left out, with a line
                continue
            if run is None:
                continue
            result = run.read_result() or {}
            value = ((result.get("last") or {}).get("values") or {}).get("fid")
            good = value is not None and math.isfinite(value) and not result.get("diverged")
            told[name, point.label] = {"fid": value if good else None, "run": run.path.name}
    return told


def _choose(one: _Study) -> None:
    scored = [trial for trial in one.trials if trial["fid"] is not None]
    if not scored:
        note(f"search: {one.variant}: no trial has a score; it stays as it is")
        return
    best = min(scored, key=lambda trial: float(trial["fid"]))
    one.chosen = point_of(best["settings"])
    if not best["settings"]:
        note(f"search: {one.variant} stays as it is: FID {best['fid']:.4g} is the lowest of {len(scored)} trials")
        return
    before = one.trials[0]["fid"]
    was = "no score" if before is None else f"FID {before:.4g}"
    note(f"search: {one.variant} with {one.chosen.label}: FID {best['fid']:.4g} on held-out images, {was} as it was")


def _write(out: Path, studies: Sequence[_Study], count: int, options: RunOptions) -> None:
    import optuna

    document = {
        "schema": 1,
        "trials": count,
        "together": AT_ONCE,
        "sampler": f"optuna {optuna.__version__} TPESampler",
        "seed": FIRST_SEED,
        "sets": texts_of(options.get("sets")),
        "metric": "fid",
        "variants": {
            one.variant: {
                "space": {key: axis.said if isinstance(axis, Range) else list(axis) for key, axis in one.axes.items()},
                "trials": one.trials,
                "chosen": one.chosen.said,
            }
            for one in studies
        },
    }
    write_json(out / FOLDER / "search.json", document)


def _sampler() -> Any:
    """What makes studies, each of the same seed."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def study() -> optuna.Study:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its experimental arguments: the version is in search.json
            sampler = optuna.samplers.TPESampler(seed=0, multivariate=True, constant_liar=True)
        return optuna.create_study(sampler=sampler)

    return study


def _suggested(trial: optuna.trial.Trial, key: str, axis: Axis) -> str:
    if not isinstance(axis, Range):
        return str(trial.suggest_categorical(key, list(axis)))
    if axis.whole:
        return axis.text(trial.suggest_int(key, int(axis.low), int(axis.high), log=axis.log))
    return axis.text(trial.suggest_float(key, axis.low, axis.high, log=axis.log))


def _tell(study: optuna.Study, trial: optuna.trial.Trial, fid: float | None) -> None:
    import optuna

    study.tell(trial, fid) if fid is not None else study.tell(trial, state=optuna.trial.TrialState.FAIL)
