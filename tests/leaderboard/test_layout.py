"""One table that fits any window: what matters most is always in it, and a wider window never loses anything."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ganzoo.cli.tables import print_tables
from ganzoo.errors import UnknownName
from ganzoo.leaderboard.columns import COLUMNS, Number
from ganzoo.leaderboard.layout import (
    GAP,
    LINES,
    Layout,
    arrange,
    asked_columns,
    cells_of,
    folded,
    folded_title,
    known_columns,
)
from ganzoo.leaderboard.rows import Row, Table

KEYS = {column.key: column for column in COLUMNS}
OWN = dict.fromkeys(("dcgan", "upsample-dcgan", "gan", "cgan", "sagan"), "non-saturating") | {"wgan-gp": "wgan-gp"}
OWN |= {f"variant-{number}": "non-saturating" for number in range(1, 36)}
ESSENTIAL = ["rank", "variant", "fid", "is", "precision", "recall", "modes", "train_img_per_s", "seconds"]


def row(variant: str, rank: int | None = None, *, seeds: int = 3, shared: bool = False, **more: Any) -> Row:
    """A row with a number in every column; `numbers` are laid over them."""
    half = 1.25 if seeds > 1 else None
    numbers: dict[str, Number | None] = {
        key: Number(mean=12.3, half=half if column.interval else None, n=seeds) for key, column in KEYS.items()
    }
    numbers |= {"cond_acc": None, "kimg": Number(mean=2.0, half=None, n=seeds), **more.pop("numbers", {})}
    options = {"objective": "non-saturating", **more}
    results = [{"environment": {}, "protocol": {"id": "p"}, "last": {}, "seed": seed} for seed in range(seeds)]
    return Row(variant=variant, rank=rank, shared=shared, numbers=numbers, results=results, **options)


def floor() -> Row:
    numbers: Mapping[str, Number] = {"fid": Number(mean=0.05, half=None, n=1)}
    return Row(variant="real: test split", objective="", kind="real", numbers=dict(numbers))


def table(*rows: Row, sort: str = "fid") -> Table:
    return Table(
        protocol="digits-a", dataset="digits", rows=[floor(), *rows], columns=list(COLUMNS), sort=KEYS[sort],
        environments=["some CPU"],
    )  # fmt: skip


SIX = table(
    row("dcgan", 1, shared=True), row("wgan-gp", 1, shared=True, objective="wgan-gp"), row("upsample-dcgan", 3),
    row("gan", 4, numbers={"fid": Number(mean=119.37, half=163.87, n=3)}), row("cgan", 5), row("sagan", 6),
)  # fmt: skip
MANY = table(*(row(f"variant-{number}", number) for number in range(1, 36)))


def printed(table: Table, width: int, columns: list[str] | None = None, **options: Any) -> str:
    out = io.StringIO()
    print_tables([table], columns, Console(file=out, width=width, **options))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize("shown", [SIX, MANY], ids=["6 rows", "35 rows"])
def test_one_table_with_what_matters_fits(shown: Table, width: int) -> None:
    layout = arrange(shown, width, own=OWN)
    assert set(ESSENTIAL) <= set(layout.keys)
    assert layout.width <= width
    assert layout.lines == 1
    text = printed(shown, width)
    lines = text[: text.index("\n\n", text.index("real: test"))].splitlines()
    assert max(map(len, lines)) <= width
    assert text.count("FID") >= 1
    assert sum("rank" in line and "variant" in line for line in lines) == 1
    assert len([line for line in lines if "12.3" in line]) == len(shown.rows) - 1
    assert "…" not in text


def test_a_wider_window_loses_nothing() -> None:
    settings = ["train.batch_size=16 train.g_lr=0.002", "train.batch_size=64 train.g_lr=0.004 train.schedule=linear"]
    long = table(*(row("upsample-dcgan", settings=text, objective="hinge + diffaug") for text in settings))
    for shown in (SIX, MANY, long):
        before: set[str] = set()
        for width in range(20, 320, 3):
            layout = arrange(shown, width, own=OWN)
            assert layout.width <= max(width, 30)
            assert before <= set(layout.keys), width
            before = set(layout.keys)
        every = {column.key for column in COLUMNS if column.shown} | {"rank", "variant", "objective", "seeds"}
        assert every - before <= {"kimg", "cond_acc"}  # the same for all, and so in the title; nobody has it
    wide = arrange(SIX, 400, own=OWN)
    assert (wide.left_out, wide.own_hidden) == (1, False)
    assert any("±" in cell for column in wide.columns if column.key == "class_kl" for cell in column.cells)


def test_the_order_is_the_table_s_and_what_ranks_comes_first() -> None:
    assert list(arrange(SIX, 80, own=OWN).keys) == ESSENTIAL
    by_speed = arrange(table(row("dcgan"), row("gan"), sort="train_img_per_s"), 80, own=OWN)
    assert by_speed.keys[:4] == ("rank", "variant", "train_img_per_s", "fid")
    hidden = arrange(table(row("dcgan"), row("gan"), sort="nn_closer"), 80, own=OWN)
    assert hidden.keys[2] == "nn_closer"  # though it is not shown else


def test_accuracy_where_every_row_has_one_else_modes() -> None:
    accurate = {"cond_acc": Number(mean=97.0, half=None, n=3)}
    both = table(row("cgan", numbers=accurate), row("cdcgan", numbers=accurate))
    one = table(row("cgan", numbers=accurate), row("gan"))
    for shown, there, absent in ((both, "cond_acc", "modes"), (one, "modes", "cond_acc")):
        keys = arrange(shown, 80).keys
        assert there in keys
        assert absent not in keys


def test_what_real_images_alone_have_is_no_column() -> None:
    numbers = dict.fromkeys(KEYS) | {"fid": Number(mean=1.0, half=None, n=1), "kimg": Number(mean=2.0, half=None, n=1)}
    shown = table(row("gan", numbers=numbers), row("dcgan", numbers=numbers))
    shown.rows[0].numbers["recall"] = Number(mean=0.9, half=None, n=1)
    assert set(arrange(shown, 200).keys) == {"rank", "variant", "fid", "objective", "seeds"}
    nothing = table(row("gan", numbers=dict.fromkeys(KEYS)))
    assert "fid" in arrange(nothing, 80).keys  # of the real images, where there is nothing else


def test_the_number_of_seeds_is_told_where_it_differs() -> None:
    assert "seeds" not in arrange(SIX, 80, own=OWN).keys
    layout = arrange(table(row("dcgan"), row("gan", seeds=2)), 80, own=OWN)
    (seeds,) = (column for column in layout.columns if column.key == "seeds")
    assert seeds.cells == ("3", "2", "-")


def test_an_objective_that_is_not_the_variant_s_own_is_always_said() -> None:
    shown = table(row("dcgan"), row("dcgan", objective="hinge + r1"), row("mine", objective="non-saturating"))
    narrow, wide = arrange(shown, 70, own=OWN), arrange(shown, 130, own=OWN)
    labels = [cell.replace("-\n", "-").replace("\n", " ") for cell in narrow.columns[1].cells]
    assert labels[:3] == ["dcgan", "dcgan + hinge + r1", "mine + non-saturating"]
    assert narrow.own_hidden
    assert "objective: the variant's own where none is named" in printed(shown, 70)
    assert wide.columns[1].cells[:3] == ("dcgan", "dcgan", "mine")
    assert "objective" in wide.keys
    assert not wide.own_hidden


def test_settings_are_shortened_where_that_says_as_much() -> None:
    shown = table(row("gan", settings="train.g_lr=0.1 variant.width=64"), row("gan", settings="train.g_lr=0.2"))
    assert arrange(shown, 80).columns[1].cells[0].replace("\n", " ") == "gan + non-saturating [g_lr=0.1 width=64]"
    assert "gan [train.g_lr=0.1 variant.width=64]" in arrange(shown, 400).columns[1].cells
    two = table(row("gan", settings="objective.weight=1"), row("gan", settings="regularizer.r1.weight=2"))
    assert "regularizer.r1.weight=2" in arrange(two, 80).columns[1].cells[1].replace("\n", "")


def test_long_labels_are_folded_and_take_three_lines_at_most() -> None:
    keys = ("batch_size=16", "beta1=0.5", "d_lr=0.0005", "d_steps=1", "g_lr=0.002", "schedule=constant")
    shown = table(*(row("mhgan", settings=" ".join(f"train.{key}" for key in keys)) for _ in range(2)))
    layout = arrange(shown, 80)
    assert layout.lines <= LINES
    assert {"fid", "is"} <= set(layout.keys)
    assert layout.width <= 80


def test_a_single_row_has_no_rank() -> None:
    assert "rank" not in arrange(table(row("gan")), 80).keys


def test_columns_that_are_asked_for() -> None:
    layout = arrange(SIX, 80, ["kid", "fid", "objective"])
    assert layout.keys == ("rank", "variant", "objective", "fid", "kid")
    assert not layout.stacked
    narrow = arrange(SIX, 66, ["fid", "is", "kid", "precision", "recall"])
    assert not narrow.stacked
    assert narrow.width <= 66
    assert not any("±" in cell for column in narrow.columns if column.key == "is" for cell in column.cells)
    assert [column.key for column in arrange(SIX, 80, ["all"]).columns][2:4] == ["objective", "seeds"]


def test_a_score_that_no_run_has_is_said() -> None:
    """One of an installed metric that was not computed."""
    text = printed(SIX, 80, ["sharpness", "fid"])
    assert text.splitlines()[1].split() == ["rank", "variant", "FID"]
    assert "\nno run has sharpness\n" in text


def test_more_than_fits_is_a_block_for_each_row() -> None:
    assert arrange(SIX, 80, ["all"]).stacked
    assert not arrange(SIX, 500, ["all"]).stacked
    text = printed(SIX, 80, ["all"])
    assert max(map(len, text[: text.index("real: test")].splitlines())) <= 80
    for title in ("score mem.", "nearer %", "class KL", "objective", "FID"):
        assert text.count(f"  {title} ") >= 6
    assert "120 ± 160" in text


def test_names_of_columns() -> None:
    known = known_columns(COLUMNS)
    assert asked_columns(" FID, kid,fid", known) == ["fid", "kid"]
    assert asked_columns("fid,ALL", known) == ["all"]
    for text, near in (("fidd", "fid"), ("", "all"), ("fid,recal", "recall")):
        with pytest.raises(UnknownName, match=near):
            asked_columns(text, known)


def test_shared_ranks_have_a_sign() -> None:
    text = printed(SIX, 80)
    ranks = [line[:4] for line in text.splitlines() if "gan" in line[:12]][:6]
    assert "  1=" in ranks
    assert "  4 " in ranks  # the digits below each other
    alone = printed(table(row("gan", 1), row("dcgan", 2)), 80)
    assert "   1  gan" in alone


def test_colours_say_no_more_than_the_text() -> None:
    colours = {"force_terminal": True, "color_system": "standard", "legacy_windows": False}
    text = printed(SIX, 80, **colours)
    best = next(line for line in text.splitlines() if "dcgan" in line)
    assert "\x1b[1;32m" in best  # bold, green
    assert sum("\x1b[1;32m" in line for line in text.splitlines()) == 1
    assert "\x1b[2m" in next(line for line in text.splitlines() if "real: test split" in line)
    plain = printed(SIX, 80, force_terminal=True, no_color=True)
    assert "\x1b[32m" not in plain
    assert "\x1b" not in printed(SIX, 80)
    assert not any(line.endswith(" ") for line in printed(SIX, 80).splitlines())


@pytest.mark.parametrize(("few", "sign", "infinity"), [("ascii", "+-", "inf"), ("cp1252", "±", "inf")])
def test_what_an_encoding_lacks_is_spelled_out_and_stays_in_its_column(few: str, sign: str, infinity: str) -> None:
    class Few(io.StringIO):
        encoding = few  # type: ignore[assignment]

    for width in (80, 200):
        out = Few()
        print_tables([SIX], None, Console(file=out, width=width))
        lines = out.getvalue().splitlines()
        rows = [line for line in lines if line[:4].strip() in ("rank", "1=", "4", "5")]
        assert len(rows) == 5
        assert max(map(len, rows)) == len(rows[0]) <= width
        assert all(line.count(sign) == rows[1].count(sign) > 0 for line in rows[1:])
        assert len({line.index(sign) for line in rows[1:]}) == 1
        assert (f"FID{infinity}" in rows[0]) == (width == 200)
        assert "\N{HORIZONTAL ELLIPSIS}" not in "".join(rows)
        "\n".join(rows).encode(few)


def test_chinese_takes_two_places() -> None:
    assert cells_of("王小明 gan") == 10
    shown = table(row("gan", name="王小明王小明王小明"), row("gan", name="Zoë"))
    for width in (40, 80):
        assert arrange(shown, width).width <= width


def test_folding() -> None:
    assert folded("sagan-unconditional + hinge", 12) == ["sagan-", "unconditiona", "l + hinge"]
    assert folded("dcgan [g_lr=0.1 width=64]", 16) == ["dcgan [g_lr=0.1", "width=64]"]
    assert folded("", 5) == [""]
    assert folded_title("train img/s", 5) == ("train", "img/s")
    assert folded_title("train img/s", 11) == ("train img/s",)
    assert folded_title("FID", 1) == ("FID",)


def test_narrow_windows_still_have_a_table() -> None:
    for width in range(1, 40):
        layout = arrange(SIX, width)
        assert isinstance(layout, Layout)
        assert layout.columns
    assert GAP == 2


def test_labels_are_no_markup(write_run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    shown = table(row("[red]gan[/red]"), row("gan", name="[bold]x"))
    text = printed(shown, 80)
    assert "[red]gan[/red]" in text.replace("\n", "")
    assert "[bold]x" in text
    assert json.dumps(text)
