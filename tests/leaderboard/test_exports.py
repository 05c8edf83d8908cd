"""Leaderboards for papers and for statistics: LaTeX that compiles, and one line per run, snapshot and metric."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ganzoo
from ganzoo.errors import UnknownName
from ganzoo.leaderboard.cells import used_columns
from ganzoo.leaderboard.latex import escape, to_latex
from ganzoo.leaderboard.layout import chosen_columns
from ganzoo.leaderboard.rows import Table
from ganzoo.leaderboard.table import read_tables
from ganzoo.leaderboard.tidy import FIELDS, tidy_rows, to_tidy

Write = Callable[..., dict[str, Any]]
EVIL = r"\x{} $&%#_~^<>|\"'`--@ ± ∞ µ *[2pt] \end{table}"
FLOOR = {"name": "test split", "what": "test", "images": 9, "reference": 9, "values": {"kid": -0.1, "fid": 0.1}}


@pytest.fixture
def tables(tmp_path: Path, write_run: Write) -> list[Table]:
    """Two rows of three seeds, with a floor; and a table of another protocol."""
    for seed in range(3):
        write_run(tmp_path / f"gan-{seed}", "gan", seed=seed, fid=20.0 + seed, changes={"floors": [FLOOR]})
        write_run(tmp_path / f"dcgan-{seed}", "dcgan", seed=seed, fid=10.0 + seed)
    write_run(tmp_path / "other", "gan", protocol="digits-b")
    return read_tables([tmp_path])


def body(latex: str) -> list[list[str]]:
    """Cells of each row of the first table."""
    inside = latex[latex.index(r"\toprule") : latex.index(r"\bottomrule")]
    return [line.removesuffix(r"\\").split(" & ") for line in inside.splitlines() if line.endswith(r"\\")]


def test_latex_is_a_table_of_booktabs(tables: list[Table]) -> None:
    latex = to_latex(tables, used_columns)
    for command in (r"\toprule", r"\bottomrule", r"\caption{", r"\begin{tabular}", r"\end{tabular}", r"\begin{table}"):
        assert latex.count(command) == 2, command
    assert re.findall(r"\\label\{(.*?)\}", latex) == ["tab:ganzoo-digits", "tab:ganzoo-digits-2"]
    rows = body(latex)
    (spec,) = set(re.findall(r"\\begin\{tabular\}\{([lr]+)\}", latex[: latex.index(r"\bottomrule")]))
    assert {len(row) for row in rows} == {len(spec)}
    head = [cell.strip() for cell in rows[0]]
    assert head[:4] == ["rank", "variant", "objective", "FID"]
    assert {"KID", "params", "time", r"diverged \%"} <= set(head)
    best, second, floor = (dict(zip(head, (cell.strip() for cell in row), strict=True)) for row in rows[1:])
    assert (best["variant"], best["rank"], best["FID"]) == ("dcgan", "1", r"$\mathbf{11.0 \pm 2.5}$")
    assert (second["FID"], second["train img/s"], second["params"]) == (r"$21.0 \pm 2.5$", "$1{,}000$", "2.50k")
    assert (floor["variant"], floor["rank"], floor["KID"]) == ("real: test split", "", "$-0.1$")
    assert floor["params"] == "--"
    assert (
        r"Digits, 3 seeds each, 1 kimg (1,000 real images) each. The lowest FID is bold. $\pm$ is half the 95 \%"
        in latex
    )
    assert "% protocol: digits-a" in latex


def test_columns_of_a_paper_are_chosen(tables: list[Table]) -> None:
    board = ganzoo.Leaderboard(compared=tables, runs=[])
    latex = board.to_latex(["recall", "kid", "fid"])
    assert [cell.strip() for cell in body(latex)[0]] == ["rank", "variant", "objective", "recall", "KID", "FID"]
    assert "resizebox" not in latex
    assert [cell.strip() for cell in body(board.to_latex())[0]] == [
        "rank", "variant", "objective", "FID", "IS", "KID", "train img/s", "time",
    ]  # fmt: skip
    assert "resizebox" in board.to_latex(["all"])
    everything = [column.title for column in chosen_columns(board.compared[0], ["all"])]
    assert len(everything) > 7
    assert [cell.strip().replace("\\%", "%") for cell in body(board.to_latex(["all"]))[0]][3:] == [
        title.replace("∞", r"$\infty$") for title in everything
    ]
    assert r"$1 \cdot 10^{-5}$" in _one_number("kid", 1e-5, tables)
    assert "| rank | variant | objective | KID | seeds |" in board.to_markdown(["kid"])
    with pytest.raises(UnknownName, match="fid"):
        board.to_latex(["fidd"])
    with pytest.raises(UnknownName, match="fid"):
        board.to_markdown(["fidd"])


def _one_number(key: str, value: float, tables: list[Table]) -> str:
    from dataclasses import replace

    number = tables[0].rows[-1].numbers[key]
    assert number is not None
    tables[0].rows[-1].numbers[key] = replace(number, mean=value, half=None)
    return to_latex(tables)


def test_what_others_have_named_is_text_in_latex(tables: list[Table]) -> None:
    row = tables[0].rows[-1]
    row.variant, row.name, row.settings, row.objective = EVIL, EVIL, EVIL, EVIL
    row.failures.append(EVIL + "\nsecond line")
    tables[1].rows[-1].variant = "[2pt]"  # the first cell, where nothing is ranked
    latex = to_latex(tables)
    assert latex.count(r"\end{table}") == 2
    assert len({len(cells) for cells in body(latex)}) == 1
    for line in latex.splitlines():
        plain = (
            re.sub(r"\\[\\{}$&%#_]", "", line)
            .replace(r"\resizebox{\textwidth}{!}{%", "")
            .replace("tabular}}", "tabular}")
        )
        if not line.startswith("%"):
            assert plain.count("{") == plain.count("}"), line
            assert plain.count("$") % 2 == 0, line
            assert not re.search(r"[#%]", plain.removesuffix("{%")) or plain.endswith("{%")
    assert not [line for line in latex.splitlines() if line.startswith(("second", "[", "*"))]
    assert escape("a--b_c 5%") == r"a-{}-b\_c 5\%"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs LaTeX")
def test_latex_compiles(tables: list[Table], tmp_path: Path) -> None:
    """Also with names that try to break out of their cell."""
    for row in (*tables[0].rows[1:], tables[1].rows[-1]):
        row.variant, row.name, row.settings = "[2pt]", EVIL, EVIL
    (tmp_path / "table.tex").write_text(to_latex(tables))
    packages = "\\usepackage{booktabs,graphicx,textcomp}\\usepackage[T1]{fontenc}"
    page = f"\\documentclass{{article}}{packages}\\begin{{document}}\\input{{table}}\\end{{document}}"
    (tmp_path / "page.tex").write_text(page)
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "page.tex"],
        cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "page.pdf").is_file()


def scored(folder: Path, *scores: tuple[int, float]) -> None:
    """metrics.jsonl and stats.jsonl of a run, with an FID at each number of images."""
    more = {"protocol": "digits-a", "seconds": 1.0, "sample_img_per_s": 1.0, "left_out": {}}
    lines = [{"images": n, "kimg": n / 1000, "values": {"fid": fid, "fid.200": None}, **more} for n, fid in scores]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    ticks = [{"images": n, "kimg": n / 1000, "seconds": n / 100} for n, _ in scores if n]
    (folder / "stats.jsonl").write_text("".join(json.dumps(tick) + "\n" for tick in ticks))


def test_tidy_has_a_line_for_each_run_snapshot_and_metric(tmp_path: Path, write_run: Write) -> None:
    for seed in range(2):
        write_run(tmp_path / f"gan-{seed}", seed=seed, changes={"floors": [FLOOR]}, sets=("name=anna",))
        scored(tmp_path / f"gan-{seed}", (0, 300.0), (1000, 50.0 + seed))
    shutil.copytree(tmp_path / "gan-0", tmp_path / "gan-0-again")  # no further evidence
    write_run(tmp_path / "unfinished", "dcgan")
    scored(tmp_path / "unfinished", (0, 280.0))
    (tmp_path / "unfinished" / "result.json").unlink()
    write_run(tmp_path / "alone", "cgan")  # a result without the rest of its run
    records = list(csv.DictReader(io.StringIO(to_tidy(read_tables([tmp_path])))))
    assert tuple(records[0]) == FIELDS
    fids = [record for record in records if record["metric"] == "fid"]
    gan = [(r["name"], r["seed"], r["kimg"], r["seconds"], r["value"]) for r in fids if r["variant"] == "gan"]
    assert sorted(gan) == [
        ("anna", "0", "0.0", "0.0", "300.0"), ("anna", "0", "1.0", "10.0", "50.0"),
        ("anna", "1", "0.0", "0.0", "300.0"), ("anna", "1", "1.0", "10.0", "51.0"),
    ]  # fmt: skip
    assert [(r["variant"], r["kimg"], r["value"]) for r in fids if r["variant"] == "dcgan"] == [
        ("dcgan", "0.0", "280.0")
    ]
    assert [(r["kimg"], r["seconds"], r["value"]) for r in fids if r["variant"] == "cgan"] == [("1.0", "", "10.0")]
    real = [(r["metric"], r["seed"], r["kimg"], r["value"]) for r in records if r["variant"] == "real: test split"]
    assert real == [("fid", "", "", "0.1"), ("kid", "", "", "-0.1")]
    assert {r["value"] for r in records if r["metric"] == "fid.200"} == {""}
    assert len(list(tidy_rows(read_tables([tmp_path])))) == len(records)


def test_the_command(
    tables: list[Table], tmp_path: Path, ganzoo: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    assert ganzoo("leaderboard", tmp_path, "--format", "latex").stdout == to_latex(tables)
    tidy = ganzoo("leaderboard", tmp_path, "--format", "tidy").stdout
    assert tidy.splitlines() == to_tidy(tables).splitlines()
    table = ganzoo("leaderboard", tmp_path, "--columns", "kid", COLUMNS="80").stdout
    assert table.splitlines()[1].split() == ["rank", "variant", "KID"]
    refused = ganzoo("leaderboard", tmp_path, "--columns", "fidd", code=2).stderr
    assert refused.startswith("error: unknown column 'fidd'\n  try: did you mean fid")
    refused = ganzoo("leaderboard", tmp_path, "--columns", "fid", "--format", "tidy", code=2).stderr
    assert "leave --columns out" in refused
