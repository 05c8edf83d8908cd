"""Whether cost grows as it should: time and memory against the dataset's size, start-up, folder decode, ticks.

`python benchmarks/costs.py` prints a Markdown table (`--json`: the rows as JSON) of what is asked and what was
measured; the exit code is 1 if something is not met. What is compared is timed in turn and many times in one run, and
the lower quartile of each counts, because other work on a machine makes some rounds longer, never shorter.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ganzoo.bench.speed import fast_quarter
from ganzoo.cli.progress import showing
from ganzoo.config.layers import build_config
from ganzoo.config.run_config import RunConfig
from ganzoo.data import Images, to_float
from ganzoo.data.folder import load_folder
from ganzoo.data.sampler import make_sampler
from ganzoo.engine.device import denormals_flushed, resolve_device, resolve_precision, synchronize
from ganzoo.engine.loop import train
from ganzoo.engine.step import Step
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.environment import device_name
from ganzoo.runs.snapshots import build_gan
from ganzoo.runs.telling import Telling
from ganzoo.zoo.registry import Registry

SHAPE = (1, 32, 32)
SIZES = (10_000, 100_000, 1_000_000)
BATCH = 64
DEVICE = resolve_device("auto")
MODES = {"resident": None, "streaming": 0}  # resident_limit_bytes
FETCHES, STEPS = 300, 15  # of a timing of `scaling`

Row = dict[str, Any]


def row(what: str, asked: str, measured: str, met: bool | None) -> Row:
    """`met` None: told, not asked for."""
    return {"what": what, "asked": asked, "measured": measured, "met": met}


def in_turn(works: dict[Any, Callable[[], object]], rounds: int) -> dict[Any, list[float]]:
    """Seconds of each call, each work once a round after one that does not count; every other round backwards."""
    taken: dict[Any, list[float]] = {name: [] for name in works}
    for index in range(-1, rounds):
        for name in list(works)[:: 1 if index % 2 else -1]:
            started = time.perf_counter()
            works[name]()
            synchronize(DEVICE)
            if index >= 0:
                taken[name].append(time.perf_counter() - started)
    return taken


def random_file(folder: Path, images: int) -> Path:
    """Random bytes for `images` images."""
    path, random = folder / "pixels.bin", np.random.default_rng(0)
    size = int(np.prod(SHAPE))
    with path.open("wb") as file:
        for start in range(0, images, 50_000):
            file.write(random.bytes(min(50_000, images - start) * size))
    return path


def mapped(path: Path, images: int) -> Images:
    """The first `images` images of the file, as a folder's cache opens them."""
    pixels = torch.from_numpy(np.memmap(path, dtype=np.uint8, mode="c", shape=(images, *SHAPE)))
    return Images(pixels=pixels, labels=None, num_classes=0, sha256="0" * 64, mapped=True)


def gan_config(registry: Registry, **overrides: Any) -> RunConfig:
    return build_config(registry, variant="gan", preset="standard", overrides=overrides)


def gan_step(registry: Registry, images: Images, limit: int | None) -> Step:
    """A small perceptron GAN, so that the data path weighs as much as it can."""
    config = gan_config(registry, **{"train.batch_size": BATCH, "variant.width": 64})
    torch.manual_seed(0)
    return Step(
        gan=build_gan(registry, config, SHAPE, 0),
        losses=registry.objective(config.objective.name).load()(config.objective.settings),
        sampler=make_sampler(images, batch_size=BATCH, device=DEVICE, seed=0, resident_limit_bytes=limit),
        config=config.train,
        num_classes=0,
        device=DEVICE,
        precision=resolve_precision(config.precision, DEVICE),
    )


def scaling(rounds: int) -> list[Row]:
    """Time per image for 10 thousand to 1 million images, from the page cache where they are streamed."""
    registry, rows = Registry.load(), []
    with tempfile.TemporaryDirectory() as folder, denormals_flushed():
        path = random_file(Path(folder), max(SIZES))
        pixels = torch.from_numpy(np.fromfile(path, dtype=np.uint8)).view(-1, *SHAPE)
        sets = {
            ("resident", n): Images(pixels=pixels[:n], labels=None, num_classes=0, sha256="0" * 64) for n in SIZES
        } | {("streaming", n): mapped(path, n) for n in SIZES}

        def fetching(images: Images, limit: int | None) -> Callable[[], None]:
            sampler = make_sampler(images, batch_size=BATCH, device=DEVICE, seed=0, resident_limit_bytes=limit)
            index = iter(range(10**9))

            def fetch() -> None:
                for _ in range(FETCHES):
                    to_float(sampler.batch(next(index))[0])

            return fetch

        def training(images: Images, limit: int | None) -> Callable[[], None]:
            step = gan_step(registry, images, limit)

            def go() -> None:
                for _ in range(STEPS):
                    step()

            return go

        data = in_turn({key: fetching(images, MODES[key[0]]) for key, images in sets.items()}, rounds)
        steps = in_turn({key: training(images, MODES[key[0]]) for key, images in sets.items()}, rounds)
    for mode in MODES:
        for what, taken, batches, most in (("data path", data, FETCHES, 1.25), ("training step", steps, STEPS, 1.1)):
            each = [fast_quarter(taken[mode, n]) / (batches * BATCH) * 1e6 for n in SIZES]
            told = ", ".join(f"{value:.3g} us for {n // 1000:,}k" for n, value in zip(SIZES, each, strict=True))
            worst = max(each) / each[0]
            asked = f"at most {most:.2f}x that of 10k images"
            rows.append(row(f"{what}, {mode}: per image", asked, f"{worst:.2f}x: {told}", worst <= most))
    return rows


MEMORY = """
import sys, torch
sys.path.insert(0, sys.argv[4])
import costs
from ganzoo.data import make_images
from ganzoo.data.sampler import make_sampler
from ganzoo.engine.memory import peak_memory
mode, images, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
cpu = torch.device("cpu")
if mode == "streaming":
    data = costs.mapped(path, images)
else:
    data = make_images(torch.full((images, *costs.SHAPE), 7, dtype=torch.uint8))
sampler = make_sampler(data, batch_size=500, device=cpu, seed=0, resident_limit_bytes=costs.MODES[mode])
for index in range(images // 500 * 3):  # so that the order of the next epochs has been drawn, too
    sampler.batch(index)
sampler.close()
print(peak_memory(cpu))
"""


def memory(rounds: int) -> list[Row]:
    """Bytes of peak memory, each in a process of its own. Of a mapped file, pages that have been read count, although
    the system takes them back when it needs them.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = random_file(Path(folder), max(SIZES))
        for mode in MODES:
            peaks = []
            for images in (500, *SIZES):
                command = [sys.executable, "-c", MEMORY, mode, str(images), str(path), str(Path(__file__).parent)]
                peaks.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
            grown = [peak - peaks[0] for peak in peaks[1:]]
            pixels = [n * int(np.prod(SHAPE)) for n in SIZES]
            slope, constant = statistics.linear_regression(pixels, grown)
            rows.append(
                row(
                    f"memory of the data, {mode}",
                    "1 byte per pixel (at most 1.05) and at most 32 MiB",
                    f"{slope:.3f} bytes per pixel and {constant / 2**20:.1f} MiB (the process without: "
                    f"{peaks[0] / 2**20:.0f} MiB)",
                    slope <= 1.05 and constant <= 32 * 2**20,
                )
            )
    return rows


def seconds_to_first_step(root: Path, out: Path, words: Sequence[str] = ("bench", "--variants", "gan")) -> float:
    """Of `ganzoo bench` with one variant, or of another command; it is ended there."""
    command = [sys.executable, "-m", "ganzoo", *words, "--data-root", str(root)]
    command += ["--out", str(out)]
    command += ["--set", "train.tick_kimg=0.001", "--set", "train.tick_seconds=0"]  # a line at each step
    started = time.perf_counter()
    bench = subprocess.Popen(
        command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        while not any(file.stat().st_size for file in out.glob("**/stats.jsonl")):
            if bench.poll() is not None:
                raise RuntimeError(f"{command} ended with {bench.returncode} before its first step")
            time.sleep(0.01)
        return time.perf_counter() - started
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(bench.pid, signal.SIGKILL)
        bench.wait()


def startup(rounds: int) -> list[Row]:
    """`ganzoo bench` on digits to its first step: with nothing computed before, and again."""
    taken: dict[str, list[float]] = {"first": [], "again": []}
    for _ in range(min(rounds, 3)):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            for kind, times in taken.items():
                times.append(seconds_to_first_step(Path(folder), Path(folder) / kind))
    first, again = (fast_quarter(times) for times in taken.values())
    return [
        row("`bench` to its first step, nothing cached", "less than 10 s", f"{first:.1f} s", first < 10),
        row("`bench` to its first step, floors cached", "less than 5 s", f"{again:.1f} s", again < 5),
    ]


def planning(rounds: int) -> list[Row]:
    """`ganzoo bench --dry-run` of a thousand runs and more, beyond what the same command takes for one."""
    grid = ("--grid", "train.g_lr=1e-4,2e-4,3e-4,4e-4,5e-4", "--grid", "train.d_lr=1e-4,2e-4", "--seeds", "3")
    asked = {"one": ("--variants", "gan"), "all": ("--variants", "all", *grid)}
    taken: dict[str, list[float]] = {name: [] for name in asked}
    runs = 0
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, words in asked.items():
                began = time.perf_counter()
                command = [sys.executable, "-m", "ganzoo", "bench", *words, "--dry-run", "--out", f"{folder}/runs"]
                said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                taken[name].append(time.perf_counter() - began)
            (line,) = (line for line in said.splitlines() if "runs in all" in line)
            runs = int(line.split()[0].replace(",", ""))
    one, every = (fast_quarter(times) for times in taken.values())
    return [
        row(f"`bench --dry-run` of {runs:,} runs, beyond that of one", "less than 1 s", f"{every - one:.2f} s",
            every - one < 1 and runs >= 1000),
        row("the same, the whole command", "-", f"{every:.2f} s", None),
    ]  # fmt: skip


def colour(rounds: int) -> list[Row]:
    """`ganzoo train dcgan` of 10,000 colour images 64x64 to its first step, which waits for no score of any image: with
    the folder decoded in the same call, and again.
    """
    taken: dict[str, list[float]] = {"first": [], "again": []}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        pictures = Path(folder) / "pictures"
        pictures.mkdir()
        write_jpegs(pictures, 10_000)
        words = ("train", "dcgan", "--dataset", f"folder:{pictures}", "--size", "64", "--set", "train.batch_size=64")
        for index in range(rounds):
            for kind, times in taken.items():
                root = Path(folder) / f"root{index}"
                root.mkdir(exist_ok=True)
                times.append(seconds_to_first_step(root, root / kind, words))
    first, again = (fast_quarter(times) for times in taken.values())
    return [
        row("`train` of 10,000 colour images to its first step, nothing cached", "-", f"{first:.1f} s", None),
        row("the same, folder decoded", "less than 10 s", f"{again:.1f} s", again < 10),
    ]


def write_jpegs(folder: Path, images: int) -> None:
    """Smooth random pictures of 178x218 pixels, about 7.5 KB each, always the same ones."""
    random = np.random.default_rng(0)
    for index in range(images):
        coarse = Image.fromarray(random.integers(0, 256, (14, 11, 3), dtype=np.uint8))
        coarse.resize((178, 218), Image.Resampling.BICUBIC).save(folder / f"{index:05}.jpg", quality=85)


def decode(rounds: int) -> list[Row]:
    """A folder to its cache, 178x218 -> 64x64, and the cache again."""
    images = 4_000
    decoding, opening = [], []
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures"
        pictures.mkdir()
        write_jpegs(pictures, images)
        for index in range(rounds):
            for times in (decoding, opening):
                started = time.perf_counter()
                load_folder(
                    Path(folder) / f"root{index}", "train", False, path=pictures, size=64, on_progress=lambda *_: None
                )
                times.append(time.perf_counter() - started)
    speed, cores = images / fast_quarter(decoding), len(os.sched_getaffinity(0))
    return [
        row(f"folder decode, {cores} cores", "at least 1,500 JPEG/s on two", f"{speed:,.0f} JPEG/s", speed >= 1500),
        row("its cache again", "less than 1 s", f"{fast_quarter(opening):.3f} s", fast_quarter(opening) < 1),
    ]


def ticks(rounds: int) -> list[Row]:
    """What a tick costs: measured at each step, where it is no noise, and told for ticks as they are by default, whole
    intervals of images and some time apart.
    """
    registry, steps = Registry.load(), 48
    pixels = torch.randint(0, 256, (10_000, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images = Images(pixels=pixels, labels=None, num_classes=0, sha256="0" * 64)
    default = gan_config(registry).train
    batch, kimg = default.batch_size, steps * default.batch_size / 1000

    def run(**ticks: float) -> None:
        overrides = {"train.kimg": kimg, "train.snapshots": 1, **{f"train.tick_{unit}": n for unit, n in ticks.items()}}
        config = gan_config(registry, **overrides)
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
            step = Step(
                gan=build_gan(registry, config, SHAPE, 0),
                losses=registry.objective(config.objective.name).load()(config.objective.settings),
                sampler=make_sampler(images, batch_size=batch, device=DEVICE, seed=0),
                config=config.train,
                num_classes=0,
                device=DEVICE,
                precision=resolve_precision(config.precision, DEVICE),
            )
            journal, observers = (
                RunDirectory.open(Path(folder) / "run", config),
                [Telling(RunDirectory(Path(folder) / "run"), config, images)],
            )
            with showing("plain"):
                train(step, run=journal, take_snapshot=lambda **_: {}, observers=observers)

    works = {"end": partial(run, kimg=kimg), "default": run, "step": partial(run, kimg=0.001, seconds=0.0)}
    with denormals_flushed():
        taken = in_turn(works, rounds)
    end, usual, each = (fast_quarter(taken[name]) for name in ("end", "default", "step"))
    per_tick = (each - end) / (steps - 1)
    share = per_tick / max(end / steps * max(1, round(default.tick_kimg * 1000 / batch)), default.tick_seconds)
    told = f"{share:.2%}: {per_tick * 1e3:.2f} ms each"
    return [
        row("ticks of `gan` at default settings", "less than 2 % of the time", told, share < 0.02),
        row("the same run with default ticks, with one at the end", "-", f"{usual:.2f} s, {end:.2f} s", None),
    ]


PARTS: dict[str, tuple[Callable[[int], list[Row]], int]] = {
    "scaling": (scaling, 20),
    "memory": (memory, 1),
    "startup": (startup, 3),
    "colour": (colour, 2),
    "decode": (decode, 7),
    "ticks": (ticks, 9),
    "planning": (planning, 5),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Whether cost grows as it should.")
    parser.add_argument("--only", default=",".join(PARTS), metavar="A,B", help="parts, of: %(default)s")
    parser.add_argument("--rounds", type=int, metavar="N", help="of each comparison; the default is each part's own")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    rows = []
    for name in options.only.split(","):
        part, rounds = PARTS[name]
        rows += part(options.rounds or rounds)
    conditions = {"device": device_name(DEVICE), "torch": torch.__version__, "python": platform.python_version()}
    if options.json:
        print(json.dumps({**conditions, "rows": rows}, indent=1))
    else:
        print("| what | asked | measured | met |\n|---|---|---|---|")
        for entry in rows:
            verdict = {True: "yes", False: "NO", None: "-"}[entry["met"]]
            print(f"| {entry['what']} | {entry['asked']} | {entry['measured']} | {verdict} |")
        print(f"\n{conditions['device']}, torch {conditions['torch']}, Python {conditions['python']}")
    return 1 if any(entry["met"] is False for entry in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
