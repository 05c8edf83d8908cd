"""Malformed records: whatever stands in a result folder is shown, skipped, or refused in words, never a traceback.

uv run pytest -m slow tests/runs/test_fuzz.py      # four thousand records of each kind
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ganzoo.data import make_images
from ganzoo.errors import UserError
from ganzoo.leaderboard.render import to_csv, to_json, to_markdown
from ganzoo.leaderboard.table import read_tables
from ganzoo.report import make_report
from ganzoo.runs.begin import check_same_images
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.find import find_run
from ganzoo.scoring.protocol import explain

Write = Callable[..., dict[str, Any]]

BOUNDED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
LONG = settings(max_examples=4_000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(10**400), max_value=10**400),
    st.floats(),
    st.sampled_from(
        [10**310, -(10**310), 1e308, 5e-324, -1, "", "\ud800", "\x1b[2J", "=1+1", "a|b", [], {}, [[]], {"a": {}}]
    ),
    st.text(max_size=20),
    st.recursive(
        st.none(), lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(), inner, max_size=2))
    ),
)


def paths_of(document: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value in the document."""
    if len(at) > 12:  # of what this test has nested itself
        return [at]
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [at, *(path for key, value in items for path in paths_of(value, (*at, key)))]


def mutate(data: st.DataObject, document: Any) -> Any:
    """One to three values left out, of another kind, or nested deeply."""
    document = copy.deepcopy(document)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(paths_of(document)))
        if not path:
            continue
        parent = document
        for key in path[:-1]:
            parent = parent[key]
        change = data.draw(st.sampled_from(["drop", "odd", "odd", "odd", "deep", "key"]))
        if change == "drop":
            del parent[path[-1]]
        elif change == "odd":
            parent[path[-1]] = copy.deepcopy(data.draw(odd))
        elif change == "key" and isinstance(parent, dict):
            parent[data.draw(st.text(max_size=5))] = copy.deepcopy(data.draw(odd))
        else:
            deep: Any = 0
            for _ in range(data.draw(st.integers(1, 200))):
                deep = [deep]
            parent[path[-1]] = deep
    return document


def use_everything(folder: Path) -> None:
    """All that reads records. Only a user's error may come of it."""
    run = RunDirectory(folder / "bad")
    images = make_images(torch.zeros(2, 1, 4, 4, dtype=torch.uint8))
    tables = read_tables([folder])  # the good run is there whatever the bad one is
    for render in (to_markdown, to_csv, to_json):
        render(tables).encode()
    make_report([folder]).html.encode()
    for row in tables[0].rows:
        for result in row.results:
            list(explain(result["protocol"]))
    for read in (run.read_config, run.read_result, run.read_record, run.read_environment, run.stats, run.metrics):
        try:
            read()
        except UserError:
            continue
    for use in (lambda: check_same_images(run, images), lambda: find_run(str(run.path)), lambda: run.rewind(500)):
        try:
            use()
        except UserError:
            continue


@pytest.fixture
def folder(tmp_path: Path, write_run: Write) -> Path:
    for name, seed in (("good", 0), ("bad", 1)):
        write_run(tmp_path / name, seed=seed)
    (tmp_path / "bad" / "env.json").write_text(json.dumps({"torch": "2", "doctor": {"ok": True}}))
    return tmp_path


def fuzz_documents(folder: Path, name: str, data: st.DataObject) -> None:
    file = folder / "bad" / name
    original = file.read_bytes() if file.exists() else None
    document = json.loads((folder / "good" / "result.json").read_bytes())
    if name == "config.json":
        document = document["config"]
    elif name == "run.json":
        budget = {"kimg": 1.0, "minutes": None, "snapshots": 8}
        document = {"data": document["data"], "budgets": [budget, budget], "init": None}
    elif name == "env.json":
        document = {"torch": "2", "doctor": {"ok": True, "packages": {"a": "b"}}, "plugins": {"core": "ganzoo"}}
    try:
        file.write_text(json.dumps(mutate(data, document)))
        use_everything(folder)
    finally:
        file.unlink(missing_ok=True)
        if original is not None:
            file.write_bytes(original)


def fuzz_lines(folder: Path, name: str, data: st.DataObject) -> None:
    stats = {"images": 1000, "kimg": 1.0, "seconds": 1.0, "img_per_s": 10.0, "d_loss": 0.5, "g_loss": 0.7}
    metrics = {
        "images": 1000, "kimg": 1.0, "values": {"fid": 3.0, "fid.1000": 4.0}, "left_out": {"cas": "no labels"},
        "seconds": 1.0, "sample_img_per_s": 5.0, "protocol": "digits-a",
    }  # fmt: skip
    line = stats if name == "stats.jsonl" else metrics
    lines = [json.dumps(mutate(data, line)) for _ in range(3)] + [json.dumps(line)]
    if data.draw(st.booleans()):
        lines[0] = lines[0][: data.draw(st.integers(0, len(lines[0])))]
    file = folder / "bad" / name
    file.write_text("\n".join(lines))
    use_everything(folder)


@pytest.mark.parametrize("name", ["result.json", "config.json", "run.json", "env.json"])
@BOUNDED
@given(data=st.data())
def test_documents(folder: Path, name: str, data: st.DataObject) -> None:
    fuzz_documents(folder, name, data)


@pytest.mark.parametrize("name", ["stats.jsonl", "metrics.jsonl"])
@BOUNDED
@given(data=st.data())
def test_lines(folder: Path, name: str, data: st.DataObject) -> None:
    fuzz_lines(folder, name, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["result.json", "config.json", "run.json", "env.json"])
@LONG
@given(data=st.data())
def test_documents_at_length(folder: Path, name: str, data: st.DataObject) -> None:
    fuzz_documents(folder, name, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stats.jsonl", "metrics.jsonl"])
@LONG
@given(data=st.data())
def test_lines_at_length(folder: Path, name: str, data: st.DataObject) -> None:
    fuzz_lines(folder, name, data)
