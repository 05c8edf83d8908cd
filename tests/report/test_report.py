"""The report as a file: complete, escaped, small, and needing nothing else."""

from __future__ import annotations

import base64
import hashlib
import html as entities
import io
import itertools
import json
import os
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
from ganzoo.errors import RunError, SettingError, UnknownName
from ganzoo.files.progress import Event, Working, listening
from ganzoo.report import make_report, make_site
from ganzoo.report.data import _summary
from ganzoo.report.page import SCRIPTS
from ganzoo.report.pictures import Gallery, encoded, native
from ganzoo.report.runs import FRAMES, ROWS_SEEN, RunView, wanted

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Tags with their attributes, the text between them, and the data; refuses tags that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.scripts: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, self.open
        self.data = json.loads(next(script for script in self.scripts if script.startswith('{"tables"')))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif self.open and self.open[-1] != "style":
            self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page_of(folder: Path) -> Page:
    return Page(make_report([folder]).html)


def pixel(source: str) -> tuple[int, ...]:
    head, _, data = source.partition(",")
    assert head == "data:image/webp;base64"
    found = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB").getpixel((0, 0))
    assert isinstance(found, tuple)
    return found


def test_everything_is_on_the_page(runs: Path) -> None:
    page = page_of(runs)
    for part in ("protocol: digits-a", "protocol: digits-b", "12.50", "8.25", "40.00", "no rank"):
        assert part in page.text, part
    first, second = page.data["tables"]
    assert [row["name"] for row in first["rows"]] == ["dcgan", "gan"]
    assert [row["name"] for row in second["rows"]] == ["gan"]
    assert [first["title"], second["title"]] == ["digits, 1 seed each, 1 kimg (1,000 real images) each",
                                                 "digits, 1 seed, 1 kimg (1,000 real images)"]  # fmt: skip
    run = next(run for run in first["runs"] if run["path"].endswith("a"))
    colours = [pixel(page.data["pictures"][name]) for _, name in run["film"]]
    assert [kimg for kimg, _ in run["film"]] == [0, 0.5, 1]
    assert colours[0][0] < 20 < colours[1][0] < 200 < colours[2][0]
    assert pixel(page.data["pictures"][run["real"]])[1] > 100
    assert run["neighbours"][0] == 1.0
    index = first["runs"].index(run)
    assert first["environment"]["own"][index]["python"] == "3.11.99"
    assert "train.kimg" in first["settings"]["same"]
    assert first["settings"]["own"][index]["variant.name"] == "gan"
    curve = first["scores"]["fid"]["curves"][0]
    assert [moment[::2] for moment in curve["moments"]] == [[0.5, 50.0], [1.0, 12.5]]
    assert curve["untrained"] == 900.0
    assert {"d_loss", "g_loss", "d_accuracy", "diversity"} <= set(first["curves"][str(index)])


def test_tables_that_have_one_title_say_their_protocols(
    tmp_path: Path, write_run: Callable[..., dict[str, Any]]
) -> None:
    for protocol in ("digits-a", "digits-b"):
        write_run(tmp_path / protocol, protocol=protocol)
    title = "digits, 1 seed, 1 kimg (1,000 real images)"
    page = page_of(tmp_path)
    assert [table["title"] for table in page.data["tables"]] == [f"{title}, digits-a", f"{title}, digits-b"]
    assert page.text.count(f"{title}, digits-b") >= 2  # above its table, and in the list of tables


def test_a_bench_has_ranks_bands_and_a_front(bench: Path) -> None:
    (table,) = page_of(bench).data["tables"]
    assert [(row["name"], row["ranks"]) for row in table["rows"]] == [
        ("dcgan", "1="), ("cgan", "1="), ("gan", "3"), ("real: test split", ""),
    ]  # fmt: skip
    places = {row["name"]: row["place"] for row in table["rows"]}
    points = {point[0]: point for point in table["pareto"]["train_img_per_s fid"]["points"]}
    front = {name for name, place in places.items() if place is not None and points[place][5]}
    assert front == {"dcgan", "cgan", "gan"}  # each is faster than what is better than it
    assert points[places["gan"]][4] > 0  # the interval of FID, over seeds
    curve = table["scores"]["fid"]["curves"][0]
    assert curve["seeds"] == 3
    assert all(moment[3] > 0 for moment in curve["moments"])
    assert any("mode collapse: gan (" in line for line in table["warnings"])
    assert sorted(table["best"]["fid"]) == sorted(places[name] for name in ("dcgan", "cgan"))  # rank 1, of two
    assert table["pareto"]["train_img_per_s fid"]["limits"] == [[0.0, None], [0.0, None]]
    assert table["scores"]["fid"]["limits"] == [0.0, None]
    assert table["training"]["d_accuracy"]["limits"] == [0.0, 1.0]
    assert table["training"]["d_accuracy"]["title"] == "accuracy of D"
    assert table["scores"]["fid"]["floors"] == [["real: test split", 0.5]]
    assert table["summary"][:2] == ["fid", "recall"]


def test_kid_stands_for_fid_where_there_is_none() -> None:
    assert _summary(["recall", "kid", "seconds"]) == ["kid", "recall", "seconds"]
    assert _summary(["recall", "kid", "fid"]) == ["fid", "recall"]  # and kid among what follows


def scored_row(write_run: Callable[..., dict[str, Any]], folder: Path, variant: str, rules: tuple[str, ...] = (),
               speed: float = 1000.0, parameters: int = 1500, **values: float) -> None:  # fmt: skip
    for seed in range(3):
        last = {
            "images": 1000, "kimg": 1.0, "values": {"fid": 10.0 + seed / 9, **values}, "seconds": 1.0,
            "sample_img_per_s": 1.0, "peak_memory": 1, "left_out": {}, "protocol": "digits-a",
        }  # fmt: skip
        found = [{"images": 1, "kimg": 1.0, "rule": r, "text": "x", "cure": "y", "link": "z"} for r in rules]
        changes = {
            "last": last, "diagnostics": found, "train_img_per_s": speed + seed,
            "parameters": {"generator": parameters, "discriminator": 1},
        }  # fmt: skip
        write_run(folder / f"{variant}-{seed}", variant, seed=seed, changes=changes)


def test_what_is_hardly_trained_has_not_collapsed(tmp_path: Path, write_run: Callable[..., dict[str, Any]]) -> None:
    scored_row(write_run, tmp_path, "gan", precision=0.4, recall=0.01)  # few kinds, near real ones
    scored_row(write_run, tmp_path, "dcgan", ("mode-collapse",), precision=0.0, recall=0.0)  # of one kind
    scored_row(write_run, tmp_path, "cdcgan", precision=0.0, recall=0.0)  # noise
    scored_row(write_run, tmp_path, "cgan", ("mode-collapse", "learns-nothing"), precision=0.0, recall=0.0)
    scored_row(write_run, tmp_path, "wgan-gp", precision=0.0, recall=0.3)
    (table,) = page_of(tmp_path).data["tables"]
    said = {line.partition(":")[0]: line.partition(" (")[0].partition(": ")[2] for line in table["warnings"]}
    assert sorted(said["mode collapse"].split(", ")) == ["dcgan", "gan"]
    assert sorted(said["hardly trained"].split(", ")) == ["cdcgan", "cgan"]


def test_bold_is_what_a_test_carries(tmp_path: Path, write_run: Callable[..., dict[str, Any]]) -> None:
    scored_row(write_run, tmp_path / "three", "gan", speed=5000.0, recall=0.5)
    scored_row(write_run, tmp_path / "three", "dcgan", speed=4999.5, parameters=700, recall=0.5)
    scored_row(write_run, tmp_path / "three", "cgan", speed=1000.0, recall=0.5)
    (table,) = page_of(tmp_path / "three").data["tables"]
    places = {row["name"]: row["place"] for row in table["rows"]}
    assert sorted(table["best"]["train_img_per_s"]) == sorted([places["gan"], places["dcgan"]])
    assert table["best"]["parameters"] == [places["dcgan"]]
    assert not {"fid", "recall"} & set(table["best"])  # nothing is told apart
    write_run(tmp_path / "three" / "one", "wgan", changes={"train_img_per_s": 9000.0})
    (table,) = page_of(tmp_path / "three").data["tables"]
    assert "train_img_per_s" not in table["best"]  # the best mean is of one seed
    shutil.rmtree(tmp_path / "three" / "one")
    for file in (tmp_path / "three").glob("cgan-*/result.json"):
        file.write_text(file.read_text().replace("some CPU", "another CPU"))
    (table,) = page_of(tmp_path / "three").data["tables"]
    assert set(table["best"]) == {"parameters"}  # speeds of two machines tell nothing of variants
    for variant, fid in (("gan", 5.0), ("dcgan", 50.0)):
        write_run(tmp_path / "one" / variant, variant, fid=fid)
    (table,) = page_of(tmp_path / "one").data["tables"]
    assert table["best"] == {}  # of one seed no test can be made


def test_the_page_needs_nothing_else(runs: Path) -> None:
    html = make_report([runs]).html
    page = Page(html)
    assert not page.of("link")
    assert all(set(script) <= {"type", "id"} for script in page.of("script"))
    addresses = [
        value or "" for tag, attributes in page.tags for key, value in attributes.items()
        if key in ("src", "href") and tag != "a"
    ]  # fmt: skip
    assert all(address.startswith("data:") for address in addresses)
    assert not re.findall(r"@import|url\(", entities.unescape(re.sub(r"<script.*?</script>", "", html, flags=re.S)))
    policy = next(str(tag["content"]) for tag in page.of("meta") if tag.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in page.scripts[1:]
    ]
    assert rules["script-src"].split() == hashes


def test_what_a_run_says_is_text(tmp_path: Path, write_run: Callable[..., dict[str, Any]]) -> None:
    """Names, settings, failures and metrics may come from anywhere, and are never markup."""
    evil = "</script><script>alert('x')</script><!--"
    environment = {"device": evil, "precision": "fp32", "python": evil, "packages": {"ganzoo": "1", "torch": evil}}
    write_run(tmp_path / "runs" / "a<b>", changes={"diverged": evil, "environment": environment})
    (tmp_path / "runs" / "a<b>" / "stats.jsonl").write_text(
        json.dumps({"kimg": 1, "</script><b>_loss": 1.0, "images": 1000}) + "\n"
    )
    page = page_of(tmp_path / "runs")
    assert len(page.of("script")) == 3
    assert not page.of("b")
    (table,) = page.data["tables"]
    assert "</script><b>_loss" in table["training"]
    assert table["environment"]["same"]["device"] == evil
    assert page.text.count(evil) >= 2


def test_where_the_folder_lies_is_not_told(runs: Path) -> None:
    (runs / "d").mkdir()
    (runs / "d" / "result.json").write_text("damaged")
    html = make_report([runs]).html
    assert str(runs.parent) not in html
    assert "runs/d" in html.replace("\\", "/")


def test_a_run_without_a_result(runs: Path) -> None:
    (runs / "b" / "result.json").unlink()
    (runs / "b" / "failure.txt").write_text("ValueError: on purpose\n")
    (runs / "a" / "env.json").write_text("damaged")
    table = next(table for table in page_of(runs).data["tables"] if table["protocol"] == "digits-a")
    failed = next(run for run in table["runs"] if run["path"].endswith("b"))
    assert failed["status"] == "ValueError: on purpose"
    assert any("ValueError: on purpose" in line for line in table["warnings"])
    other = next(index for index, run in enumerate(table["runs"]) if run["path"].endswith("a"))
    told = table["environment"]["same"] | table["environment"]["own"][other]
    assert told["device"] == "some CPU"


def test_errors(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nowhere does not exist"):
        make_report([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="no runs"):
        make_report([tmp_path / "empty"])
    with pytest.raises(UnknownName, match="fidd"):
        make_report([runs], sort="fidd")
    with pytest.raises(SettingError, match="--site"):
        cli.main(["report", str(runs), "--out", "x.html", "--site", "x"], standalone_mode=False)
    if os.name == "posix":
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(SettingError, match="is no plain file"):
            cli.main(["report", str(runs), "--out", str(tmp_path / "pipe")], standalone_mode=False)
        assert (tmp_path / "pipe").is_fifo()
    with pytest.raises(SettingError, match="is a folder") as caught:  # before a minute of work
        cli.main(["report", str(tmp_path / "nowhere"), "--out", str(tmp_path)], standalone_mode=False)
    assert str(tmp_path / "report.html") in caught.value.cure


def test_the_command(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    cli.main(["report", "runs", "--no-sampling"], standalone_mode=False)
    assert capsys.readouterr().out == "report.html\n"
    assert "digits-a" in (tmp_path / "report.html").read_text(encoding="utf-8")
    cli.main(["report", "--no-sampling", "--out", "other/page.html"], standalone_mode=False)
    assert (tmp_path / "other" / "page.html").is_file()


def test_commands_are_of_the_config_and_name_nobody(tmp_path: Path, write_run: Callable[..., dict[str, Any]]) -> None:
    """What was typed is in env.json, with folders of whoever typed it."""
    write_run(tmp_path / "runs" / "a", "dcgan", seed=7, sets=("train.kimg=3", "train.batch_size=16"))
    typed = {"provenance": {"command": "ganzoo train dcgan --data-root /home/anna", "user": "anna", "host": "lab"}}
    (tmp_path / "runs" / "a" / "env.json").write_text(json.dumps(typed))
    write_run(tmp_path / "runs" / "b", "gan", sets=("init=/home/anna/weights.safetensors",))
    write_run(tmp_path / "runs" / "c", "gan")
    for name in ("config.json", "result.json"):
        file = tmp_path / "runs" / "c" / name
        file.write_text(file.read_text().replace('"gan"', '"of-a-plugin"'))
    arguments = [str(tmp_path / "runs"), "--no-sampling", "--out", str(tmp_path / "p.html")]
    cli.main(["report", *arguments], standalone_mode=False)
    html = (tmp_path / "p.html").read_text(encoding="utf-8")
    told = {run["path"][-1]: run["command"] for table in Page(html).data["tables"] for run in table["runs"]}
    assert told["a"].startswith("ganzoo train dcgan --dataset digits")
    options = set(map(" ".join, itertools.pairwise(told["a"].split())))
    assert {"--kimg 3", "--seed 7", "--set train.batch_size=16"} <= options
    assert told["b"] == told["c"] == ""
    assert "anna" not in "".join(told.values())
    assert "--data-root" not in html


def test_without_sampling_there_is_no_torch(runs: Path) -> None:
    code = (
        "import sys; from ganzoo.cli.main import cli;"
        "cli.main(['report', 'runs', '--no-sampling'], standalone_mode=False);"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=runs.parent, timeout=60)


def test_interpolations_are_made_and_what_cannot_be_is_said(
    tmp_path: Path, data_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import ganzoo

    sets = ["train.batch_size=32", "train.snapshots=1", "eval.metrics=is", "variant.z_dim=8"]
    ganzoo.train("gan", kimg=0.032, num_images=100, out=tmp_path / "runs", data_root=data_root, sets=sets)

    def interpolations() -> list[str]:
        """As names of pictures."""
        cli.main(["report", str(tmp_path / "runs"), "--out", str(tmp_path / "page.html")], standalone_mode=False)
        data = Page((tmp_path / "page.html").read_text(encoding="utf-8")).data
        pictures.update(data["pictures"])
        return [run["interpolation"] for table in data["tables"] for run in table["runs"]]

    pictures: dict[str, str] = {}
    (made,) = interpolations()
    picture = pictures[made].partition(",")[2]
    size = Image.open(io.BytesIO(base64.b64decode(picture))).size
    assert size == (10 * 34 + 2, 6 * 34 + 2)  # 6 rows of 10 steps, of 32 pixels and a line of 2
    assert "no interpolation" not in capsys.readouterr().err
    next((tmp_path / "runs" / "snapshots").glob("000000.032*")).write_bytes(b"damaged")
    assert interpolations() == [""]
    assert "no interpolation of gan" in capsys.readouterr().err


# Pictures


def test_pictures_are_stored_at_their_native_size_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = Image.effect_noise((7, 5), 100)
    large = noise.resize((28, 20), Image.Resampling.NEAREST).convert("RGB")
    assert native(large).size == (7, 5)
    assert native(large).mode == "L"
    assert native(large.resize((29, 20))).size == (29, 20)
    coloured = Image.merge("RGB", [noise, noise, Image.effect_noise((7, 5), 50)])
    assert native(coloured.resize((21, 15), Image.Resampling.NEAREST)).mode == "RGB"
    data, ending = encoded(large)
    assert ending == "webp"
    assert Image.open(io.BytesIO(data)).size == (7, 5)
    large.save(tmp_path / "a.png")
    shutil.copy(tmp_path / "a.png", tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"damaged")
    small: list[tuple[int, int]] = []
    monkeypatch.setattr("ganzoo.report.pictures.native", lambda image: small.append(image.size) or native(image))
    gallery = Gallery(limit=10_000)
    names = gallery.add_files([(tmp_path, f"{name}.png") for name in "abcd"])
    assert names[0] == names[1] != ""
    assert names[2:] == ["", ""]  # damaged, and not there
    assert gallery.add_files([(tmp_path, "b.png")]) == names[:1]
    assert len(small) == len(gallery.sources) == 1
    assert gallery.left_out == 0


def test_films_are_of_the_pictures_close_together(close_runs: Path) -> None:
    """Where a run has them: they show the first rows of its grid, which is then there as a whole."""
    page = page_of(close_runs)
    first, second = (next(run for run in page.data["tables"][0]["runs"] if run["path"][-1] == name) for name in "ab")
    assert [kimg for kimg, _ in first["film"]] == [0, 0.064, 0.128, 1]
    reds = [pixel(page.data["pictures"][name])[0] for _, name in first["film"]]
    assert all(abs(red - found) < 8 for red, found in zip((10, 60, 110, 160), reds, strict=True))
    assert first["grid"][0] == 1
    assert pixel(page.data["pictures"][first["grid"][1]])[0] > 240
    assert [kimg for kimg, _ in second["film"]] == [0, 0.5, 1]
    assert second["grid"] == []


def test_long_films_are_thinned_evenly(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And where the page is full, they keep frames from all over, the last among them."""
    (runs / "a" / "pictures").mkdir()
    for index in range(100):
        picture = Image.effect_noise((60, 60), 100)
        picture.save(runs / "a" / "pictures" / f"{index / 10:010.3f}.png")

    def film() -> list[float]:
        data = page_of(runs).data
        return [kimg for run in data["tables"][0]["runs"] for kimg, _ in run["film"]]

    whole = film()
    assert len(whole) == FRAMES
    assert (whole[0], whole[-1]) == (0, 9.9)
    assert max(b - a for a, b in itertools.pairwise(whole)) < 0.4
    monkeypatch.setattr("ganzoo.report.page.PAGE_BYTES", 70_000)
    part = film()
    assert 8 <= len(part) < 40
    assert part[-1] == 9.9
    assert max(b - a for a, b in itertools.pairwise(part)) < 2


def test_every_row_of_every_table_has_a_film_before_any_has_all(bench: Path, tmp_path: Path) -> None:
    """Of two tables, in which the rows are called the same; and rows that are seen at once come first."""
    shutil.copytree(bench, tmp_path / "bench")
    for run in (tmp_path / "bench").glob("*-s2"):
        result = (run / "result.json").read_text()
        (run / "result.json").write_text(result.replace('"digits-a"', '"digits-b"'))
    views: list[RunView] = []
    make_report([tmp_path / "bench"], sample=lambda some, gallery: views.extend(some) or [])
    films = [one for one in wanted(views)[1] if one.kind == "film"]
    start, rest = films[:6], films[6:12]
    assert len({one.view.row for one in start}) == len({one.view.row for one in rest}) == 6
    assert {one.path.name for one in start} == {"000000.000.png"}
    assert {one.path.name for one in rest} == {"000000.500.png"}
    for view in views:
        view.place += ROWS_SEEN - 1
    films = [one for one in wanted(views)[1] if one.kind == "film"]
    assert {one.view.place for one in films[:4]} == {ROWS_SEEN - 1}


def test_it_is_said_how_far_the_pictures_are(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[Event] = []
    with listening(told.append):
        make_report([runs])
    works = [event for event in told if isinstance(event, Working) and event.unit == "pictures"]
    assert works[0].done == 0
    assert works[-1].ended
    assert works[-1].done == works[-1].total == 7  # real images of three runs, three frames, neighbours
    cli.main(["report", str(runs), "--no-sampling", "--out", str(runs / "x.html")], standalone_mode=False)
    assert capsys.readouterr().err.startswith("reading runs\n")  # at once; the next line is due after two seconds
    cli.main(["report", str(runs), "--no-sampling", "--quiet", "--out", str(runs / "x.html")], standalone_mode=False)
    assert capsys.readouterr().err == ""


def test_a_full_page_keeps_what_matters_and_says_so(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make_report([bench])
    assert whole.notes == []
    data = Page(whole.html).data
    kept = {run[kind] for table in data["tables"] for run in table["runs"] for kind in ("real",)}
    kept |= {run["film"][-1][1] for table in data["tables"] for run in table["runs"]}
    monkeypatch.setattr("ganzoo.report.page.PAGE_BYTES", sum(len(data["pictures"][name]) for name in kept))
    small = make_report([bench])
    assert "`ganzoo report --site DIR`" in small.notes[0]
    assert small.notes[0] in entities.unescape(small.html)
    runs = [run for table in Page(small.html).data["tables"] for run in table["runs"]]
    assert all(run["real"] and run["film"][-1][0] == 1.0 for run in runs)
    assert sum(len(run["film"]) for run in runs) < 27


def test_a_site_has_its_pictures_beside_it(bench: Path, tmp_path: Path) -> None:
    make_site([bench], tmp_path / "site")
    page = Page((tmp_path / "site" / "index.html").read_text(encoding="utf-8"))
    sources = set(page.data["pictures"].values())
    files = {f"pictures/{file.name}" for file in (tmp_path / "site" / "pictures").iterdir()}
    assert sources == files
    assert len(files) >= 1 + 9 * 3  # the real images, once, and all frames


# Whose runs they are


def test_whose_a_run_is(tmp_path: Path, write_run: Callable[..., dict[str, Any]]) -> None:
    """By the name it was trained under, else by the folder that its owner has handed in."""
    for who in ("anna", "ben"):
        write_run(tmp_path / "class" / who / "gan-s0", "gan", fid=10.0 if who == "anna" else 20.0)
    write_run(tmp_path / "class" / "ben" / "dcgan-s0", "dcgan", sets=("name=Benedikt",))
    (table,) = page_of(tmp_path / "class").data["tables"]
    assert sorted(run["who"] for run in table["runs"]) == ["Benedikt", "anna", "ben"]
    (alone,) = page_of(tmp_path / "class" / "anna").data["tables"]
    assert [run["who"] for run in alone["runs"]] == [""]


# What ships


def test_the_wheel_has_what_the_page_is_made_of(tmp_path: Path) -> None:
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
    names = set(zipfile.ZipFile(wheel).namelist())
    report = {"static/page.html", "static/page.css", "vendor/vega.js", "vendor/LICENSE.txt"}
    report |= {f"static/{name}.js" for name in SCRIPTS}
    assert {f"ganzoo/report/{name}" for name in report} | {"ganzoo/features/weights/golden.json"} <= names


def test_the_charting_library_is_the_one_it_says() -> None:
    """Byte for byte what the published package makes of Vega, Vega-Lite and Vega-Embed."""
    import vl_convert

    import ganzoo.report.page

    vendor = Path(ganzoo.report.page.__file__).parent / "vendor"
    ours = (vendor / "vega.js").read_text(encoding="utf-8")
    assert ours == vl_convert.javascript_bundle("window.vegaEmbed=vegaEmbed;")
    licence = (vendor / "LICENSE.txt").read_text(encoding="utf-8")
    version = vl_convert.get_vega_version().rpartition(".")[0]
    assert f"Vega {version}, Vega-Lite {vl_convert.get_vegalite_versions()[-1]}" in licence
