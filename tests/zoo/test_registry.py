"""A name means one thing: duplicates raise and name both owners, unknown names suggest."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from ganzoo import Dataset, Features, Metric, Objective, Variant
from ganzoo.errors import DuplicateName, UnknownName
from ganzoo.zoo.plugins import Plugin
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.source import source_sha256
from ganzoo.zoo.specs import KINDS, Spec


def plugin(name: str, *specs: Spec, origin: str | None = None, local: bool = False) -> Plugin:
    kinds = {spec_type: kind for kind, spec_type in KINDS.items()}
    found: dict[str, list[Spec]] = {}
    for spec in specs:
        found.setdefault(kinds[type(spec)], []).append(spec)
    return Plugin(name=name, origin=origin or f"{name} 1.0", module=name, specs=found, local=local)


def variant(name: str) -> Variant:
    return Variant(name=name, target="nowhere:build")


def test_specs_are_found_by_kind_and_name_and_know_their_owner() -> None:
    shared = Objective(name="a", target="nowhere:loss")
    zoo = Registry([plugin("p", variant("a"), variant("b")), plugin("q", shared)])
    assert zoo.variant("b").name == "b"
    assert zoo.objective("a") is shared
    assert zoo.find("a") == [("variants", zoo.variant("a")), ("objectives", shared)]
    assert [spec.name for spec in zoo.all("variants")] == ["a", "b"]
    assert zoo.owner("variants", "a").name == "p"
    assert zoo.owner("objectives", "a").name == "q"
    assert zoo.has("variant", "a")
    assert not zoo.has("features", "a")


@pytest.mark.parametrize("spec_type", [Variant, Objective, Dataset, Features, Metric])
def test_a_duplicate_name_is_fatal_and_names_both_owners(spec_type: type[Spec]) -> None:
    first, second = (spec_type(name="same", target="nowhere:x") for _ in range(2))
    with pytest.raises(DuplicateName, match="'same'") as caught:
        Registry([plugin("p", first, origin="dist-p 1.1"), plugin("q", second, origin="dist-q 2.2")])
    assert "'p' (dist-p 1.1)" in caught.value.cause
    assert "'q' (dist-q 2.2)" in caught.value.cause
    assert caught.value.cure == "leave one out with GANZOO_DISABLE=q"


def test_the_cure_for_a_duplicate_is_one_that_works() -> None:
    core, local = plugin("core", variant("a")), plugin("mine", variant("a"), local=True)
    with pytest.raises(DuplicateName, match="rename yours"):
        Registry([core, local])
    with pytest.raises(DuplicateName, match="GANZOO_DISABLE=q"):
        Registry([plugin("q", variant("a")), local])


def test_unknown_names_suggest_the_nearest_and_list_all(registry: Registry) -> None:
    with pytest.raises(UnknownName) as caught:
        registry.variant("dgcan")
    assert caught.value.cause == "unknown variant 'dgcan'"
    assert caught.value.cure.startswith("did you mean dcgan or ")
    names = sorted(spec.name for spec in registry.variants())
    assert f"known: {', '.join(names)}" in caught.value.cure
    for get, name, near in (
        (registry.objective, "hinges", "hinge"),
        (registry.dataset, "fashion_mnist", "fashion-mnist"),
        (registry.features, "inceptoin", "inception"),
        (registry.metric, "fidd", "fid"),
        (registry.callback, "tensorbord", "tensorboard"),
    ):
        with pytest.raises(UnknownName, match=f"did you mean {near}"):
            get(name)
    with pytest.raises(UnknownName, match="did you mean wgan-gp"):
        registry.find("wgan_gp")


def test_an_unknown_name_mentions_the_plugin_that_failed() -> None:
    broken = Plugin(name="bad", origin="bad 1", module="bad", error="ImportError: no lungs")
    zoo = Registry([broken, plugin("p", variant("toad"))])
    cause = r"'frog'; plugin bad failed to load \(ImportError: no lungs\)"
    for ask in (zoo.variant, zoo.find):
        with pytest.raises(UnknownName, match=cause) as caught:
            ask("frog")
        assert caught.value.cure.startswith("mend plugin bad: `ganzoo plugins bad` has the traceback; known: ")
    with pytest.raises(UnknownName) as caught:
        zoo.variant("tood")
    assert caught.value.cure.startswith("did you mean toad? Else mend plugin bad: ")
    assert pickle.loads(pickle.dumps(caught.value)).cure == caught.value.cure


def test_the_source_hash_follows_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "hashed_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "networks.py").write_text("def build(): ...\n")
    (package / "blocks.py").write_text("x = 1\n")
    (tmp_path / "hashed_module.py").write_text("def build(): ...\n")
    (tmp_path / "neighbour.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    spec = Variant(name="a", target="hashed_package.networks:build")
    lone = Variant(name="b", target="hashed_module:build")
    before = source_sha256(spec), source_sha256(lone)
    assert before == (source_sha256(spec), source_sha256(lone))
    assert before[0] != before[1]
    (package / "blocks.py").write_text("x = 2\n")  # what the networks are made of
    assert source_sha256(spec) != before[0]
    (tmp_path / "neighbour.py").write_text("x = 2\n")  # no package: nothing to do with it
    assert source_sha256(lone) == before[1]
    (tmp_path / "hashed_module.py").write_text("def build(): return 1\n")
    assert source_sha256(lone) != before[1]


def test_the_source_of_an_object_and_of_nothing() -> None:
    assert len(source_sha256(Variant(name="a", target=plugin))) == 64
    assert source_sha256(Variant(name="a", target=len)) == ""
    assert source_sha256(Variant(name="a", target="there_is_no.such_module:build")) == ""


def test_a_plugins_source_includes_the_plugins_it_is_made_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in (("ganzoo_base_x", "WIDTH = 1\n"), ("ganzoo_derived_x", "import ganzoo_base_x\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
    spec = Variant(name="a", target="ganzoo_derived_x:build")
    before = source_sha256(spec)
    (tmp_path / "ganzoo_base_x" / "__init__.py").write_text("WIDTH = 2\n")
    assert source_sha256(spec) != before
