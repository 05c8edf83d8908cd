"""The stream: what a run tells, in order; of whom; how a run goes on; that what is told can be sent and written."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import threading
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest

import ganzoo
from ganzoo.bench.pipes import Sender, all_sent, receive
from ganzoo.errors import UserError
from ganzoo.files.progress import Event, Note, Working, as_job, listening, note, progress, tell, working
from ganzoo.runs import events
from ganzoo.runs.events import EVENTS, Interrupted, Resumed, Scored, Started, Tick, to_dict

TINY: dict[str, Any] = {"kimg": 0.192, "num_images": 70, "device": "cpu", "sets": {
    "variant.width": 8, "train.batch_size": 16, "train.snapshots": 3, "train.tick_kimg": 0.032,
    "train.tick_seconds": 0, "eval.metrics": "fid", "eval.every": 1}}  # fmt: skip
PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")

EXAMPLES: list[Event] = [
    events.Planned(jobs=("a", "b")),
    Started(variant="gan", objective="o", dataset="d", seed=0, kimg=4.0, minutes=None, path="p"),
    Resumed(kimg=1.0, lost_kimg=0.5),
    Working(what="scoring", done=250, total=2000),
    Tick(kimg=1.0, progress=0.5, seconds=1.0, seconds_left=61.0, img_per_s=1234.0, values={"d_loss": 1.0}),
    events.Picture(kimg=1.0, path="p.png"),
    Scored(kimg=1.0, values={"fid": 3.0}, seconds=1.0),
    events.Diagnosed(rule="r", kimg=1.0, text="t", cure="c", link="l"),
    events.Finished(status="done", kimg=1.0, values={"kid": 0.5}, img_per_s=None, seconds=3661.0, path="p"),
    Interrupted(text="stopped"),
    events.Failed(cause="a bug"),
    Note(text="so"),
    events.Ended(),
]


def test_what_a_run_tells(data_root: Path, tmp_path: Path) -> None:
    told: list[Event] = []
    run = ganzoo.train("gan", out=tmp_path / "run", data_root=data_root, listen=told.append, **TINY)
    kinds = [event.kind for event in told if event.kind not in ("working", "tick", "diagnosed")]
    assert kinds == ["note", "started", "picture", "picture", "scored", "scored", "picture", "scored", "picture",
                     "scored", "finished", "ended"]  # fmt: skip
    assert {event.job for event in told[told.index(next(e for e in told if e.kind == "started")) : -1]} == {"gan"}
    found = [event for event in told if isinstance(event, Tick)]
    assert [event.kimg for event in found] == [tick["kimg"] for tick in run.stats]
    assert found[-1].progress == 1.0
    assert found[0].values["d_loss"] == run.stats[0]["d_loss"]
    scores = {event.kimg: event.values["fid"] for event in told if isinstance(event, Scored)}
    assert scores == {score["kimg"]: score["values"]["fid"] for score in run.metrics}
    begun = [event.what for event in told if isinstance(event, Working) and not event.ended]
    ended = [event.what for event in told if isinstance(event, Working) and event.ended]
    assert set(begun) >= {"loading torch", "loading digits", "scoring", "computing fid"}
    assert set(begun) - {what for what in begun if what.startswith("scoring real images,")} == (
        set(ended) - {what for what in ended if what.startswith("scoring real images,")}
    )
    counts = [(event.done, event.total) for event in told if isinstance(event, Working) and event.what == "scoring"]
    assert (70, 70) in counts
    told.clear()
    ganzoo.train("gan", out=tmp_path / "run", data_root=data_root, listen=told.append, **TINY)
    assert [str(event) for event in told if event.kind == "finished"] == ["done before"]


class Stop(Exception):
    pass


def test_a_run_that_goes_on_says_where_and_what_is_lost(data_root: Path, tmp_path: Path) -> None:
    def stop_at(kimg: float) -> Any:
        def listen(event: Event) -> None:
            if isinstance(event, Tick) and event.kimg >= kimg:
                raise Stop

        return listen

    told: list[Event] = []
    with pytest.raises(Stop):  # the state was saved with the snapshot at 0.064
        ganzoo.train("gan", out=tmp_path / "run", data_root=data_root, listen=stop_at(0.12), **TINY)
    ganzoo.train("gan", out=tmp_path / "run", data_root=data_root, listen=told.append, **TINY)
    (resumed,) = [event for event in told if isinstance(event, Resumed)]
    assert resumed.kimg == pytest.approx(0.064)
    assert resumed.lost_kimg == pytest.approx(0.064)  # ticks at 0.096 and 0.128 had been written
    assert resumed.values["fid"] > 0
    assert str(resumed) == "continuing at 0.064 kimg; 0.064 kimg after its last save are trained again"
    kinds = [event.kind for event in told]
    assert kinds.index("started") < kinds.index("resumed") < kinds.index("tick")


def test_an_error_is_told_and_goes_on(data_root: Path, tmp_path: Path) -> None:
    told: list[Event] = []
    with pytest.raises(UserError):
        ganzoo.train("gna", data_root=data_root, listen=told.append)
    assert [event.kind for event in told] == ["failed", "ended"]
    assert "gna" in str(told[0])


def test_there_is_an_example_of_every_event_and_a_row_on_the_page() -> None:
    assert [type(event) for event in EXAMPLES] == list(EVENTS.values())
    for kind, event in EVENTS.items():
        assert f"| `{kind}` |" in PAGE, kind
        own = set(to_dict(next(one for one in EXAMPLES if type(one) is event))) - {"schema", "event", "job"}
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{kind}` |"))
        assert {name for name in own if f"`{name}`" not in row} == set(), kind


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.kind)
def test_events_are_plain_data(event: Event) -> None:
    assert pickle.loads(pickle.dumps(event)) == event
    document = json.loads(json.dumps(to_dict(event)))
    assert (document["schema"], document["event"], document["job"]) == (1, event.kind, "")
    assert str(event)
    assert "\n" not in str(event)


def test_words() -> None:
    said = {event.kind: str(event) for event in EXAMPLES}
    assert str(Resumed(kimg=1.0, lost_kimg=0.0)) == "continuing at 1 kimg; nothing that was recorded is lost"
    assert said["started"] == "training for 4 kimg, seed 0, in p"
    assert said["tick"] == "1.0 kimg  1,234 img/s  D 1.000  1:01 left"
    assert said["finished"] == "done  1.0 kimg  kid 0.5  1:01:01"
    assert said["working"] == "scoring: 250/2000 images"


def test_they_need_no_torch() -> None:
    code = (
        "import sys, ganzoo.runs.events, ganzoo.runs.diagnostics, ganzoo.cli.board; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_whose_events_are_heard() -> None:
    outer, inner = list[str](), list[str]()
    with listening(lambda event: outer.append(f"{event.job}:{event}")):
        note("a")
        with as_job("gan"), listening(None):
            note("b")
            tell(Note(job="other", text="c"))
            thread = threading.Thread(target=note, args=("of another thread",))
            thread.start()
            thread.join()
        with listening(lambda event: inner.append(str(event))):
            note("d")
        with pytest.raises(ZeroDivisionError), working("counting", 4, "steps") as count:
            raise ZeroDivisionError(count(3))
    note("nobody's")
    assert outer == [":a", "gan:b", "other:c", ":counting: 0/4 steps", ":counting: 3/4 steps"]
    assert inner == ["d"]


def test_work_that_counts_by_itself_is_told_of_once_in_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Event] = []
    now = [0.0]
    monkeypatch.setattr("ganzoo.files.progress.time.monotonic", lambda: now[0])
    with listening(told.append), progress("fetching", unit="kB") as show:
        for done in range(1, 11):
            now[0] += 0.03
            show(done, 10)
    counts = [event.done for event in told if isinstance(event, Working)]
    assert counts == [0, 4, 8, 10, 10]
    assert told[-1] == Working(what="fetching", done=10, total=10, unit="kB", ended=True)
    before = len(told)
    with listening(told.append), progress("decoding", lambda done, total: None) as show:
        show(1, 2)
    assert len(told) == before


def test_through_a_pipe_comes_what_is_told_printed_and_logged() -> None:
    ours, theirs = Pipe(duplex=False)
    with all_sent(theirs), as_job("gan"):
        for event in EXAMPLES:
            tell(event)
        print("printed", end=" ")
        print("in parts\nand more")
        print("a warning", file=sys.stderr)
        import logging

        logging.getLogger("ganzoo").warning("logged")
    theirs.close()
    told: list[Event] = []
    with listening(told.append):
        assert not receive(ours)  # the other end is closed
    assert [event.kind for event in told[: len(EXAMPLES)]] == list(EVENTS)
    assert {event.job for event in told} == {"gan"}
    assert [str(event) for event in told[len(EXAMPLES) :]] == ["printed in parts", "and more", "a warning", "logged"]


def test_work_goes_on_where_nobody_reads() -> None:
    ours, theirs = Pipe(duplex=False)
    ours.close()
    Sender(theirs)(Note(text="unheard"))
