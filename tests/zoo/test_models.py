"""Models as a kind: the index of a folder, names, what is listed; and those that come with ganzoo are as promised."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

import ganzoo
from ganzoo.cli.main import cli
from ganzoo.errors import RunError, SettingError, UnknownName, UserError
from ganzoo.zoo.models import checked_file, find_model, is_model_name, markdown, model_of, read_index
from ganzoo.zoo.plugins import Plugin
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import Model, Variant

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "plugins" / "ganzoo_models"
MOST_BYTES, MOST_BYTES_IN_ALL = 4_000_000, 30_000_000


def zoo_of(*names: str, target: str = "nowhere.safetensors") -> Registry:
    models = [Model(name=name, target=target, sha256="ab" * 32) for name in names]
    variants = [Variant(name=name, target="a:b") for name in ("gan", "dcgan", "cdcgan")]
    return Registry([Plugin(name="p", origin="p 1.0", module="p", specs={"variants": variants, "models": models})])


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "file": "gan@digits.safetensors", "sha256": "ab" * 32, "bytes": 1_000_000, "kimg": 8.0, "parameters": 5000,
        "values": {"fid": 3.0, "class-fid.3": 2.0}, "protocol": {"id": "digits-x"}, "command": "ganzoo train gan",
        **changes,
    }  # fmt: skip


def write_index(folder: Path, models: Any, schema: int = 1) -> None:
    (folder / "index.json").write_text(json.dumps({"schema": schema, "models": models}))


def test_models_of_a_folder(tmp_path: Path) -> None:
    write_index(tmp_path, {"gan@digits": entry()})
    (model,) = ganzoo.models_in(tmp_path)
    assert (model.name, model.variant, model.dataset) == ("gan@digits", "gan", "digits")
    assert model.target == str(tmp_path / "gan@digits.safetensors")
    assert (model.size, model.kimg, model.parameters, model.protocol) == (1_000_000, 8.0, 5000, "digits-x")
    assert dict(model.values) == {"fid": 3.0}
    assert all(word in model.summary for word in ("FID 3.00", "8 kimg", "5k parameters", "1.00 MB", "digits-x"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"sha256": 3}, "sha256"), ({"file": "../other.safetensors"}, "file"), ({"protocol": {}}, "protocol"),
     ({"values": None}, "values")],
)  # fmt: skip
def test_an_index_that_is_none(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    write_index(tmp_path, {"gan@digits": entry(**changes)})
    with pytest.raises(UserError, match=f"gan@digits: {said} is not what it should be"):
        ganzoo.models_in(tmp_path)


def test_no_index(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        ganzoo.models_in(tmp_path)
    write_index(tmp_path, {}, schema=99)
    with pytest.raises(UserError, match="no index of models of this version"):
        ganzoo.models_in(tmp_path)


def test_which_model_a_variant_means() -> None:
    zoo = zoo_of("dcgan@fashion-mnist", "dcgan@digits", "gan@faces", "cdcgan@a", "cdcgan@b")

    def name(variant: str, dataset: str | None = None) -> str | None:
        model = model_of(zoo, variant, dataset)
        return None if model is None else model.name

    assert name("dcgan") == "dcgan@digits"
    assert name("dcgan", "fashion-mnist") == "dcgan@fashion-mnist"
    assert name("dcgan", "mnist") is None
    assert name("gan") == "gan@faces"  # the only one
    assert name("gan", "digits") is None
    assert name("wgan-gp") is None
    with pytest.raises(SettingError, match="name one: cdcgan@a, cdcgan@b"):
        name("cdcgan")


def test_a_model_that_is_not_there() -> None:
    zoo = zoo_of("dcgan@digits", "cdcgan@digits")
    with pytest.raises(RunError) as caught:
        find_model(zoo, "dcgan@mnist")
    assert caught.value.cause == "there is no model dcgan@mnist"
    assert "models of dcgan: dcgan@digits" in caught.value.cure
    with pytest.raises(UnknownName, match="did you mean dcgan@digits"):
        find_model(zoo, "dcgn@digits")


def test_what_has_the_form_of_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_model_name("dcgan@digits")
    assert not any(map(is_model_name, ("dcgan", "runs/a@b", "a@b.safetensors")))
    (tmp_path / "dcgan@digits").mkdir()
    assert not is_model_name("dcgan@digits")


def test_a_damaged_file(tmp_path: Path) -> None:
    file = tmp_path / "gan@digits.safetensors"
    zoo = zoo_of("gan@digits", target=str(file))
    with pytest.raises(RunError, match=r"cannot be read: .* does not exist.*reinstall p 1\.0"):
        checked_file(zoo, zoo.model("gan@digits"))
    file.write_bytes(b"other")
    with pytest.raises(RunError, match=r"gan@digits is damaged: the SHA-256 of .*recorded is abab.*reinstall p 1\.0"):
        checked_file(zoo, zoo.model("gan@digits"))


def test_they_are_listed(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["list", "models"], standalone_mode=False)
    text = capsys.readouterr().out
    cli.main(["list", "models", "--json"], standalone_mode=False)
    document = json.loads(capsys.readouterr().out)["models"]
    for model, said in zip(registry.models(), document, strict=True):
        assert model.name in text
        assert (said["variant"], said["dataset"], said["kimg"]) == (model.variant, model.dataset, model.kimg)
        assert said["values"]["fid"] == model.values["fid"]
        assert said["protocol"] == model.protocol


def test_those_of_ganzoo_are_as_promised(registry: Registry) -> None:
    entries = read_index(FOLDER)
    files = {path.name for path in FOLDER.glob("*.safetensors")}
    assert files == {entry["file"] for entry in entries.values()}
    assert {model.name for model in registry.models()} == entries.keys()
    for name, known in entries.items():
        data = (FOLDER / known["file"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (known["bytes"], known["sha256"]), name
        assert len(data) <= MOST_BYTES, name
        variant, _, dataset = name.partition("@")
        assert known["conditional"] == registry.variant(variant).conditional
        assert registry.dataset(dataset).name == known["protocol"]["dataset"]
        assert known["command"].startswith(f"ganzoo train {variant} --dataset {dataset} ")
        assert known["dtype"] in ("fp16", "bf16")
        assert known["values"]["fid"] == pytest.approx(known["values_before"]["fid"], rel=0.02, abs=0.02)
    assert sum(known["bytes"] for known in entries.values()) <= MOST_BYTES_IN_ALL
    assert str(REPOSITORY) not in (FOLDER / "index.json").read_text()


def test_they_are_package_data() -> None:
    """The build takes all files of these folders."""
    build = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert all("plugins" in build[target]["only-include"] for target in ("wheel", "sdist"))
    assert not any("safetensors" in text or "json" in text for text in build["wheel"]["exclude"])


def test_the_page_has_their_table() -> None:
    page = (REPOSITORY / "docs" / "models.md").read_text(encoding="utf-8")
    assert f"<!-- models -->\n{markdown(read_index(FOLDER))}\n<!-- /models -->" in page


def test_a_model_is_checked(registry: Registry, tmp_path: Path) -> None:
    known = next(model for model in registry.models() if model.name == "cdcgan@digits")
    verdict = ganzoo.check(known.name, registry=registry)
    assert verdict.ok, verdict
    assert {"weights", "images"} <= {one.check for report in verdict.reports for one in report.findings}
    fields = {"target": known.target, "sha256": known.sha256}
    wrong = [
        Model(name="dcgan@mine", **fields, kimg=known.kimg),
        Model(name="cdcgan@mine", **fields, kimg=3.0),
        Model(name="cdcgan@other", target=known.target, sha256="ab" * 32),
    ]
    plugin = Plugin(name="p", origin="p 1.0", module="p", specs={"models": [*wrong]})
    zoo = Registry([*registry.plugins, plugin])
    for model, said in zip(wrong, ("the file is of cdcgan", "the spec 3", "is damaged"), strict=True):
        (failure,) = ganzoo.check(model.name, registry=zoo).failures
        assert said in failure.found
