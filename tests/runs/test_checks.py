"""Mistakes of an author that show when targets are called: one line that names plugin and cure, and exit code 2."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ganzoo.config.layers import build_config
from ganzoo.data import NoTestSplit
from ganzoo.errors import UserError
from ganzoo.runs.checks import check_networks
from ganzoo.runs.losses import make_losses
from ganzoo.runs.snapshots import build_gan
from ganzoo.zoo.calls import BrokenPlugin
from ganzoo.zoo.registry import Registry

GanZoo = Callable[..., subprocess.CompletedProcess[str]]
SHAPE = (1, 32, 32)
PLUGIN = """
import torch
from torch import nn
from torch.nn import functional as F
from ganzoo import Callback, Dataset, Features, Metric, Objective, Part, Term, Variant, hookimpl
from ganzoo.data import NoTestSplit, make_images
from ganzoo.gan import GAN
from ganzoo.objectives import Losses
GANZOO_API = 2

class G(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 1024)
    def forward(self, z, labels):
        return self.layer(z).tanh().view(-1, 1, 32, 32)

class D(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1024, 1)
    def forward(self, x, labels):
        return self.layer(x.flatten(1)).flatten()

def build(config, shape, num_classes):
    return GAN(generator=G(), discriminator=D(), z_dim=8)

def losses(settings):
    return Losses(d_loss=lambda real, fake: F.softplus(-real) + F.softplus(fake), g_loss=lambda fake, real: F.softplus(-fake))

def images(root, split, download):
    if split == "test":
        raise NoTestSplit
    pixels = torch.randint(0, 256, (60, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return make_images(pixels, torch.arange(60) % 2)

def thumbnails(device):
    return lambda pixels: {"pool": F.adaptive_avg_pool2d(pixels.float().mean(1), 6).flatten(1)}

class Mean:
    def __init__(self):
        self.sum = 0.0
    def update(self, features, labels):
        self.sum += float(features["pool"].sum())
    def compute(self, reference):
        return {"mean": self.sum}

class Diary:
    def __init__(self, run, config): ...
    def on_status(self, status): ...
    def on_snapshot(self, snapshot): ...
    def on_end(self, result): ...

@hookimpl
def register_variants():
    return [Variant(name="mine", target=build)]

@hookimpl
def register_objectives():
    return [Objective(name="mine", target=losses)]

@hookimpl
def register_datasets():
    return [Dataset(name="mine", target=images, size=32, channels=1, num_classes=2, features="digits")]

@hookimpl
def register_features():
    return [Features(name="mine", target=thumbnails, dim=36)]

@hookimpl
def register_metrics():
    return [Metric(name="mine", target=Mean, keys=("mean",), higher_is_better={"mean": True})]

@hookimpl
def register_callbacks():
    return [Callback(name="mine", target=Diary)]
"""  # noqa: E501
G_CALL, D_CALL = "def forward(self, z, labels):", "def forward(self, x, labels):"
G_OUT, D_OUT = "self.layer(z).tanh().view(-1, 1, 32, 32)", "self.layer(x.flatten(1)).flatten()"
D_LAYER, D_LOSS = "self.layer = nn.Linear(1024, 1)", "F.softplus(-real) + F.softplus(fake)"
G_LOSS, GAN = "lambda fake, real: F.softplus(-fake)", "GAN(generator=G(), discriminator=D(), z_dim=8)"
NETWORKS = {
    "G without labels": (
        G_CALL,
        "def forward(self, z):",
        r"generator is called as \(z, labels\), its forward takes \(z\)",
    ),
    "D without labels": (D_CALL, "def forward(self, x):", r"discriminator is called as \(x, labels\), .* takes \(x\)"),
    "more": (
        G_CALL,
        "def forward(self, z, labels, noise):",
        "called as .z, labels.*missing a required argument: 'noise'",
    ),
    "unconditional": (G_OUT, "self.layer(z * labels.float()[:, None])", "generator reads labels.*say conditional=True"),
    "embedding": (
        D_OUT,
        "F.embedding(labels, self.layer.weight)[:, 0]",
        "discriminator reads labels.*conditional=True",
    ),
    "one-hot": (D_OUT, "F.one_hot(labels, 2).float()[:, 0]", "discriminator reads labels.*conditional=True"),
    "z_dim": ("z_dim=8", "z_dim=16", r"cannot take z of \[2, 16\], though GAN.z_dim is 16.*say z_dim=8"),
    "no z_dim": ("z_dim=8", "z_dim='8'", "GAN.z_dim is '8', not a whole number"),
    "list": (
        D_LAYER,
        "self.layers = [nn.Linear(1024, 1)]; self.layer = self.layers[0]; del self.layer",
        "discriminator keeps layers or weights in layers, a list.*nn.ModuleList",
    ),
    "dict": (D_LAYER, f"{D_LAYER}; self.more = {{'a': [nn.Linear(2, 2)]}}", "keeps layers or weights in more, a dict"),
    "tensor": (D_LAYER, f"{D_LAYER}; self.w = torch.ones(3, requires_grad=True)", "in w, a Tensor.*nn.Parameter"),
    "nothing": (D_LAYER, "self.layer = nn.Identity()", "discriminator has no parameters to train"),
    "frozen": (D_LAYER, f"{D_LAYER}; self.requires_grad_(False)", "discriminator has no parameters to train"),
    "shared": (
        GAN,
        "(lambda g, d: (setattr(d, 'other', g.layer), GAN(generator=g, discriminator=d, z_dim=8))[1])(G(), D())",
        "the weight other.weight of the discriminator is layer.weight of the generator as well",
    ),
    "class": ("discriminator=D()", "discriminator=D", "the discriminator is a type, not an nn.Module"),
    "tuple": (GAN, "(G(), D())", "its target returned a tuple, not a ganzoo.GAN"),
    "none": (f"return {GAN}", "GAN", "its target returned nothing"),
    "two arguments": (
        "def build(config, shape, num_classes):",
        "def build(config, shape):",
        r"target is called as \(config, shape, num_classes\), it takes \(config, shape\)",
    ),
    "one term": ("z_dim=8", "z_dim=8, terms=Term(name='t', phase='D', loss=len)", "terms are a Term.*give a list"),
    "no term": ("z_dim=8", "z_dim=8, terms=[len]", "a term is a builtin_function.*ganzoo.Term"),
    "term's name": (
        "z_dim=8",
        "z_dim=8, terms=[Term(name='My Term', phase='D', loss=len)]",
        "a term is called 'My Term'",
    ),
    "column": (
        "z_dim=8",
        "z_dim=8, terms=[Term(name='d_loss', phase='D', loss=len)]",
        "'d_loss' has the name of a column",
    ),
    "term's loss": (
        "z_dim=8",
        "z_dim=8, terms=[Term(name='t', phase='D', loss=3.0)]",
        "loss of the term 't' is a float",
    ),
    "every": ("z_dim=8", "z_dim=8, terms=[Term(name='t', phase='D', loss=len, every=0)]", "every of the term 't' is 0"),
    "weight": (
        "z_dim=8",
        "z_dim=8, terms=[Term(name='t', phase='D', loss=len, weight=float('nan'))]",
        "weight of the term 't' is nan",
    ),
    "parts": ("z_dim=8", "z_dim=8, parts=[nn.Linear(2, 2)]", "GAN.parts is a list, not a dict"),
    "no part": ("z_dim=8", "z_dim=8, parts={'q': nn.Linear(2, 2)}", "part 'q' is a Linear, not a ganzoo.Part"),
    "phase": ("z_dim=8", "z_dim=8, parts={'q': Part(module=nn.Linear(2, 2), phase='Q')}", "moved by a phase 'Q'"),
    "shape": (G_OUT, "self.layer(z).view(-1, 1024)", r"the generator returns \[2, 1024\] for a batch of 2, expected"),
    "logits": (
        D_OUT,
        "self.layer(x.flatten(1))",
        r"the discriminator returns \[2, 1\] for a batch of 2, expected \[2\]",
    ),
    "two outputs": (D_OUT, f"({D_OUT}, x)", "the discriminator returns a tuple for a batch of 2"),
    "dict without": (D_OUT, "{'logit': self.layer(x.flatten(1)).flatten()}", "returns 'logit', without 'logits'"),
    "dict of images": (G_OUT, "{'image': self.layer(z)}", "the generator returns 'image', without 'images'"),
    "of the batch": (
        D_OUT,
        "{'logits': self.layer(x.flatten(1)).flatten(), 'mean': x.mean()}",
        r"returns 'mean' as \[\]",
    ),
    "gives": (
        "target=build",
        "target=build, gives=('classes',)",
        "gives names 'classes', and the discriminator does not",
    ),
    "integers": (D_OUT, "x.flatten(1).sum(1).long()", "returns logits as torch.int64"),
    "nan": (G_OUT, "self.layer(z).log().view(-1, 1, 32, 32) * float('nan')", "untrained generator makes NaN"),
    "in place": (D_OUT, "self.layer(x.mul_(2).flatten(1)).flatten()", "writes into its x, which others read.*x.clone"),
    "in place, F": (D_OUT, "self.layer(F.relu(x, inplace=True).flatten(1)).flatten()", "writes into its x"),
    "z in place": (G_OUT, "self.layer(z.add_(1)).view(-1, 1, 32, 32)", "the generator writes into its z"),
}


def zoo(tmp_path: Path, old: str = "", new: str = "") -> Registry:
    assert old in PLUGIN
    (tmp_path / "mine.py").write_text(PLUGIN.replace(old, new) if old else PLUGIN)
    registry = Registry.load([tmp_path / "mine.py"], environ={})
    assert registry.plugins[-1].error is None, registry.plugins[-1].error
    return registry


def check(registry: Registry, classes: int = 2) -> None:
    config = build_config(registry, variant="mine")
    variant = registry.variant("mine")
    check_networks(registry, variant, build_gan(registry, config, SHAPE, classes), SHAPE, classes)


@pytest.mark.parametrize("case", NETWORKS)
def test_networks_that_break_the_contract(case: str, tmp_path: Path) -> None:
    old, new, message = NETWORKS[case]
    with pytest.raises(BrokenPlugin, match=message) as caught:
        check(zoo(tmp_path, old, new))
    assert caught.value.cause.startswith(f"variant 'mine' of plugin 'mine' ({tmp_path}/mine.py): ")
    assert "\n" not in str(caught.value)


FINE = {
    "as it is": ("", ""),
    "dicts": (D_OUT, "{'logits': self.layer(x.flatten(1)).flatten(), 'features': x.flatten(1)}"),
    "normalised": (G_OUT, "self.layer(z / z.norm(dim=1, keepdim=True)).view(-1, 1, 32, 32)"),  # NaN for zeros alone
    "a list as well": (D_LAYER, f"{D_LAYER}; self.layers = [self.layer]"),
    "a frozen network": (D_LAYER, f"{D_LAYER}; self.other = [nn.Linear(2, 2).requires_grad_(False)]"),
    "default": (D_CALL, "def forward(self, x, labels=None, *, more=3):"),
    "any": (G_CALL, "def forward(self, z, *more):"),
    "a copy": (D_OUT, "self.layer(x.clone().mul_(2).flatten(1)).flatten()"),
}


@pytest.mark.parametrize("case", FINE)
def test_networks_that_keep_it(case: str, tmp_path: Path) -> None:
    state = torch.get_rng_state()
    registry = zoo(tmp_path, *FINE[case])
    config = build_config(registry, variant="mine")
    gan = build_gan(registry, config, SHAPE, 2)
    built = torch.get_rng_state()
    check_networks(registry, registry.variant("mine"), gan, SHAPE, 2)
    assert torch.equal(built, torch.get_rng_state())
    assert all(module.training for module in gan.discriminator.modules())
    torch.set_rng_state(state)


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (G_OUT, "self.layer(z).view(-1, 7)", RuntimeError),
        (D_OUT, "self.leyer(x)", AttributeError),
        (D_OUT, "None + x", TypeError),
        ("def build(config, shape, num_classes):", "def build(config, shape, num_classes):\n    config['z']", KeyError),
        (
            "def build(config, shape, num_classes):",
            "def build(config, shape, num_classes):\n    1 / 0",
            ZeroDivisionError,
        ),
    ],
)
def test_exceptions_of_the_author_s_own_keep_their_traceback(
    old: str, new: str, error: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(error) as caught:
        check(zoo(tmp_path, old, new))
    assert any("mine.py" in str(entry.path) for entry in caught.traceback)


def test_a_setting_that_is_none_is_answered_with_those_that_are(tmp_path: Path) -> None:
    registry = zoo(tmp_path, "def losses(settings):", "def losses(settings):\n    settings['widht']")
    with pytest.raises(KeyError, match="'widht' is no setting of objective 'mine'; its spec has: none"):
        make_losses(registry, registry.objective("mine"), {})


TARGETS = {
    "module": ("target=build", "target='nowhere.networks:build'", "there is no module nowhere"),
    "attribute": ("target=build", "target='colorsys:build'", "the module has no build.*it has: .*rgb_to_hsv"),
    "not callable": (
        "target=build",
        "target='colorsys:ONE_THIRD'",
        "target is a float, which cannot be called",
    ),
}


@pytest.mark.parametrize("case", TARGETS)
def test_targets_that_are_not_there(case: str, tmp_path: Path) -> None:
    old, new, message = TARGETS[case]
    sys.modules.pop("colorsys", None)  # as where nobody has imported it
    registry = zoo(tmp_path, old, new)
    with pytest.raises(BrokenPlugin, match=message):
        check(registry)


RUNS: dict[str, tuple[str, str, str]] = {
    "losses tuple": (
        "return Losses(d_loss=",
        "return (lambda **losses: tuple(losses.values()))(d_loss=",
        "objective 'mine' of .*returned a tuple, not ganzoo.objectives.Losses",
    ),
    "no settings": ("def losses(settings):", "def losses():", r"target is called as \(settings\), it takes \(\)"),
    "g_loss of one": (
        G_LOSS,
        "lambda fake: F.softplus(-fake)",
        r"g_loss is called as \(fake, real\), it takes \(fake\)",
    ),
    "g_loss with real": (G_LOSS, "lambda fake, real: F.softplus(real - fake)", "g_loss reads real.*g_uses_real=True"),
    "g_loss, method": (G_LOSS, "lambda fake, real: real.relu() - fake", "g_loss reads real.*g_uses_real=True"),
    "no gradient": (D_LOSS, "F.softplus(fake).detach()", "objective 'mine' of .*d_loss has no gradient"),
    "loss in place": (
        D_LOSS,
        "real.exp().mul_(real.exp().add_(1)) + (e := fake.exp(), e.mul_(2))[0]",
        "writes into what",
    ),
    "no function": (
        "d_loss=lambda real, fake: F.softplus(-real) + F.softplus(fake)",
        "d_loss=3.0",
        "d_loss is a float, not a function",
    ),
    "dim": ("dim=36", "dim=25", "feature network 'mine' of .*dim=25, the network gives 36.*say dim=36"),
    "no network": (
        "    return lambda pixels:",
        "    return 3\n    return lambda pixels:",
        "returned a int, which cannot be called",
    ),
    "device": ("def thumbnails(device):", "def thumbnails():", r"target is called as \(device\), it takes \(\)"),
    "size": ("(60, 1, 32, 32)", "(60, 1, 28, 28)", "dataset 'mine' of .*size=32, the train split has size=28"),
    "channels": ("(60, 1, 32, 32)", "(60, 3, 32, 32)", "channels=1, the train split has channels=3"),
    "classes": ("arange(60) % 2", "arange(60) % 3", "num_classes=2, the train split has num_classes=3"),
    "unlabelled": (
        "make_images(pixels, torch.arange(60) % 2)",
        "make_images(pixels, None)",
        "labelled=True, .*labelled=False",
    ),
    "labels from 1": ("arange(60) % 2", "arange(60) % 2 + 1", "have none of class 0.*number the classes 0 to 1"),
    "split": (
        "def images(root, split, download):",
        "def images(root, split):",
        "target is called as .root, split, download",
    ),
    "float": ('{"mean": self.sum}', "self.sum", "metric 'mine' computed a float, not a dict.*'mean': number"),
    "other key": (
        '{"mean": self.sum}',
        '{"average": self.sum}',
        "computed 'average', and the keys of its spec are mean",
    ),
    "text": ('{"mean": self.sum}', '{"mean": "large"}', "computed 'mean' as a str, not a number"),
    "many": ('{"mean": self.sum}', '{"mean": torch.ones(3)}', "computed 'mean' as a Tensor, not a number"),
    "no compute": ("def compute(self", "def computed(self", "metric 'mine' of .*a Mean, has no method compute"),
    "update": (
        "def update(self, features, labels):",
        "def update(self, features):",
        r"update is called as \(features, labels\)",
    ),
    "on_snapshot": (
        "def on_snapshot(self, snapshot): ...",
        "",
        "callback 'mine' of .*a Diary, has no method on_snapshot",
    ),
    "on_end": (
        "def on_end(self, result): ...",
        "def on_end(self): ...",
        r"on_end is called as \(result\), it takes \(\)",
    ),
    "run alone": ("def __init__(self, run, config): ...", "def __init__(self, run): ...", r"called as \(run, config\)"),
}


def options(data_root: Path, tmp_path: Path) -> list[Any]:
    return [
        "train",
        "mine",
        "--plugin",
        tmp_path / "mine.py",
        "--dataset",
        "mine",
        "--objective",
        "mine",
        "--features",
        "mine",
        "--log",
        "mine",
        "--kimg",
        "0.06",
        "--num-images",
        "40",
        "--set",
        "eval.metrics=mine",
        "--set",
        "train.snapshots=1",
        "--set",
        "train.batch_size=16",
        "--data-root",
        data_root,
        "--out",
        tmp_path / "run",
    ]


@pytest.mark.parametrize("case", RUNS)
def test_other_targets_that_break_the_contract(
    case: str, tmp_path: Path, data_root: Path, call: Callable[..., None]
) -> None:
    old, new, message = RUNS[case]
    zoo(tmp_path, old, new)
    with pytest.raises(UserError, match=message) as caught:
        call(*options(data_root, tmp_path))
    assert "\n" not in str(caught.value)


@pytest.fixture
def call() -> Callable[..., None]:
    from ganzoo.cli.main import cli

    def run(*arguments: Any) -> None:
        cli.main([str(argument) for argument in arguments], standalone_mode=False)

    return run


def test_such_a_mistake_exits_with_2(tmp_path: Path, data_root: Path, ganzoo: GanZoo) -> None:
    zoo(tmp_path, *RUNS["on_snapshot"][:2])
    done = ganzoo(*options(data_root, tmp_path), code=2)
    assert re.search(r"error: callback 'mine' .*has no method on_snapshot\n  try: write all of on_status", done.stderr)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()
    zoo(tmp_path, *RUNS["g_loss with real"][:2])
    done = ganzoo(*options(data_root, tmp_path), code=2)
    assert re.search(
        r"error: objective 'mine' .*g_loss reads real.*\n  try: say Losses\(\.\.\., g_uses_real=True\)", done.stderr
    )


def test_the_plugin_as_it_is_trains_without_a_test_split(
    tmp_path: Path, data_root: Path, call: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    zoo(tmp_path)
    call(*options(data_root, tmp_path))
    assert "half of train" in capsys.readouterr().out
    assert NoTestSplit().cause == "there are no test images"


@pytest.mark.parametrize(("value", "said"), [("float('nan')", "mean is nan"), ("-torch.inf", "mean is -inf")])
def test_a_number_that_is_none_is_said_below_the_table(
    value: str,
    said: str,
    tmp_path: Path,
    data_root: Path,
    call: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    zoo(tmp_path, '{"mean": self.sum}', f'{{"mean": {value}}}')
    arguments = [
        text if text != "eval.metrics=mine" else "eval.metrics=mine,kid" for text in options(data_root, tmp_path)
    ]
    call(*arguments)
    assert f"left out: mine: {said}" in capsys.readouterr().out


@pytest.mark.parametrize("value", ["torch.tensor(3.5, requires_grad=True)", "torch.tensor([3.5])"])
def test_a_tensor_of_one_number_is_a_number(
    value: str, tmp_path: Path, data_root: Path, call: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    zoo(tmp_path, '{"mean": self.sum}', f'{{"mean": {value}}}')
    call(*options(data_root, tmp_path))
    assert "3.5" in capsys.readouterr().out
