"""What is compared where nobody says what."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganzoo.bench.chosen import CHOSEN, chosen_names, why_chosen
from ganzoo.bench.plan import entrants
from ganzoo.errors import SettingError
from ganzoo.zoo.registry import Registry

MINE = """
from ganzoo import Variant, hookimpl
GANZOO_API = 2
@hookimpl
def register_variants():
    return [Variant(name="mine", target="nowhere:mine")]
"""


def test_the_choice_is_of_the_zoo_and_what_others_add_joins_it(tmp_path: Path) -> None:
    registry = Registry.load(environ={})
    names = {spec.name for spec in registry.variants()}
    assert set(CHOSEN) <= names
    assert set(chosen_names(registry)) == set(CHOSEN)
    assert why_chosen(registry, next(iter(names - set(CHOSEN)))) is None
    (tmp_path / "mine.py").write_text(MINE)
    more = Registry.load([tmp_path / "mine.py"], environ={})
    assert set(chosen_names(more)) == {*CHOSEN, "mine"}
    assert why_chosen(more, "mine") == "of your plugin mine"


def test_the_choice_has_a_variant_of_each_kind() -> None:
    registry = Registry.load(environ={})
    chosen = [registry.variant(name) for name in CHOSEN]
    assert 8 <= len(chosen) <= 12
    assert {spec.conditional for spec in chosen} == {True, False}
    assert len({spec.objective for spec in chosen}) >= 3


def test_none_all_and_some(tmp_path: Path) -> None:
    def names(variants: str | None, dataset: str = "digits") -> list[str]:
        found = entrants(variants, tmp_path, {"dataset": dataset, "data_root": tmp_path})
        return [config.variant.name for config in found.configs]

    registry = Registry.load(environ={})
    assert names(None) == chosen_names(registry)
    assert names("all") == [spec.name for spec in registry.variants()]
    assert names("dcgan, gan") == ["dcgan", "gan"]
    for wrong, cause in (("", "no variant is named"), ("all,gan", "all, and gan")):
        with pytest.raises(SettingError, match=cause):
            names(wrong)
