"""What others may make large, odd or many: it costs no more than it is worth, and stays named and exact."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ganzoo.config.documents import read_document
from ganzoo.errors import RunError, UserError
from ganzoo.files.text import csv_cell, markdown
from ganzoo.files.writing import write_text
from ganzoo.leaderboard.charts import MOST_KEYS, training_keys
from ganzoo.leaderboard.columns import MOST_EXTRA, extra_columns
from ganzoo.leaderboard.histories import histories
from ganzoo.leaderboard.render import to_csv
from ganzoo.leaderboard.table import read_tables
from ganzoo.report import make_report, page
from ganzoo.report.pictures import Gallery
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.find import find_run, find_runs
from ganzoo.runs.integrity import check_runs

Write = Callable[..., dict[str, Any]]


def png(width: int, height: int, noise: int = 0) -> bytes:
    """An image of one grey, and `noise` bytes behind it that no reader decodes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width + 1) * height)) + os.urandom(noise)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_columns_of_others_are_bounded() -> None:
    """Eighty results of sixty metrics each made 4,800 columns, and a table of minutes."""
    results = [{"higher_is_better": {f"m{k}-{i}": True for i in range(60)} | {"ours": False}} for k in range(80)]
    columns = extra_columns(results)
    assert len(columns) == MOST_EXTRA
    assert "ours" in {column.key for column in columns}  # what most results have is kept


def test_losses_of_others_are_bounded(tmp_path: Path, write_run: Write) -> None:
    write_run(tmp_path / "run")
    lines = [{"images": i, "kimg": i / 1000, **{f"k{i}-{j}loss": 1.0 for j in range(50)}} for i in range(1, 1000)]
    (tmp_path / "run" / "stats.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    began = time.process_time()
    (table,) = read_tables([tmp_path])
    assert len(training_keys(histories(table))) == MOST_KEYS
    assert len(make_report([tmp_path]).html) < 3_000_000
    assert time.process_time() - began < 10


def test_pictures_of_a_page_are_bounded(tmp_path: Path, write_run: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = Gallery(limit=10**9)
    for seed in range(3):
        write_run(tmp_path / str(seed), seed=seed)
        noise = Image.frombytes("L", (64, 64), random.Random(seed).randbytes(64 * 64))
        noise.save(tmp_path / str(seed) / "real.png")
        assert all(everything.add_files([(tmp_path / str(seed), "real.png")]))
    for limit in ("PAGE_BYTES", "NEEDED_BYTES"):
        monkeypatch.setattr(page, limit, int(everything.taken * 0.8))
    report = make_report([tmp_path])
    assert report.html.count("data:image/webp") == 2
    assert "1 pictures are left out" in report.html
    assert report.notes[0].startswith("1 pictures are left out")


def test_a_setting_whose_name_has_a_dot_is_no_other_setting(tmp_path: Path, write_run: Write) -> None:
    for name in ("good", "bad"):
        config = write_run(tmp_path / name)["config"] | {"train.ema_kimg": "x"}
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    (tmp_path / "bad" / "result.json").unlink()
    result = json.loads((tmp_path / "good" / "result.json").read_text())
    result["config"]["train.ema_kimg"] = "x"
    (tmp_path / "good" / "result.json").write_text(json.dumps(result))
    assert read_tables([tmp_path])


@pytest.mark.skipif(sys.platform == "win32", reason="paths are shorter there")
def test_trees_of_any_depth(tmp_path: Path, write_run: Write) -> None:
    """os.walk calls itself for every level, and a thousand of them are an error."""
    write_run(tmp_path / "runs" / "a")
    deep = ["import os, sys", "os.chdir(sys.argv[1])", "for _ in range(1500): os.mkdir('d'); os.chdir('d')"]
    subprocess.run([sys.executable, "-c", "\n".join(deep).replace("): os", "):\n    os"), str(tmp_path / "runs")],
                   check=True)  # fmt: skip
    assert [run.path.name for run in find_runs([tmp_path / "runs"])] == ["a"]
    subprocess.run(["rm", "-rf", str(tmp_path / "runs" / "d")], check=True)  # pytest cannot


def test_a_stranger_s_run_hides_no_other(tmp_path: Path, write_run: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("good", "bad"):
        write_run(tmp_path / "runs" / name)
        (tmp_path / "runs" / name / "snapshots").mkdir()
        (tmp_path / "runs" / name / "snapshots" / "000001.000.safetensors").write_bytes(b"x")
    (tmp_path / "runs" / "bad" / "config.json").write_text('{"variant": {"name": "gan"}, "objective": 1, "dataset": 2}')
    assert find_run("gan").path.name == "good"


@pytest.mark.parametrize("path", ["a" * 5000, "a\0b", "x/" * 3000])
def test_paths_that_the_system_cannot_look_at(path: str) -> None:
    for use in (lambda: read_tables([Path(path)]), lambda: check_runs([Path(path)]), lambda: find_run(path)):
        with pytest.raises(RunError):
            use()


def test_csv_names_what_is_skipped_and_the_page_nobody_s_folders(tmp_path: Path, write_run: Write) -> None:
    for seed, name in enumerate(("a", "b")):
        write_run(tmp_path / "runs" / name, seed=seed)
    (tmp_path / "runs" / "b" / "result.json").write_text("{")
    tables = read_tables([tmp_path / "runs"])
    (record,) = [row for row in csv.DictReader(io.StringIO(to_csv(tables))) if row["kind"] == "skipped"]
    assert str(Path("runs", "b", "result.json")) in record["status"]
    html = make_report([tmp_path / "runs"]).html
    assert "skipped: runs" in html
    assert str(tmp_path) not in html


def test_formulas_behind_a_semicolon() -> None:
    assert csv_cell("x;=1+1") == "x;'=1+1"
    assert csv_cell("x; @SUM(1)") == "x; '@SUM(1)"
    assert csv_cell("a-b;c") == "a-b;c"


@pytest.mark.parametrize("text", ["a@b.co", "@everyone", "mailto:a@b.co", "xmpp:a@b.co/x"])
def test_no_mail_and_no_mentions_in_markdown(text: str) -> None:
    """GitHub looks for these in what it has rendered: `&#64;` and `\\@` are an @ to it (tried with cmark-gfm)."""
    assert "@" not in markdown(text)
    assert "&#64;" not in markdown(text)


def test_settings_are_read_exactly_or_refused(tmp_path: Path) -> None:
    """A folder may well have the joiner of an emoji or a mark of the direction of writing in its name."""
    path = "/data/\u2764\ufe0f \U0001f468\u200d\U0001f469 \u200f\u05d0" + "x" * 3000
    for name, text in (("a.json", json.dumps({"dataset": {"path": path}})), ("a.toml", f'[dataset]\npath = "{path}"')):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert read_document(tmp_path / name)["dataset"]["path"] == path
    for bad in ("\x1b[2J", "\n", "\ud800", "\x9b", "\0"):
        (tmp_path / "a.json").write_text(json.dumps({"dataset": {"path": bad}}))
        with pytest.raises(UserError, match="control character"):
            read_document(tmp_path / "a.json")


def test_a_link_in_place_of_a_temporary_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / f".film.gif.{os.getpid()}.tmp").symlink_to(tmp_path / "target")
    write_text(tmp_path / "film.gif", "new")
    assert not (tmp_path / "target").exists()
    assert (tmp_path / "film.gif").read_text() == "new"


def test_a_tick_may_say_more_than_numbers(tmp_path: Path, write_run: Write) -> None:
    write_run(tmp_path / "a")
    lines = ['{"images": 1, "d_loss": 1.0, "note": "x"}', '{"images": 2, "d_loss": "x"}', '{"images": 3, "more": [1]}']
    (tmp_path / "a" / "stats.jsonl").write_text("\n".join(lines))
    assert RunDirectory(tmp_path / "a").stats() == [{"images": 1, "d_loss": 1.0}, {"images": 3}]


def test_a_frame_of_many_pixels_is_not_decoded(tmp_path: Path, write_run: Write) -> None:
    from ganzoo.runs.film import FRAME_PIXELS, times_of, tracks_of, write_film

    write_run(tmp_path / "a")
    (tmp_path / "a" / "pictures").mkdir()
    pictures = [tmp_path / "a" / "pictures" / f"{name}.png" for name in ("000000.000", "000001.000")]
    pictures[0].write_bytes(png(64, 64))
    pictures[1].write_bytes(png(8192, FRAME_PIXELS // 8192 + 1))
    tracks = tracks_of([RunDirectory(tmp_path / "a")])
    with pytest.raises(RunError, match=r"000001\.000\.png"):
        write_film(tracks, times_of(tracks), tmp_path / "film.gif")
    pictures[1].write_bytes(png(64, 64))
    write_film(tracks, times_of(tracks), tmp_path / "film.gif")
    assert (tmp_path / "film.gif").stat().st_size > 100
