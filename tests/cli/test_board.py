"""The live board: what fits a terminal, what is left of it, what is never shown."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from ganzoo.cli.board import Board, State, line_text, short_title
from ganzoo.cli.lines import Lasting
from ganzoo.cli.standings import Entry, standings
from ganzoo.files.progress import Event, Note, Working
from ganzoo.runs.events import Diagnosed, Ended, Failed, Finished, Picture, Planned, Scored, Started, Tick

JOBS = tuple(f"{name} seed {seed} ({3 * seed + at}/12)" for seed in range(4)
             for at, name in enumerate(("gan", "dcgan", "upsample-dcgan [train.g_lr=0.0005]"), start=1))  # fmt: skip


def tick(job: str, kimg: float, progress: float = 0.5, **values: float) -> Tick:
    values = values or {"d_loss": 0.713, "g_loss": 1.234}
    return Tick(job=job, kimg=kimg, progress=progress, seconds=9.0, seconds_left=42.0, img_per_s=1204.0, values=values)


def scored(job: str, kimg: float, fid: float) -> Scored:
    return Scored(job=job, kimg=kimg, values={"fid": fid, "is": 7.1, "precision": 0.5}, seconds=1.0)


def finished(job: str, fid: float, before: bool = False) -> Finished:
    return Finished(
        job=job, status="done", kimg=4.0, values={"fid": fid}, img_per_s=900.0, seconds=12.0, path="x", before=before
    )


def started(job: str) -> Started:
    return Started(job=job, variant="gan", objective="o", dataset="d", seed=0, kimg=4.0, minutes=None, path="runs/x")


def drawn(state: State, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(state)
    return captured.get().splitlines()


def bench() -> State:
    state = State()
    told: list[Event] = [
        Planned(jobs=JOBS, at_once=8),
        finished(JOBS[0], 80.25),
        finished(JOBS[1], 12.5),
        *(event for job in JOBS[2:10] for event in (started(job), tick(job, 2.1), scored(job, 2.0, 33.0))),
    ]
    for event in told:
        state.take(event)
    return state


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50), (60, 10), (40, 4), (20, 3)])
def test_it_fits_whatever_the_terminal_is(width: int, height: int) -> None:
    lines = drawn(bench(), width, height)
    assert 0 < len(lines) < height
    assert max(map(len, lines)) <= width - 2  # the terminal's own ^C fits behind it


def test_a_run_a_line_then_the_grid_then_how_they_stand() -> None:
    lines = drawn(bench(), 200, 50)
    assert [line.split(" seed ")[0].split(" [")[0] for line in lines[:3]] == ["upsample-dcgan", "gan", "dcgan"]
    for words in ("2.1/4 kimg", "1,204 img/s", "D 0.71 G 1.23", "FID 33.0", "0:42 left"):
        assert words in lines[0]
    assert "2 of 12 runs" in lines[8]
    assert lines[9].split()[:5] == ["variant", "seeds", "FID", "IS", "prec."]
    assert [line.split()[1] for line in lines[10:13]] == ["dcgan", "upsample-dcgan", "gan"]
    assert lines[10].split()[2:4] == ["1+", "26.2"]  # of 12.5 and two that are at work


def test_on_80_columns_what_matters_least_goes_first() -> None:
    lines = drawn(bench(), 80, 24)
    for words in ("gan s1 4/12", "2.1/4 kimg", "0:42 left", "FID 33.0"):
        assert words in lines[1]
    assert "img/s" not in lines[1]


def test_the_grid_counts_scores_whose_time_is_known() -> None:
    def share(scoring_left: float | None) -> float:
        state = State()
        state.take(Planned(jobs=JOBS[:2]))
        told = Tick(job=JOBS[0], kimg=2.0, progress=0.5, seconds=10.0, seconds_left=10.0, img_per_s=1.0, values={},
                    scoring_left=scoring_left)  # fmt: skip
        for event in (Scored(job=JOBS[0], kimg=0.0, values={}, seconds=30.0), told):
            state.take(event)
        return state.share

    assert share(None) == pytest.approx(0.9 * 0.5 / 2)
    assert share(30.0) == pytest.approx((10 + 30) / (10 + 30 + 10 + 30) / 2)


def test_what_is_at_work_is_said_and_taken_back() -> None:
    state = State()
    state.take(tick("gan", 1.0))
    state.take(Working(job="gan", what="scoring", done=250, total=2000))
    assert "scoring: 250/2000 images" in drawn(state, 80, 24)[0]
    state.take(Working(job="gan", what="scoring", done=2000, total=2000, ended=True))
    assert "1.0 kimg" in drawn(state, 80, 24)[0]
    assert "scoring" not in "".join(drawn(state, 80, 24))


def test_the_untrained_networks_fid_is_none() -> None:
    state = State()
    for event in (Planned(jobs=JOBS), started(JOBS[0]), tick(JOBS[0], 1.0), scored(JOBS[0], 0.0, 298.1)):
        state.take(event)
    assert "298" not in "\n".join(drawn(state, 200, 50))


def test_nothing_is_left_but_the_lines_that_are_to_stay() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=24, color_system=None, highlight=False)
    board = Board(Lasting(None), console)
    said: list[Event] = [
        Note(text="no CUDA graphs [in this run]"),
        started("gan"),
        tick("gan", 1.0),
        Picture(job="gan", kimg=0.0, path="runs/x/000000.000.png"),
        Picture(job="gan", kimg=1.0, path="runs/x/000001.000.png"),
        Picture(job="gan", kimg=2.0, path="runs/x/000002.000.png"),
        Diagnosed(job="gan", rule="r", kimg=1.0, text="D wins", cure="try less", link="docs/diagnostics.md#d-wins"),
        Working(job="gan", what="scoring", done=250, total=2000),
        finished("gan", 31.2),
        Working(what="scoring", done=250, total=2000),  # broken off
    ]
    for event in said:
        board(event)
        if board._live is not None:
            board._live.refresh()
    board(Ended())
    shown = screen(out.getvalue())
    assert shown == [
        "no CUDA graphs [in this run]",
        "gan: training for 4 kimg, seed 0, in runs/x",
        "gan: picture: runs/x/000001.000.png",
        "gan: D wins; try less (docs/diagnostics.md#d-wins)",
        "gan: done  4.0 kimg  900 img/s  FID 31.20  0:12",
    ]


def screen(text: str) -> list[str]:
    """Lines that a terminal shows after `text`, of the few sequences that rich uses here."""
    lines, row, column, at = [""], 0, 0, 0
    while at < len(text):
        if text.startswith("\x1b[", at):
            end = next(index for index in range(at + 2, len(text)) if text[index].isalpha())
            count, final = text[at + 2 : end], text[end]
            if final == "A":
                row -= int(count or 1)
            elif final == "K":
                lines[row] = "" if count == "2" else lines[row][:column]
            at = end + 1
            continue
        character = text[at]
        at += 1
        if character == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif character == "\r":
            column = 0
        else:
            lines[row] = lines[row][:column].ljust(column) + character + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines if line.strip()]


def test_a_run_that_failed_or_was_done_before_is_counted() -> None:
    state = State()
    for event in (Planned(jobs=JOBS[:3]), finished(JOBS[0], 9.0, before=True), Failed(job=JOBS[1], cause="a bug")):
        state.take(event)
    lines = drawn(state, 100, 20)
    assert "2 of 3 runs" in lines[0]
    state.take(Working(job=JOBS[1], what="late"))  # what comes after the end of a run brings it not back
    assert drawn(state, 100, 20) == lines


def test_titles_and_parts() -> None:
    assert short_title("dcgan seed 0 (3/6)") == "dcgan s0 3/6"
    assert short_title("eval") == "eval"
    line = State()
    line.take(tick("gan", 2.0))
    assert line_text(line.at_work["gan"], 200) == "2.0 kimg  1,204 img/s  D 0.71 G 1.23  0:42 left"
    assert line_text(line.at_work["gan"], 20) == "2.0 kimg  0:42 left"
    assert line_text(line.at_work["gan"], 1) == "2.0 kimg"
    for done in (0, 500):
        line.take(Working(job="gan", what="scoring untrained G", done=done, total=2000))
    line.at_work["gan"].work_began -= 10.0
    assert line_text(line.at_work["gan"], 80) == "scoring untrained G: 500/2000 images  0:30 left"
    assert line_text(line.at_work["gan"], 46) == "scoring untrained G: 500/2000  0:30 left"


def test_standings_are_ranked_by_the_mean_of_seeds() -> None:
    entries = [Entry("a"), Entry("b"), Entry("c")]
    values: list[tuple[int, str, dict[str, Any]]] = [
        (0, "a0", {"fid": 10.0}), (0, "a1", {"fid": 30.0}), (1, "b0", {"fid": 15.0}), (2, "c0", {}),
    ]  # fmt: skip
    for index, job, scores in values:
        entries[index].take(job, scores, img_per_s=None, kimg=None, finished=job != "a1")
    titles, rows = standings(entries, 200)
    assert titles[:4] == ["", "variant", "seeds", "FID"]
    assert [row[:4] for row in rows] == [
        ["1", "b", "1", "15.0"], ["2", "a", "1+", "20.0"], ["3", "c", "1", "-"],
    ]  # fmt: skip
    narrow, _ = standings(entries, 30)
    assert narrow == ["", "variant", "seeds", "FID"]
