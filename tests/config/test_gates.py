"""Conditions that fail a build, and protocols of published numbers."""

from __future__ import annotations

import pytest

from ganzoo.config.gates import check_known, parse_gate
from ganzoo.config.options import config_of
from ganzoo.errors import SettingError, UnknownName
from ganzoo.zoo.registry import Registry


@pytest.mark.parametrize(
    ("text", "value", "fails"),
    [
        ("fid>20", 20.0, None),
        ("fid>20", 20.5, "fid is 20.5"),
        ("fid >= 20", 20.0, "fid is 20"),
        ("fid<1e1", 9.0, "fid is 9"),
        ("fid<=-1", 0.0, None),
        ("fid>20", None, "fid has no number"),
        ("fid>20", float("nan"), "fid has no number"),
    ],
)
def test_when_a_run_fails(text: str, value: float | None, fails: str | None) -> None:
    assert parse_gate(text).trips({"fid": value, "is": 1.0}) == fails


def test_a_score_that_is_not_there_fails() -> None:
    assert parse_gate("fid<20").trips({}) == "fid has no number"


@pytest.mark.parametrize("text", ["", "fid", "fid=20", "fid>", ">20", "fid>nan", "fid>x", "fid>1>2"])
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(SettingError, match="is no condition"):
        parse_gate(text)


def test_scores_that_nothing_computes() -> None:
    with pytest.raises(UnknownName, match="unknown score 'fdi'"):
        check_known([parse_gate("fdi>1")], ["fid", "is"])


def test_protocols_set_what_the_literature_does(registry: Registry) -> None:
    config = config_of(registry, "gan", {"protocol": "fid50k"})
    assert (config.features.name, config.eval.num_images, config.eval.num_reference) == ("inception", 50_000, None)
    assert config_of(registry, "gan", {"protocol": "fid10k"}).eval.num_images == 10_000


def test_what_is_said_besides_a_protocol_wins(registry: Registry) -> None:
    said = {"protocol": "fid50k", "features": "digits", "sets": ["eval.num_images=300"]}
    config = config_of(registry, "gan", said)
    assert (config.features.name, config.eval.num_images) == ("digits", 300)
    assert config_of(registry, "gan", {"protocol": "fid50k", "num_images": 9}).eval.num_images == 9
    file = {"config": {"eval": {"num_images": 5}}, "protocol": "fid10k"}
    assert config_of(registry, "gan", file).eval.num_images == 10_000  # an option wins over a file
    with pytest.raises(UnknownName, match="unknown protocol 'fid5k'"):
        config_of(registry, "gan", {"protocol": "fid5k"})
