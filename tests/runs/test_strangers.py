"""A result folder that a stranger has made: nothing outside is read, nothing waited for, and what it says is text."""

from __future__ import annotations

import csv
import importlib.resources
import io
import json
import os
import re
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

from ganzoo.cli.main import cli
from ganzoo.errors import RunError, UserError
from ganzoo.leaderboard.render import to_csv, to_json, to_markdown
from ganzoo.leaderboard.table import read_tables
from ganzoo.report import make_report
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.find import find_runs

Write = Callable[..., dict[str, Any]]

ESCAPES = "\x1b[2J\x1b]0;title\x07\x1b]52;c;Y2xpcGJvYXJk\x07\x9b31m\u202e\u2066\u200b\r\n\t\x00\x7f"
MARKUP = (
    "<script>alert(1)</script> [a](http://evil.example) ![b](https://evil.example/x.png) |\n# head\n- item `code` **b**"
)
HOSTILE = [ESCAPES, MARKUP, "\ud800", "=cmd|' /C calc'!A0", "@SUM(1)", "+1+1", "-2+3", "[bold red]x[/]", "x" * 100_000]


def png(width: int = 4, height: int = 4, spot: bool = False) -> bytes:
    buffer, image = io.BytesIO(), Image.new("RGB", (width, height), "red")
    if spot:
        image.putpixel((1, 2), (0, 0, 255))
    image.save(buffer, "PNG")
    return buffer.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few KiB that says it has this many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.fixture
def secret(tmp_path: Path) -> str:
    """A text in a file outside the folder, which must appear nowhere."""
    (tmp_path / "secret.txt").write_text("S3CRET-WORD")
    (tmp_path / "secret.png").write_bytes(png() + b"S3CRET-WORD")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "000001.000.png").write_bytes(png() + b"S3CRET-WORD")
    (tmp_path / "secrets" / "config.json").write_text("{}")
    return "S3CRET-WORD"


@pytest.fixture
def results(tmp_path: Path, write_run: Write) -> Path:
    """A good run beside the one that a test makes a bad one of: results/good, results/bad."""
    for name, seed in (("good", 0), ("bad", 1)):
        write_run(tmp_path / "results" / name, seed=seed)
        for file in ("real.png", "samples/000001.000.png", "neighbours/000001.000.png"):
            (tmp_path / "results" / name / file).parent.mkdir(exist_ok=True)
            (tmp_path / "results" / name / file).write_bytes(png())
    return tmp_path / "results"


def everything(folder: Path) -> list[str]:
    """All that is shown of the folder: the four formats and the page."""
    tables = read_tables([folder])
    return [to_markdown(tables), to_csv(tables), to_json(tables), page_of(folder)]


def page_of(folder: Path) -> str:
    """The report, without the code that is ours: what it says of the runs."""
    html = make_report([folder]).html
    static = importlib.resources.files("ganzoo.report")
    vega = static.joinpath("vendor", "vega.js").read_text(encoding="utf-8")
    assert vega in html
    return html.replace(vega, "")


@pytest.mark.parametrize(
    "name",
    ["real.png", "samples/000001.000.png", "neighbours/000001.000.png", "env.json", "failure.txt", "stats.jsonl",
     "metrics.jsonl", "result.json", "config.json", "run.json"],
)  # fmt: skip
def test_links_out_of_the_folder_are_not_followed(results: Path, secret: str, tmp_path: Path, name: str) -> None:
    target = tmp_path / ("secret.png" if name.endswith("png") else "secret.txt")
    file = results / "bad" / name
    file.unlink(missing_ok=True)
    if name == "failure.txt":
        (results / "bad" / "result.json").unlink()
    file.symlink_to(target)
    for text in everything(results):
        assert secret not in text
        assert "UzNDUkVULVdPUk" not in text  # in base64


@pytest.mark.parametrize("folder", ["samples", "neighbours", "snapshots"])
def test_folders_that_are_links_are_not_followed(results: Path, secret: str, tmp_path: Path, folder: str) -> None:
    place = results / "bad" / folder
    if place.exists():
        for file in place.iterdir():
            file.unlink()
        place.rmdir()
    place.symlink_to(tmp_path / "secrets")
    page = page_of(results)
    assert "UzNDUkVU" not in page
    assert RunDirectory(results / "bad")._listed(folder, ".png") == []


def test_runs_behind_links_are_not_found_and_circles_end(results: Path, tmp_path: Path, secret: str) -> None:
    (results / "out").symlink_to(tmp_path / "secrets")
    (results / "bad" / "round").symlink_to(results)
    (results / "closed").mkdir(mode=0o000)
    assert [run.path.name for run in find_runs([results])] == ["bad", "good"]


@pytest.mark.parametrize("name", ["result.json", "config.json", "stats.jsonl", "metrics.jsonl", "env.json", "real.png"])
@pytest.mark.parametrize("kind", ["pipe", "zero", "folder", "socket"])
def test_what_is_no_file_is_not_waited_for(results: Path, name: str, kind: str) -> None:
    file = results / "bad" / name
    file.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "zero":
        file.symlink_to("/dev/zero")
    elif kind == "folder":
        file.mkdir()
    else:
        import socket

        here = Path.cwd()
        os.chdir(file.parent)  # names of sockets are short
        try:
            with socket.socket(socket.AF_UNIX) as opened:
                opened.bind(name)
        finally:
            os.chdir(here)
    began = time.monotonic()
    tables = read_tables([results])
    make_report([results])
    assert time.monotonic() - began < 4
    skipped = name in ("result.json",)
    assert bool(tables[0].skipped) == skipped
    if skipped:
        assert "bad/result.json is" in tables[0].skipped[0]


def write_huge(file: Path, kind: str) -> None:
    with file.open("wb") as opened:
        if kind == "long":
            opened.write(b'{"a": "' + b"x" * 300 * 2**20 + b'"}')
        elif kind == "sparse":
            opened.truncate(2**40)
        elif kind == "deep":
            opened.write(b"[" * 2_000_000)
        elif kind == "deep objects":
            opened.write(b'{"a":' * 300_000)
        elif kind == "lists":
            opened.write(b"[" + b"[]," * 1_300_000 + b"0]")
        elif kind == "digits":
            opened.write(b'{"images": ' + b"9" * 3_000_000 + b"}")
        elif kind == "lines":
            opened.write(b"\n" * 16_000_000)
        elif kind == "short lines":
            opened.write(b'{"images":1}\n' * 1_200_000)
        elif kind == "strings":
            opened.write(b"[" + b'"\\u001b",' * 400_000 + b"0]")


HUGE = ["long", "sparse", "deep", "deep objects", "lists", "digits", "lines", "short lines", "strings"]


@pytest.mark.parametrize("name", ["result.json", "stats.jsonl", "metrics.jsonl", "env.json"])
@pytest.mark.parametrize("kind", HUGE)
def test_huge_and_deep_files_cost_little(results: Path, name: str, kind: str) -> None:
    """Less than half a GiB and about a second a file; in a process of its own, whose memory is bounded."""
    write_huge(results / "bad" / name, kind)
    code = (
        "import resource, sys, time\n"
        "from pathlib import Path\n"
        "from ganzoo.leaderboard.table import read_tables\n"
        "from ganzoo.report import make_report\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "began = time.process_time()\n"
        "from ganzoo.runs.directory import RunDirectory\n"
        "from ganzoo.errors import RunError\n"
        "run = RunDirectory(Path(sys.argv[1]) / 'bad')\n"
        "for read in (run.read_result, run.stats, run.metrics, run.read_environment):\n"
        "    try: read()\n"
        "    except RunError as error: print(error)\n"
        "print(time.process_time() - began, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(results)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    seconds, mebibytes = map(float, done.stdout.splitlines()[-1].split())
    assert seconds < 3  # a second on an idle machine; see docs/leaderboard.md
    assert mebibytes < 512


def place(document: Any, value: str) -> Any:
    """The same document with `value` in place of every text that is not of the schema's own words."""
    keep = ("digits-a", "fid", "is", "kid")
    if isinstance(document, dict):
        return {key: place(inner, value) for key, inner in document.items()}
    if isinstance(document, list):
        return [place(inner, value) for inner in document]
    return value if isinstance(document, str) and document not in keep else document


def assert_clean(text: str) -> None:
    text.encode()  # no lone surrogate
    bad = re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202e\u2066\ud800-\udfff]", text)
    assert not bad


@pytest.mark.parametrize("value", HOSTILE)
def test_text_of_strangers_is_text(
    results: Path, write_run: Write, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record = place(json.loads((results / "bad" / "result.json").read_text()), value)
    record["diverged"] = value
    record["left_out"] = {value: value}
    record["higher_is_better"] = {value: True}
    record["last"]["values"][value] = 3.0
    record["floors"] = [{"name": value, "what": value, "images": 1, "reference": 1, "values": {value: 1.0}}]
    record["until"] = {"metric": value, "value": 1.0, "reached": False}
    record["init"] = {"run": value, "kimg": 1.0, "sha256": "0" * 64, "discriminator": False}
    (results / "bad" / "result.json").write_text(json.dumps(record))
    (results / "bad" / "env.json").write_text(json.dumps({value: value, "plugins": {value: value}}))
    (results / "bad" / "stats.jsonl").write_text(json.dumps({"images": 1, "kimg": 1.0, f"{value} loss": 2.0}) + "\n")
    os.rename(
        results / "bad", results / ("bad" + value.replace("/", "").replace("\0", "")[:80])
    ) if value != "\ud800" else None
    markdown, table, document, page = everything(results)
    for text in (markdown, table, document, page):
        assert_clean(text.replace("\r\n", "\n"))
    for row in csv.reader(io.StringIO(table)):
        for cell in row:
            assert not cell.startswith(("=", "+", "@", "\t", "\r")), cell
            if cell.startswith("-"):
                float(cell)
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
    for part in ("<script", "http://", "https://", "\n# ", "**b**", "`code`"):
        assert part not in markdown
    assert not re.search(r"(?<!\\)\]\(", markdown)
    assert "<script>alert" not in page
    assert not re.search(
        r"""(?:src|href)=(?!"data:image/(?:png|webp);|"#|"https://vega\.github\.io/vega-lite/")""", page
    )
    json.loads(document)
    cli.main(["leaderboard", str(results)], standalone_mode=False)
    shown = capsys.readouterr().out
    assert_clean(shown)
    assert "[bold red]" in shown or "bold" not in value


def test_an_odd_directory_name_is_no_traceback(tmp_path: Path, write_run: Write, ganzoo: Callable[..., Any]) -> None:
    folder = tmp_path / "results" / os.fsdecode(b"odd-\xff-\x1b[2J")
    write_run(folder)
    for form in ("table", "md", "csv", "json"):
        assert_clean(ganzoo("leaderboard", "results", "--format", form).stdout)
    ganzoo("report", "results")
    assert_clean((tmp_path / "report.html").read_text())
    (folder / "result.json").write_text("{")
    assert_clean(ganzoo("leaderboard", "results", code=2).stderr)


@pytest.mark.parametrize(
    "content", [b"no png", png()[:8] + b"x" * 100, bomb(100_000, 100_000), bomb(2**31 - 1, 2**31 - 1), b"", png()[:8]]
)
def test_pictures_that_are_none(results: Path, content: bytes, tmp_path: Path) -> None:
    """Not on the page, and not in a film."""
    sample = results / "bad" / "samples" / "000001.000.png"
    sample.write_bytes(png(spot=True))  # no other's
    good = page_of(results).count("data:image/")
    sample.write_bytes(content)
    assert page_of(results).count("data:image/") == good - 1
    with pytest.raises(RunError, match=r"000001\.000\.png"):
        cli.main(["film", str(results / "bad"), "--out", str(tmp_path / "film.gif")], standalone_mode=False)
    sample.write_bytes(bomb(8000, 8000))  # of a size that may be shown, but damaged
    with pytest.raises(UserError):
        cli.main(["film", str(results / "bad"), "--out", str(tmp_path / "film.gif")], standalone_mode=False)


def test_hashes_of_snapshots_are_checked(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import hashlib

    run = results / "bad"
    (run / "snapshots").mkdir()
    names = ("000000.000", "000001.000")
    for name in names:
        (run / "snapshots" / f"{name}.safetensors").write_bytes(name.encode())
    result = json.loads((run / "result.json").read_text())
    result["snapshots"] = {name: hashlib.sha256(name.encode()).hexdigest() for name in names}
    (run / "result.json").write_text(json.dumps(result))

    def check(code: int) -> str:
        if code:
            with pytest.raises(SystemExit) as caught:
                cli.main(["leaderboard", "--check", str(results)], standalone_mode=False)
            assert caught.value.code == code
        else:
            cli.main(["leaderboard", "--check", str(results)], standalone_mode=False)
        return capsys.readouterr().out

    assert "bad: ok (2 snapshots)" in (said := check(0))
    assert "good: its result names no hashes" in said
    (run / "snapshots" / "000001.000.safetensors").write_bytes(b"changed")
    assert "bad: snapshot 000001.000 has been changed" in check(1)
    (run / "snapshots" / "000001.000.safetensors").unlink()
    assert "snapshot 000001.000 is missing" in check(1)
    (run / "snapshots" / "000001.000.safetensors").symlink_to("/dev/zero")
    assert "snapshot 000001.000 is a link" in check(1)
    (run / "snapshots" / "000001.000.safetensors").unlink()
    os.mkfifo(run / "snapshots" / "000001.000.safetensors")
    assert "snapshot 000001.000 is no regular file" in check(1)
    result["snapshots"] = {"../../secret": "0" * 64}
    (run / "result.json").write_text(json.dumps(result))
    assert "is not a name of a file in the folder" in check(1)


@pytest.mark.parametrize("option", ["--config", "--compare"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "deep", "digits", "nul", "huge", "binary"])
def test_files_that_are_named_are_read_with_care(tmp_path: Path, option: str, kind: str) -> None:
    file = tmp_path / "named.json"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        content = {
            "deep": b'{"a":' * 100_000,
            "digits": b'{"schema": ' + b"9" * 4000 + b"}",
            "huge": b"x" * 5 * 2**20,
            "binary": b"\xff\xfe\x00",
            "nul": b"{}",
        }[kind]
        file.write_bytes(content)
    name = str(file) + ("\0" if kind == "nul" else "")
    command = [
        "train" if option == "--config" else "bench",
        *(["gan"] if option == "--config" else ["--variants", "gan"]),
    ]
    with pytest.raises((UserError, SystemExit, Exception)) as caught:
        cli.main([*command, option, name, "--data-root", str(tmp_path)], standalone_mode=False)
    assert isinstance(caught.value, UserError) or type(caught.value).__module__.startswith("click")
