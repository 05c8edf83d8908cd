"""Leaderboards and reports of thousands of results: seconds and memory of each command, in a process of its own.

`python benchmarks/big_grid.py` makes 10,000 result files from the published ones in docs/results/digits, with other
seeds, settings and scores, times `ganzoo leaderboard` and `ganzoo report` over them and prints a Markdown table
(`--json`: the rows as JSON); the exit code is 1 where 5 s or 1 GiB are exceeded. Grids: "seeds" has the 35 variants
with as many seeds as it takes, "settings" three seeds of each setting, "single" one seed of each. One file in a
hundred is damaged or some other program's. `--like DIR` takes the runs of a folder instead, with their other files as
hard links.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from ganzoo.runs.environment import device_name

PUBLISHED = Path(__file__).parents[1] / "docs" / "results" / "digits"
GRIDS = {"seeds": None, "settings": 3, "single": 1}  # seeds of each row; None: as many as there are files
COMMANDS = {
    "leaderboard": ["leaderboard"],
    "leaderboard --format json": ["leaderboard", "--format", "json"],
    "report --no-sampling": ["report", "--no-sampling", "--out", "report.html"],
    "report": ["report", "--out", "report.html"],
}
SECONDS, BYTES = 5.0, 2**30
DAMAGED = 100  # one file in so many

_CHILD = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
with open(sys.argv[1], "wb") as out, open(sys.argv[2], "wb") as errors:
    code = subprocess.run(sys.argv[3:], stdout=out, stderr=errors).returncode
seconds, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"code": code, "seconds": seconds, "processor": used.ru_utime + used.ru_stime, "peak": peak}))
"""


def templates(like: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Folders of runs and their results, one of each variant."""
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    for file in sorted(like.rglob("result.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        found.setdefault(result["variant"], (file.parent, result))
    if not found:
        sys.exit(f"no result.json under {like}")
    return list(found.values())


def altered(result: dict[str, Any], setting: int, seed: int, rng: random.Random) -> dict[str, Any]:
    """The result as another seed of another setting might have been."""
    result = copy.deepcopy(result)
    result["seed"] = result["config"]["seed"] = seed
    if setting:
        result["config"]["train"]["g_lr"] = round(2e-4 * (1 + setting / 1000), 9)
    better = 1 + 0.3 * random.Random(setting).random()  # than chance: rows differ, some of them significantly
    for part in ("last", "best", "untrained"):
        values = (result.get(part) or {}).get("values") or {}
        for key in values:
            if isinstance(values[key], float):
                values[key] *= better * rng.lognormvariate(0, 0.03)
    if result.get("last") and result["last"]["images"] == (result.get("best") or {}).get("images"):
        result["best"] = result["last"]
    return result


def spoilt(text: str, number: int) -> bytes:
    """What is no result: cut short, of another program, no text, of a version to come."""
    if number % 4 == 0:
        return text[: len(text) // 2].encode()
    if number % 4 == 1:
        return b'{"accuracy": 0.93, "schema": 2}'
    if number % 4 == 2:
        return random.Random(number).randbytes(2000)
    return text.replace('"schema": 2', '"schema": 9', 1).encode()


def written(folder: Path, like: list[tuple[Path, dict[str, Any]]], files: int, seeds: int | None) -> Iterator[str]:
    """Make the grid; the names of the runs whose result is damaged."""
    rng = random.Random(0)
    each = seeds or -(-files // len(like))
    for number in range(files):
        row, seed = divmod(number, each)
        source, result = like[row % len(like)]
        made = altered(result, row // len(like), seed, rng)
        run = folder / f"{made['variant']}-{number:06d}"
        run.mkdir(parents=True)
        for path in source.rglob("*"):
            name = path.relative_to(source)
            if path.is_file() and path.name not in ("result.json", "config.json", ".lock") and name.parts[0] != "state":
                (run / name).parent.mkdir(exist_ok=True)
                try:
                    os.link(path, run / name)
                except OSError:  # another file system
                    shutil.copyfile(path, run / name)
        text = json.dumps(made)
        if (source / "config.json").exists():
            (run / "config.json").write_text(json.dumps(made["config"]), encoding="utf-8")
        if number % DAMAGED == DAMAGED - 1:
            (run / "result.json").write_bytes(spoilt(text, number // DAMAGED))
            yield run.name
        else:
            (run / "result.json").write_text(text, encoding="utf-8")


def timed(command: list[str], work: Path) -> dict[str, Any]:
    """Of a command of ganzoo's, on its own: exit code, seconds, most resident bytes, what it wrote."""
    files = [work / "out.txt", work / "errors.txt"]
    process = subprocess.run(
        [sys.executable, "-c", _CHILD, *map(str, files), sys.executable, "-m", "ganzoo", *command],
        cwd=work, capture_output=True, text=True, check=True,
    )  # fmt: skip
    out, errors = (file.read_text(encoding="utf-8", errors="replace") for file in files)
    return json.loads(process.stdout) | {"out": out, "errors": errors}


def measured(
    grid: str, files: int, like: Path, commands: list[str], rounds: int, keep: Path | None
) -> list[dict[str, Any]]:
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        runs = (keep or work) / f"{grid}-{files}"
        found = templates(like)
        damaged = [] if runs.exists() else list(written(runs, found, files, GRIDS[grid]))
        for name in commands:
            taken = [timed([*COMMANDS[name], str(runs)], work) for _ in range(rounds)]
            best = min(taken, key=lambda one: float(one["seconds"]))
            page = work / "report.html"
            size = page.stat().st_size if page.exists() else len(best["out"].encode())
            page.unlink(missing_ok=True)
            row = {
                "grid": grid,
                "files": files,
                "damaged": len(damaged),
                "command": name,
                "code": best["code"],
                "seconds": [round(one["seconds"], 2) for one in taken],
                "processor_seconds": round(best["processor"], 2),
                "peak_mib": round(best["peak"] / 2**20),
                "output_mib": round(size / 2**20, 2),
                "met": best["code"] == 0 and best["seconds"] <= SECONDS and best["peak"] <= BYTES,
            }
            if best["code"]:
                row["errors"] = best["errors"][-2000:]
            print(json.dumps(row), file=sys.stderr, flush=True)
            rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--grids", default=",".join(GRIDS))
    parser.add_argument("--commands", default=",".join(COMMANDS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--like", type=Path, default=PUBLISHED, help="runs to alter")
    parser.add_argument("--keep", type=Path, help="folder where grids are made and stay; one that is there is used")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    for grid in arguments.grids.split(","):
        rows += measured(
            grid, arguments.files, arguments.like, arguments.commands.split(","), arguments.rounds, arguments.keep
        )
    if arguments.json:
        print(json.dumps(rows, indent=1))
    else:
        where = f"{device_name(torch.device('cpu'))}, Python {sys.version.split()[0]}, {time.strftime('%Y-%m-%d')}"
        print(f"{where}; asked: {SECONDS:g} s, 1 GiB\n")
        print("| grid | files | command | seconds | of a processor | most memory | written |\n" + "|---" * 7 + "|")
        for row in rows:
            seconds = ", ".join(f"{one:.1f}" for one in row["seconds"])
            print(
                f"| {row['grid']} | {row['files']:,} | `{row['command']}` | {seconds} | "
                f"{row['processor_seconds']:.1f} | {row['peak_mib']:,} MiB | {row['output_mib']:.1f} MiB |"
            )
    sys.exit(not all(row["met"] for row in rows))


if __name__ == "__main__":
    main()
