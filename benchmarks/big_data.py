"""200,000 images as a folder, tar, Parquet and HDF5 files: what it takes to open them, and to train from them.

`python benchmarks/big_data.py --like FOLDER` makes them under `--work` from the images of FOLDER, repeated with other
bytes, and prints a Markdown table (`--json`: the rows as JSON): seconds to open each for the first time (hashing and
decoding into the cache) and again, the most memory of its own that the process took (RssAnon; mapped pages of files,
which the system takes back when it needs them, are told apart), and images per second that the sampler gives from the
mapped cache, by its prefetching thread, and from memory, and that a small GAN trains at from each, in turn.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ganzoo.config.layers import build_config
from ganzoo.data import Images, load_dataset, to_float
from ganzoo.data.decode import suffixes
from ganzoo.data.sampler import make_sampler
from ganzoo.engine.device import denormals_flushed, resolve_device, resolve_precision, synchronize
from ganzoo.engine.step import Step
from ganzoo.runs.environment import device_name
from ganzoo.runs.snapshots import build_gan
from ganzoo.zoo.registry import Registry

FORMATS = {"folder": "folder", "tar": "images.tar", "parquet": "images.parquet", "hdf5": "images.h5"}
BATCH = 64
DISTINCT = 2000
"""Images that are taken."""


def encoded(like: Path, count: int, size: int) -> Iterator[tuple[str, bytes]]:
    """(name, content): the images of a folder, again and again, each with bytes behind its end that no other has."""
    files = sorted(path for path in like.rglob("*") if path.suffix.lower() in suffixes())[:DISTINCT]
    if not files:
        sys.exit(f"no images in {like}")
    contents = []
    for path in files:
        with Image.open(path) as image:
            buffer = io.BytesIO()
            image.convert("RGB").resize((size, size)).save(buffer, "JPEG", quality=90)
            contents.append(buffer.getvalue())
    for number in range(count):
        yield f"{number:07d}.jpg", contents[number % len(contents)] + number.to_bytes(8, "big")


def made(work: Path, kind: str, like: Path, count: int, size: int) -> Path:
    """The data set of a kind; one that is there is used."""
    place = work / FORMATS[kind]
    if place.exists():
        return place
    part = place.with_name(f"{place.name}.part")
    if kind == "folder":  # links to the images as they are: so many files are names more than anything else
        part.mkdir()
        sources = []
        for number, (_, content) in enumerate(encoded(like, min(count, DISTINCT), size)):
            source = work / "sources" / f"{number:05d}.jpg"
            source.parent.mkdir(exist_ok=True)
            source.write_bytes(content)
            sources.append(source)
        for number in range(count):
            os.link(sources[number % len(sources)], part / f"{number:07d}.jpg")
    elif kind == "tar":
        with tarfile.open(part, "w") as archive:
            for name, content in encoded(like, count, size):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
                archive.members = []  # type: ignore[attr-defined]
    elif kind == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = pa.schema([("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))])
        with pq.ParquetWriter(part, kinds) as writer:
            rows: list[dict[str, Any]] = []
            for number, (name, content) in enumerate(encoded(like, count, size), start=1):
                rows.append({"bytes": content, "path": name})
                if len(rows) == 1000 or number == count:
                    writer.write_table(pa.table({"image": rows}, schema=kinds))
                    rows = []
    else:
        import h5py

        with h5py.File(part, "w") as file:
            array = file.create_dataset("images", (count, size, size, 3), np.uint8, chunks=(100, size, size, 3))
            block: list[np.ndarray] = []
            for number, (_, content) in enumerate(encoded(like, count, size), start=1):
                block.append(np.asarray(Image.open(io.BytesIO(content))))
                if len(block) == 1000 or number == count:
                    array[number - len(block) : number] = np.stack(block)
                    block = []
    part.rename(place)
    return place


def memory() -> tuple[float, float]:
    """MiB of its own, and of mapped files; NaN where the system does not say."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return tuple(int(lines[key].split()[0]) / 1024 for key in ("RssAnon", "RssFile"))  # type: ignore[return-value]
    except (OSError, KeyError):
        return float("nan"), float("nan")


class Watch:
    """The most memory while it is entered."""

    def __enter__(self) -> Watch:
        self.before, self.most, self.ended = memory(), memory(), False
        self.thread = threading.Thread(target=self._look)
        self.thread.start()
        return self

    def _look(self) -> None:
        while not self.ended:
            self.most = (max(self.most[0], memory()[0]), max(self.most[1], memory()[1]))
            time.sleep(0.02)

    def __exit__(self, *error: object) -> None:
        self.ended = True
        self.thread.join()


def opened(kind: str, place: Path, root: Path) -> Images:
    return load_dataset(Registry.load().dataset(kind).load(), root=root, split="train", path=place)


def opening(kind: str, place: Path, root: Path) -> dict[str, Any]:
    """In a process of its own."""
    made_before = torch.zeros(1)  # torch is there before anything is measured
    with Watch() as watch:
        began, used = time.perf_counter(), time.process_time()
        images = opened(kind, place, root)
        seconds, used = time.perf_counter() - began, time.process_time() - used
    del made_before
    return {
        "seconds": seconds,
        "processor": used,
        "own": watch.most[0] - watch.before[0],
        "mapped": watch.most[1] - watch.before[1],
        "images": len(images),
        "bytes": images.pixels.nbytes,
        "sha256": images.sha256,
    }


def rates(kind: str, place: Path, root: Path, rounds: int) -> dict[str, Any]:
    """Images per second of the sampler alone and of a small GAN's steps, medians of rounds that take turns."""
    device = resolve_device("auto")
    mapped = opened(kind, place, root)
    resident = Images(pixels=mapped.pixels.clone(), labels=None, num_classes=0, sha256=mapped.sha256)
    samplers = {
        "mapped": make_sampler(mapped, batch_size=BATCH, device=device, seed=0),
        "streaming": make_sampler(mapped, batch_size=BATCH, device=device, seed=0, resident_limit_bytes=0),
        "from memory": make_sampler(resident, batch_size=BATCH, device=device, seed=0),
    }
    with denormals_flushed():
        found = {}
        for what, times, works in (
            ("sampler", 200, {name: fetching(sampler) for name, sampler in samplers.items()}),
            ("training", 30, {name: step_of(sampler, mapped, device) for name, sampler in samplers.items()}),
        ):
            taken: dict[str, list[float]] = {name: [] for name in works}
            for turn in range(rounds + 1):
                for name in list(works)[:: 1 if turn % 2 else -1]:
                    began = time.perf_counter()
                    for _ in range(times):
                        works[name]()
                    synchronize(device)
                    taken[name] += [times * BATCH / (time.perf_counter() - began)] if turn else []
            found[what] = {name: [statistics.median(some), min(some), max(some)] for name, some in taken.items()}
    return found


def fetching(sampler: Any) -> Callable[[], object]:
    batches = iter(range(10**9))
    return lambda: to_float(sampler.batch(next(batches))[0])


def step_of(sampler: Any, images: Images, device: torch.device) -> Step:
    registry = Registry.load()
    config = build_config(registry, variant="gan", preset="standard", overrides={"train.batch_size": BATCH})
    torch.manual_seed(0)
    return Step(
        gan=build_gan(registry, config, images.shape, 0),
        losses=registry.objective(config.objective.name).load()(config.objective.settings),
        sampler=sampler,
        config=config.train,
        num_classes=0,
        device=device,
        precision=resolve_precision(config.precision, device),
    )


def in_process(what: str, arguments: argparse.Namespace, kind: str, place: Path, root: Path) -> dict[str, Any]:
    command = [
        sys.executable,
        __file__,
        "--child",
        what,
        kind,
        str(place),
        str(root),
        "--rounds",
        str(arguments.rounds),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{kind}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--like", type=Path, help="folder of images")
    parser.add_argument("--work", type=Path, default=Path("big-data"), help="where they are made; they stay")
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--kinds", default=",".join(FORMATS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        what, kind, place, root = arguments.child
        work = {"open": opening, "rates": lambda *given: rates(*given, arguments.rounds)}[what]
        print(json.dumps(work(kind, Path(place), Path(root))))
        return
    if arguments.like is None:
        parser.error("--like FOLDER is needed")
    arguments.work.mkdir(parents=True, exist_ok=True)
    rows = []
    for kind in arguments.kinds.split(","):
        place, root = (
            made(arguments.work, kind, arguments.like, arguments.images, arguments.size),
            arguments.work / "root",
        )
        shutil.rmtree(root, ignore_errors=True)  # one cache at a time
        first, again = (in_process("open", arguments, kind, place, root) for _ in range(2))
        rows.append({"kind": kind, "first": first, "again": again})
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    rows[-1]["rates"] = in_process("rates", arguments, kind, place, root)
    shutil.rmtree(root, ignore_errors=True)
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{device_name(resolve_device('auto'))}, Python {sys.version.split()[0]}, torch {torch.__version__}\n")
    print("| from | images | pixels | first time | of a processor | memory | again | of a processor | memory |")
    print("|---" * 9 + "|")
    for row in rows:
        first, again = row["first"], row["again"]
        print(
            f"| `{row['kind']}:` | {first['images']:,} | {first['bytes'] / 2**20:,.0f} MiB | "
            f"{first['seconds']:.1f} s | {first['processor']:.1f} s | {first['own']:.0f} MiB | "
            f"{again['seconds']:.1f} s | {again['processor']:.1f} s | {again['own']:.0f} MiB |"
        )
    for what, found in rows[-1]["rates"].items():
        told = (f"{name} {middle:,.0f} ({low:,.0f} to {high:,.0f})" for name, (middle, low, high) in found.items())
        print(f"\n{what}, img/s: {', '.join(told)}")


if __name__ == "__main__":
    main()
