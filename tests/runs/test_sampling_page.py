"""docs/sampling.md takes a generator elsewhere, and it makes the same images there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo.cli.main import cli
from ganzoo.config.layers import build_config
from ganzoo.runs.snapshots import build_gan, save_snapshot
from ganzoo.scoring.noise import noise
from ganzoo.zoo.registry import Registry

PAGE = (Path(__file__).parents[2] / "docs" / "sampling.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("colors", [1, 3])
def test_a_generator_goes_elsewhere(
    colors: int, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    config = build_config(registry, variant="cdcgan", sets=["variant.channels=8", "variant.z_dim=12"])
    with torch.random.fork_rng(devices=[]):
        generator = build_gan(registry, config, (colors, 32, 32), 10).generator
    file = Path("000032.000.safetensors")
    save_snapshot(file, generator, config, shape=(colors, 32, 32), num_classes=10, images=32_000)
    monkeypatch.setattr(torch, "randn", lambda n, z_dim: noise(5, 0, n, z_dim))
    exec(snippet, {})
    cli.main(["sample", str(file), "-n", "16", "--seed", "5", "--out", "all.npz"], standalone_mode=False)
    with np.load("all.npz") as archive:  # [16,H,W,C]
        expected = archive["arr_0"]
    for index in range(16):
        with Image.open(f"{index}.png") as image:
            difference = np.asarray(image).astype(int) - expected[index].squeeze(-1 if colors == 1 else ())
        assert np.abs(difference).max() <= 1  # 16 at a time, not 250: see the page
    assert expected.std() > 0
