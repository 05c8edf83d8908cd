"""Benches to make pages of, and a browser to open them in."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def png(colour: str | tuple[int, int, int], size: tuple[int, int] = (8, 6)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, format="PNG")
    return buffer.getvalue()


def write_pictures(folder: Path, colours: Mapping[str, str | tuple[int, int, int]]) -> None:
    for name, colour in colours.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(png(colour))


def write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_course(folder: Path, fid: float, seed: int = 0, protocol: str = "digits-a") -> None:
    """What a run records while it trains: statistics, scores, and pictures of which each has a colour of its own."""
    shade = int(fid * 10) % 200
    pictures = {
        "real.png": "green",
        "samples/000000.000.png": (0, 0, shade),
        "samples/000000.500.png": (100, seed, shade),
        "samples/000001.000.png": (255, seed, shade),
        "neighbours/000001.000.png": (seed, 0, shade),
    }
    write_pictures(folder, pictures)
    stats = [
        {"images": 250 * i, "kimg": i / 4, "d_loss": 1.0 / i + seed / 9, "g_loss": 2.0 * i, "d_accuracy": 0.5,
         "diversity": 0.1 * i, "seconds": i}
        for i in (1, 2, 3, 4)
    ]  # fmt: skip
    write_lines(folder / "stats.jsonl", stats)
    scored = {"protocol": protocol, "seconds": 1.0, "sample_img_per_s": 500.0, "left_out": {}}
    scores = ((0, 900.0), (500, 4 * fid), (1000, fid))
    write_lines(
        folder / "metrics.jsonl",
        [{"images": images, "kimg": images / 1000, "values": {"fid": value}, **scored} for images, value in scores],
    )
    (folder / "env.json").write_text(
        json.dumps({"python": "3.11.99", "doctor": {"ok": True}, "packages": {"torch": "2.99"}})
    )


@pytest.fixture
def runs(tmp_path: Path, write_run: Callable[..., dict[str, Any]]) -> Path:
    """Two runs of one protocol, the first with all its files, and one of another protocol."""
    folder = tmp_path / "runs"
    write_run(folder / "a", "gan", fid=12.5)
    write_run(folder / "b", "dcgan", fid=8.25)
    write_run(folder / "c", "gan", fid=40.0, protocol="digits-b")
    write_course(folder / "a", 12.5)
    return folder


@pytest.fixture
def close_runs(runs: Path) -> Path:
    """`runs`, of which a has pictures close together, of four reds, and b the grids of snapshots alone."""
    reds = {0: 10, 0.064: 60, 0.128: 110, 1: 160}
    write_pictures(runs / "a", {f"pictures/{kimg:010.3f}.png": (red, 0, 0) for kimg, red in reds.items()})
    write_course(runs / "b", 8.25)
    return runs


@pytest.fixture
def grid_runs(tmp_path: Path, write_run: Callable[..., dict[str, Any]]) -> Path:
    """Of one variant, whose rows are told apart by many settings."""
    settings = ("train.g_lr=0.000123", "train.d_lr=0.000123", "train.batch_size=8", "variant.z_dim=77")
    for count in range(1, 5):
        changes = {"parameters": {"generator": 100 * 7**count, "discriminator": 500}}
        write_run(tmp_path / "grid" / str(count), fid=9.0 + count, sets=settings[:count], changes=changes)
        write_course(tmp_path / "grid" / str(count), 9.0 + count)
    return tmp_path / "grid"


FLOOR = {"name": "test split", "what": "test against train", "images": 360, "reference": 1437, "values": {"fid": 0.5}}
SEEDS = (0, 1, 2)
SPEEDS = {"gan": 900.0, "dcgan": 200.0, "cgan": 800.0}
FIDS = {"gan": 40.0, "dcgan": 8.0, "cgan": 9.0}  # dcgan and cgan cannot be told apart: their seeds lie 3 apart


def write_bench(folder: Path, write_run: Callable[..., dict[str, Any]]) -> None:
    """Three variants of three seeds: one conditional, one that is far behind."""
    for variant, fid in FIDS.items():
        for seed in SEEDS:
            run, number = folder / f"{variant}-s{seed}", fid + 3 * seed
            facts = {"classes": [["zero", 10], ["one", 10]]}
            data = {"sha256": "ab" * 32, "images": 1437, "shape": [1, 4, 4], "num_classes": 2, "facts": facts}
            changes = {
                "floors": [FLOOR], "label_law": "balanced" if variant == "cgan" else "none",
                "data": {"train": data, "test": None}, "train_img_per_s": SPEEDS[variant],
                "parameters": {"generator": len(variant) * 1000, "discriminator": 500},
            }  # fmt: skip
            result = write_run(run, variant, seed=seed, fid=number, changes=changes)
            recall = {"gan": 0.01, "dcgan": 0.5, "cgan": 0.7}[variant]
            result["last"]["values"] |= {"recall": recall, "precision": 0.4 + seed / 10}
            (run / "result.json").write_text(json.dumps(result))
            write_course(run, number, seed)


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory, write_run: Callable[..., dict[str, Any]]) -> Path:
    folder = tmp_path_factory.mktemp("report") / "bench"
    write_bench(folder, write_run)
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A browser that is installed: $GANZOO_BROWSER, or one that is found."""
    path = os.environ.get("GANZOO_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("there is no browser: install chromium, or say where one is in GANZOO_BROWSER")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()
