"""What is said around a table: who is ahead and whether that is luck, what keeps rows from a rank."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganzoo.leaderboard.rows import Table
from ganzoo.leaderboard.table import read_tables
from ganzoo.leaderboard.words import conditions, no_rank, notes, problems, title, verdict

Seeds = Callable[..., None]


@pytest.fixture
def seeds(tmp_path: Path, write_run: Callable[..., dict[str, Any]]) -> Seeds:
    """`seeds("gan", [1.0, 2.0, 3.0])` writes a run for each FID, with seeds 0, 1, ..."""

    def write(variant: str, fids: list[float], name: str = "", **options: Any) -> None:
        for seed, fid in enumerate(fids):
            write_run(tmp_path / f"{name or variant}-s{seed}", variant, seed=seed, fid=fid, **options)

    return write


def table(path: Path, sort: str = "fid") -> Table:
    (found,) = read_tables([path], sort)
    return found


def test_one_seed_is_no_winner(seeds: Seeds, tmp_path: Path) -> None:
    seeds("gan", [9.0])
    assert verdict(table(tmp_path)) == []
    assert no_rank(table(tmp_path)) == []  # of one row nobody expects a rank
    seeds("dcgan", [3.0])
    assert verdict(table(tmp_path)) == ["dcgan has the lowest FID, 3.00; one seed cannot be told from luck"]
    assert no_rank(table(tmp_path)) == ["no rank: fewer than 3 seeds (--seeds 3 trains as many)"]
    seeds("cgan", [2.0, 4.0])
    assert verdict(table(tmp_path))[0].endswith("; seeds are too few to tell that from luck")


def test_a_winner_is_told_from_the_next_or_not(seeds: Seeds, tmp_path: Path) -> None:
    seeds("gan", [30.0, 30.3, 30.5])
    seeds("dcgan", [10.0, 10.4, 10.2])
    said = "dcgan has the lowest FID, 10.20 ± 0.50; the next, gan, is told from it at 5 %"
    assert verdict(table(tmp_path)) == [said]
    seeds("cgan", [10.1, 10.5, 10.4])
    assert verdict(table(tmp_path)) == ["dcgan has the lowest FID, 10.20 ± 0.50; cgan cannot be told from it at 5 %"]
    seeds("wgan-gp", [1.0])
    lines = verdict(table(tmp_path))
    assert lines[1] == "above it, without a rank: wgan-gp"
    by_speed = verdict(table(tmp_path, "train_img_per_s"))
    assert "highest train img/s, 1,000" in by_speed[0]


def test_many_that_are_not_told_apart_are_counted(seeds: Seeds, tmp_path: Path) -> None:
    for number, variant in enumerate(("gan", "dcgan", "cgan", "cdcgan", "wgan-gp", "upsample-dcgan")):
        seeds(variant, [10.0 + number / 100, 12.0, 14.0])
    assert verdict(table(tmp_path))[0].endswith("; 5 others cannot be told from it at 5 %")


def test_rows_of_one_variant_are_named_with_what_they_train(seeds: Seeds, tmp_path: Path) -> None:
    seeds("dcgan", [3.0])
    seeds("dcgan", [2.0], name="augmented", sets=("augmentations=ada",), changes={"diverged": "after 1 kimg"})
    seeds("gan", [9.0])
    found = table(tmp_path)
    assert verdict(found)[0].startswith("dcgan + non-saturating + ada has the lowest FID, 2.00; ")
    assert problems(found)[0].startswith("dcgan + non-saturating + ada: 1/1 diverged")
    seeds("gan", [1.0], name="best")  # of one objective alone, as "gan" was
    assert verdict(table(tmp_path))[0].startswith("gan has the lowest FID")


def test_the_title_says_what_is_the_same_for_all(seeds: Seeds, tmp_path: Path) -> None:
    seeds("gan", [9.0])
    assert title(table(tmp_path)) == "digits, 1 seed, 1 kimg (1,000 real images)"
    seeds("dcgan", [3.0], changes={"kimg": 2.0})
    assert title(table(tmp_path)) == "digits, 1 seed each"
    seeds("cgan", [3.0, 4.0])
    assert title(table(tmp_path)) == "digits"


def test_the_title_counts_images_to_the_end_of_their_batch(seeds: Seeds, tmp_path: Path) -> None:
    sets = ("train.kimg=0.2", "train.batch_size=64")
    seeds("gan", [9.0], sets=sets, changes={"kimg": 0.256})
    assert title(table(tmp_path)) == "digits, 1 seed, 0.2 kimg (256 real images)"
    seeds("dcgan", [9.0], sets=("train.kimg=0.2", "train.batch_size=128"), changes={"kimg": 0.256})
    assert title(table(tmp_path)) == "digits, 1 seed each, 0.2 kimg (256 real images) each"
    seeds("cgan", [9.0], sets=("train.kimg=0.2", "train.batch_size=50"), changes={"kimg": 0.2})
    assert title(table(tmp_path)) == "digits, 1 seed each, 0.2 kimg each"


def test_runs_that_have_no_result_have_a_title(seeds: Seeds, tmp_path: Path) -> None:
    seeds("gan", [9.0])
    (tmp_path / "gan-s0" / "result.json").unlink()
    assert title(table(tmp_path)) == "runs without a result"


def test_below_zero_is_explained_where_it_is_shown(seeds: Seeds, tmp_path: Path) -> None:
    floor = {"name": "test split", "what": "test", "images": 9, "reference": 9, "values": {"kid": -0.1, "fid": 0.1}}
    seeds("gan", [9.0], changes={"floors": [floor]})
    said = "KID is unbiased: below 0 means that there is no difference to be seen"
    assert said in conditions(table(tmp_path))
    assert said in conditions(table(tmp_path), ["fid", "kid"])
    assert said not in conditions(table(tmp_path), ["fid"])


def test_the_protocol_in_words(seeds: Seeds, tmp_path: Path) -> None:
    ingredients = {"generated_count": 2000, "reference_count": 1437, "features": "digits", "split": "train"}
    seeds("gan", [9.0], changes={"protocol": {"id": "digits-a", **ingredients}})
    said = "scores: 2,000 generated images against 1,437 real ones (train split), "
    assert f"{said}as the feature network 'digits' sees them" in notes(table(tmp_path))


def test_people_s_runs_are_rows_of_their_own(seeds: Seeds, tmp_path: Path) -> None:
    """Of one seed, in one folder: told by name, where without a name they would be copies."""
    for name, fid in (("anna", 3.0), ("Bob [b]", 4.0)):
        seeds("gan", [fid], name=name, sets=(f"name={name}",))
    seeds("gan", [5.0], name="nobody")
    found = table(tmp_path)
    assert [(row.name, row.status, row.settings) for row in found.rows] == [
        ("anna", "", ""), ("Bob [b]", "", ""), ("", "", ""),
    ]  # fmt: skip
    assert verdict(found)[0].startswith("gan (anna) has the lowest FID")
    record = json.loads((tmp_path / "anna-s0" / "result.json").read_text())
    record["config"]["name"] = {"not": "a name"}
    (tmp_path / "anna-s0" / "result.json").write_text(json.dumps(record))
    assert "config.name" in table(tmp_path).skipped[0]
