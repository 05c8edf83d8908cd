"""The report: one page, complete, escaped, and needing nothing else."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ganzoo.cli.main import cli
from ganzoo.errors import RunError, UnknownName
from ganzoo.report import make_report
from ganzoo.report.chart import line_chart, log_ticks, ticks

VOID = {"meta", "img", "path", "circle", "br"}


class Page(HTMLParser):
    """Tags with their attributes, and the text between them; refuses tags that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3), colour).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture
def runs(tmp_path: Path, write_run: Callable[..., dict[str, Any]]) -> Path:
    """Two runs of one protocol, the first with all its files, and one of another protocol."""
    folder = tmp_path / "runs"
    write_run(folder / "a", "gan", fid=12.5)
    write_run(folder / "b", "dcgan", fid=8.25)
    write_run(folder / "c", "gan", fid=40.0, protocol="digits-b")
    a = folder / "a"
    for name, colour in (
        ("real.png", "green"), ("samples/000000.000.png", "black"), ("samples/000001.000.png", "red"),
        ("neighbours/000001.000.png", "blue"),
    ):  # fmt: skip
        (a / name).parent.mkdir(exist_ok=True)
        (a / name).write_bytes(png(colour))
    stats = [{"images": 500 * i, "kimg": i / 2, "d_loss": 1.0 / i, "g_loss": 2.0 * i, "seconds": 1} for i in (1, 2)]
    stats.append({"images": 1500, "kimg": 1.5, "d_loss": None, "g_loss": 1.0})
    (a / "stats.jsonl").write_text("".join(json.dumps(line) + "\n" for line in stats))
    scored = {"protocol": "digits-a", "seconds": 1.0, "sample_img_per_s": 500.0, "left_out": {}}
    metrics = [
        {"images": 0, "kimg": 0.0, "values": {"fid": 300.0}, **scored},
        {"images": 1000, "kimg": 1.0, "values": {"fid": 12.5}, **scored},
    ]
    (a / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in metrics))
    (a / "env.json").write_text(
        json.dumps({"python": "3.11.99", "doctor": {"ok": True}, "packages": {"torch": "2.99"}})
    )
    return folder


def test_everything_is_on_the_page(runs: Path) -> None:
    page = Page(make_report([runs]))
    for part in (
        "protocol: digits-a", "protocol: digits-b", "12.50", "8.25", "40.00", "no rank", "real", "train.kimg",
        "gan, non-saturating, seed 0", "3.11.99", "2.99", "doctor.ok", "some CPU",
    ):  # fmt: skip
        assert part in page.text, part
    pictures = {image["alt"]: image["src"] for image in page.of("img")}
    expected = {"generated, after 1 kimg": "red", "real": "green"}
    nearest = next(alt for alt in pictures if alt and alt.startswith("rows of generated"))
    for alt, colour in (expected | {nearest: "blue"}).items():
        head, _, data = (pictures[alt] or "").partition(",")
        assert head == "data:image/png;base64"
        assert base64.b64decode(data) == png(colour)
    assert len(pictures) == 3  # the other runs have none
    assert len(page.of("svg")) == 2
    for part in ("kimg", "FID, lower is better", "loss, mean of a tick", "d loss", "g loss"):
        assert part in page.text
    links = [link["href"] for link in page.of("a")]
    anchors = [section["id"] for section in page.of("section")]
    assert len(links) == len(set(links)) == 3
    assert {f"#{anchor}" for anchor in anchors} == set(links)


def test_the_page_needs_nothing_else(runs: Path) -> None:
    html = make_report([runs])
    page = Page(html)
    assert not page.of("script") + page.of("link")
    addresses = [
        value or "" for _, attributes in page.tags for key, value in attributes.items() if key in ("src", "href")
    ]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert not re.findall(r"@import|url\(", html)
    assert any(tag.get("name") == "viewport" for tag in page.of("meta"))
    assert "@media print" in html


def test_what_a_run_says_is_text(tmp_path: Path, write_run: Callable[..., dict[str, Any]]) -> None:
    """Names, settings, failures and metrics may come from anywhere, and are never markup."""
    evil = "<script>alert('x')</script>"
    environment = {"device": evil, "precision": "fp32", "python": evil, "packages": {"ganzoo": "1", "torch": evil}}
    write_run(tmp_path / "runs" / "a<b>", changes={"diverged": evil, "environment": environment})
    (tmp_path / "runs" / "a<b>" / "stats.jsonl").write_text(
        json.dumps({"kimg": 1, "<b>_loss": 1.0, "images": 1}) + "\n"
    )
    html = make_report([tmp_path / "runs"])
    page = Page(html)
    assert not page.of("script")
    assert not page.of("b")
    assert "<b> loss" in page.text
    assert page.text.count(evil) >= 3


def test_where_the_folder_lies_is_not_told(runs: Path) -> None:
    html = make_report([runs])
    assert str(runs.parent) not in html
    assert "runs/a" in html.replace("\\", "/")


def test_a_run_without_a_result(runs: Path) -> None:
    (runs / "b" / "result.json").unlink()
    (runs / "b" / "failure.txt").write_text("ValueError: on purpose\n")
    (runs / "a" / "env.json").write_text("damaged")
    page = Page(make_report([runs]))
    assert "ValueError: on purpose" in page.text
    assert "dcgan, non-saturating, seed 0" in page.text
    assert "some CPU" in page.text


def test_errors(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no folder"):
        make_report([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="no runs"):
        make_report([tmp_path / "empty"])
    with pytest.raises(UnknownName, match="fidd"):
        make_report([runs], sort="fidd")


def test_the_command(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    cli.main(["report", "runs"], standalone_mode=False)
    assert capsys.readouterr().out == "report.html\n"
    assert "digits-a" in (tmp_path / "report.html").read_text(encoding="utf-8")
    cli.main(["report", "--out", "other/page.html"], standalone_mode=False)
    assert (tmp_path / "other" / "page.html").is_file()


def test_the_command_does_not_import_torch(runs: Path) -> None:
    code = (
        "import sys; from ganzoo.cli.main import cli; cli.main(['report', 'runs'], standalone_mode=False);"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=runs.parent, timeout=60)


def test_the_wheel_has_the_template(tmp_path: Path) -> None:
    """And the golden values; built without isolation from a copy of what the wheel is made of."""
    from hatchling.builders.wheel import WheelBuilder

    repository = Path(__file__).parents[2]
    copy = tmp_path / "copy"
    (copy / "plugins").mkdir(parents=True)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(repository / name, copy / name)
    for name in ("report", "features/weights"):
        shutil.copytree(repository / "ganzoo" / name, copy / "ganzoo" / name)
    (wheel,) = WheelBuilder(str(copy)).build(directory=str(tmp_path / "dist"), versions=["standard"])
    names = zipfile.ZipFile(wheel).namelist()
    assert {"ganzoo/report/template.html", "ganzoo/features/weights/golden.json"} <= set(names)


def test_a_chart_puts_points_where_they_belong() -> None:
    svg = line_chart({"a": [(0, 0), (10, 5), (20, 10)]}, title="t", x_label="x (kimg)", y_label="y")
    circles = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)]
    (x0, y0), (x1, y1), (x2, y2) = circles
    assert x0 < x1 < x2
    assert y0 > y1 > y2  # down is more in SVG
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    labels = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert {"x (kimg)", "y", "a", "0", "10", "20"} <= set(labels)


def test_a_logarithmic_chart() -> None:
    svg = line_chart({"FID": [(0, 1), (1, 10), (2, 100)]}, title="t", x_label="x", y_label="FID")
    ys = [float(y) for y in re.findall(r'<circle cx="[\d.]+" cy="([\d.]+)"', svg)]
    assert ys[0] - ys[1] == pytest.approx(ys[1] - ys[2], abs=0.2)
    assert "FID (log)" in svg
    assert "(log)" not in line_chart({"FID": [(0, -1), (1, 100)]}, title="t", x_label="x", y_label="FID")


@pytest.mark.parametrize(
    "points", [[(0, 0)], [(5, 5)], [(5, 5), (5, 5)], [(0, -3), (0, 7)], [(0, 1e-12), (1e9, 1e12)], [(1, 0), (2, 0)]]
)
def test_charts_of_odd_data_stay_inside(points: list[tuple[float, float]]) -> None:
    svg = line_chart({"a": points}, title="t", x_label="x", y_label="y")
    assert "nan" not in svg
    assert "inf" not in svg
    for x, y in re.findall(r'<circle cx="([-\d.]+)" cy="([-\d.]+)"', svg):
        assert 0 <= float(x) <= 460
        assert 0 <= float(y) <= 260


def test_a_chart_of_nothing_is_none() -> None:
    nan = float("nan")
    assert line_chart({}, title="t", x_label="x", y_label="y") == ""
    assert line_chart({"a": [(0, nan), (float("inf"), 1)]}, title="t", x_label="x", y_label="y") == ""


def test_ticks() -> None:
    assert ticks(0, 10) == [0, 2, 4, 6, 8, 10]
    assert ticks(0, 1.024) == pytest.approx([0, 0.5, 1])
    assert ticks(-1, 1) == pytest.approx([-1, -0.5, 0, 0.5, 1])
    for low, high in ((0, 3), (54, 271), (0.001, 0.0017), (-5e6, 9e7)):
        marks = ticks(low, high)
        assert 2 <= len(marks) <= 6
        assert low <= min(marks) <= max(marks) <= high + 1e-9
    assert log_ticks(3, 300) == [5, 10, 20, 50, 100, 200]
    assert log_ticks(1e-3, 1e6) == pytest.approx([10.0**power for power in range(-3, 7)])
