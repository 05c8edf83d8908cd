"""README's table is that of a bench, in 80 columns, and is renewed by a script."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

REPOSITORY = Path(__file__).parents[1]
Write = Callable[..., dict[str, Any]]


@pytest.fixture
def readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with a README and pictures of its own."""
    spec = importlib.util.spec_from_file_location("readme", REPOSITORY / "benchmarks" / "readme.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "README", tmp_path / "README.md")
    monkeypatch.setattr(module, "IMAGES", tmp_path / "images")
    (tmp_path / "images").mkdir()
    return module


@pytest.fixture
def bench(tmp_path: Path, write_run: Write) -> Path:
    """A bench of four variants with three seeds each, with a grid of the seed's colour."""
    for number, variant in enumerate(("gan", "dcgan", "cgan", "wgan-gp")):
        for seed in (2, 0, 1):
            folder = tmp_path / "bench" / f"{variant}-{seed}"
            write_run(folder, variant, seed=seed, fid=10.0 * number + seed, sets=("train.kimg=2",))
            (folder / "samples").mkdir()
            for kimg in (0, 2):
                Image.new("L", (4, 4), 100 * kimg + seed).save(folder / "samples" / f"00000{kimg}.000.png")
    return tmp_path / "bench"


def test_the_table_and_the_pictures_are_renewed(readme: ModuleType, bench: Path, tmp_path: Path) -> None:
    page = f"# Mine\n\n{readme.BEGIN}\nstale\n{readme.END}\n\nafter\n"
    readme.README.write_text(page)
    assert readme.main([str(bench)]) == 0
    text = readme.README.read_text()
    assert text.startswith("# Mine\n")
    assert text.endswith("\n\nafter\n")
    assert "stale" not in text
    assert "\nganzoo bench --variants cgan,dcgan,gan,wgan-gp --kimg 2 --seeds 3\n" in text
    assert "gan has the lowest FID, 1.0 ± 2.5" in text
    table = text[text.index("```text\n") + 8 : text.index("\n```\n\n|")]
    assert max(map(len, table.splitlines())) <= 80
    assert text.index("| gan | dcgan | cgan |") < text.index("| **wgan-gp** |  |  |")
    for name in ("gan", "dcgan", "cgan", "wgan-gp"):
        assert f"(docs/images/digits-{name}.png)" in text
        with Image.open(tmp_path / "images" / f"digits-{name}.png") as picture:
            assert picture.getpixel((0, 0)) == 200  # of the last snapshot of seed 0
    readme.main([str(bench)])
    assert readme.README.read_text() == text


def test_what_is_no_single_bench_is_refused(
    readme: ModuleType, bench: Path, write_run: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    readme.README.write_text("no markers\n")
    with pytest.raises(ValueError, match="in the page"):
        readme.main([str(bench)])
    readme.README.write_text(f"{readme.BEGIN}\n{readme.END}\n")
    write_run(bench / "more", "gan", sets=("train.g_lr=0.5", "train.kimg=2"), protocol="digits-a")
    with pytest.raises(ValueError, match="recipes"):
        readme.main([str(bench)])
    write_run(bench / "other", "gan", protocol="digits-b")
    assert readme.main([str(bench)]) == 2
    assert readme.main([str(bench / "nowhere")]) == 2
    assert readme.main([]) == 2
    assert "the --out of one bench" in capsys.readouterr().err


def test_readme_s_own_table_fits() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    begin, end = "<!-- by benchmarks/readme.py -->", "<!-- end -->"
    assert text.count(begin) == text.count(end) == 1
    table = text[text.index("```text\n", text.index(begin)) + 8 : text.index("\n```\n\n|")]
    lines = table.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("rank  variant ") for line in lines)
    assert any(line.startswith("made on: ") for line in lines)


NAMED = re.compile(r"--(?:out|site) ([^\s`]+)")
LEFT = ("dcgan@digits.png", "dcgan@digits-2.png", "compare.png", "film.webp", "report.html", "figures/x.pdf")
"""By commands that name no place: what lies in no run directory."""


@pytest.mark.skipif(shutil.which("git") is None or not (REPOSITORY / ".git").exists(), reason="no checkout")
def test_what_the_commands_leave_is_no_news_to_git() -> None:
    pages = [REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")]
    named = {name for page in pages for name in NAMED.findall(page.read_text(encoding="utf-8")) if not name.isupper()}
    assert {"images/", "fashion-mnist.npz"} <= named
    left = sorted(named | set(LEFT))
    files = [f"{name.rstrip('/')}/x" if "." not in name else name for name in left]
    command = ["git", "check-ignore", "--no-index", *files]
    ignored = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout.splitlines()
    assert sorted(set(files) - set(ignored)) == []
    tracked = ["docs/images/x.png", "docs/x.md", "tests/x.png", "ganzoo/report/static/page.html"]
    kept = subprocess.run(
        ["git", "check-ignore", "--no-index", *tracked], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert kept.stdout == ""
