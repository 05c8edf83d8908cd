"""docs/plugins.md names every hook, and its plugins do what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from ganzoo.data import load_dataset
from ganzoo.metrics.evaluate import Reference, evaluate
from ganzoo.metrics.extract import extract_features
from ganzoo.runs.directory import RunDirectory
from ganzoo.zoo import hookspecs
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.specs import KINDS, Spec

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
HOOKS = [name for name in vars(hookspecs) if name.startswith("register_")]
CPU = torch.device("cpu")


def section(heading: str) -> str:
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def spec_of(hook: str, tmp_path: Path) -> Spec:
    """The one spec of the section's plugin, loaded as a user would."""
    (source,) = re.findall(r"```python\n(.*?)```", section(hook), re.DOTALL)
    file = tmp_path / f"{hook}.py"
    file.write_text(source)
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
    assert all(f"`{name}=" in text for name in ("conditional", "sizes", "per_sample_critic", "batch_dependent"))


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


def test_the_callback(tmp_path: Path) -> None:
    from ganzoo.engine.loop import Snapshot

    diary = spec_of("register_callbacks", tmp_path).load()(RunDirectory(tmp_path), None)
    diary.on_status(None)
    diary.on_snapshot(Snapshot(images=0, index=0, last=False, generator=torch.nn.Identity()))
    diary.on_snapshot(Snapshot(images=5, index=1, last=True, generator=torch.nn.Identity(), metrics={"fid": 1.5}))
    diary.on_end({"status": "done"})
    lines = (tmp_path / "diary.txt").read_text().splitlines()
    assert lines == ["0 images: FID not computed", "5 images: FID 1.5", "done"]
