"""What a notebook shows of a run; real images and features as tensors."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ganzoo
from ganzoo.errors import UserError

SCRIPT = '<script>alert("x")</script>'


class Page(HTMLParser):
    """Tags, attributes and text of a page; each tag that is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data + " "


@pytest.fixture
def folder(tmp_path: Path, write_run: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run with a grid, seen from the folder above it."""
    write_run(tmp_path / "runs" / "a", fid=12.345)
    (tmp_path / "runs" / "a" / "samples").mkdir()
    Image.new("RGB", (8, 6), (200, 10, 10)).save(tmp_path / "runs" / "a" / "samples" / "000001.000.png")
    monkeypatch.chdir(tmp_path)
    return Path("runs/a")


def test_a_run_shows_its_grid_scores_and_place(folder: Path) -> None:
    page = Page(ganzoo.Run(folder)._repr_html_())
    for words in ("gan", "non-saturating, digits, seed 0", "1 kimg in 3 s", "FID", "12.3", "no interval"):
        assert words in page.words
    known = dict(page.attributes)
    assert known["href"] == "runs/a/"
    assert known["alt"] == "grid of images generated after 1 kimg by gan"
    data = str(known["src"]).removeprefix("data:image/png;base64,")
    assert Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB").getpixel((3, 3)) == (200, 10, 10)


def test_scores_of_real_images_stand_beside_it(
    tmp_path: Path, write_run: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    floor = {"name": "test split", "what": "test", "images": 9, "reference": 9, "values": {"fid": 0.5}, "left_out": []}
    write_run(tmp_path / "a", changes={"floors": [floor]})
    text = ganzoo.Run(tmp_path / "a")._repr_html_()
    assert "<tr><th>real: test split</th><td>0.5</td><td>-</td></tr>" in text
    assert "no picture yet" in text


def test_text_of_others_is_only_text(folder: Path) -> None:
    for name, keys in (("config.json", ("variant", "objective")), ("result.json", ())):
        document = json.loads((folder / name).read_text())
        for key in keys:
            document[key]["name"] = SCRIPT
        if name == "result.json":
            document["diverged"] = SCRIPT
        (folder / name).write_text(json.dumps(document))
    page = Page(ganzoo.Run(folder)._repr_html_())
    assert "script" not in page.tags
    assert page.words.count(SCRIPT) == 3  # in the head twice, and why it diverged; the alt text is an attribute
    assert set(page.tags) <= {"div", "p", "b", "small", "table", "thead", "tbody", "tr", "th", "td", "img", "a", "code"}


def test_names_of_folders_are_only_text(
    tmp_path: Path, write_run: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / 'a"onload=x <b>&')
    monkeypatch.chdir(tmp_path)
    page = Page(ganzoo.Run('a"onload=x <b>&')._repr_html_())
    assert "onload" not in dict(page.attributes)
    assert dict(page.attributes)["href"] == "a%22onload%3Dx%20%3Cb%3E%26/"


def test_a_run_that_lies_elsewhere_has_no_link(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deeper").mkdir()
    run = ganzoo.Run(folder.absolute())
    monkeypatch.chdir(tmp_path / "deeper")
    page = Page(run._repr_html_())
    assert "a" not in page.tags
    assert str(run.path) in page.words


def test_an_unfinished_run_and_a_damaged_one(folder: Path) -> None:
    run = ganzoo.Run(folder)
    (folder / "result.json").unlink()
    assert "no step yet; not finished" in Page(run._repr_html_()).words
    (folder / "config.json").write_text("{")
    assert "config.json" in Page(run._repr_html_()).words


def test_a_grid_that_is_no_picture(folder: Path) -> None:
    (folder / "samples" / "000001.000.png").write_bytes(b"<svg onload=x>")
    page = Page(ganzoo.Run(folder)._repr_html_())
    assert "img" not in page.tags
    assert "000001.000.png" in page.words


def test_real_images(data_root: Path) -> None:
    every = ganzoo.images("digits", data_root=data_root)
    some = ganzoo.images("digits", 50, data_root=data_root)
    assert every.pixels.shape == (1437, 1, 32, 32)
    assert len(ganzoo.images(split="test", data_root=data_root)) == 360
    assert some.pixels.shape == (50, 1, 32, 32)
    assert some.pixels.dtype == torch.uint8
    assert some.labels is not None
    assert len(some.labels.unique()) > 5  # drawn, not the first
    assert torch.equal(some.pixels, ganzoo.images("digits", 50, data_root=data_root).pixels)
    assert ganzoo.images("digits", 3, size=16, data_root=data_root).shape == (1, 16, 16)


def test_features_are_those_that_scores_are_made_of(data_root: Path, tmp_path: Path) -> None:
    real = ganzoo.images("digits", 200, data_root=data_root)
    found = ganzoo.features_of(real, "digits")
    assert found["pool"].shape == (200, 64)
    assert found["logits"].shape == (200, 10)
    assert real.labels is not None
    assert (found["logits"].argmax(1) == real.labels).float().mean() > 0.97
    again = ganzoo.features_of(real.pixels.numpy())
    assert torch.equal(again["pool"], found["pool"])
    np.savez(tmp_path / "real.npz", images=real.pixels.permute(0, 2, 3, 1).numpy())
    score = ganzoo.evaluate(tmp_path / "real.npz", dataset="digits", metrics="fid", data_root=data_root)
    everything = ganzoo.features_of(ganzoo.images(data_root=data_root))["pool"].double()
    assert score.values["fid"] == pytest.approx(frechet(found["pool"].double(), everything), abs=1e-6)


def frechet(a: torch.Tensor, b: torch.Tensor) -> float:
    """As the textbook has it."""
    s, t = np.cov(a.numpy(), rowvar=False), np.cov(b.numpy(), rowvar=False)
    root = np.sqrt(np.linalg.eigvals(s @ t).real.clip(0)).sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + np.trace(s) + np.trace(t) - 2 * root)


@pytest.mark.parametrize(
    "pixels",
    [torch.zeros(2, 1, 8, 8), torch.zeros(1, 8, 8, dtype=torch.uint8), torch.zeros(0, 1, 8, 8, dtype=torch.uint8),
     torch.zeros(2, 8, 8, 3, dtype=torch.uint8)],
)  # fmt: skip
def test_what_are_no_images(pixels: torch.Tensor) -> None:
    with pytest.raises(UserError, match=re.escape(f"images are {pixels.dtype} {list(pixels.shape)}")) as caught:
        ganzoo.features_of(pixels)
    assert "uint8 [N,C,H,W]" in caught.value.cure


def test_what_there_is_not(data_root: Path) -> None:
    for wrong in ({"dataset": "digit"}, {"split": "val"}, {"n": 0}, {"number": 3}):
        with pytest.raises(UserError):
            ganzoo.images(**wrong, data_root=data_root)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="digit"):
        ganzoo.features_of(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), "digit")
