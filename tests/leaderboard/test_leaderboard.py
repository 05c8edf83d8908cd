"""The leaderboard never mixes protocols, ranks only what has enough seeds, and hides nothing."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganzoo.errors import RunError, UnknownName, UserError
from ganzoo.leaderboard.cells import show
from ganzoo.leaderboard.columns import COLUMNS, Number, summarize
from ganzoo.leaderboard.render import to_csv, to_json, to_markdown
from ganzoo.leaderboard.rows import Row, Table
from ganzoo.leaderboard.table import read_tables
from ganzoo.leaderboard.words import notes

Write = Callable[..., dict[str, Any]]
FID = COLUMNS[0]
FLOORS = [
    {"name": "test split", "what": "test against train", "images": 360, "reference": 1437, "values": {"fid": 0.25}},
    {"name": "train resample", "what": "train resampled, against train", "images": 360, "reference": 1437,
     "values": {"fid": 0.5, "kid": -0.001}},
]  # fmt: skip
"""As in the result of a run on a dataset that has test images."""


@pytest.fixture
def seeds(tmp_path: Path, write_run: Write) -> Callable[..., None]:
    """`seeds("gan", [1.0, 2.0, 3.0])` writes a run for each FID, with seeds 0, 1, ..."""

    def write(variant: str, fids: list[float | None], name: str = "", **options: Any) -> None:
        for seed, fid in enumerate(fids):
            write_run(tmp_path / f"{name or variant}-s{seed}", variant, seed=seed, fid=fid, **options)

    return write


def only_table(path: Path, sort: str = "fid") -> Table:
    (table,) = read_tables([path], sort)
    return table


def generated(table: Table) -> list[Row]:
    return [row for row in table.rows if row.kind == "generated"]


def unfinished(folder: Path, result: dict[str, Any], failure: str | None = None, seed: int = 9) -> None:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(result["config"] | {"seed": seed}))
    if failure is not None:
        (folder / "failure.txt").write_text(failure)


def change(folder: Path, **values: float | None) -> None:
    """Put `values` among those of the last snapshot of a run."""
    result = json.loads((folder / "result.json").read_text())
    result["last"]["values"] |= values
    (folder / "result.json").write_text(json.dumps(result))


def ranks(table: Table) -> list[tuple[str, int | None, bool]]:
    return [(row.variant, row.rank, row.shared) for row in generated(table)]


def test_absent_and_infinite_values_do_not_count(seeds: Callable[..., None], tmp_path: Path) -> None:
    seeds("gan", [None, 3.0, float("nan"), float("inf")])
    (row,) = generated(only_table(tmp_path))
    assert row.numbers["fid"] == Number(mean=3.0, half=None, n=1)
    assert row.numbers["precision"] is None
    assert summarize([]) is None


def test_protocols_are_never_mixed(seeds: Callable[..., None], tmp_path: Path) -> None:
    seeds("gan", [9.0, 9.1, 9.2], protocol="digits-a")
    seeds("dcgan", [1.0, 1.1, 1.2], protocol="digits-b")
    seeds("gan", [5.0, 5.1, 5.2], protocol="digits-b", name="other")
    tables = read_tables([tmp_path])
    assert [table.protocol for table in tables] == ["digits-a", "digits-b"]
    assert [[(row.rank, row.variant) for row in generated(table)] for table in tables] == [
        [(1, "gan")],
        [(1, "dcgan"), (2, "gan")],
    ]


def test_only_rows_with_three_seeds_are_ranked(seeds: Callable[..., None], tmp_path: Path) -> None:
    seeds("gan", [7.0, 8.0, 9.0])
    seeds("dcgan", [1.0, 2.0])
    seeds("wgan-gp", [3.0, 4.0, 5.0])
    seeds("cgan", [6.0, None, 6.5, 6.6])
    table = only_table(tmp_path)
    assert ranks(table) == [("dcgan", None, False), ("wgan-gp", 1, False), ("cgan", None, False), ("gan", 2, False)]
    assert [row.unranked for row in generated(table)] == ["fewer than 3 seeds", "", "a seed without FID", ""]
    assert "no rank: fewer than 3 seeds (--seeds 3 trains as many); a seed without FID" in notes(table)


def test_rows_are_sorted_by_any_column(seeds: Callable[..., None], tmp_path: Path) -> None:
    seeds("gan", [1.0, 1.0, 1.0], changes={"train_img_per_s": 10.0})
    seeds("dcgan", [2.0, 2.0, 2.0], changes={"train_img_per_s": 30.0})
    seeds("cgan", [3.0, 3.0, 3.0], changes={"train_img_per_s": None})
    order = [(row.variant, row.rank) for row in generated(only_table(tmp_path, "train_img_per_s"))]
    assert order == [("dcgan", 1), ("gan", 2), ("cgan", None)]
    with pytest.raises(UnknownName, match=r"column 'fids' .did you mean fid"):
        read_tables([tmp_path], "fids")


def test_the_floors_stand_first_and_have_no_rank(seeds: Callable[..., None], tmp_path: Path) -> None:
    seeds("gan", [0.1, 0.1, 0.1], changes={"floors": FLOORS})  # "better" than real data
    seeds("dcgan", [9.0], changes={"floors": FLOORS})
    seeds("cgan", [8.0], changes={"floors": []})
    table = only_table(tmp_path)
    test, resample = table.rows[:2]
    assert [(row.kind, row.rank, row.variant) for row in table.rows[:3]] == [
        ("real", None, "real: test split"), ("real", None, "real: train resample"), ("generated", 1, "gan"),
    ]  # fmt: skip
    told = "real: test split: test against train, 360 images against 1437, scored as if generated"
    assert told in notes(table)
    assert any(line.startswith("real: train resample: train resampled, against train, 360") for line in notes(table))
    assert test.numbers["fid"] == Number(mean=0.25, half=None, n=1)
    assert resample.numbers["kid"] == Number(mean=-0.001, half=None, n=1)
    for absent in ("kimg", "best_fid", "diverged"):
        assert resample.numbers[absent] is None
    (document,) = json.loads(to_json([table]))
    assert document["floors"]["real: test split"] == "test against train, 360 images against 1437"
    lines = to_markdown([table]).splitlines()  # for people, below what is ranked
    assert [line.split(" | ")[1] for line in lines[2:7]] == [
        "gan", "cgan", "dcgan", "real: test split", "real: train resample",
    ]  # fmt: skip


def test_failed_and_unfinished_seeds_stay_in_sight(tmp_path: Path, write_run: Write) -> None:
    for seed in range(3):
        result = write_run(tmp_path / f"gan-s{seed}", seed=seed)
    unfinished(tmp_path / "gan-s3", result, "MemoryError: too big\n\nTraceback ...", seed=3)
    unfinished(tmp_path / "gan-s4", result, seed=4)
    other = write_run(tmp_path / "dcgan-s0", "dcgan")
    shutil.rmtree(tmp_path / "dcgan-s0")
    unfinished(tmp_path / "dcgan-s0", other, "", seed=0)
    table = only_table(tmp_path)
    gan, dcgan = generated(table)
    assert (gan.variant, len(gan.results), gan.rank) == ("gan", 3, None)
    assert gan.status == "2/5 without a result: MemoryError: too big"
    assert gan.failures[1] == "not finished; the same command continues it"
    assert (dcgan.variant, dcgan.results, dcgan.rank, dcgan.failures) == ("dcgan", [], None, ["no message"])
    text = to_markdown([table])
    assert "gan: 2/5 without a result: MemoryError: too big" in text
    assert "dcgan: 1/1 without a result: no message" in text


def test_an_unfinished_run_of_other_settings_is_told_apart(tmp_path: Path, write_run: Write) -> None:
    for seed in range(2):
        result = write_run(tmp_path / f"gan-s{seed}", seed=seed)
    other = write_run(tmp_path / "x", sets=("train.batch_size=8", "train.g_lr=0.5"))
    shutil.rmtree(tmp_path / "x")
    unfinished(tmp_path / "x", other)
    finished, begun = generated(only_table(tmp_path))
    assert begun.settings == "train.batch_size=8 train.g_lr=0.5"
    assert set(finished.settings.split()) >= {f"train.batch_size={result['config']['train']['batch_size']}"}
    assert "source=" not in finished.settings  # an unfinished run does not say of which code it is
    assert "gan \\[train.batch_size=8 train.g_lr=0.5\\] | non-saturating | - |" in to_markdown([only_table(tmp_path)])


def test_a_failure_stands_beside_its_own_seeds(tmp_path: Path, write_run: Write) -> None:
    write_run(tmp_path / "a", protocol="digits-a")
    result = write_run(tmp_path / "b", protocol="digits-b", sets=("eval.num_images=500",))
    unfinished(tmp_path / "c", result)
    first, second = read_tables([tmp_path])
    assert [row.failures for row in generated(first)] == [[]]
    assert [len(row.failures) for row in generated(second)] == [1]


def test_when_nothing_finished_there_is_still_a_table(tmp_path: Path, write_run: Write) -> None:
    result = write_run(tmp_path / "a")
    shutil.rmtree(tmp_path / "a")
    unfinished(tmp_path / "b", result, "boom")
    table = only_table(tmp_path)
    assert table.protocol == "no result"
    assert table.rows[0].status == "1/1 without a result: boom"
    for render in (to_json, to_csv, to_markdown):
        assert "boom" in render([table])


def test_the_seeds_left_when_others_diverged_are_not_ranked(tmp_path: Path, write_run: Write) -> None:
    for seed in range(4):
        changes = {"diverged": "d_loss is nan", "last": None, "kimg": 0.1} if seed == 1 else {}
        write_run(tmp_path / f"gan-{seed}", seed=seed, changes=changes)
        write_run(tmp_path / f"dcgan-{seed}", "dcgan", seed=seed, fid=20.0)
    table = only_table(tmp_path)
    assert ranks(table) == [("gan", None, False), ("dcgan", 1, False)]
    row = generated(table)[0]
    assert row.status == "1/4 diverged: d_loss is nan"
    assert row.numbers["fid"] == Number(mean=10.0, half=0.0, n=3)
    assert row.numbers["diverged"] == Number(mean=25.0, half=None, n=4)
    assert "where a seed diverged before its end, a mean is over the seeds that have the number" in notes(table)
    assert "no rank: a seed that diverged before its end" in notes(table)
    (record, _) = csv.DictReader(io.StringIO(to_csv([table])))
    assert (record["seeds"], record["fid_n"], record["diverged"], record["diverged_n"]) == ("4", "3", "25.0", "4")
    for sort in ("kimg", "best_fid"):  # the less it trained, the less it cost
        assert ("gan", None, False) in ranks(only_table(tmp_path, sort))


def test_a_collapsed_seed_counts_with_its_score(tmp_path: Path, write_run: Write) -> None:
    for seed, fid in enumerate((10.0, 12.0, 200.0)):
        changes = {"diverged": "collapsed: generated images differ by 0.0001 on average"} if fid > 100 else {}
        write_run(tmp_path / f"gan-{seed}", seed=seed, fid=fid, changes=changes)
    table = only_table(tmp_path)
    (row,) = generated(table)
    assert (row.rank, row.numbers["fid"].mean if row.numbers["fid"] else None) == (1, 74.0)
    assert row.status.startswith("1/3 diverged: collapsed")
    assert "diverged %" in to_markdown([table])
    assert "| 33 |" in to_markdown([table])
    assert not any("before its end" in line for line in notes(table))


def test_the_divergence_rate_has_a_column_where_there_is_a_rate(seeds: Callable[..., None], tmp_path: Path) -> None:
    seeds("gan", [1.0])
    assert "diverged %" not in to_markdown([only_table(tmp_path)])
    seeds("dcgan", [1.0, 2.0])
    table = only_table(tmp_path)
    assert "diverged %" in to_markdown([table])
    by_name = {row.variant: row.numbers["diverged"] for row in generated(table)}
    assert by_name == {"gan": None, "dcgan": Number(mean=0.0, half=None, n=2)}
    seeds("cgan", [3.0], changes={"diverged": "g_loss is inf", "last": None})
    table = only_table(tmp_path)
    assert [row.numbers["diverged"] for row in generated(table) if row.variant == "cgan"] == [
        Number(mean=100.0, half=None, n=1)
    ]


def test_a_rank_is_shared_where_no_difference_is_significant(seeds: Callable[..., None], tmp_path: Path) -> None:
    seeds("gan", [10.0, 10.4, 10.2])
    seeds("dcgan", [10.1, 10.5, 10.4])
    seeds("wgan-gp", [30.0, 30.3, 30.5])
    seeds("cgan", [9.0, 9.1])  # too few to be compared
    table = only_table(tmp_path)
    assert ranks(table) == [("cgan", None, False), ("gan", 1, True), ("dcgan", 1, True), ("wgan-gp", 3, False)]
    sentence = (
        "rows share a rank where no difference between them is significant at 5 %: Welch's two-sided t test of every "
        "two ranked rows, Holm's correction over all of them"
    )
    assert sentence in to_markdown([table]).splitlines()
    (document,) = json.loads(to_json([table]))
    assert sentence in document["method"]
    assert [(row["rank"], row["shared"]) for row in document["rows"]] == [
        (None, False),
        (1, True),
        (1, True),
        (3, False),
    ]
    assert (document["ranked_by"], document["rows"][0]["unranked"]) == ("fid", "fewer than 3 seeds")
    records = list(csv.DictReader(io.StringIO(to_csv([table]))))
    assert [(record["rank"], record["shared"]) for record in records] == [
        ("", ""), ("1", "true"), ("1", "true"), ("3", "false"),
    ]  # fmt: skip
    assert {(record["ranked_by"], record["method"]) for record in records} == {("fid", document["method"])}


def test_every_further_row_makes_significance_harder(seeds: Callable[..., None], tmp_path: Path) -> None:
    seeds("gan", [10.0, 10.4, 10.2])
    seeds("dcgan", [10.6, 11.0, 10.8])  # p = 0.021 by itself
    assert ranks(only_table(tmp_path)) == [("gan", 1, False), ("dcgan", 2, False)]
    seeds("cgan", [10.1, 10.7, 10.4])
    assert [rank for _, rank, _ in ranks(only_table(tmp_path))] == [1, 1, 1]


def test_every_column_is_ranked_by_the_same_test(tmp_path: Path, write_run: Write) -> None:
    speeds = {"gan": [1000.0, 1010.0, 990.0], "dcgan": [1005.0, 985.0, 1015.0], "cgan": [100.0, 101.0, 99.0]}
    for variant, values in speeds.items():
        for seed, value in enumerate(values):
            folder = tmp_path / f"{variant}-{seed}"
            write_run(folder, variant, seed=seed, changes={"train_img_per_s": value})
            change(folder, coverage=value / 2000)
    for sort in ("train_img_per_s", "coverage"):
        table = only_table(tmp_path, sort)
        assert ranks(table) == [("dcgan", 1, True), ("gan", 1, True), ("cgan", 3, False)]
    assert {row.rank for row in generated(only_table(tmp_path, "parameters"))} == {1}  # the same numbers everywhere


def test_tables_without_ranks_or_intervals_say_nothing_of_methods(seeds: Callable[..., None], tmp_path: Path) -> None:
    seeds("gan", [1.0])
    table = only_table(tmp_path)
    assert table.methods == []
    assert json.loads(to_json([table]))[0]["method"] == ""
    seeds("dcgan", [1.0, 2.0])
    table = only_table(tmp_path)
    assert table.methods == ["± is half the 95 % Student t interval of the mean over training seeds"]
    assert "no rank: fewer than 3 seeds (--seeds 3 trains as many)" in notes(table)


def test_columns_of_quality_in_order(tmp_path: Path, write_run: Write) -> None:
    for seed in range(3):
        write_run(tmp_path / str(seed), seed=seed)
        change(
            tmp_path / str(seed), fid_inf=8.5 + seed, kid=0.0174, kid_se=0.00119, class_fid=21.0, class_recall=0.25,
            cas=71.25, memorised=1.5, nn_closer=48.0, cond_acc=90.0,
        )  # fmt: skip
    table = only_table(tmp_path)
    head, _, row = ([c.strip() for c in line.strip("|").split("|")] for line in to_markdown([table]).splitlines()[:3])
    start = head.index("FID")
    assert head[start : head.index("kimg")] == [
        "FID", "FID∞", "best FID", "IS", "KID", "KID s.e.", "class FID", "class recall", "acc. %", "CAS %",
        "memor. %", "diverged %",
    ]  # fmt: skip
    cells = dict(zip(head, row, strict=True))
    assert cells["FID∞"] == "9.5 ± 2.5"
    assert (cells["KID"], cells["KID s.e."]) == ("0.0174 ± 0", "0.0012")  # of one generator: no interval over seeds
    assert (cells["class FID"], cells["CAS %"], cells["memor. %"]) == ("21.00 ± 0", "71.2 ± 0", "1.5 ± 0")
    numbers = json.loads(to_json([table]))[0]["rows"][0]["numbers"]
    assert numbers["nn_closer"] == {"mean": 48.0, "interval95": 0.0, "n": 3}
    assert numbers["kid_se"] == {"mean": pytest.approx(0.00119), "interval95": None, "n": 3}
    assert "nn_closer" in to_csv([table])
    assert "nearer %" in to_markdown([only_table(tmp_path, "nn_closer")])  # shown where it is what ranks


@pytest.mark.parametrize(
    ("key", "best"),
    [("fid_inf", 1.0), ("class_fid", 1.0), ("memorised", 1.0), ("nn_closer", 1.0), ("kid", 1.0), ("class_recall", 9.0),
     ("cas", 9.0), ("is", 9.0)],
)  # fmt: skip
def test_which_way_is_better(key: str, best: float, tmp_path: Path, write_run: Write) -> None:
    for name, value in (("a", 1.0), ("b", 9.0)):
        for seed in range(3):
            write_run(tmp_path / f"{name}{seed}", seed=seed, sets=(f"train.d_steps={int(value)}",))
            change(tmp_path / f"{name}{seed}", **{key: value})
    first, second = (row.numbers[key] for row in generated(only_table(tmp_path, key)))
    assert first is not None
    assert second is not None
    assert (first.mean, second.mean) == (best, 10 - best)


def test_what_was_left_out_is_told_once(seeds: Callable[..., None], tmp_path: Path) -> None:
    reason = "no more images than feature dimensions"
    seeds("gan", [1.0, 2.0], changes={"left_out": {"fid": reason, "fid_inf": reason}})
    seeds("dcgan", [1.0], changes={"left_out": {"fid": reason, "cas": "no labels"}})
    seeds("cgan", [3.0])
    table = only_table(tmp_path)
    assert [line for line in notes(table) if line.startswith("left out")] == [
        "left out: cas: no labels", f"left out: fid, fid_inf: {reason}",
    ]  # fmt: skip
    assert json.loads(to_json([table]))[0]["left_out"] == {reason: "fid, fid_inf", "no labels": "cas"}
    assert f"left out: fid, fid_inf: {reason}" in to_markdown([table]).splitlines()


def test_other_settings_are_another_row_and_told_apart(
    seeds: Callable[..., None], write_run: Write, tmp_path: Path
) -> None:
    seeds("dcgan", [1.0, 1.0, 1.0])
    seeds("dcgan", [2.0, 2.0, 2.0], name="narrow", sets=("variant.channels=8", "train.g_lr=0.5"))
    seeds("dcgan", [3.0, 3.0, 3.0], name="gp", sets=("train.d_steps=2",), changes={"source": "feedbeefcafe"})
    rows = generated(only_table(tmp_path))
    assert [row.rank for row in rows] == [1, 2, 3]
    assert len({row.settings for row in rows}) == 3
    assert "train.g_lr=0.5" in rows[1].settings
    assert "variant.channels=8" in rows[1].settings
    assert "seed=" not in rows[1].settings
    assert "train.d_steps=2" in rows[2].settings
    assert "source=feedbeef" in rows[2].settings
    assert "beta1" not in rows[2].settings  # the same everywhere
    unfinished(tmp_path / "begun", write_run(tmp_path / "d", "dcgan", sets=("train.d_steps=3",)))
    shutil.rmtree(tmp_path / "d")
    *_, begun = generated(only_table(tmp_path))
    assert "train.d_steps=3" in begun.settings
    assert "source" not in begun.settings  # which only results say


def test_where_a_run_was_made_makes_no_row(tmp_path: Path, write_run: Write) -> None:
    for seed, device in enumerate(("cpu", "cuda:1", "auto")):
        write_run(tmp_path / str(seed), seed=seed, sets=(f"device={device}",))
    (row,) = generated(only_table(tmp_path))
    assert (len(row.results), row.rank, row.settings) == (3, 1, "")


def test_folders_of_two_machines_merge(tmp_path: Path, write_run: Write) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    environment = write_run(one / "deep" / "s0", seed=0, fid=1.0)["environment"]
    write_run(one / "s1", seed=1, fid=2.0)
    write_run(two / "s2", seed=2, fid=3.0, changes={"environment": environment | {"device": "some GPU"}})
    (table,) = read_tables([one, two, one / "deep"])  # a folder that is named twice counts once
    (row,) = generated(table)
    assert (len(row.results), row.rank) == (3, 1)
    assert row.numbers["fid"] is not None
    assert row.numbers["fid"].mean == 2.0
    assert [line.split(",")[0] for line in table.environments] == ["some CPU", "some GPU"]


def test_results_copied_without_their_runs_are_read(tmp_path: Path, write_run: Write) -> None:
    write_run(tmp_path / "a")
    (tmp_path / "a" / "config.json").unlink()
    assert [row.variant for row in generated(only_table(tmp_path))] == ["gan"]


def test_a_copy_of_a_run_is_no_further_seed(tmp_path: Path, write_run: Write) -> None:
    write_run(tmp_path / "a" / "s0", seed=0)
    for copy in ("b", "c"):
        shutil.copytree(tmp_path / "a", tmp_path / copy)
    (row,) = generated(only_table(tmp_path))
    assert (len(row.results), row.rank) == (1, None)
    told = "2 runs left out: copies, or runs of the same seeds (--seed or --name tells them apart)"
    assert row.status == told


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"protocol": {"id": "x"}}', "\0\1"])
def test_a_damaged_result_is_named_and_the_others_are_shown(text: str, tmp_path: Path, write_run: Write) -> None:
    write_run(tmp_path / "good")
    write_run(tmp_path / "bad", seed=1)
    (tmp_path / "bad" / "result.json").write_text(text)
    table = only_table(tmp_path)
    assert len(generated(table)[0].results) == 1
    assert [line.startswith(f"{tmp_path}/bad/result.json is no ") for line in table.skipped] == [True]
    assert any(line.startswith("skipped: ") for line in to_markdown([table]).splitlines())
    assert json.loads(to_json([table]))[0]["skipped"] == table.skipped
    (tmp_path / "good" / "result.json").write_text(text)
    with pytest.raises(RunError, match=r"no record here can be read: .*result\.json"):
        read_tables([tmp_path])


def test_a_damaged_config_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json"):
        read_tables([tmp_path])


def test_folders_without_runs(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there are no runs under"):
        read_tables([tmp_path])
    with pytest.raises(RunError, match="does not exist"):
        read_tables([tmp_path / "nowhere"])
    (tmp_path / "config.json").write_text('{"theme": "dark"}')  # some other program's
    with pytest.raises(RunError, match="there are no runs here"):
        read_tables([tmp_path])


def test_markdown_is_a_table_with_its_conditions(seeds: Callable[..., None], tmp_path: Path) -> None:
    seeds("gan", [2.0, 4.0, 6.0], changes={"floors": FLOORS[:1]})
    lines = to_markdown([only_table(tmp_path)]).splitlines()
    head, rule, row, floor = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines[:4])
    assert len(head) == len(rule) == len(floor) == len(row)
    cells = dict(zip(head, row, strict=True))
    assert cells["FID"] == "4.0 ± 5.0"
    assert cells["KID"] == "0.01 ± 0"
    assert (cells["rank"], cells["variant"], cells["objective"], cells["seeds"]) == ("1", "gan", "non-saturating", "3")
    assert cells["params"] == "2.50k"
    assert cells["train img/s"] == "1,000"
    assert dict(zip(head, floor, strict=True))["FID"] == "0.25"
    assert "protocol: digits-a" in lines
    assert "made on: some CPU, fp32, torch 2.11.0, ganzoo 0.1.0, Python 3.11.0" in lines


def test_csv_and_json_hold_every_number(seeds: Callable[..., None], tmp_path: Path) -> None:
    seeds("gan", [2.0, 4.0, 6.0])
    seeds("dcgan", [1.0])
    table = only_table(tmp_path)
    records = list(csv.DictReader(io.StringIO(to_csv([table]))))
    assert [record["variant"] for record in records] == ["dcgan", "gan"]
    gan = records[1]
    assert (gan["protocol"], gan["rank"], gan["kind"], gan["seeds"]) == ("digits-a", "1", "generated", "3")
    assert float(gan["fid"]) == 4.0
    assert float(gan["fid_interval95"]) == pytest.approx(4.96827, abs=1e-5)
    assert (gan["fid_n"], records[0]["fid_n"], records[0]["recall_n"]) == ("3", "1", "")
    assert (records[0]["rank"], records[0]["fid_interval95"]) == ("", "")
    (document,) = json.loads(to_json([table]))
    assert document["protocol"] == "digits-a"
    assert document["rows"][1]["numbers"]["fid"] == {
        "mean": 4.0,
        "interval95": pytest.approx(4.96827, abs=1e-5),
        "n": 3,
    }
    assert document["rows"][0]["rank"] is None
    assert len(document["rows"][1]["runs"]) == 3


def test_show() -> None:
    assert show(FID, None) == "-"
    assert show(FID, Number(mean=12.345, half=None, n=1)) == "12.35"
    assert show(FID, Number(mean=12.345, half=0.5, n=3)) == "12.35 ± 0.50"
    assert show(FID, Number(mean=12.345, half=0.5, n=3), interval=False) == "12.35"


def test_the_command(
    seeds: Callable[..., None], tmp_path: Path, ganzoo: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    seeds("gan", [2.0, 4.0, 6.0], changes={"floors": FLOORS})
    text = ganzoo("leaderboard", tmp_path).stdout
    assert "4.0 ± 5.0" in text
    assert "real: test split" in text
    assert json.loads(ganzoo("leaderboard", tmp_path, "--json").stdout)[0]["rows"][2]["variant"] == "gan"
    (tmp_path / "gan-s0" / "result.json").write_text("{")
    assert f"skipped: {tmp_path}/gan-s0/result.json is no JSON" in ganzoo("leaderboard", tmp_path).stdout
    for file in tmp_path.rglob("result.json"):
        file.write_text("{")
    done = ganzoo("leaderboard", tmp_path, code=2)
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_numbers_of_plugins_metrics_get_a_column(write_run: Write, tmp_path: Path) -> None:
    for name, value in (("gan", 2.0), ("dcgan", 9.0)):
        path = tmp_path / name
        write_run(path, variant=name)
        result = json.loads((path / "result.json").read_text())
        result["last"]["values"]["sharpness"] = value
        result["higher_is_better"] = {"fid": False, "sharpness": True}
        (path / "result.json").write_text(json.dumps(result))
    (table,) = read_tables([tmp_path], sort="sharpness")
    assert [row.variant for row in table.rows if row.kind == "generated"] == ["dcgan", "gan"]
    assert "sharpness" in to_markdown([table]).splitlines()[0]
    assert "sharpness_interval95" in to_csv([table]).splitlines()[0]
    assert sum(column.key == "fid" for column in table.columns) == 1


def test_speeds_of_different_machines_are_not_averaged(write_run: Write, tmp_path: Path) -> None:
    for seed, device in enumerate(("some CPU", "some CPU", "some GPU")):
        result = write_run(tmp_path / f"{seed}", seed=seed)
        result["environment"]["device"] = device
        (tmp_path / f"{seed}" / "result.json").write_text(json.dumps(result))
    (table,) = read_tables([tmp_path])
    row = table.rows[-1]
    assert row.rank == 1  # quality is a matter of the protocol
    assert row.unranked == ""
    assert "no rank: speed and memory of other machines or versions" in notes(only_table(tmp_path, "peak_memory"))
    assert row.numbers["fid"] is not None
    assert row.numbers["train_img_per_s"] is None
    assert row.numbers["peak_memory"] is None
    assert row.numbers["parameters"] is not None
    assert any("different machines" in line for line in notes(table))


def test_speed_is_not_ranked_across_machines(seeds: Callable[..., None], tmp_path: Path, write_run: Write) -> None:
    environment = write_run(tmp_path / "other", "cgan")["environment"]
    seeds("gan", [1.0, 2.0, 3.0], changes={"environment": environment | {"device": "some GPU"}})
    seeds("dcgan", [11.0, 12.0, 13.0], changes={"train_img_per_s": 100.0})
    assert [rank for _, rank, _ in ranks(only_table(tmp_path))] == [1, None, 2]
    table = only_table(tmp_path, "train_img_per_s")
    assert [rank for _, rank, _ in ranks(table)] == [None, None, None]
    reasons = "speed and memory of other machines or versions; fewer than 3 seeds (--seeds 3 trains as many)"
    assert f"no rank: {reasons}" in notes(table)
    assert [rank for _, rank, _ in ranks(only_table(tmp_path, "parameters"))] == [1, 1, None]
    shutil.rmtree(tmp_path / "gan-s0")  # too few seeds on the GPU: what is left to rank ran on one machine
    assert ("dcgan", 1, False) in ranks(only_table(tmp_path, "train_img_per_s"))


def test_settings_in_a_label_are_not_taken_for_markup(write_run: Write, tmp_path: Path) -> None:
    from rich.console import Console

    from ganzoo.cli.tables import print_tables

    for width in (64, 128):
        write_run(tmp_path / f"{width}", "gan", sets=(f"variant.width={width}",))
    out = io.StringIO()
    print_tables(read_tables([tmp_path]), console=Console(file=out, width=240))
    assert "gan [variant.width=64]" in out.getvalue()


def test_a_failure_stands_only_with_runs_of_its_own_conditions(write_run: Write, tmp_path: Path) -> None:
    write_run(tmp_path / "good", "gan")
    for name, sets in (("same", ()), ("other", ("eval.num_images=77",))):
        write_run(tmp_path / name, "dcgan", sets=sets)
        (tmp_path / name / "result.json").unlink()
    tables = {table.protocol: table for table in read_tables([tmp_path])}
    assert [row.variant for row in tables["digits-a"].rows if row.failures] == ["dcgan"]
    assert [row.variant for row in tables["no result"].rows] == ["dcgan"]
    assert len(tables["digits-a"].rows[-1].runs) == 1
