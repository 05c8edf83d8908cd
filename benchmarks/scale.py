"""What many runs take: bytes on the disk, reads per second, events per second. Figures of docs/scaling.md.

`python benchmarks/scale.py DIR --results 10000` looks at the finished runs under DIR (reads only), copies their results
as often as asked into a temporary folder, and prints Markdown. Seconds are of one processor (`time.process_time`, and
user and system time of a child), as other work on the machine makes wall time longer.
"""

from __future__ import annotations

import argparse
import os
import pickle
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ganzoo.config.kept import kept_of
from ganzoo.files.locks import exclusive
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.events import Tick
from ganzoo.runs.find import find_runs
from ganzoo.runs.keeping import surplus_snapshots, surplus_states

KEEPS = ("all", "last,best,state", "last,best", "last")
RUNS_AT_WORK = 512
"""64 machines of 8 GPUs."""


def size(path: Path) -> int:
    """Bytes of all files under a folder."""
    return sum(os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(path) for name in names)


def seconds_of(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def disk(runs: Sequence[RunDirectory]) -> None:
    print(f"\n| `train.keep` | bytes of a run: median of {len(runs)} | smallest | largest | all of them |")
    print("|---|---|---|---|---|")
    whole = [size(run.path) for run in runs]
    for keep in KEEPS:
        words = kept_of(keep)
        sizes = [
            bytes_ - sum(file.stat().st_size for file in (*surplus_snapshots(run, words), *surplus_states(run, words)))
            for run, bytes_ in zip(runs, whole, strict=True)
        ]
        cells = [f"{value / 1e6:,.1f} MB" for value in (statistics.median(sizes), min(sizes), max(sizes), sum(sizes))]
        print(f"| `{keep}` | {' | '.join(cells)} |")
    results = [run.result_file.stat().st_size for run in runs]
    print(f"\nresult.json: {statistics.median(results):,.0f} bytes in the median, {max(results):,} at most")


def copies(runs: Sequence[RunDirectory], count: int, folder: Path) -> None:
    """`count` results below `folder`, a thousand in each of its folders."""
    for number in range(count):
        source = runs[number % len(runs)].path
        target = folder / f"{number // 1000:04d}" / f"{number:07d}"
        target.mkdir(parents=True)
        for name in ("config.json", "result.json"):
            shutil.copyfile(source / name, target / name)


def reads(runs: Sequence[RunDirectory], count: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        copies(runs, count, Path(temporary))
        found: list[RunDirectory] = []
        looked = seconds_of(lambda: found.extend(find_runs([Path(temporary)])))
        read = seconds_of(lambda: [run.read_result() for run in found])
        rate = len(found) / max(looked, 1e-9)
        print(f"\n{len(found):,} runs are found in {looked:.2f} s ({rate:,.0f}/s)", end=", ")
        print(f"and their results read one by one in {read:.2f} s ({len(found) / read:,.0f}/s)")
        command = [sys.executable, "-m", "ganzoo", "leaderboard", temporary, "--format", "csv"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"`ganzoo leaderboard` over them: {taken:.2f} s, {after.ru_maxrss / 2**20:.2f} GiB at most")
        locks = seconds_of(lambda: [_lock(run.path) for run in found[:1000]])
        print(f"a run's folder is locked and let go in {1e6 * locks / min(1000, len(found)):.0f} us")


def _lock(path: Path) -> None:
    with exclusive(path / ".lock"):
        pass


def events() -> None:
    values = dict.fromkeys(("d_loss", "g_loss", "d_accuracy", "diversity"), 0.5)
    event = Tick(kimg=1.0, seconds=1.0, img_per_s=1e3, progress=0.5, seconds_left=9.0, values=values, peak_memory=1)
    data = pickle.dumps(event)
    count = 20_000
    rate = count / seconds_of(lambda: [pickle.loads(data) for _ in range(count)])
    print(f"\nan event of a tick is {len(data)} bytes; a driver takes {rate:,.0f} of them a second out of their bytes")
    with tempfile.TemporaryDirectory() as temporary:
        spools = [Path(temporary) / str(number) for number in range(RUNS_AT_WORK)]
        for spool in spools:
            spool.write_bytes(data)
        looked = seconds_of(lambda: [spool.read_bytes() for spool in spools])
        print(f"{RUNS_AT_WORK} files of news are read through in {1e3 * looked:.0f} ms (of this machine's own disk)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--results", type=int, default=10_000)
    arguments = parser.parse_args()
    runs = [run for run in find_runs([arguments.folder]) if run.result_file.exists()]
    disk(runs)
    reads(runs, arguments.results)
    events()


if __name__ == "__main__":
    main()
