"""Which columns a table shows in a window of some width: one table, that fits, with what matters most.

Columns come in an order of importance, and a wider window never loses what a narrower one has. Pure and torch-free:
text in, text out; `ganzoo.cli.tables` gives it colours.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ganzoo.errors import UnknownName
from ganzoo.leaderboard.cells import NOTHING, in_order, rank, shortened, show, used_columns
from ganzoo.leaderboard.columns import COLUMNS, Column
from ganzoo.leaderboard.rows import Row, Table

GAP = 2
"""Spaces between two columns."""

NARROW, SHARE = 12, 3
"""Characters that a label gets at least, and one over the share of the window that it may have before a number goes."""

ALL = "all"
WORDS = {
    "objective": "what is trained: the loss, regularizers, augmentations",
    "seeds": "training seeds with a result, over which the numbers are means",
}
"""Columns of every table that hold no measurement -> what they are."""

FIRST = ("is", "precision", "recall", "cond_acc", "modes", "train_img_per_s", "seconds")
"""After what the rows are ranked by, and FID."""

THEN = ("kid", "parameters", "peak_memory", "kimg")
"""As the window widens, after the metrics of plugins; after them the intervals of FIRST, the other columns in the
table's order, their intervals.
"""

OURS = frozenset(column.key for column in COLUMNS)

LINES = 3
"""That a label may take, or else a number goes, unless it is what the rows are ranked by."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A column, written down."""

    key: str  # "rank", "variant", one of WORDS, or a column's
    title: tuple[str, ...]  # lines
    cells: tuple[str, ...]  # one for each row; lines are separated by "\n"
    right: bool = True

    @cached_property
    def width(self) -> int:
        lines = [*self.title, *(line for cell in self.cells for line in cell.split("\n"))]
        return max(map(cells_of, lines), default=0)


@dataclass(frozen=True, kw_only=True)
class Layout:
    columns: tuple[Shown, ...]
    rows: tuple[Row, ...]  # in the order of the cells
    left_out: int = 0  # columns with numbers that are not among them
    own_hidden: bool = False  # the objectives of some rows are their variants' own, and are not said
    stacked: bool = False  # what was asked for is wider than the window: to be written as a block for each row

    @property
    def width(self) -> int:
        return _total(self.columns)

    @property
    def lines(self) -> int:
        """Of the row that takes most."""
        return max((cell.count("\n") + 1 for column in self.columns for cell in column.cells), default=0)

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(column.key for column in self.columns)


def known_columns(columns: Sequence[Column]) -> list[str]:
    """Names that `--columns` takes, beside "all"."""
    return [*WORDS, *(column.key for column in columns)]


def asked_columns(text: str, known: Sequence[str]) -> list[str]:
    """ "fid,kid" as a list of keys, each once; ["all"] for "all".

    Raises:
        UnknownName: one is none of `known`.
    """
    keys = list(dict.fromkeys(key.strip().lower() for key in text.split(",") if key.strip()))
    for key in keys or [text]:
        if key not in known and key != ALL:
            raise UnknownName("column", key, [ALL, *known])
    return [ALL] if ALL in keys else keys


def chosen_columns(table: Table, asked: Sequence[str] | None) -> list[Column]:
    """For what has any width: those asked for, in that order; None: those that have numbers."""
    if asked is None or ALL in asked:
        return used_columns(table, every=asked is not None)
    by_key = {column.key: column for column in table.columns}
    return [by_key[key] for key in asked if key in by_key]


PAGE = 80
"""Characters that a page is taken to be wide: a table in print has the columns of one in a window of so many."""


def page_columns(table: Table) -> list[Column]:
    """For print, where nobody has named columns."""
    keys = arrange(table, PAGE).keys
    return [column for column in used_columns(table) if column.key in keys]


def arrange(
    table: Table, width: int, asked: Sequence[str] | None = None, own: Mapping[str, str] | None = None
) -> Layout:
    """
    Args:
        width: of the window, in characters.
        asked: keys of columns, see `asked_columns`; None: as many as fit, the most important first.
        own: variant -> its own objective, as `Row.objective` has it. It goes without saying where there is little room.
    """
    arranging = _Arranging(table, width, own or {})
    return arranging.by_importance() if asked is None else arranging.as_asked(asked)


Wish = tuple[str, bool]
"""A column, and whether its intervals are shown."""


class _Arranging:
    """A table that is being laid out."""

    def __init__(self, table: Table, width: int, own: Mapping[str, str]) -> None:
        self.table, self.width, self.own = table, width, own
        self.rows = in_order(table)
        made = [row for row in self.rows if row.kind == "generated"]
        there = used_columns(table)  # what real images alone have compares nothing
        used = [column for column in there if any(row.numbers.get(column.key) for row in made)]
        self.used = {column.key: column for column in used or there}
        self.leading = self.essential = 0
        self.written: dict[Wish, Shown] = {}

    def by_importance(self) -> Layout:
        chosen: list[Wish] = []
        for number, wish in enumerate(self.wishes()):
            more = [*(one for one in chosen if one[0] != wish[0]), wish]
            layout = self.place(more, NARROW if number < self.essential else max(NARROW, self.width // SHARE))
            if layout is None or (number >= self.leading and layout.lines > LINES):
                break
            chosen = more
        return self.place(chosen, 1) or self.place([], -(10**6)) or Layout(columns=(), rows=())

    def as_asked(self, asked: Sequence[str]) -> Layout:
        """With intervals where they fit, or without, or as a block for each row."""
        there = [*WORDS, *(column.key for column in chosen_columns(self.table, asked))]
        keys = there if ALL in asked else [key for key in asked if key in there]
        for interval in (True, False):
            if layout := self.place([(key, interval) for key in keys], NARROW):
                return layout
        columns = (*self.lead(), self.label(keys, 0, short=False), *(self.column(key, True) for key in keys))
        return Layout(columns=columns, rows=tuple(self.rows), stacked=True)

    def wishes(self) -> Iterator[Wish]:
        """By importance; the first `essential` ones are in every window that has room for them."""
        generated = [row for row in self.rows if row.kind == "generated"]
        first = [key for key in FIRST if key in self.used]
        if "cond_acc" in first and "modes" in first:  # one is enough: the one that every row has
            first.remove("modes" if all(row.numbers.get("cond_acc") for row in generated) else "cond_acc")
        if len({len(row.results) for row in generated if row.results}) > 1:
            first.insert(0, "seeds")
        quality = [key for key in self.used if self.used[key].group == "quality"]
        leading = [key for key in dict.fromkeys((self.table.sort.key, "fid")) if key in self.used] or quality[:1]
        first = [key for key in first if key not in leading]
        self.leading, self.essential = len(leading), len(leading) + len(first)
        yield from ((key, True) for key in leading)
        yield from ((key, False) for key in first)
        yield "objective", False
        kimgs = {number.mean for row in generated if (number := row.numbers.get("kimg"))}
        known = {*leading, *first, *(("kimg",) if len(kimgs) == 1 else ())}  # the title says kimg
        theirs = [
            key for key in quality if key not in OURS and key not in known
        ]  # whoever brings a metric looks for it
        then = [*theirs, *(key for key in THEN if key in self.used and key not in known)]
        yield from ((key, False) for key in then)
        quality = [key for key in quality if key not in leading]
        yield from ((key, True) for key in first if key in quality)
        rest = [key for key in self.used if key not in known and key not in then]
        yield from ((key, False) for key in (*rest, *(("seeds",) if "seeds" not in first else ())))
        yield from ((key, True) for key in quality if key not in first)

    def place(self, wishes: Sequence[Wish], least: int) -> Layout | None:
        """The labels get what room is left; None where that is less than `least`, and less than they need."""
        keys = [key for key, _ in wishes]
        numbers = [self.column(*wish) for wish in self.in_place(wishes)]
        room = self.width - _total((*self.lead(), *numbers)) - GAP * bool(self.lead() or numbers)
        labels = self.label(keys, 0, short=True)
        if room < min(least, labels.width):
            return None
        full = self.label(keys, 0, short=False)
        labels = full if full.width <= room else self.label(keys, max(room, 1), short=True)
        return Layout(
            columns=(*self.lead(), labels, *numbers),
            rows=tuple(self.rows),
            left_out=len([key for key in self.used if key not in keys]),
            own_hidden="objective" not in keys and any(self.is_own(row) for row in self.rows),
        )

    def in_place(self, wishes: Sequence[Wish]) -> list[Wish]:
        """In the table's order, what the rows are ranked by first."""
        order = [*WORDS, self.table.sort.key, *(column.key for column in self.table.columns)]
        return sorted(wishes, key=lambda wish: order.index(wish[0]))

    def lead(self) -> tuple[Shown, ...]:
        """The rank, where there is anything to rank."""
        if sum(row.kind == "generated" for row in self.rows) < 2:
            return ()
        space = " " if any(row.shared for row in self.rows) else ""  # the digits stand below each other
        cells = tuple(f"{_rank(row)}{'' if row.shared else space}".rjust(len("rank")) for row in self.rows)
        return (Shown(key="rank", title=("rank",), cells=cells, right=False),)

    def column(self, key: str, interval: bool) -> Shown:
        if (key, interval) not in self.written:
            self.written[key, interval] = self.write(key, interval)
        return self.written[key, interval]

    def write(self, key: str, interval: bool) -> Shown:
        if key == "objective":
            return Shown(key=key, title=(key,), cells=tuple(row.objective for row in self.rows), right=False)
        if key == "seeds":
            cells = tuple(str(len(row.results) or NOTHING) for row in self.rows)
            return Shown(key=key, title=(key,), cells=cells)
        column = next(column for column in self.table.columns if column.key == key)
        cells = tuple(show(column, row.numbers.get(key), interval) for row in self.rows)
        return Shown(key=key, title=folded_title(column.title, max(map(len, cells), default=0)), cells=cells)

    def is_own(self, row: Row) -> bool:
        return row.kind == "generated" and self.own.get(row.variant) == row.objective

    def label(self, keys: Sequence[str], room: int, *, short: bool) -> Shown:
        """What each row is, in lines of `room` characters, 0: in one; `short`: settings without their sections."""
        settings = [row.settings for row in self.rows]
        texts = [
            _with(self.named(row, "objective" in keys), setting)
            for row, setting in zip(self.rows, shortened(settings) if short else settings, strict=True)
        ]
        cells = tuple("\n".join(folded(text, room)) if room else text for text in texts)
        return Shown(key="variant", title=("variant",), cells=cells, right=False)

    def named(self, row: Row, elsewhere: bool) -> str:
        """The row without its settings; `elsewhere`: the objective has a column."""
        name = f"{row.variant} ({row.name})" if row.name else row.variant
        return name if elsewhere or not row.objective or self.is_own(row) else f"{name} + {row.objective}"


def _total(columns: Sequence[Shown]) -> int:
    return sum(column.width for column in columns) + GAP * max(len(columns) - 1, 0)


def _rank(row: Row) -> str:
    return rank(row) if row.kind == "generated" else ""


def _with(name: str, settings: str) -> str:
    return f"{name} [{settings}]" if settings else name


def cells_of(text: str) -> int:
    """How many characters wide a text is on the screen: Chinese ones take two, marks upon others none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )


def folded_title(title: str, width: int) -> tuple[str, ...]:
    """In two lines where one is wider than the numbers below it."""
    words = title.split(" ")
    if len(words) < 2 or len(title) <= width:
        return (title,)
    halves = [(" ".join(words[:at]), " ".join(words[at:])) for at in range(1, len(words))]
    return min(halves, key=lambda lines: max(map(len, lines)))


def folded(text: str, width: int) -> list[str]:
    """Lines of at most `width`, broken at spaces, behind hyphens, and within a word only where it is longer."""
    lines = [""]
    for piece in re.findall(r"[^\s-]*-+|[^\s-]+|\s+", text):
        if cells_of(lines[-1] + piece) > width:
            lines.append("")
            piece = piece.lstrip()
        for one in piece if cells_of(piece) > width else (piece,):
            if cells_of(lines[-1] + one) > width:
                lines.append("")
            lines[-1] += one
    return [line.rstrip() for line in lines if line.strip()] or [""]
