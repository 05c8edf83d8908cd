"""Two sides by side: only what can be compared is, and chance is named where it may be."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.stats import ttest_ind

import ganzoo
from ganzoo.cli.main import cli
from ganzoo.errors import UserError
from ganzoo.leaderboard.beside import SideBySide
from ganzoo.leaderboard.columns import COLUMNS
from ganzoo.leaderboard.compare import Difference, compare, differing, side_of_model, side_of_run
from ganzoo.leaderboard.significance import welch_half_width
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.sources import find_source
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Model

Write = Callable[..., dict[str, Any]]


def difference(first: Path, second: Path, key: str = "fid") -> Difference:
    rows = compare(side_of_run(RunDirectory(first)), side_of_run(RunDirectory(second))).differences
    return next(row for row in rows if row.column.key == key)


def test_the_interval_is_scipys() -> None:
    first, second = [4.0, 5.0, 7.5], [9.0, 9.5, 12.0, 10.0]
    found = ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
    middle = sum(second) / 4 - sum(first) / 3
    half = welch_half_width(first, second)
    assert (middle - half, middle + half) == pytest.approx((found.low, found.high))
    assert welch_half_width([1.0, 1.0], [2.0, 2.0]) == 0.0
    with pytest.raises(ValueError, match="at least 2"):
        welch_half_width([1.0], [2.0, 3.0])


def test_seeds_beside_a_run_count_with_it(tmp_path: Path, write_run: Write) -> None:
    for seed, (ours, theirs) in enumerate(((10.0, 5.0), (11.0, 5.5), (12.0, 6.0))):
        write_run(tmp_path / f"gan-s{seed}", "gan", seed=seed, fid=ours)
        write_run(tmp_path / f"dcgan-s{seed}", "dcgan", seed=seed, fid=theirs)
    write_run(tmp_path / "gan-other", "gan", seed=7, fid=99.0, sets=("train.g_lr=0.5",))
    side = side_of_run(RunDirectory(tmp_path / "gan-s1"))
    assert (side.seeds, side.values["fid"]) == (3, (11.0, 10.0, 12.0))
    row = difference(tmp_path / "gan-s0", tmp_path / "dcgan-s2")
    assert row.difference == pytest.approx(-5.5)
    assert row.half == pytest.approx(welch_half_width([10, 11, 12], [5, 5.5, 6]))
    assert row.better == 1


def test_two_seeds_of_one_row_are_set_against_each_other(tmp_path: Path, write_run: Write) -> None:
    """And not the mean of both against itself."""
    for seed, fid in enumerate((10.0, 14.0, 99.0)):
        write_run(tmp_path / f"gan-s{seed}", "gan", seed=seed, fid=fid)
    first, second = (RunDirectory(tmp_path / f"gan-s{seed}") for seed in (0, 1))
    comparison = compare(side_of_run(first, second), side_of_run(second, first))
    (fid_row,) = [row for row in comparison.differences if row.column.key == "fid"]
    assert (fid_row.difference, fid_row.half) == (4.0, None)
    assert (comparison.first.name, comparison.second.name) == ("gan-s0", "gan-s1")
    assert comparison.notes == ("nothing but the seed differs: what the scores differ by is chance",)


def test_two_settings_of_a_variant_have_names_of_their_own(tmp_path: Path, write_run: Write) -> None:
    for seed in range(2):
        write_run(tmp_path / f"slow-s{seed}", "gan", seed=seed, sets=("train.g_lr=0.0001",))
        write_run(tmp_path / f"fast-s{seed}", "gan", seed=seed, sets=("train.g_lr=0.1",))
    slow, fast = RunDirectory(tmp_path / "slow-s0"), RunDirectory(tmp_path / "fast-s0")
    assert side_of_run(slow, fast).name == "slow-s0, 2 seeds"
    assert side_of_run(fast, slow).name == "fast-s0, 2 seeds"


def test_a_snapshot_has_its_own_scores_or_none(tmp_path: Path, write_run: Write, registry: Registry) -> None:
    """Not those of the end of its run."""
    data = find_source(registry, "dcgan@digits").file.read_bytes()
    write_run(tmp_path / "run", "dcgan", fid=10.0)
    (tmp_path / "run" / "snapshots").mkdir()
    early, last = (tmp_path / "run" / "snapshots" / f"{kimg}.safetensors" for kimg in ("000032.000", "000064.000"))
    stray = tmp_path / "stray.safetensors"
    for file in (early, last, stray):
        file.write_bytes(data)
    score = {"images": 32000, "kimg": 32.0, "values": {"fid": 70.0}, "seconds": 1.0, "sample_img_per_s": 1.0,
             "left_out": {}, "protocol": "digits-a"}  # fmt: skip
    (tmp_path / "run" / "metrics.jsonl").write_text(json.dumps(score) + "\n")
    pair = ganzoo.compare(early, last, n=4)
    assert (pair.first["name"], pair.second["name"]) == ("run at 32 kimg", "run")
    assert pair.numbers["fid"]["difference"] == -60.0
    (tmp_path / "run" / "metrics.jsonl").unlink()
    for file, name in ((early, "run at 32 kimg"), (stray, "stray.safetensors at 32 kimg")):
        pair = ganzoo.compare(tmp_path / "run", file, n=4)
        assert pair.numbers["fid"]["second"] is None
        assert pair.notes == [f"{name} has no scores"]


def test_what_the_interval_leaves_open_has_no_winner(tmp_path: Path, write_run: Write) -> None:
    for seed, (ours, theirs) in enumerate(((10.0, 9.0), (12.0, 11.5))):
        write_run(tmp_path / f"gan-s{seed}", "gan", seed=seed, fid=ours)
        write_run(tmp_path / f"dcgan-s{seed}", "dcgan", seed=seed, fid=theirs)
    assert difference(tmp_path / "gan-s0", tmp_path / "dcgan-s0").better is None


def test_higher_is_better_where_it_is(tmp_path: Path, write_run: Write) -> None:
    write_run(tmp_path / "a", "gan", fid=5.0, changes={"train_img_per_s": 10.0})
    write_run(tmp_path / "b", "dcgan", fid=5.0, changes={"train_img_per_s": 30.0})
    assert difference(tmp_path / "a", tmp_path / "b", "train_img_per_s").better == 1
    assert difference(tmp_path / "a", tmp_path / "b", "fid").better is None  # equal


def test_scores_of_other_protocols_are_not_subtracted(tmp_path: Path, write_run: Write) -> None:
    write_run(tmp_path / "a", "gan", protocol="digits-a")
    write_run(tmp_path / "b", "dcgan", protocol="digits-b")
    comparison = compare(*(side_of_run(RunDirectory(tmp_path / name)) for name in "ab"))
    by_key = {row.column.key: row for row in comparison.differences}
    assert by_key["fid"].difference is None
    assert by_key["fid"].first is not None
    assert by_key["parameters"].difference == 0  # no protocol has a say in that
    assert any("different protocols" in note for note in comparison.notes)
    assert not any("chance" in note for note in comparison.notes)


def test_speeds_of_other_machines_are_not_subtracted(tmp_path: Path, write_run: Write) -> None:
    for name, device in (("a", "one"), ("b", "another")):
        result = write_run(tmp_path / name, "gan" if name == "a" else "dcgan")
        result["environment"]["device"] = device
        (tmp_path / name / "result.json").write_text(json.dumps(result))
    comparison = compare(*(side_of_run(RunDirectory(tmp_path / name)) for name in "ab"))
    by_key = {row.column.key: row for row in comparison.differences}
    assert by_key["train_img_per_s"].difference is None
    assert by_key["fid"].difference == 0
    assert any("different machines" in note for note in comparison.notes)
    assert any("chance" in note for note in comparison.notes)


def test_only_settings_that_differ_are_told(tmp_path: Path, write_run: Write) -> None:
    ours = write_run(tmp_path / "a", "gan", sets=("train.g_lr=0.01", "device=cpu"))["config"]
    theirs = write_run(tmp_path / "b", "gan", seed=4)["config"]
    assert differing(ours, theirs) == (("train.g_lr", 0.01, theirs["train"]["g_lr"]),)  # neither seed nor device


def test_a_run_without_a_result_and_a_model_can_be_looked_at(tmp_path: Path, write_run: Write) -> None:
    config = write_run(tmp_path / "a", "gan")["config"]
    (tmp_path / "a" / "result.json").unlink()
    unfinished = side_of_run(RunDirectory(tmp_path / "a"))
    model = side_of_model(Model(name="gan@digits", target="x", sha256="0", values={"fid": 3.0}, protocol="p"), config)
    comparison = compare(unfinished, model)
    assert "a has no scores" in comparison.notes
    (fid,) = [row for row in comparison.differences if row.column is COLUMNS[0]]
    assert fid.first is None
    assert fid.second is not None
    assert math.isclose(fid.second.mean, 3.0)
    assert fid.difference is None


def test_the_command_compares_shipped_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    cli.main(["compare", "dcgan@digits", "cdcgan@digits", "-n", "20", "--json"], standalone_mode=False)
    document = json.loads(capsys.readouterr().out)
    fid = document["numbers"]["fid"]
    assert fid["difference"] == pytest.approx(fid["second"]["mean"] - fid["first"]["mean"])
    assert document["settings"]["variant.name"] == ["dcgan", "cdcgan"]
    with Image.open("compare.png") as image:
        assert image.width == 2 * 2 * 342 + 16
        assert image.height > 2 * 34
    cli.main(["compare", "dcgan@digits", "cdcgan@digits", "-n", "20", "--labels", "3"], standalone_mode=False)
    told = capsys.readouterr()
    assert "compare.png was there before, and is replaced" in told.err
    assert "settings that differ" in told.out


def test_from_python_it_is_the_commands_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    cli.main(["compare", "dcgan@digits", "cdcgan@digits", "-n", "20", "--json"], standalone_mode=False)
    document = json.loads(capsys.readouterr().out)
    pair = ganzoo.compare("dcgan@digits", "cdcgan@digits", n=20)
    assert {**pair.to_dict(), "picture": "compare.png"} == document
    pair.save("mine.png")
    assert Path("mine.png").read_bytes() == Path("compare.png").read_bytes()
    assert f"FID {document['numbers']['fid']['difference']:+.2f}" in repr(pair)
    html = pair._repr_html_()
    assert html.count("<table>") == html.count("</table>") == 2
    assert "20 images each of dcgan@digits, left, and cdcgan@digits, right" in html
    assert "<b>" in html
    assert "<th>variant.name</th><td>dcgan</td><td>cdcgan</td>" in html
    with pytest.raises(UserError, match="there is no class 12"):
        ganzoo.compare("dcgan@digits", "cdcgan@digits", labels=[12])


def test_both_make_images_of_the_same_noise_of_the_seed() -> None:
    pair = ganzoo.compare("dcgan@digits", "dcgan@digits", n=8)
    pixels = np.asarray(pair.picture)[26:]  # below the names
    width = (pixels.shape[1] - 16) // 2
    assert np.array_equal(pixels[:, :width], pixels[:, -width:])
    assert pixels[:, :width].std() > 20
    other = ganzoo.compare("dcgan@digits", "dcgan@digits", n=8, seed=1)
    assert not np.array_equal(np.asarray(other.picture), np.asarray(pair.picture))


def test_a_name_from_elsewhere_is_no_html(tmp_path: Path, write_run: Write) -> None:
    for name in ("<b>a", "b"):
        write_run(tmp_path / name)
    comparison = compare(*(side_of_run(RunDirectory(tmp_path / name)) for name in ("<b>a", "b")))
    html = SideBySide(comparison=comparison, picture=Image.new("RGB", (4, 4)), images=1)._repr_html_()
    assert "<b>a" not in html
    assert "&lt;b&gt;a" in html
