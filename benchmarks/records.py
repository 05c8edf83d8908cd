"""Records of time to quality: seconds of training on two cores until a FID is reached, all variants and settings open.

    python benchmarks/records.py run digits-fid5             # the record's settings again, with a seed of your own
    python benchmarks/records.py run digits-fid5 --variant cdcgan --kimg 8 --set train.batch_size=32 --seeds 1000,1001
    python benchmarks/records.py challenge digits-fid5 --variant cdcgan --kimg 8 --set train.batch_size=32
    python benchmarks/records.py check                       # whether docs/records follows from its runs
    python benchmarks/records.py write                       # docs/records.md, from docs/records/*.json alone

`run` tries settings, with seeds from 1000 on, and writes nothing. `challenge` trains five seeds that no challenge has
had, in turn with the same seeds of whoever holds the record, so that machine and load meet both, and adds the outcome
to docs/records/TARGET.json, whatever it is: a record needs every seed at the target, a lower mean and Welch's p < 0.01.
The rules are in records_rules.py; docs/records.md says them in words.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import records_page
import records_rules as rules
from records_page import FOLDER, ROOT

from ganzoo.config.layers import specs_of
from ganzoo.config.options import config_of
from ganzoo.errors import SettingError, UserError
from ganzoo.zoo.registry import Registry

TOLD = ("OMP_", "GOMP_", "KMP_", "MKL_")
"""Beginnings of the variables by which threads are told what to do. A run has `rules.ENVIRONMENT`, and no others."""

CODE = ("ganzoo", "plugins", "benchmarks", "pyproject.toml")
"""What a commit must hold for a record's code to be found again."""


def train(target: rules.Target, settings: rules.Settings, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """One run, afresh, in a process of its own: its result, and "others", how many cores other processes kept busy
    meanwhile, beside the load before it.

    Raises:
        UserError: it ended without a result.
    """
    out = Path(arguments.runs) / f"{target.dataset}-{target.fid:g}-{settings.variant}-s{seed}"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "ganzoo", "train", settings.variant, *rules.words_of(settings, target)]
    command += ["--seed", str(seed), "--out", str(out), "--quiet"]
    command += ["--data-root", arguments.data_root] if arguments.data_root else []
    load, began, busy, own = os.getloadavg()[0], time.perf_counter(), busy_seconds(), own_seconds()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(TOLD)} | rules.ENVIRONMENT
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    others = (busy_seconds() - busy - (own_seconds() - own)) / (time.perf_counter() - began)
    if done.returncode != 0:
        raise UserError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-500:]}", "mend that")
    result: dict[str, Any] = json.loads((out / "result.json").read_text(encoding="utf-8"))
    return result | {"others": round(max(0.0, others), 2), "load": round(load, 1)}


def busy_seconds() -> float:
    """Of all processors together, since the system was started."""
    times = psutil.cpu_times()
    return float(times.user + times.system + getattr(times, "nice", 0.0))  # Windows has no such


def own_seconds() -> float:
    """Of processors, that this process and the runs that have ended took."""
    return sum(os.times()[:4])


def evidence(target: rules.Target, settings: rules.Settings, seed: int, result: dict[str, Any]) -> dict[str, Any]:
    return rules.evidence(result, target, settings, seed) | {key: result[key] for key in ("load", "others")}


def run(name: str, settings: rules.Settings, seeds: Sequence[int], arguments: argparse.Namespace) -> None:
    """Try settings: a line for each seed, and their mean."""
    target, seconds = rules.TARGETS[name], []
    if min(seeds) < rules.TRIAL_SEEDS:
        raise SettingError(f"seed {min(seeds)} is one of the records'", f"try with seeds from {rules.TRIAL_SEEDS} on")
    rules.check_settings(settings, target)
    for seed in seeds:
        one = evidence(target, settings, seed, train(target, settings, seed, arguments))
        seconds.append(one["seconds"] if one["reached"] else float("nan"))
        say(settings, one)
    print(f"{settings}: {statistics.fmean(seconds):.2f} s to FID {target.fid:g}, mean of {len(seconds)}")


def challenge(name: str, settings: rules.Settings, arguments: argparse.Namespace) -> None:
    """Run a challenger beside the holder, and write the outcome into the target's history, which has the challenge from
    its beginning on: one that is broken off stays there, and its seeds are used.
    """
    target, file = rules.TARGETS[name], FOLDER / f"{name}.json"
    rules.check_settings(settings, target)
    check_ours(settings, target)
    check_committed()
    challenges = rules.read(file)
    before = rules.holder(challenges)
    seeds = rules.seeds_of(len(challenges))
    entry: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "settings": settings.to_dict(),
        "protocol": target.protocol,
        "grid": target.grid,
        "runs": [],
        "holder": None if before is None else [],
    }
    sides = [(settings, entry["runs"], entry)]
    if before is not None:
        sides.append((rules.settings_of(before), entry["holder"], before))
    keep_verdict(entry)
    write_history(file, [*challenges, entry])
    for turn, seed in enumerate(seeds):
        for who, runs, recorded in sides if turn % 2 else sides[::-1]:
            result = train(target, who, seed, arguments)
            runs.append(evidence(target, who, seed, result))
            say(who, runs[-1])
            rules.check_recipe(recorded.setdefault("recipe", rules.recipe_of(result)), rules.recipe_of(result))
            conditions = rules.conditions_of(result)
            if entry.setdefault("conditions", conditions) != conditions:
                raise UserError(f"a run was made under {conditions}, one before it under {entry['conditions']}",
                                "leave machine and code alone during a challenge")  # fmt: skip
            keep_verdict(entry)
            write_history(file, [*challenges, entry])
        if not all(run["reached"] for run in entry["runs"]):
            break  # no further seed can mend that
    print(f"{settings}: {entry['why']}" + ("" if entry["p"] is None else f", p = {entry['p']:.2g}"))


def keep_verdict(entry: dict[str, Any]) -> None:
    told = rules.verdict(entry["runs"], entry["holder"])
    entry |= {"record": told.record, "why": told.why, "p": told.p}


def write_history(file: Path, challenges: Sequence[dict[str, Any]]) -> None:
    """One line for each run, so that differences are read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    runs: list[str] = []

    def short(value: Any) -> Any:
        if isinstance(value, list) and value and isinstance(value[0], dict) and "seconds" in value[0]:
            runs.extend(json.dumps(one) for one in value)
            return [f"@{number}@" for number in range(len(runs) - len(value), len(runs))]
        if isinstance(value, dict):
            return {key: short(inner) for key, inner in value.items()}
        return value

    text = json.dumps({"challenges": [short(one) for one in challenges]}, indent=1)
    for number, line in enumerate(runs):
        text = text.replace(f'"@{number}@"', line)
    file.write_text(text + "\n", encoding="utf-8")


def check_ours(settings: rules.Settings, target: rules.Target) -> None:
    """Raises:
    UserError: something that is trained with is not of this repository.
    """
    options = {key: getattr(settings, key) for key in ("objective", "regularize", "augment")}
    sets = [f"{key}={value}" for key, value in settings.sets.items()]
    registry = Registry.load()
    config = config_of(registry, settings.variant,
                       {**options, "dataset": target.dataset, "preset": "laptop", "sets": sets})  # fmt: skip
    for spec in specs_of(registry, config):
        found = find_spec(str(spec.target).partition(":")[0])
        if found is None or not Path(str(found.origin)).resolve().is_relative_to(ROOT):
            raise UserError(f"{spec.name} is not of this repository", "records are of what everybody can run: add it")


def check_committed() -> None:
    """Raises:
    UserError: the code is not that of a commit.
    """
    command = ["git", "status", "--porcelain", "--", *CODE]
    changed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    if any(changed):
        raise UserError(f"{changed[0][3:]} is not as committed", "commit it: a record names the code that made it")


def say(settings: rules.Settings, one: dict[str, Any]) -> None:
    end = f"FID {one['fid']} after" if one["reached"] else f"NOT REACHED, FID {one['fid']} after"
    print(f"{settings}, seed {one['seed']}: {end} {one['seconds']:.2f} s, {one['kimg']:g} kimg"
          f" (others: {one['others']:.2f} cores; load {one['load']:.1f})", flush=True)  # fmt: skip


def check() -> int:
    """Print what is wrong with the histories and the page; 1 if anything is."""
    told = [
        f"{name}: {fault}"
        for name, target in rules.TARGETS.items()
        for fault in rules.faults(target, rules.read(FOLDER / f"{name}.json"))
    ]
    if records_page.PAGE.read_text(encoding="utf-8") != records_page.page():
        told.append("docs/records.md is not what `write` makes of docs/records")
    print("\n".join(told) or "docs/records follows from its runs")
    return 1 if told else 0


def chosen(arguments: argparse.Namespace) -> rules.Settings:
    """The settings that were named, or the holder's.

    Raises:
        SettingError: neither is there.
    """
    if arguments.variant is None:
        if (found := rules.holder(rules.read(FOLDER / f"{arguments.target}.json"))) is None:
            raise SettingError(f"nobody holds the record of {arguments.target}", "name a --variant and its --kimg")
        return rules.settings_of(found)
    if arguments.kimg is None:
        raise SettingError("there is no budget", "add --kimg: who has not reached the target by then has failed")
    pairs = [text.partition("=") for text in arguments.sets]
    if bad := [key for key, equals, _ in pairs if not equals]:
        raise SettingError(f"--set {bad[0]} has no value", "write KEY=VALUE")
    return rules.Settings(variant=arguments.variant, kimg=arguments.kimg, objective=arguments.objective,
                          sets={key.strip(): value.strip() for key, _, value in pairs},
                          regularize=arguments.regularize, augment=arguments.augment)  # fmt: skip


def two_cores() -> None:
    """Runs inherit it. Where the system knows no affinity, threads alone are two."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: rules.CORES])


def main() -> int:
    parser = argparse.ArgumentParser(description="Records of time to quality.")
    parser.add_argument("do", choices=["run", "challenge", "check", "write"])
    parser.add_argument("target", nargs="?", choices=list(rules.TARGETS))
    parser.add_argument("--variant", help="none: what holds the record, with its settings")
    parser.add_argument("--kimg", type=float, help="budget, in thousands of images")
    parser.add_argument("--set", dest="sets", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--objective")
    parser.add_argument("--regularize")
    parser.add_argument("--augment")
    parser.add_argument("--seeds", default=str(rules.TRIAL_SEEDS), help="of `run`, comma separated")
    parser.add_argument("--runs", default="runs/records", help="folder of the runs")
    parser.add_argument("--data-root", default=None)
    arguments = parser.parse_args()
    try:
        if arguments.do == "check":
            return check()
        if arguments.do == "write":
            records_page.write()
            return 0
        if arguments.target is None:
            raise SettingError("no target is named", f"name one of {', '.join(rules.TARGETS)}")
        settings = chosen(arguments)
        two_cores()
        if arguments.do == "run":
            run(arguments.target, settings, [int(seed) for seed in arguments.seeds.split(",")], arguments)
        else:
            challenge(arguments.target, settings, arguments)
    except UserError as error:
        print(f"error: {error.cause}\n{error.cure}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
