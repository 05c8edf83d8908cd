"""docs/plugins.md names every hook, and its plugins do what the page says."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import ganzoo
from ganzoo.cli.main import cli
from ganzoo.config.fit import check_fit
from ganzoo.data import load_dataset
from ganzoo.errors import UserError
from ganzoo.gan import Batch
from ganzoo.metrics.evaluate import Reference, evaluate
from ganzoo.metrics.extract import extract_features
from ganzoo.runs.directory import RunDirectory
from ganzoo.zoo import hookspecs
from ganzoo.zoo.models import read_index
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import KINDS, Spec

MODELS = Path(__file__).parents[2] / "plugins" / "ganzoo_models"
DOCS = Path(__file__).parents[2] / "docs"
ACGAN = DOCS / "examples" / "my_acgan.py"
PAGE = (DOCS / "plugins.md").read_text(encoding="utf-8")
HOOKS = [name for name in vars(hookspecs) if name.startswith("register_")]
CPU = torch.device("cpu")


def section(heading: str) -> str:
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def spec_of(hook: str, tmp_path: Path) -> Spec:
    """The one spec of the section's plugin, loaded as a user would."""
    (source,) = re.findall(r"```python\n(.*?)```", section(hook), re.DOTALL)
    file = tmp_path / f"{hook}.py"
    file.write_text(source)
    if hook == "register_models":  # which reads what lies beside it
        name, entry = next(iter(read_index(MODELS).items()))
        shutil.copy(MODELS / entry["file"], tmp_path)
        renamed = name.partition("@")[0] + "@mine"
        (tmp_path / "index.json").write_text(json.dumps({"schema": 1, "models": {renamed: entry}}))
    plugin = Registry.load([file], environ={"GANZOO_STRICT": "1"}).plugins[-1]
    (spec,) = plugin.specs[hook.removeprefix("register_")]
    return spec


def defaults(spec: Spec) -> dict[str, Any]:
    return {setting.name: setting.default for setting in spec.settings}


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_section(hook: str) -> None:
    assert len(HOOKS) == len(KINDS)
    assert "Target: `(" in section(hook)


def test_what_decides_how_a_variant_is_trained_is_documented() -> None:
    text = section("register_variants")
    assert all(f"`{name}=" in text for name in ("conditional", "sizes", "per_sample_critic", "gives"))
    assert all(f"### {heading}\n" in text for heading in ("Named outputs", "Priors", "Terms", "Parts"))
    assert "`batch_dependent=" in section("What happens in a step")


def test_all_that_a_batch_has_is_documented() -> None:
    names = [name for name in vars(Batch) if not name.startswith("_")]
    assert len(names) > 12
    missing = [name for name in names if not re.search(rf"`(?:batch\.)?{name}\b", section("register_variants"))]
    assert not missing


def test_the_second_step_is_the_file_as_it_is() -> None:
    assert f"```python\n{ACGAN.read_text()}```" in PAGE
    assert len(ACGAN.read_text().splitlines()) <= 60


def test_the_second_step_trains(data_root: Path, tmp_path: Path) -> None:
    """Beside a regularizer, an augmentation and an objective with a penalty, that know nothing of it."""
    command = ["train", "my-acgan", "--plugin", ACGAN, "--objective", "wgan-gp", "--regularize", "lecam"]
    command += ["--augment", "diffaug", "--kimg", "1.2", "--data-root", data_root, "--out", tmp_path / "run"]
    sets = ["train.scores=none", "train.snapshots=1", "train.batch_size=32", "variant.width=32", "train.tick_seconds=0"]
    command += [part for text in sets for part in ("--set", text)]
    cli.main([str(part) for part in command], standalone_mode=False)
    lines = [json.loads(line) for line in (tmp_path / "run" / "stats.jsonl").read_text().splitlines()]
    assert {"d-class", "g-class", "lecam", "penalty", "class_accuracy"} <= lines[-1].keys()
    assert lines[-1]["d-class"] < 2 * math.log(10)  # of guessing, for real and generated images


def test_the_second_step_needs_labels() -> None:
    registry = Registry.load([ACGAN], environ={"GANZOO_STRICT": "1"})
    with pytest.raises(UserError, match="conditional"):
        check_fit(registry.variant("my-acgan"), registry.objective("hinge"), "faces", 28, 1, num_classes=0)


def test_the_term_with_memory() -> None:
    (source,) = re.findall(r"```python\n(.*?)```", section("register_variants"), re.DOTALL)
    names: dict[str, Any] = {"torch": torch, "nn": torch.nn}
    exec(source, names)
    term = names["MovingMean"]()
    batch = SimpleNamespace(of_real={"logits": torch.tensor([1.0, 3.0])})
    assert torch.allclose(term(batch), torch.tensor([0.98, 2.98]).square())
    assert term.state_dict()["mean"] == pytest.approx(0.02)


def test_the_regularizer(tmp_path: Path) -> None:
    spec = spec_of("register_regularizers", tmp_path)
    term = spec.load()(defaults(spec))
    assert (term.phase, getattr(spec, "weight", None)) == ("D", 0.001)
    assert term.loss(SimpleNamespace(of_real={"logits": torch.tensor([1.0, 3.0])})).tolist() == [1.0, 9.0]


def test_the_augmentation(tmp_path: Path) -> None:
    spec = spec_of("register_augmentations", tmp_path)
    images = torch.zeros(4, 1, 8, 8, requires_grad=True)
    with torch.random.fork_rng(devices=[]):
        seen = spec.load()(defaults(spec), (1, 8, 8))(images)
    assert seen.shape == images.shape
    assert float(seen.detach().std()) == pytest.approx(0.1, rel=0.2)
    (gradient,) = torch.autograd.grad(seen.sum(), images)
    assert torch.equal(gradient, torch.ones_like(images))


def test_the_objective(tmp_path: Path) -> None:
    spec = spec_of("register_objectives", tmp_path)
    losses = spec.load()(defaults(spec))
    real, fake = torch.tensor([3.0, 1.0]), torch.tensor([-3.0, 0.0])
    assert losses.d_loss(real, fake).tolist() == [0.0, 3.0]
    assert losses.g_loss(fake, None).tolist() == [3.0, 0.0]


def test_the_dataset(tmp_path: Path) -> None:
    spec = spec_of("register_datasets", tmp_path)
    train, test = (load_dataset(spec.load(), root=tmp_path, split=split, count=20) for split in ("train", "test"))
    assert train.shape == (1, 32, 32)
    assert train.num_classes == 2
    assert len(train) == 20
    assert train.sha256 != test.sha256
    assert load_dataset(spec.load(), root=tmp_path, split="train", count=20).sha256 == train.sha256


def test_the_features_and_the_metric(tmp_path: Path) -> None:
    features = spec_of("register_features", tmp_path)
    extractor = features.load()(CPU)
    images = torch.randint(0, 256, (50, 3, 32, 32), dtype=torch.uint8)
    pool = extract_features(extractor, images, device=CPU)["pool"]
    assert pool.shape == (50, getattr(features, "dim", None))
    metric = spec_of("register_metrics", tmp_path)
    batches = [(images[:20], None), (images[20:], None)]
    values = evaluate({metric.name: metric.load()()}, batches, extractor, Reference(pool=pool), device=CPU)
    assert values == {"mean_distance": pytest.approx(0.0, abs=1e-4)}


@pytest.mark.parametrize("hook", [name for name in HOOKS if name != "register_variants"])
def test_what_the_page_shows_passes_the_page_s_check(hook: str, tmp_path: Path) -> None:
    name = spec_of(hook, tmp_path).name
    ganzoo.check(name, plugins=tmp_path / f"{hook}.py", data_root=tmp_path).raise_if_failed()


def test_the_callback(tmp_path: Path) -> None:
    from ganzoo.engine.loop import Snapshot

    diary = spec_of("register_callbacks", tmp_path).load()(RunDirectory(tmp_path), None)
    diary.on_status(None)
    diary.on_snapshot(Snapshot(images=0, index=0, last=False, generator=torch.nn.Identity()))
    diary.on_snapshot(Snapshot(images=5, index=1, last=True, generator=torch.nn.Identity(), metrics={"fid": 1.5}))
    diary.on_end({"status": "done"})
    lines = (tmp_path / "diary.txt").read_text().splitlines()
    assert lines == ["0 images: FID not computed", "5 images: FID 1.5", "done"]
