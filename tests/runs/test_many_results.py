"""`Results` reads what `RunDirectory.read_result` does, whatever is in the files, and keeps what they share once."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganzoo.errors import RunError
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.results import Results

RESULT = Path(__file__).parents[2] / "docs" / "results" / "digits" / "dcgan" / "0" / "result.json"
Change = Callable[[dict[str, Any]], object]


def deep(levels: int) -> Any:
    found: Any = 1
    for _ in range(levels):
        found = [found]
    return found


CHANGES: dict[str, Change] = {
    "nothing": lambda result: None,
    "controls": lambda result: result.update(diverged="a\x1b[31m\u202eb"),
    "long text": lambda result: result.update(status="x" * 5000),
    "text of another script": lambda result: result["config"].update(name="\u732b\u200b"),
    "key": lambda result: result.update({"a\u202eb": 1}),
    "large": lambda result: result["last"]["values"].update(fid=1e200),
    "large elsewhere": lambda result: result["last"].update(more={"fid": 1e200}),
    "large of seconds": lambda result: result["seconds"].update(wall=1e150),
    "a long integer": lambda result: result["last"]["values"].update(fid=10**120),
    "null": lambda result: result["last"]["values"].update(fid=None),
    "no last": lambda result: result.update(last=None),
    "text as a score": lambda result: result["last"]["values"].update(fid="good"),
    "list as a score": lambda result: result["best"]["values"].update(fid=[1.0]),
    "no seed": lambda result: result.pop("seed"),
    "float as seed": lambda result: result.update(seed=1.5),
    "no variant": lambda result: result["config"].pop("variant"),
    "no config": lambda result: result.update(config=[1]),
    "schema": lambda result: result.update(schema=9),
    "nested": lambda result: result.update(more=deep(31)),
    "nested too deeply": lambda result: result.update(more=deep(32)),
    "nested config": lambda result: result["config"].update(more=deep(30)),
    "config nested too deeply": lambda result: result["config"].update(more=deep(31)),
    "many values": lambda result: result.update(more=[1] * 199_000),
    "too many values": lambda result: result.update(more=[1] * 200_001),
}


def either(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except RunError as error:
        return f"{error.cause}; {error.cure}"


@pytest.mark.parametrize("change", CHANGES)
def test_it_reads_what_one_result_is_read_as(tmp_path: Path, change: str) -> None:
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    CHANGES[change](result)
    for indent in (None, 1):
        (tmp_path / "result.json").write_text(json.dumps(result, indent=indent), encoding="utf-8")
        run, records = RunDirectory(tmp_path), Results()
        expected = either(run.read_result)
        assert either(lambda: records.read(run)) == expected  # noqa: B023
        assert either(lambda: records.read(run)) == expected  # noqa: B023  # now that parts are known


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"schema": 2', b'{"schema": 2, "last": NaN}'])
def test_what_is_no_result_is_said_alike(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "result.json").write_bytes(data)
    run = RunDirectory(tmp_path)
    said = either(lambda: Results().read(run))
    assert isinstance(said, str)
    assert said == either(run.read_result)


def test_what_results_share_is_kept_once(tmp_path: Path) -> None:
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    found = []
    records = Results()
    for seed in range(2):
        mine = copy.deepcopy(result)
        mine["seed"] = mine["config"]["seed"] = seed
        mine["last"]["values"]["fid"] += seed
        (tmp_path / f"{seed}").mkdir()
        (tmp_path / f"{seed}" / "result.json").write_text(json.dumps(mine), encoding="utf-8")
        found.append(records.read(RunDirectory(tmp_path / f"{seed}")))
    first, second = found
    assert first is not None
    assert second is not None
    assert first["floors"] is second["floors"]
    assert first["config"]["train"] is second["config"]["train"]
    assert (first["seed"], second["seed"]) == (0, 1)
    assert second["last"]["values"]["fid"] == first["last"]["values"]["fid"] + 1


def test_no_result_yet(tmp_path: Path) -> None:
    assert Results().read(RunDirectory(tmp_path)) is None
