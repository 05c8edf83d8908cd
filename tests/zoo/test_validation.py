"""Specs are looked at when a plugin is loaded: what cannot be is said in one line that names field and cure."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ganzoo.bench.plan import entrants
from ganzoo.config.options import RunOptions
from ganzoo.config.recipes import known_settings
from ganzoo.config.run_config import RunConfig
from ganzoo.files.progress import Event, Note, listening
from ganzoo.zoo.plugins import Plugin, load_plugins
from ganzoo.zoo.specs import (
    KINDS,
    Augmentation,
    Callback,
    Dataset,
    Features,
    Metric,
    Model,
    Objective,
    Regularizer,
    Setting,
    Spec,
    Variant,
)
from ganzoo.zoo.validation import BrokenSpec, check_spec

GanZoo = Callable[..., subprocess.CompletedProcess[str]]


def setting(**changes: Any) -> Setting:
    return Setting(**{"name": "width", "default": 64, "doc": "Units of the hidden layers.", **changes})


def spec(kind: type[Spec], **changes: Any) -> Spec:
    own = {"name": "mine@digits", "target": "mine.safetensors", "sha256": "ab" * 32} if kind is Model else {}
    return kind(**{"name": "mine", "target": "a.b:build", **own, **changes})


SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "name": ({"name": "the width"}, "setting 'the width': such a name"),
    "dotted": ({"name": "a.b"}, "setting 'a.b': such a name"),
    "taken": ({"name": "name"}, "setting 'name': ganzoo has a use of its own"),
    "doc": ({"doc": " "}, "setting 'width': doc is empty.*say in one sentence"),
    "no doc": ({"doc": None}, "setting 'width': doc is None, not text"),
    "text": ({"default": "64"}, "default is the text '64'.*write default=64, or add type=str"),
    "text truth": ({"default": "true"}, "default is the text 'true'.*write default=True"),
    "none": ({"default": None}, "default is None, which tells no type.*add type="),
    "list": ({"default": [1, 2]}, r"default is \[1, 2\], not a number"),
    "type": ({"type": list}, "type is list"),
    "type name": ({"type": "int"}, "type is 'int', not a type"),
    "other type": ({"default": 0.5, "type": int}, "default is 0.5, not a whole number, as type says"),
    "text of a type": ({"default": "64", "type": int}, "default is '64', not a whole number.*write default=64"),
    "low": ({"default": 0, "minimum": 1}, "default=0 is out of range.*at least 1"),
    "high": ({"default": 9, "maximum": 8}, "default=9 is out of range"),
    "nan": ({"default": float("nan")}, "out of range"),
    "no range": ({"minimum": 100, "maximum": 1}, "minimum 100 and maximum 1 leave no value"),
    "limits of text": ({"default": "a", "minimum": 1}, "minimum and maximum are of numbers, and it is text"),
    "choice": ({"default": 64, "choices": (32, 128)}, "unknown value of default '64'.*32"),
    "no choices": ({"choices": ()}, "choices are empty"),
    "choices of text": ({"default": "a", "choices": "abc"}, "choices is 'abc', not a tuple"),
    "one choice": ({"default": "relu", "choices": ("relu")}, "choices is 'relu', not a tuple.*the comma"),
    "choice of a type": ({"choices": (64, "128")}, "the choice '128' is not a whole number"),
    "none of the choices": ({"default": None, "type": int, "choices": (1, 2)}, "which is none of the choices"),
    "minimum": ({"minimum": "1"}, "minimum is '1', not a number or None"),
    "optional": ({"optional": "yes"}, "optional is 'yes', not True or False"),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_a_setting_that_cannot_be(case: str) -> None:
    changes, message = SETTINGS[case]
    with pytest.raises(BrokenSpec, match=f"^variant 'mine': .*{message}"):
        check_spec(spec(Variant, settings=(setting(**changes),)), known_settings())


SPECS: dict[str, tuple[type[Spec], dict[str, Any], str]] = {
    "no comma": (Variant, {"settings": setting()}, r"settings is a Setting, not a tuple.*settings=\(...,\)"),
    "list": (Variant, {"settings": [setting()]}, "settings is a list of Settings, not a tuple"),
    "text": (Objective, {"settings": ("width",)}, "settings is .*, not a tuple of Settings"),
    "twice": (Variant, {"settings": (setting(), setting(default=1))}, "setting 'width' is there twice"),
    "sizes": (Variant, {"sizes": 28}, r"sizes is 28, not a tuple of whole numbers or None.*write sizes=\(28,\)"),
    "sizes of text": (Variant, {"sizes": ("28",)}, "sizes is .'28',., not a tuple of whole numbers"),
    "no sizes": (Variant, {"sizes": ()}, "sizes is empty"),
    "negative": (Variant, {"sizes": (-1,)}, "sizes holds -1"),
    "channels": (Variant, {"channels": 1}, r"channels is 1, .*write channels=\(1,\)"),
    "conditional": (Variant, {"conditional": 1}, "conditional is 1, not True or False"),
    "no objective": (Variant, {"objective": None}, "objective is None, not text"),
    "objective": (Variant, {"objective": "WGAN GP"}, "objective is 'WGAN GP', which is no name"),
    "gives": (Variant, {"gives": "classes"}, r"gives is 'classes', not a tuple of names.*write gives=\('classes',\)"),
    "regularizers": (Variant, {"regularizers": "r1"}, "regularizers is 'r1', not a tuple of names"),
    "augmented twice": (Variant, {"augmentations": ("a", "a")}, "augmentations names 'a' twice"),
    "defaults": (Variant, {"defaults": [("train.g_lr", 1)]}, "defaults is .*, not a dict of names to values"),
    "lr": (Variant, {"defaults": {"train.lr": 1e-3}}, "defaults sets 'train.lr', which there is not.*train.g_lr|d_lr"),
    "no section": (Variant, {"defaults": {"g_lr": 1e-3}}, "defaults sets 'g_lr'.*did you mean train.g_lr"),
    "section": (Objective, {"defaults": {"training.g_lr": 1e-3}}, "defaults sets 'training.g_lr'.*train.g_lr"),
    "value": (Variant, {"defaults": {"train.d_steps": 0}}, "defaults: train.d_steps=0 is out of range"),
    "kind": (Variant, {"defaults": {"train.d_steps": "many"}}, "defaults: train.d_steps='many' is not a whole number"),
    "choice": (Variant, {"defaults": {"train.optimizer": "lion"}}, "unknown value of train.optimizer 'lion'"),
    "own": (Variant, {"defaults": {"variant.width": 1}}, "defaults sets 'variant.width', which there is not"),
    "own by name": (Variant, {"defaults": {"variant.mine.width": 1}}, "defaults sets 'variant.mine.width'"),
    "whose": (Objective, {"defaults": {"variant.width": 1}}, "does not say whose.*variant.NAME.SETTING"),
    "regularizer": (Variant, {"defaults": {"regularizer.weight": 1}}, "does not say whose.*regularizer.NAME.SETTING"),
    "preset": (Variant, {"presets": {"labtop": {}}}, "presets names 'labtop', which there is not.*did you mean laptop"),
    "flat preset": (Variant, {"presets": {"train.kimg": 1}}, "presets is .*, not a dict of names to dicts"),
    "in a preset": (Objective, {"presets": {"laptop": {"train.lr": 1}}}, r"presets\['laptop'\] sets 'train.lr'"),
    "target": (Variant, {"target": "networks.build"}, "target is 'networks.build', not 'module:attribute'"),
    "path": (Variant, {"target": "my/networks.py:build"}, "target is .*, not 'module:attribute'"),
    "no target": (Objective, {"target": None}, "target is None, not text or a function or class"),
    "attribute": (Variant, {"target": "ganzoo.zoo.specs:Varient"}, "has no 'Varient'.*did you mean Variant"),
    "summary": (Variant, {"summary": 3}, "summary is 3, not text"),
    "needs": (Objective, {"needs": "labels"}, "needs is 'labels', not a tuple of names"),
    "weight": (Regularizer, {"weight": -1.0}, "weight is -1.0"),
    "every": (Regularizer, {"every": 0}, "every is 0"),
    "half": (Regularizer, {"every": 1.5}, "every is 1.5, not a whole number"),
    "own weight": (Regularizer, {"settings": (setting(name="weight"),)}, "setting 'weight': ganzoo has a use"),
    "size": (Dataset, {"size": (32, 32)}, "size is .32, 32., not a whole number or None"),
    "no size": (Dataset, {"size": 0}, "size holds 0"),
    "alpha": (Dataset, {"channels": 4}, "channels is 4"),
    "labels": (Dataset, {"labelled": False, "num_classes": 3}, "num_classes is 3, and labelled is False"),
    "features": (Dataset, {"features": None}, "features is None, not text"),
    "root": (Dataset, {"settings": (setting(name="root"),)}, "setting 'root': ganzoo has a use"),
    "keyword": (Dataset, {"settings": (setting(name="a-b"),)}, "setting 'a-b': the target is given it by keyword"),
    "standart": (Dataset, {"preset": "standart"}, "preset is 'standart', which there is not.*did you mean standard"),
    "dim": (Features, {"dim": "36"}, "dim is '36', not a whole number"),
    "keys": (Metric, {"keys": "fid"}, r"keys is 'fid', not a tuple of names.*write keys=\('fid',\)"),
    "better": (Metric, {"higher_is_better": True}, "higher_is_better is True, not a dict"),
    "lower": (Metric, {"higher_is_better": {"a": "no"}}, "higher_is_better is .*not a dict of names to True or False"),
    "other key": (Metric, {"keys": ("a",), "higher_is_better": {"b": True}}, "higher_is_better names 'b'"),
    "no dataset": (Model, {"name": "mine"}, "the name 'mine' is not VARIANT@DATASET"),
    "digest": (Model, {"sha256": "ab"}, "sha256 is 'ab'.*sha256sum FILE"),
    "knob": (Model, {"settings": (setting(),)}, "it has settings, and weights have none"),
    "no file": (Model, {"target": print}, "target is .*, not text"),
    "need": (Metric, {"needs": ("label",)}, "needs names 'label', which there is not.*did you mean labels"),
}  # fmt: skip


@pytest.mark.parametrize("case", SPECS)
def test_a_spec_that_cannot_be(case: str) -> None:
    kind, changes, message = SPECS[case]
    with pytest.raises(BrokenSpec, match=message) as caught:
        check_spec(spec(kind, **changes), known_settings())
    assert "\n" not in str(caught.value)
    assert "'mine" in caught.value.cause


@pytest.mark.parametrize("kind", KINDS.values())
def test_a_spec_that_says_nothing_more_is_sound(kind: type[Spec]) -> None:
    check_spec(spec(kind), known_settings())
    if kind is not Model:  # a file, as it is
        check_spec(spec(kind, target=print, settings=(setting(), setting(name="b", default=0, type=float))))


SOUND: dict[str, tuple[type[Spec], dict[str, Any]]] = {
    "recipe": (Variant, {"defaults": {"train.g_lr": 1e-4, "eval.num_images": 5000, "precision": "fp32"}}),
    "own": (Variant, {"settings": (setting(),), "defaults": {"variant.width": 32, "variant.mine.width": 8}}),
    "preset": (Objective, {"settings": (setting(),), "presets": {"laptop": {"objective.width": 8, "train.kimg": 4}}}),
    "others": (Variant, {"defaults": {"regularizer.r1.weight": 10, "objective.wgan-gp.gp_weight": 1}}),
    "objective": (Objective, {"defaults": {"variant.dcgan.channels": 16}}),
    "metric": (Metric, {"keys": ("a", "b"), "higher_is_better": {"a": True}, "needs": ("pool", "full-rank")}),
    "adapted": (Augmentation, {"settings": (setting(default="shift", choices=("shift", "flip")),)}),
    "callback": (Callback, {"settings": (setting(default=None, type=float, minimum=0.5),)}),
}


@pytest.mark.parametrize("case", SOUND)
def test_what_a_spec_may_say(case: str) -> None:
    kind, changes = SOUND[case]
    check_spec(spec(kind, **changes), known_settings())


def test_every_spec_of_the_zoo_is_sound() -> None:
    plugins = load_plugins(environ={}, known=known_settings())
    assert {plugin.status for plugin in plugins} == {"loaded"}


HEAD = "from ganzoo import Objective, Setting, Variant, hookimpl\nGANZOO_API = 1\n"


def broken(tmp_path: Path, text: str) -> Plugin:
    (tmp_path / "broken.py").write_text(HEAD + text)
    return load_plugins([tmp_path / "broken.py"], environ={}, known=known_settings())[-1]


HOOKS = {
    "singular": (
        "@hookimpl\ndef register_variant():\n    return []\n",
        "'register_variant'; did you mean",
    ),
    "bare": ("def register_variant():\n    return []\n", "did you mean register_variants. Decorate it"),
    "spelling": ("def register_objektives():\n    return []\n", "did you mean register_objectives"),
    "american": ("@hookimpl\ndef register_regularisers():\n    return []\n", "did you mean register_regularizers"),
    "list": ("register_variants = [Variant(name='a', target='a:b')]\n", "register_variants is a list, not a function"),
}


@pytest.mark.parametrize("case", HOOKS)
def test_a_hook_that_is_none(case: str, tmp_path: Path) -> None:
    text, message = HOOKS[case]
    assert message.replace(". ", "? ") in str(broken(tmp_path, text).error)


def test_a_function_whose_name_begins_so_is_no_hook(tmp_path: Path) -> None:
    text = "def register_buffers_of(net): ...\n@hookimpl\ndef register_variants():\n"
    assert broken(tmp_path, text + "    return [Variant(name='mine', target='a:b')]\n").error is None


VARIANT = """
@hookimpl
def register_variants():
    return [Variant(name="mine", target="a:b", {})]
"""


def test_the_line_names_plugin_hook_spec_field_and_cure(tmp_path: Path, ganzoo: GanZoo) -> None:
    plugin = broken(tmp_path, VARIANT.format("settings=(Setting(name='width', default=64, doc='Units.'))"))
    assert plugin.error == (
        "register_variants: variant 'mine': settings is a Setting, not a tuple of Settings; "
        "write settings=(...,): the comma makes the tuple"
    )
    for command in (["show", "mine"], ["train", "mine"], ["bench", "--variants", "gan,mine"]):
        done = ganzoo(*command, "--plugin", "broken.py", code=2)
        assert f"plugin 'broken' ({tmp_path}/broken.py) is left out: {plugin.error}\n" in done.stderr
        assert "Traceback" not in done.stderr
    assert f"  {plugin.error}\n" in ganzoo("plugins", "--plugin", "broken.py").stdout


OF_NOTHING = [
    ("defaults={'train.lr': 1e-3}", "is left out: register_variants: variant 'mine': defaults sets 'train.lr'"),
    ("objective='hinje'", "mine is left out: plugin 'broken' .*: objective: unknown objective 'hinje'"),
    ("defaults={'regularizer.r9.weight': 1}", "mine is left out: .*register_variants: variant 'mine': defaults: "),
    ("defaults={'variant.gan.widht': 1}", "mine is left out: .*variant 'mine': defaults: unknown setting"),
]
"""What a variant's spec says, and what is told of it."""


@pytest.mark.parametrize(("more", "message"), OF_NOTHING)
def test_a_bench_of_the_whole_zoo_is_planned_without_it(
    more: str, message: str, tmp_path: Path, data_root: Path
) -> None:
    def planned(plugins: list[Path]) -> tuple[Sequence[RunConfig], list[str]]:
        told: list[Event] = []
        options: RunOptions = {"plugins": plugins, "data_root": data_root}
        with listening(told.append):
            found = entrants(None, tmp_path / "bench", options).configs
        return found, [event.text for event in told if isinstance(event, Note)]

    (tmp_path / "broken.py").write_text(HEAD + VARIANT.format(more))
    configs, told = planned([tmp_path / "broken.py"])
    others, told_of_others = planned([])
    assert [line for line in told if re.search(message, line)] == [line for line in told if line not in told_of_others]
    assert len(told) == len(told_of_others) + 1
    assert list(configs) == list(others)
    assert len(configs) > 5


def test_a_bench_of_the_whole_zoo_goes_on_without_it(tmp_path: Path, ganzoo: GanZoo, data_root: Path) -> None:
    more, message = OF_NOTHING[1]
    (tmp_path / "broken.py").write_text(HEAD + VARIANT.format(more))
    others = {plugin.name for plugin in load_plugins(environ={}, known=known_settings())} - {"core", "bigan"}
    done = ganzoo(
        "bench", "--variants", "all", "--plugin", "broken.py", "--kimg", "0.05",
        "--set", "train.snapshots=1", "--set", "train.scores=none",
        "--data-root", data_root, "--out", "bench",
        GANZOO_DISABLE=",".join(sorted(others)),
    )  # fmt: skip
    assert re.search(message, done.stderr)
    results = [json.loads(path.read_text()) for path in tmp_path.glob("bench/digits/*/result.json")]
    assert {result["variant"] for result in results} == {"bigan"}
    assert "bigan" in done.stdout
