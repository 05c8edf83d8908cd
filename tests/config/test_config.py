"""RunConfig: layers and their order, checks, files, and the round trip through JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ganzoo import Dataset, Objective, Setting, Variant
from ganzoo.config.documents import read_document
from ganzoo.config.fit import check_fit
from ganzoo.config.layers import build_config, from_dict
from ganzoo.config.presets import PRESETS, Preset
from ganzoo.config.run_config import RunConfig, difference, flatten
from ganzoo.errors import SettingError, UnknownName, UserError
from ganzoo.zoo.plugins import Plugin
from ganzoo.zoo.registry import Registry


@pytest.fixture
def zoo(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The installed zoo, and a plugin whose parts have defaults of their own; a preset of our own."""
    width = Setting(name="width", default=16, minimum=1, doc="Units.")
    plugin = Plugin(name="lab", origin="lab 1.0", module="lab", specs={
        "variants": [
            Variant(name="lab", target="lab:build", settings=(width,), sizes=(28, 32), objective="lab-loss",
                    defaults={"train.batch_size": 16, "train.beta1": 0.1, "variant.width": 32}),
            Variant(name="frozen", target="lab:build", settings=(width,), per_sample_critic=False),
            Variant(name="labelled", target="lab:build", conditional=True, channels=(3,)),
        ],
        "objectives": [Objective(name="lab-loss", target="lab:loss", defaults={"train.batch_size": 17,
                                                                                "train.beta2": 0.2},
                                 presets={"lab": {"train.batch_size": 18}})],
        "datasets": [Dataset(name="bare", target="lab:data", size=32, labelled=False, features="digits")],
    })  # fmt: skip
    values = {"train.batch_size": 15, "train.d_lr": 0.3, "variant.lab.width": 64, "variant.gone.width": 1,
              "variant.depth": 3}  # fmt: skip
    monkeypatch.setitem(PRESETS, "lab", Preset(summary="", values=values))
    return Registry([*registry.plugins, plugin])


def build(zoo: Registry, **arguments: Any) -> RunConfig:
    return build_config(zoo, **{"variant": "gan", **arguments})


def test_defaults(registry: Registry) -> None:
    config = build_config(registry, variant="wgan-gp", preset="standard")
    assert (config.objective.name, config.dataset.name, config.features.name) == ("wgan-gp", "digits", "digits")
    assert config.train.d_steps == 5
    assert config.objective.settings["gp_weight"] == 10.0
    assert (config.seed, config.precision, config.device, config.callbacks) == (0, "auto", "auto", ())


def test_later_layers_win(zoo: Registry) -> None:
    def batch_size(**layers: Any) -> int:
        return build(zoo, **layers).train.batch_size

    layers: dict[str, Any] = {"preset": "standard", "objective": "hinge"}
    assert batch_size(**layers) == 64  # default
    assert batch_size(preset="lab", objective="hinge") == 15
    layers["variant"] = "lab"
    assert batch_size(**layers) == 16
    layers["objective"] = "lab-loss"
    assert batch_size(**layers) == 17
    layers["preset"] = "lab"
    assert (
        batch_size(**layers) == 18
    )  # not the preset's, which a paper's recipe goes over, but its author's choice for it
    layers["document"] = {"train": {"batch_size": 19}}
    assert batch_size(**layers) == 19
    layers["sets"] = ["train.batch_size=20"]
    assert batch_size(**layers) == 20
    layers["sets"] = ["train.batch_size=20", "train.batch_size=21"]
    assert batch_size(**layers) == 21
    layers["overrides"] = {"train.batch_size": 22}
    assert batch_size(**layers) == 22


def test_layers_add_up(zoo: Registry) -> None:
    config = build(zoo, variant="lab", preset="lab", document={"train": {"d_steps": 3}}, sets=["train.g_lr=0.4"])
    assert (config.train.beta1, config.train.beta2, config.train.d_lr) == (0.1, 0.2, 0.3)
    assert (config.train.d_steps, config.train.g_lr) == (3, 0.4)
    assert config.variant.settings == {"width": 32}  # its own: a preset is below that


def test_a_preset_passes_over_what_a_variant_does_not_have(zoo: Registry) -> None:
    assert build(zoo, preset="lab").train.d_lr == 0.3
    with pytest.raises(UnknownName, match=r"preset 'standart' .did you mean standard"):
        build(zoo, preset="standart")
    assert build(zoo, sets=["preset=lab"]).train.d_lr == 0.3
    assert build(zoo, document={"preset": "lab"}).train.d_lr == 0.3
    assert build(zoo, document={"preset": "lab"}, preset="standard").train.d_lr != 0.3


def test_names_may_come_from_the_file_and_the_command_line_wins(registry: Registry) -> None:
    document = {"variant": {"name": "dcgan"}, "objective": "hinge", "dataset": "mnist"}
    config = build_config(registry, document=document)
    assert (config.variant.name, config.objective.name, config.dataset.name) == ("dcgan", "hinge", "mnist")
    config = build_config(registry, variant="gan", objective="least-squares", dataset="digits", document=document)
    assert (config.variant.name, config.objective.name, config.dataset.name) == ("gan", "least-squares", "digits")
    with pytest.raises(UserError, match="no variant is named"):
        build_config(registry)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("train.batchsize=8", r"unknown setting 'train.batchsize' .did you mean train.batch_size"),
        ("variant.widht=8", r"unknown setting 'variant.widht' .did you mean variant.width"),
        ("objective.gp_weight=8", "unknown setting 'objective.gp_weight'"),
        ("trane.kimg=8", r"unknown setting 'trane.kimg' .did you mean train.kimg"),
        ("kimg=8", "unknown setting 'kimg'"),
        ("train=8", "unknown setting 'train'"),
        ("train.batch_size", "there is no '='"),
        ("train.batch_size=many", "is not a whole number"),
        ("train.batch_size=1", "out of range"),
        ("train.optimizer=sdg", "value of train.optimizer 'sdg'"),
        ("precision=fp16", "value of precision 'fp16'"),
        ("seed=-1", "out of range"),
        ("eval.metrics=fid,iss", r"unknown metric 'iss' .did you mean is"),
        ("callbacks=tensorbord", r"unknown callback 'tensorbord' .did you mean tensorboard"),
        ("train.kimg=0", "train.kimg=0 is out of range"),
        ("train.kimg=none", "the run has no end"),
        ("dataset.size=2", "out of range"),
    ],
)
def test_mistakes_are_user_errors(registry: Registry, key: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_config(registry, variant="gan", sets=[key])


def test_a_run_may_end_by_time_alone(registry: Registry) -> None:
    train = build_config(registry, variant="gan", sets=["train.minutes=5", "train.kimg=none"]).train
    assert (train.kimg, train.minutes) == (None, 5.0)


def test_a_named_setting_counts_only_for_its_owner(registry: Registry) -> None:
    sets = [
        "variant.gan.width=8",
        "variant.dcgan.channels=12",
        "objective.wgan-gp.gp_weight=3",
        "dataset.mnist.size=32",
    ]
    gan, dcgan = (build_config(registry, variant=name, sets=sets) for name in ("gan", "dcgan"))
    assert gan.variant.settings["width"] == 8
    assert dcgan.variant.settings["channels"] == 12
    assert gan.dataset.settings["size"] is None
    assert build_config(registry, variant="gan", objective="wgan-gp", sets=sets).objective.settings["gp_weight"] == 3
    assert build_config(registry, variant="gan", dataset="mnist", sets=sets).dataset.settings["size"] == 32


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("variant.dcgan.chanels=8", r"did you mean variant\.(dcgan\.)?channels"),
        ("variant.dcgan.channels=no", "is not a whole number"),
        ("variant.dcgan.channels=0", "out of range"),
        ("variant.dgcan.channels=8", "unknown variant 'dgcan'"),
        ("train.adam.beta1=0.5", "unknown setting 'train.adam.beta1'"),
    ],
)
def test_a_named_setting_is_checked_for_every_variant(registry: Registry, key: str, message: str) -> None:
    for name in ("gan", "dcgan"):
        with pytest.raises(UserError, match=message):
            build_config(registry, variant=name, sets=[key])


def test_a_file_may_have_a_table_for_each_variant(registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "sweep.toml"
    file.write_text("seed = 4\n[train]\nkimg = 5\n[variant.gan]\nwidth = 8\n[variant.dcgan]\nchannels = 12\n")
    document = read_document(file)
    gan, dcgan = (build_config(registry, variant=name, document=document) for name in ("gan", "dcgan"))
    assert (gan.seed, gan.train.kimg) == (4, 5.0)
    assert gan.variant.settings["width"] == 8
    assert dcgan.variant.settings["channels"] == 12
    document["variant"]["dcgan"]["chanels"] = 8
    with pytest.raises(UnknownName, match=r"did you mean variant.dcgan.channels"):
        build_config(registry, variant="gan", document=document)


def test_a_table_that_names_another_variant_does_not_count(registry: Registry) -> None:
    document = build_config(registry, variant="dcgan", objective="wgan-gp", sets=["seed=3"]).to_dict()
    del document["schema"]
    config = build_config(registry, variant="gan", objective="hinge", document=document)
    assert config.variant == build_config(registry, variant="gan").variant
    assert config.objective.settings == {}
    assert config.seed == 3


@pytest.mark.parametrize("document", [{"train": {"name": 1}}, {"train": 3}, {"trane": {"kimg": 1}}, {"kimg": 1}])
def test_a_file_with_unknown_settings_is_refused(registry: Registry, document: dict[str, Any]) -> None:
    with pytest.raises(UnknownName, match="setting"):
        build_config(registry, variant="gan", document=document)


@pytest.mark.parametrize(
    "document", [{"variant": 3}, {"callbacks": 5}, {"callbacks": [5]}, {"device": 0}, {"train": {"kimg": True}}]
)
def test_a_file_with_wrong_types_is_refused(registry: Registry, document: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        build_config(registry, variant=None if "variant" in document else "gan", document=document)


@pytest.mark.parametrize("name", ["gan", "cgan", "dcgan", "cdcgan", "upsample-dcgan", "wgan-gp"])
def test_round_trip(registry: Registry, tmp_path: Path, name: str) -> None:
    config = build_config(
        registry, variant=name, dataset="folder:pictures", preset="laptop", overrides={"seed": 7, "dataset.size": 32},
        sets=["train.kimg=none", "train.minutes=2", "precision=fp32", "callbacks=tensorboard"],
    )  # fmt: skip
    document = config.to_dict()
    assert from_dict(registry, document) == config
    file = tmp_path / "config.json"
    file.write_text(json.dumps(document))
    assert build_config(registry, document=read_document(file)) == config
    assert build_config(registry, variant=name, document=read_document(file)) == config
    assert from_dict(registry, json.loads(file.read_text())).to_dict() == document


def test_paths_of_datasets(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    expected = str(tmp_path.resolve() / "pictures")
    for arguments in (
        {"dataset": "folder:pictures"},
        {"dataset": "folder", "sets": ["dataset.path=pictures"]},
        {"document": {"dataset": "folder:pictures"}},
        {"document": {"dataset": {"name": "folder", "path": "pictures"}}},
        {"dataset": "folder:pictures", "document": {"dataset": {"name": "folder", "path": "elsewhere"}}},
    ):
        assert build_config(registry, variant="gan", **arguments).dataset.settings["path"] == expected
    with pytest.raises(UserError, match="needs a path"):
        build_config(registry, variant="gan", dataset="folder")
    with pytest.raises(UserError, match="'digits' takes no path"):
        build_config(registry, variant="gan", dataset="digits:here")


def test_parts_that_do_not_fit_together_are_refused(zoo: Registry) -> None:
    with pytest.raises(UserError, match="'labelled' is conditional, but dataset 'bare' has no labels"):
        build(zoo, variant="labelled", dataset="bare")
    with pytest.raises(UserError, match=r"'lab' cannot make 48x48 images .use --size with one of 28, 32"):
        build(zoo, variant="lab", sets=["dataset.size=48"])
    with pytest.raises(UserError, match=r"'wgan-gp' penalises per-sample gradients.*'frozen' rules out"):
        build(zoo, variant="frozen", objective="wgan-gp")
    assert build(zoo, variant="frozen", objective="hinge").objective.name == "hinge"
    assert build(zoo, variant="gan", objective="wgan-gp").objective.name == "wgan-gp"
    assert build(zoo, variant="lab", dataset="bare").dataset.name == "bare"


def test_fit_is_checked_again_once_the_images_are_there(zoo: Registry) -> None:
    hinge = zoo.objective("hinge")
    check_fit(zoo.variant("labelled"), hinge, "x", None, None, None)  # nothing known yet
    check_fit(zoo.variant("labelled"), hinge, "x", 32, 3, 10)
    with pytest.raises(UserError, match="1 channel"):
        check_fit(zoo.variant("labelled"), hinge, "x", 32, 1, 10)
    with pytest.raises(UserError, match="no labels"):
        check_fit(zoo.variant("labelled"), hinge, "x", 32, 3, 0)


def test_settings_of_metrics(registry: Registry) -> None:
    key = "fid.allow_rank_deficient"
    table = {"metrics": {"fid": {"allow_rank_deficient": True}}}  # [metrics.fid] in TOML
    assert build_config(registry, variant="gan").metrics[key] is False
    for layers in ({"document": table}, {"sets": [f"metrics.{key}=true"]}):
        config = build_config(registry, variant="gan", **layers)
        assert config.metrics[key] is True
        assert from_dict(registry, config.to_dict()) == config
    with pytest.raises(UserError, match=r"unknown setting 'metrics.fid.alow_rank_deficient' .did you mean"):
        build_config(registry, variant="gan", sets=["metrics.fid.alow_rank_deficient=true"])


def test_files_that_cannot_be_read(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_document(tmp_path / "nowhere.toml")
    with pytest.raises(UserError, match="is a folder"):
        read_document(tmp_path)
    for name, text, message in (
        ("a.toml", "[train\nkimg = 5", "is no TOML .*line 1"),
        ("b.json", "{", "is no JSON"),
        ("c.json", "[1]", "holds no settings"),
        ("d.json", '{"schema": 99}', "another version"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(UserError, match=message):
            read_document(tmp_path / name)
    (tmp_path / "e.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="is no TOML"):
        read_document(tmp_path / "e.toml")


def test_identity_is_what_a_run_computes(registry: Registry) -> None:
    config = build_config(registry, variant="gan", sets=["train.kimg=2"])
    moved = build_config(
        registry, variant="gan", sets=["device=cpu", "callbacks=tensorboard", "eval.batch_size=10", "train.kimg=2"]
    )
    other = build_config(registry, variant="gan", sets=["seed=1", "train.kimg=3"])
    assert config.identity() == moved.identity()
    assert difference(other.identity(), config.identity()) == ["seed: 0 -> 1", "train.kimg: 2.0 -> 3.0"]


def test_flatten() -> None:
    assert flatten({"train": {"kimg": 5}, "seed": 0}) == {"train.kimg": 5, "seed": 0}


def test_runs_from_before_the_choice_of_an_engine_are_those_of_the_fast_one(registry: Registry) -> None:
    assert "engine" not in build_config(registry, variant="gan").identity()
    assert build_config(registry, variant="gan", sets=["engine=plain"]).identity()["engine"] == "plain"
