"""Leaderboards for a paper: LaTeX with booktabs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ganzoo.leaderboard.cells import in_order, label, rank
from ganzoo.leaderboard.columns import Column, Number
from ganzoo.leaderboard.formats import with_interval
from ganzoo.leaderboard.layout import page_columns
from ganzoo.leaderboard.render import Choose
from ganzoo.leaderboard.rows import Row, Table
from ganzoo.leaderboard.words import conditions, no_rank, problems, title

PAGE_COLUMNS = 9
"""More than these are scaled to the width of the page."""

_TEXT = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # after the end of a row it would be an argument, as a star would be
    "]": "{]}",
    "*": "{*}",
    "±": r"$\pm$",
    "∞": r"$\infty$",
    "µ": r"\textmu{}",
    "\ufffd": "?",  # of `ganzoo.files.text.clean`
}


def escape(text: str) -> str:
    """`text` as nothing but text, in a cell, a caption or a line; letters that are in no font of pdfLaTeX stay."""
    text = re.sub(r"\s+", " ", text)  # an empty line would be a paragraph
    return "".join(_TEXT.get(one, one) for one in text).replace("--", "-{}-")  # two are no dash


def to_latex(tables: Sequence[Table], choose: Choose = page_columns) -> str:
    """A table environment for each protocol, to be read by \\input, with a caption, a label, and its conditions as
    comments. `choose`: the columns, of a table; as many as a page is wide.
    """
    head = [
        "% in the preamble: \\usepackage{booktabs,graphicx,textcomp} and \\usepackage[T1]{fontenc}",
        "% columns that fit a page; others: ganzoo leaderboard --format latex --columns fid,kid,recall, or all",
    ]
    known: set[str] = set()
    return "\n".join([*head, *(line for table in tables for line in _lines(table, choose(table), known))]) + "\n"


def _lines(table: Table, columns: Sequence[Column], known: set[str]) -> list[str]:
    rows = in_order(table)
    objectives = any(row.objective for row in rows)
    ranks = any(row.rank is not None for row in rows)
    left = ["rank"] * ranks + ["variant"] + ["objective"] * objectives
    heads = [escape(name) for name in left] + [escape(column.title) for column in columns]
    wide = len(heads) > PAGE_COLUMNS
    best = next((row for row in rows if row.kind == "generated" and row.numbers.get(table.sort.key)), None)
    body = [" & ".join(heads) + r" \\", r"\midrule"]
    for at, row in enumerate(rows):
        if at and row.kind == "real" and rows[at - 1].kind == "generated":
            body.append(r"\midrule")
        cells = [_rank(row)] * ranks + [escape(label(row))] + [escape(row.objective)] * objectives
        cells += [
            _number(column, row.numbers.get(column.key), bold=row is best and column is table.sort)
            for column in columns
        ]
        body.append(" & ".join(cells) + r" \\")
    spec = "r" * ranks + "l" * (1 + objectives) + "r" * len(columns)
    return [
        "",
        *(f"% {_comment(line)}" for line in conditions(table)),
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_caption(table, columns)}}}",
        rf"\label{{{_label(table, known)}}}",
        *([r"\resizebox{\textwidth}{!}{%"] if wide else []),
        rf"\begin{{tabular}}{{{spec}}}",
        r"\toprule",
        *body,
        r"\bottomrule",
        r"\end{tabular}" + ("}" if wide else ""),
        r"\end{table}",
    ]


def _caption(table: Table, columns: Sequence[Column]) -> str:
    keys = {column.key for column in columns}
    said = [title(table), *no_rank(table), *problems(table), *table.methods]
    if table.sort.key in keys:
        best = "highest" if table.sort.higher_is_better else "lowest"
        said.insert(1, f"the {best} {table.sort.title} is bold")
    text = ". ".join(escape(line[:1].upper() + line[1:]) for line in said if line)
    return f"{text}."


def _label(table: Table, known: set[str]) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", table.dataset.lower()).strip("-") or "runs"
    chosen, number = name, 2
    while chosen in known:
        chosen, number = f"{name}-{number}", number + 1
    known.add(chosen)
    return f"tab:ganzoo-{chosen}"


def _comment(line: str) -> str:
    """A line of a comment ends where the line does."""
    return " ".join(line.splitlines())


def _rank(row: Row) -> str:
    return "" if row.kind == "real" else escape(rank(row)) if row.rank else "--"


def _number(column: Column, number: Number | None, *, bold: bool) -> str:
    """ "$0.73 \\pm 0.12$"; what is no number alone, such as "206.77k", is text."""
    if number is None:
        return "--"
    parts = [column.show(number.mean)]
    if number.half is not None and column.group == "quality":
        parts = list(with_interval(number.mean, number.half)) if number.half else [*parts, "0"]
    if not all(re.fullmatch(r"-?[\d,.]+(e[-+]?\d+)?", part) for part in parts):
        text = escape(" ± ".join(parts))
        return rf"\textbf{{{text}}}" if bold else text
    mathematics = r" \pm ".join(_mathematics(part) for part in parts)
    return rf"$\mathbf{{{mathematics}}}$" if bold else f"${mathematics}$"


def _mathematics(number: str) -> str:
    """ "1,234.5" with a comma that makes no space, "1e-05" as a power of ten."""
    mantissa, _, exponent = number.replace(",", "{,}").partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa
