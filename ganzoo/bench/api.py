"""The library's functions about many runs: `ganzoo.bench` and `ganzoo.speed`. Torch-free until they work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.bench.grid import Grid
from ganzoo.bench.plan import LOCAL, chosen_executor, compete, entrants
from ganzoo.bench.processes import check_script, kill_workers
from ganzoo.bench.search import of_the_comparison
from ganzoo.bench.search import search as choose
from ganzoo.config.options import Names, RunOptions, number_of, takes_run_options
from ganzoo.config.places import as_path
from ganzoo.engine.stopping import Stop, signals_of_the_caller
from ganzoo.errors import RunError
from ganzoo.files.frames import Frame, to_frame
from ganzoo.files.progress import Listen, listening, note
from ganzoo.files.writing import write_json, writing
from ganzoo.leaderboard.api import Leaderboard
from ganzoo.leaderboard.table import make_tables
from ganzoo.runs.run import Run
from ganzoo.runs.telling import endings_told

if TYPE_CHECKING:
    from typing import Unpack

SECONDS = 0.5
"""Of training, and of sampling, in each round of each variant that `speed` measures."""


@takes_run_options
def bench(
    variants: Names = None,
    *,
    seeds: int = 1,
    grid: Grid = None,
    search: int | None = None,
    concurrent: int | None = None,
    executor: str = LOCAL,
    out: str | Path = "runs/bench",
    listen: Listen | None = None,
    stop: Stop | None = None,
    **options: Unpack[RunOptions],
) -> Leaderboard:
    """Train and compare variants, as `ganzoo bench` does. Called again, it does only what is missing. Each run is a
    process of its own, started anew: a script calls this below `if __name__ == "__main__":`, a notebook anywhere.

    Example:
        board = ganzoo.bench(["gan", "dcgan"], kimg=2, seeds=3)
        print(board.to_markdown())

    Args:
        variants: their names, a list or comma separated; None: all that fit the dataset.
        seeds: training seeds per variant, `seed` and on; three or more for ranks.
        grid: {"train.g_lr": [1e-4, 2e-4], "objective": ["hinge", "wasserstein"]}, or such texts as --grid takes: every
            variant with every combination that fits it; None: each once.
        search: how many combinations Optuna tries of each variant, out of `grid`, which then may have ranges,
            {"train.g_lr": "1e-5..1e-2"}; compared is the variant with the one that is best on training images that were
            held out. See docs/runs.md. None: all of `grid` is compared.
        concurrent: runs at a time; None: by rule, see docs/runs.md.
        executor: where the runs are processes: local, this machine; ray, slurm, or what a plugin registers, with
            settings in `sets`: {"executor.gpus": 0.25}. See docs/scaling.md.
        out: folder of the run directories.
        listen: told, in this process, of the events of all runs, each with the title of its run (`event.job`): what
            takes a while, ticks, pictures, scores, findings, ends, failures. See docs/python.md. None: nobody is.
        stop: of whoever handles signals; None: they are handled in here, and the runs save their state.
        options: those of every run.

    Returns:
        The leaderboard of these runs. Its `failed` are those without a result; it has no tables where none has begun.

    Raises:
        UserError: anything that the caller can mend, by its `cause` and `cure`, but for what ends a single run.
        KeyboardInterrupt: Ctrl-C; the same call continues. Other signals as in `ganzoo.train`.
    """
    check_script()
    seeds = number_of(seeds, "seeds", int, minimum=1)
    concurrent = None if concurrent is None else number_of(concurrent, "concurrent", int, minimum=1)
    search = None if search is None else number_of(search, "search", int, minimum=1)
    under = as_path(out, "out")
    with listening(listen), signals_of_the_caller(stop, again=_break_off), endings_told():
        elsewhere, options = chosen_executor(executor, options)
        points = None
        if search is not None:
            points = choose(variants, search, grid, under, options, concurrent=concurrent, elsewhere=elsewhere)
            grid, options = None, of_the_comparison(options)
        chosen = entrants(variants, under, options, grid, elsewhere is not None, points=points, seeds=seeds)
        runs = compete(chosen, seeds=seeds, out=under, concurrent=concurrent, elsewhere=elsewhere)
        started = [run for run in runs if run.config_file.exists()]
        tables = make_tables(started, chosen.sort) if started else []
    return Leaderboard(compared=tables, runs=[Run.at(run) for run in runs])


@dataclass(frozen=True, kw_only=True)
class Speed:
    """A measurement of throughput, and how it compares with an earlier one."""

    path: Path
    """Of the speed.json that holds it."""
    measured: dict[str, Any]
    """JSON-ready: "environment", "rounds", "seconds", and "rows", see `rows`."""
    ratios: list[dict[str, Any]] | None
    """Of the variants in both: "variant", "objective", "train_ratio", "sample_ratio": now over before, above 1 where it
    is faster. None: nothing to compare with.
    """
    fail_on: float
    """Percent by which a variant may be slower."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """For each variant: "train_img_per_s" (real images of training a second), "sample_img_per_s" (generated images
        a second), "spread" between the rounds, "batch_size", "parameters", ...
        """
        return list(self.measured["rows"])

    @property
    def slower(self) -> list[dict[str, Any]]:
        """Those of `ratios` that train or sample slower by more than `fail_on` percent."""
        return [row for row in self.ratios or () if lowest(row) < 1 - self.fail_on / 100]

    @property
    def restless(self) -> list[str]:
        """Variants whose rounds differ by more than `fail_on` percent among themselves."""
        return [row["variant"] for row in self.rows if 100 * row["spread"] > self.fail_on]

    def to_frame(self) -> Frame:
        """`rows` as a pandas DataFrame. UserError without pandas."""
        return to_frame(self.rows)

    def __repr__(self) -> str:
        shown = ", ".join(f"{row['variant']} {row['train_img_per_s']:,.0f} img/s" for row in self.rows)
        return f"<Speed {self.path}: {shown}>"


@takes_run_options
def speed(
    variants: Names = None,
    *,
    rounds: int = 15,
    compare: str | Path | None = None,
    fail_on: float = 10.0,
    out: str | Path = "runs/bench",
    listen: Listen | None = None,
    **options: Unpack[RunOptions],
) -> Speed:
    """Measure how fast variants train and sample, as `ganzoo bench --speed-only` does; nothing is trained to an
    end. The numbers go to OUT/speed.json.

    Example:
        print(ganzoo.speed("dcgan", rounds=5).rows[0]["train_img_per_s"])

    Args:
        variants: their names, a list or comma separated; None: all that fit the dataset.
        rounds: of about a second for each variant.
        compare: an earlier speed.json.
        fail_on: percent, above 0 and below 100; a variant that is slower by more is in `slower`.
        out: folder of speed.json.
        listen: told of events: what is left out (`Note`), and how far it has come (`Working`).
        options: those of every run.

    Raises:
        RunError: `compare` cannot be read, or would be overwritten, or has nothing in common.
        UserError: as `ganzoo.bench`.
    """
    rounds = number_of(rounds, "rounds", int, minimum=1)
    fail_on = number_of(fail_on, "fail_on", float, minimum=0, maximum=100)
    path = as_path(out, "out") / "speed.json"
    with listening(listen), endings_told():
        chosen = entrants(variants, path.parent, options, scored=False)
        from ganzoo.bench import speed as timing

        # Refused before a minute is spent on measuring.
        earlier = None if compare is None else as_path(compare, "compare")
        before = None if earlier is None else timing.read_speed(earlier)
        if earlier is not None and earlier.resolve() == path.resolve():
            raise RunError(f"{earlier} would be overwritten by what is compared with it", "choose another --out")
        now = timing.measure_speed(chosen.registry, chosen.configs, root=chosen.root, rounds=rounds, seconds=SECONDS)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, now)
        ratios = None if before is None else timing.compare_speed(now, before)
        for line in () if before is None else (*timing.changed_conditions(now, before), *_only_in_one(now, before)):
            note(f"not the code alone: {line}")
    return Speed(path=path, measured=now, ratios=ratios, fail_on=fail_on)


def _break_off(number: int) -> None:
    """A second signal."""
    kill_workers()
    raise KeyboardInterrupt


def lowest(row: dict[str, Any]) -> float:
    """Of a row's two ratios."""
    return float(min(row["train_ratio"], row["sample_ratio"]))


def _only_in_one(now: dict[str, Any], before: dict[str, Any]) -> list[str]:
    here, there = ({row["variant"] for row in document["rows"]} for document in (now, before))
    lines = [f"{name} was not measured before" for name in sorted(here - there)]
    return lines + [f"{name} was measured before, and is not now" for name in sorted(there - here)]
