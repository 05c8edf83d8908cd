"""What is printed into files and pipes, in processes of their own: any encoding, and readers that go away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PRINTED = "variants \u221e \u00b1 \u2013 caf\u00e9 \U0001f600"
CODE = f"""
import sys, click
from ganzoo.cli import main
from ganzoo.cli.options import print_json
@main.cli.command()
@click.option("--how")
def say(how):
    if how == "json":
        print_json({{"text": {PRINTED!r}}})
    elif how == "rich":
        from rich.console import Console
        Console().print({PRINTED!r})
        Console(stderr=True).print({PRINTED!r})
    else:
        print({PRINTED!r})
        click.echo({PRINTED!r})
        click.echo({PRINTED!r}, err=True)
from ganzoo.__main__ import main
main()
"""


def run(
    *arguments: str, encoding: str | None, cwd: Path, code: str | None = None, locale: str | None = None
) -> subprocess.CompletedProcess[bytes]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "GANZOO_"))}
    if encoding is not None:
        environment["PYTHONIOENCODING"] = encoding
    if locale is not None:
        environment["LC_ALL"] = locale
    program = ["-m", "ganzoo"] if code is None else ["-c", code]
    return subprocess.run(
        [sys.executable, *program, *arguments], capture_output=True, cwd=cwd, env=environment, timeout=120, check=False
    )


@pytest.mark.parametrize("how", ["plain", "rich"])
@pytest.mark.parametrize(
    ("encoding", "read_as", "shown"),
    [
        (None, "utf-8", PRINTED),
        ("ascii", "ascii", "variants inf +- - caf? ?"),
        ("us-ascii:strict", "ascii", "variants inf +- - caf? ?"),
        ("cp1252:strict", "cp1252", "variants inf \u00b1 \u2013 caf\u00e9 ?"),
    ],
)
def test_every_character_in_any_encoding(
    tmp_path: Path, how: str, encoding: str | None, read_as: str, shown: str
) -> None:
    done = run("say", "--how", how, encoding=encoding, cwd=tmp_path, code=CODE)
    assert done.returncode == 0, done.stderr
    for stream in (done.stdout, done.stderr):
        lines = stream.decode(read_as).split("\n")
        assert {line.strip("\ufeff\r ") for line in lines if line.strip()} == {shown}


@pytest.mark.parametrize("locale", ["C", "en_US.ISO-8859-1", "POSIX"])
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("command", [["leaderboard", "runs"], ["leaderboard", "runs", "--columns", "all"],
                                     ["leaderboard", "runs", "--format", "md"], ["show", "columns"],
                                     ["leaderboard", "runs", "--json"], ["list"], ["--help"]])  # fmt: skip
def test_tables_hold_in_a_pipe_of_few_letters(
    tmp_path: Path, write_run: Callable[..., Any], command: list[str], encoding: str, locale: str
) -> None:
    if locale != "C" and command[:1] != ["leaderboard"]:
        return
    for seed, fid in enumerate((9.0, 10.0, 12.5)):
        for variant in ("gan", "dcgan"):
            write_run(tmp_path / "runs" / f"{variant}{seed}", variant, seed=seed, fid=fid)
    done = run(*command, encoding=encoding, cwd=tmp_path, locale=locale)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode(encoding)
    if command == ["leaderboard", "runs"]:
        sign = "+-" if encoding == "ascii" else "\u00b1"
        assert f"10.5 {sign} 4.5" in text
        assert "1=  " in text
    assert "?" not in text


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_json_is_the_same_document_in_any_encoding(tmp_path: Path, encoding: str | None) -> None:
    done = run("say", "--how", "json", encoding=encoding, cwd=tmp_path, code=CODE)
    assert json.loads(done.stdout) == {"text": PRINTED}


def test_errors_of_names_that_the_encoding_lacks(tmp_path: Path) -> None:
    done = run("show", "\u221e", encoding="cp1252", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: unknown name")
    assert b"Traceback" not in done.stderr


def deaf(*arguments: str, cwd: Path, streams: tuple[str, ...]) -> tuple[int, bytes, bytes]:
    """Exit code, stdout and stderr of a command; those named in `streams` are closed before it prints."""
    environment = {**os.environ, "GANZOO_DATA": str(cwd), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "ganzoo", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd, env=environment) as process:
        assert process.stdout is not None and process.stderr is not None  # noqa: PT018
        read = {"stdout": b"", "stderr": b""}
        for name in streams:
            getattr(process, name).close()
        for name in {*read} - {*streams}:
            read[name] = getattr(process, name).read()
        return process.wait(timeout=120), read["stdout"], read["stderr"]


@pytest.mark.parametrize("command", [["list"], ["--help"]])
def test_a_reader_that_has_seen_enough(tmp_path: Path, command: list[str]) -> None:
    assert deaf(*command, cwd=tmp_path, streams=("stdout",)) == (1, b"", b"")


def test_errors_keep_their_code_when_nobody_reads_them(tmp_path: Path) -> None:
    assert deaf("show", "nobody", cwd=tmp_path, streams=("stderr",))[0] == 2


def test_training_goes_on_when_nobody_reads_how(tmp_path: Path) -> None:
    sets = ("eval.metrics=kid", "train.snapshots=1", "train.tick_kimg=0.01", "train.tick_seconds=0")
    words = ["train", "gan", "--kimg", "0.05", "--num-images", "60", "--out", "run"]
    code, shown, _ = deaf(*words, *(word for one in sets for word in ("--set", one)), cwd=tmp_path, streams=("stderr",))
    assert code == 0
    assert b"gan" in shown
    assert (tmp_path / "run" / "result.json").is_file()


@pytest.mark.skipif(os.name == "nt", reason="there is no such redirection")
@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_stream_that_never_was_is_no_error(closed: str, tmp_path: Path) -> None:
    command = ["sh", "-c", f'exec "$0" -m ganzoo list variants {closed}', sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("dcgan" in done.stdout) == (closed == "2>&-")
