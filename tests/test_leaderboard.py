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

from ganzoo.columns import COLUMNS, Number, summarize
from ganzoo.errors import RunError, UnknownName, UserError
from ganzoo.leaderboard import Row, Table, read_tables
from ganzoo.render import notes, show, to_csv, to_json, to_markdown

Write = Callable[..., dict[str, Any]]
FID = COLUMNS[0]


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


def test_mean_and_student_t_interval() -> None:
    # mean 4, sample standard deviation 2, t(0.975, 2) = 4.303: 4.303 * 2 / sqrt(3) = 4.9687
    number = summarize([2.0, 4.0, 6.0])
    assert number is not None
    assert (number.mean, number.n) == (4.0, 3)
    assert number.half == pytest.approx(4.9687, abs=1e-4)
    # sd 1, n = 2: 12.706 * 0.70711 / 1.41421
    pair = summarize([1.0, 2.0])
    assert pair is not None
    assert pair.half == pytest.approx(6.353, abs=1e-3)


@pytest.mark.parametrize(("n", "t"), [(31, 2.0423), (32, 2.0395), (61, 2.0003), (1001, 1.9623)])
def test_the_interval_of_many_seeds(n: int, t: float) -> None:
    values = [0.0, 1.0] * (n // 2) + [0.5] * (n % 2)
    deviation = (sum((value - 0.5) ** 2 for value in values) / (n - 1)) ** 0.5
    number = summarize(values)
    assert number is not None
    assert number.half == pytest.approx(t * deviation / n**0.5, rel=2e-3)


def test_absent_and_infinite_values_do_not_count() -> None:
    assert summarize([None, 3.0, float("nan"), float("inf")]) == Number(mean=3.0, half=None, n=1)
    assert summarize([None]) is None
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
    seeds("cgan", [6.0, None, 6.5])
    table = only_table(tmp_path)
    assert [(row.variant, row.rank) for row in generated(table)] == [
        ("dcgan", None), ("wgan-gp", 1), ("cgan", None), ("gan", 2),
    ]  # fmt: skip
    assert any("not ranked, fewer than 3 seeds" in line for line in notes(table))


def test_rows_are_sorted_by_any_column(seeds: Callable[..., None], tmp_path: Path) -> None:
    seeds("gan", [1.0, 1.0, 1.0], changes={"train_img_per_s": 10.0})
    seeds("dcgan", [2.0, 2.0, 2.0], changes={"train_img_per_s": 30.0})
    seeds("cgan", [3.0, 3.0, 3.0], changes={"train_img_per_s": None})
    order = [(row.variant, row.rank) for row in generated(only_table(tmp_path, "train_img_per_s"))]
    assert order == [("dcgan", 1), ("gan", 2), ("cgan", None)]
    with pytest.raises(UnknownName, match=r"column 'fids' .did you mean fid"):
        read_tables([tmp_path], "fids")


def test_the_floor_stands_first_and_has_no_rank(seeds: Callable[..., None], tmp_path: Path) -> None:
    seeds("gan", [0.1, 0.1, 0.1])  # "better" than real data
    table = only_table(tmp_path)
    floor = table.rows[0]
    assert (floor.kind, floor.rank, floor.variant) == ("real", None, "real data")
    assert table.floor == "test against train, 360 images"
    assert "real data: test against train, 360 images" in notes(table)
    assert floor.numbers["fid"] == Number(mean=0.25, half=None, n=1)
    assert floor.numbers["kimg"] is None


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
    assert gan.status == "2/5 failed: MemoryError: too big"
    assert gan.failures[1] == "not finished; the same command continues it"
    assert (dcgan.variant, dcgan.results, dcgan.rank, dcgan.failures) == ("dcgan", [], None, ["no message"])
    text = to_markdown([table])
    assert "gan: 2/5 failed: MemoryError: too big" in text
    assert "dcgan: 1/1 failed: no message" in text


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
    assert table.rows[0].status == "1/1 failed: boom"
    for render in (to_json, to_csv, to_markdown):
        assert "boom" in render([table])


def test_diverged_seeds_are_told(tmp_path: Path, write_run: Write) -> None:
    for seed in range(3):
        changes = {"diverged": "d_loss is nan", "last": None, "best": None} if seed == 1 else {}
        write_run(tmp_path / str(seed), seed=seed, changes=changes)
    (row,) = generated(only_table(tmp_path))
    assert row.status == "1/3 diverged: d_loss is nan"
    assert row.rank is None
    assert row.numbers["fid"] == Number(mean=10.0, half=0.0, n=2)


def test_other_settings_are_another_row_and_told_apart(seeds: Callable[..., None], tmp_path: Path) -> None:
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
    assert row.status == "2 left out: their seeds are counted already"


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"protocol": {"id": "x"}}', "\0\1"])
def test_a_damaged_result_is_a_user_error_that_names_the_file(text: str, tmp_path: Path, write_run: Write) -> None:
    write_run(tmp_path / "good")
    write_run(tmp_path / "bad", seed=1)
    (tmp_path / "bad" / "result.json").write_text(text)
    with pytest.raises(RunError, match=r"result\.json") as caught:
        read_tables([tmp_path])
    assert str(tmp_path / "bad") in caught.value.cause


def test_a_damaged_config_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json"):
        read_tables([tmp_path])


def test_folders_without_runs(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there are no runs here"):
        read_tables([tmp_path])
    with pytest.raises(RunError, match="is no folder"):
        read_tables([tmp_path / "nowhere"])
    (tmp_path / "config.json").write_text('{"theme": "dark"}')  # some other program's
    with pytest.raises(RunError, match="there are no runs here"):
        read_tables([tmp_path])


def test_markdown_is_a_table_with_its_conditions(seeds: Callable[..., None], tmp_path: Path) -> None:
    seeds("gan", [2.0, 4.0, 6.0])
    lines = to_markdown([only_table(tmp_path)]).splitlines()
    head, rule, floor, row = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines[:4])
    assert len(head) == len(rule) == len(floor) == len(row)
    cells = dict(zip(head, row, strict=True))
    assert cells["FID"] == "4.00 ± 4.97"
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
    assert [record["variant"] for record in records][1:] == ["dcgan", "gan"]
    gan = records[2]
    assert (gan["protocol"], gan["rank"], gan["kind"], gan["seeds"]) == ("digits-a", "1", "generated", "3")
    assert float(gan["fid"]) == 4.0
    assert float(gan["fid_interval95"]) == pytest.approx(4.9687, abs=1e-4)
    assert (records[1]["rank"], records[1]["fid_interval95"]) == ("", "")
    (document,) = json.loads(to_json([table]))
    assert document["protocol"] == "digits-a"
    assert document["rows"][2]["numbers"]["fid"] == {"mean": 4.0, "interval95": pytest.approx(4.9687, abs=1e-4), "n": 3}
    assert document["rows"][1]["rank"] is None
    assert len(document["rows"][2]["runs"]) == 3


def test_show() -> None:
    assert show(FID, None) == "-"
    assert show(FID, Number(mean=12.345, half=None, n=1)) == "12.35"
    assert show(FID, Number(mean=12.345, half=0.5, n=3)) == "12.35 ± 0.50"


def test_the_command(
    seeds: Callable[..., None], tmp_path: Path, ganzoo: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    seeds("gan", [2.0, 4.0, 6.0])
    text = ganzoo("leaderboard", tmp_path).stdout
    assert "4.00 ± 4.97" in text
    assert "real data" in text
    assert json.loads(ganzoo("leaderboard", tmp_path, "--json").stdout)[0]["rows"][1]["variant"] == "gan"
    (tmp_path / "gan-s0" / "result.json").write_text("{")
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


@pytest.mark.parametrize("width", [80, 120, 240])
def test_tables_fit_the_terminal_and_lose_nothing(write_run: Write, tmp_path: Path, width: int) -> None:
    from rich.console import Console

    from ganzoo.display import print_tables

    for seed in range(3):
        write_run(tmp_path / f"a{seed}", "upsample-dcgan", seed=seed, fid=10.0 + seed)
    write_run(tmp_path / "b", "gan", fid=123456.78)
    tables = read_tables([tmp_path])
    out = io.StringIO()
    print_tables(tables, Console(file=out, width=width))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in out.getvalue()
    assert "123,456.78" in out.getvalue()
    assert "11.00 ± 2.48" in out.getvalue()  # t(0.975, 2) = 4.303, times 1 / sqrt(3)
    heads = [line for line in lines if line.startswith("rank")]
    assert (len(heads) == 1) == (width == 240)
    titles = " ".join(heads)
    assert all(
        column.title in titles for column in tables[0].columns if column.key in ("fid", "kid", "params", "seconds")
    )


def test_speeds_of_different_machines_are_not_averaged(write_run: Write, tmp_path: Path) -> None:
    for seed, device in enumerate(("some CPU", "some CPU", "some GPU")):
        result = write_run(tmp_path / f"{seed}", seed=seed)
        result["environment"]["device"] = device
        (tmp_path / f"{seed}" / "result.json").write_text(json.dumps(result))
    (table,) = read_tables([tmp_path])
    row = table.rows[-1]
    assert row.rank == 1  # quality is a matter of the protocol
    assert row.numbers["fid"] is not None
    assert row.numbers["train_img_per_s"] is None
    assert row.numbers["peak_memory"] is None
    assert row.numbers["parameters"] is not None
    assert any("different machines" in line for line in notes(table))


def test_settings_in_a_label_are_not_taken_for_markup(write_run: Write, tmp_path: Path) -> None:
    from rich.console import Console

    from ganzoo.display import print_tables

    for width in (64, 128):
        write_run(tmp_path / f"{width}", "gan", sets=(f"variant.width={width}",))
    out = io.StringIO()
    print_tables(read_tables([tmp_path]), Console(file=out, width=240))
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
