"""Images to score against: what is refused of them is refused before minutes of reading."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganzoo.config.layers import build_config
from ganzoo.errors import UserError
from ganzoo.scoring import images
from ganzoo.zoo.registry import Registry


def test_too_few_generated_images_are_refused_before_any_real_one_is_read(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr(images, "load_declared", lambda *_, **__: read.append("all") or range(1437))
    config = build_config(registry, variant="gan", dataset="digits", sets=["eval.metrics=fid"])
    with pytest.raises(UserError, match="there are 50 generated ones"):
        images.scored_images(registry, config, tmp_path, 50)
    assert not read
    images.scored_images(registry, config, tmp_path, 2000)
    images.scored_images(registry, config, tmp_path, None)  # nobody knows yet how many
    assert len(read) == 2
