"""The search for recipes and the published leaderboard: benchmarks/search.py, benchmarks/publish.py, docs/results/."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from ganzoo import found_recipes
from ganzoo.config.options import config_of
from ganzoo.runs.events import Finished
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.source import source_sha256

ROOT = Path(__file__).parents[1]
RESULTS = sorted((ROOT / "docs" / "results").glob("*/*/*/result.json"))


def script(name: str) -> ModuleType:
    if str(ROOT / "benchmarks") not in sys.path:
        sys.path.append(str(ROOT / "benchmarks"))  # whose files import each other
    return importlib.import_module(name)


def test_draws_are_different_neighbours_of_what_there_is() -> None:
    search = script("search")
    present = {"train.g_lr": 2e-4, "train.d_lr": 1e-3, "train.beta1": 0.5, "train.batch_size": 32, "variant.width": 8}
    space = {"train.beta1": (0.0, 0.5), "train.batch_size": (16, 32, 64), "variant.width": (8,)}
    drawn = list(search.draws(present, space, 30, seed=3))
    assert drawn == list(search.draws(present, space, 30, seed=3))
    assert drawn != list(search.draws(present, space, 30, seed=4))
    assert len({json.dumps(one) for one in drawn}) == 30
    assert {len(one) for one in drawn} == {1, 2, 3}
    assert all(present[name] != value for one in drawn for name, value in one.items())
    seen = {name: {one[name] for one in drawn if name in one} for one in drawn for name in one}
    assert seen["train.g_lr"] == {1e-4, 4e-4, 8e-4}  # half, twice and four times
    assert seen["train.beta1"] == {0.0}
    assert "variant.width" not in seen


def test_a_search_that_diverged_chooses_nothing() -> None:
    search = script("search")
    assert search.mean_of([], "fid") == search.mean_of([{"fid": 3.0}, {"fid": None}], "fid") == float("inf")
    assert search.mean_of([{"fid": 3.0}, {"fid": 4.0}], "fid") == 3.5


def test_what_is_adopted_is_a_recipe_beside_the_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = tmp_path / "ganzoo_adopts"
    plugin.mkdir()
    (plugin / "__init__.py").write_text(
        "from ganzoo import Variant, found_recipes, hookimpl\n"
        "GANZOO_API = 2\n"
        "def made(config, shape, num_classes): ...\n"
        "@hookimpl\n"
        "def register_variants():\n"
        "    found = found_recipes(__file__, 'adopts')\n"
        "    return [Variant(name='adopts', target='ganzoo_adopts:made', summary='.', paper='.', presets=found)]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    search = script("search")
    registry = Registry.load([str(plugin)])
    monkeypatch.setattr(Registry, "load", lambda *_: registry)
    monkeypatch.setattr(registry.owner("variants", "adopts"), "module", "ganzoo_adopts")
    source = source_sha256(registry.variant("adopts"))
    file = search.adopt("adopts", "laptop@digits", {"train.g_lr": 1e-3, "train.d_steps": 2})
    assert file == plugin / "recipes.json"
    search.adopt("adopts", "laptop@digits", {"train.g_lr": 2e-3})
    (tmp_path / "recipes.json").write_text("{")
    with pytest.raises(ValueError, match=r"recipes\.json is no JSON"):
        found_recipes(tmp_path / "other.py", "adopts")
    search.adopt("adopts", "laptop@rgb-32", {"train.d_lr": 5e-4})
    monkeypatch.undo()
    spec = Registry.load([str(plugin)]).variant("adopts")
    assert source == source_sha256(spec) != ""  # a recipe makes no other variant
    assert spec.presets == {
        "laptop@digits": {"train.g_lr": 2e-3, "train.d_steps": 2},
        "laptop@rgb-32": {"train.d_lr": 5e-4},
    }


def test_other_kinds_of_images_are_candidates() -> None:
    search = script("search")
    present = search.recipe(search.config_of("cstylegan2", "fashion-mnist", "laptop", {}))
    assert present["regularizer.r1.weight"] == 0.01
    digits = Registry.load().variant("cstylegan2").presets["laptop@digits"]
    assert digits in search.from_elsewhere("cstylegan2", "laptop", "laptop@gray-32", present)
    assert search.from_elsewhere("cstylegan2", "laptop", "laptop@gray-32", present | digits) == []
    assert search.from_elsewhere("cstylegan2", "laptop", "laptop@digits", present) == []  # its own is no other's


def test_a_choice_is_better_by_more_than_chance() -> None:
    choice = script("search").choice
    other = {"train.g_lr": 1.0}

    def finals(*fids: float | None) -> list[dict[str, Any]]:
        settings = [{}, {}, other, other]
        return [{"settings": one, "fid": fid} for one, fid in zip(settings, fids, strict=True)]

    assert choice([{}, other], finals(10, 12, 9, 10), "fid")["chosen"] == {"settings": other, "fid": 9.5}
    assert choice([{}, other], finals(10, 12, 10, 10), "fid")["chosen"] == {"settings": {}, "fid": 11}
    assert choice([{}, other], finals(10, 12, 1, None), "fid")["chosen"] == {"settings": {}, "fid": 11}
    assert choice([{}, other], finals(10, None, 90, 80), "fid") == {
        "before": {"fid": None},
        "chosen": {"settings": other, "fid": 85},
    }


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    sheets = script("publish_sheets")
    monkeypatch.setattr(sheets, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(sheets, "PAGE", tmp_path / "results.md")
    monkeypatch.setattr(sheets, "SHEETS", {
        "digits": sheets.Sheet(title="Digits", dataset="digits", seeds=2, kimg=4.0, variants=("gan", "cgan")),
        "few": sheets.Sheet(title="Few", dataset="digits", seeds=1, kimg=4.0, variants=("dcgan",),
                            also={"ada": {"augment": "ada"}}),
    })  # fmt: skip
    return script("publish")


def test_every_sheet_can_be_trained(registry: Registry, tmp_path: Path) -> None:
    sheets = script("publish_sheets")
    for name, sheet in sheets.SHEETS.items():
        variants = [spec.name for spec in registry.variants()] if sheet.variants == ("all",) else sheet.variants
        _, colon, place = sheet.dataset.partition(":")
        if colon:
            (tmp_path / place).mkdir()
        for variant in variants:
            for more in ({}, *sheet.also.values()):
                config = config_of(registry, variant, {**sheets.options_of(sheet, str(tmp_path)), **more})
                assert config.train.kimg == sheet.kimg, name


def images(pixels: int = 4, rows: int = 8, columns: int = 10, factor: int = 15) -> Image.Image:
    """A grid as runs save them: two black pixels around each image, enlarged; the images of a row are of its number."""
    cell = pixels + 2
    grid = Image.new("RGB", (columns * cell + 2, rows * cell + 2))
    for row in range(rows):
        for column in range(columns):
            grid.paste((row + 1,) * 3, (column * cell + 2, row * cell + 2, (column + 1) * cell, (row + 1) * cell))
    return grid.resize((grid.width * factor, grid.height * factor), Image.Resampling.NEAREST)


@pytest.fixture
def made(write_run: Callable[..., dict[str, Any]], publish: ModuleType, tmp_path: Path) -> Callable[..., None]:
    def run(name: str, variant: str, seed: int, fid: float, *sets: str, suffix: str = "", **changes: Any) -> None:
        folder = tmp_path / "runs" / name / f"{variant}{suffix}-{seed}"
        sets = ("preset=laptop", "train.kimg=4", "device=cpu", *sets)
        changes = {"protocol": {"id": "digits-a", "shape": [1, 4, 4]}, **changes}
        write_run(folder, variant, seed=seed, fid=fid, sets=sets, changes=changes)
        (folder / "samples").mkdir()
        images(factor=round(640 / 62)).save(folder / "samples" / "000001.000.png")
        publish.collect(name, folder, suffix)

    return run


def test_what_a_run_told_at_its_end_is_kept_without_what_is_of_the_machine(
    publish: ModuleType, made: Callable[..., None], tmp_path: Path
) -> None:
    made("digits", "gan", 0, 3.0)
    folder = tmp_path / "runs" / "digits" / "gan-0"
    file = publish.sheets.RESULTS / "digits" / "gan" / "0" / "last_tick.json"
    ticks = [{"images": n, "d_accuracy": n / 8, "seconds": 7.0, "img_per_s": 9.0} for n in (2, 4)]
    (folder / "stats.jsonl").write_text("".join(json.dumps(tick) + "\n" for tick in ticks) + '{"images": 5, "d_acc')
    publish.collect("digits", folder)
    assert json.loads(file.read_text()) == {"images": 4, "d_accuracy": 0.5}  # the line that a kill has cut is none
    (folder / "stats.jsonl").unlink()
    publish.collect("digits", folder)
    assert not file.exists()  # it was of another run


def test_seeds_of_one_code_stand_in_one_row_though_its_comments_have_changed(
    publish: ModuleType, made: Callable[..., None]
) -> None:
    for seed in (0, 1, 2):
        made("digits", "gan", seed, 3.0)
    folder = publish.sheets.RESULTS / "digits" / "gan"
    files = [folder / str(seed) / "result.json" for seed in (0, 1, 2)]

    def sources() -> list[str]:
        return [json.loads(file.read_text())["source"] for file in files]

    for file, source in zip(files, ("before", "since", "other"), strict=True):
        file.write_text(json.dumps({**json.loads(file.read_text()), "source": source}))
    codes = publish.read_codes(folder)
    (folder / "code.json").write_text(json.dumps({**codes, "2": "of other code"}))
    publish.settle_sources(folder)
    ours, again, other = sources()
    assert ours == again != "since"
    assert len(ours) == 64
    assert other == "other"
    (folder / "code.json").write_text(json.dumps(codes))
    publish.settle_sources(folder)
    assert sources() == [ours] * 3
    for file in files:
        file.write_text(json.dumps({**json.loads(file.read_text()), "source": "all"}))
    publish.settle_sources(folder)
    assert sources() == ["all"] * 3


def test_the_page_is_made_from_the_files_alone(
    publish: ModuleType,
    made: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for seed, (ours, theirs) in enumerate([(2.0, 30.0), (2.5, 31.0)]):
        made("digits", "cgan", seed, ours)
        made("digits", "gan", seed, theirs)
    pages, file = publish.publish_page, publish.sheets.PAGE
    file.write_text(f"# Mine\n\nSaid by hand.\n\n{pages.BEGIN}\nold\n{pages.END}\n\nSaid below.\n")
    pages.write()
    page = file.read_text()
    assert page.startswith("# Mine\n\nSaid by hand.\n")
    assert page.endswith("\n\nSaid below.\n")
    assert "old" not in page
    assert "| [cgan](zoo.md) | 2.25 ± 3.18 |" in page
    assert page.index("[cgan]") < page.index("[gan]")  # the leaderboard's order
    assert "0 of 2 variants end below a tenth" in page  # their untrained generators have the same FID in these records
    assert "| digits | cgan | 2.25 | gan | 30.50 |" in page
    assert "as expected |" in page
    again = page
    pages.write()
    assert file.read_text() == again
    flattered = replace(publish.sheets.SHEETS["digits"], flattered="cgan")
    monkeypatch.setitem(publish.sheets.SHEETS, "digits", flattered)
    assert "as expected, by a FID that flatters it |" in "\n".join(pages.expectations())
    monkeypatch.setitem(publish.sheets.SHEETS, "digits", replace(flattered, flattered="gan"))
    assert pages.compare("digits", "gan", "cgan").endswith("**the other way round** |")
    with Image.open(publish.sheets.RESULTS / "digits.png") as picture:
        assert picture.width > 2 * 62
    assert publish.check() == 1  # of few there is nothing
    assert "few dcgan: no seed 0" in capsys.readouterr().out


def timed(result: dict[str, Any], label: str, **changes: Any) -> dict[str, Any]:
    """A row of speed.json, of the recipe that the result is of."""
    batch, parameters = result["config"]["train"]["batch_size"], sum(result["parameters"].values())
    row = {"variant": label, "batch_size": batch, "parameters": parameters}
    return row | {"train_img_per_s": 900.0, "sample_img_per_s": 5.0} | changes


def time_all(publish: ModuleType, sheet: str, **changes: Any) -> None:
    folder = publish.sheets.RESULTS / sheet
    files = sorted(folder.glob("*/0/result.json"))
    rows = [timed(json.loads(file.read_text()), file.parts[-3], **changes) for file in files]
    (folder / "speed.json").write_text(json.dumps({"environment": {"device_name": "a CPU"}, "rows": rows}))


def test_check_tells_what_is_stale(
    publish: ModuleType, made: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    made("few", "dcgan", 0, 3.0)
    made("few", "dcgan", 0, 2.0, "augmentations=ada", suffix="ada")
    for variant in ("gan", "cgan"):
        for seed in (0, 1):
            made("digits", variant, seed, 3.0)
    time_all(publish, "digits")
    assert publish.check() == 1
    assert capsys.readouterr().out.count("throughput not measured: `publish.py speed few`") == 2
    time_all(publish, "few")
    assert publish.check() == 0, capsys.readouterr().out
    for other in ({"batch_size": 7}, {"parameters": 7}):  # measured before the recipe was another
        time_all(publish, "few", **other)
        assert publish.check() == 1
        assert "few dcgan+ada: throughput of another recipe: `publish.py speed few`" in capsys.readouterr().out
        assert "train img/s" not in next(iter(publish.publish_page.table_of("few")))
    time_all(publish, "few")
    gan, cgan = (publish.sheets.RESULTS / "digits" / name for name in ("gan", "cgan"))
    codes = json.loads((gan / "code.json").read_text())
    (gan / "code.json").write_text(json.dumps(codes | {"1": "other"}))
    result = json.loads((cgan / "1" / "result.json").read_text())
    result["config"]["train"]["g_lr"] = 0.5
    (cgan / "1" / "result.json").write_text(json.dumps(result))
    (cgan / "1").rename(cgan / "7")
    (publish.sheets.RESULTS / "digits" / "gone").mkdir()
    assert publish.check() == 1
    told = capsys.readouterr().out.splitlines()
    assert "digits gan: seed 1 made by other code" in told
    assert "digits gan: seed 0 made by other code" not in told
    assert "digits cgan: no seed 1" in told
    assert "digits cgan: seed 7 is none of the sheet's" in told
    assert any(line.startswith("digits cgan: seed 1 of another recipe: ['train.g_lr: 0.5 -> ") for line in told)
    assert "digits gone: none of the sheet's" in told


@pytest.fixture
def few(publish: ModuleType, made: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A result of the sheet "few", whose images are a few of Fashion-MNIST's: the file of its FID of all."""
    sheet = replace(publish.sheets.SHEETS["few"], whole="fashion-mnist", options={"size": 28, "sets": []})
    monkeypatch.setitem(publish.sheets.SHEETS, "few", sheet)
    monkeypatch.setattr(publish, "stale", lambda *_: [])

    def make(suffix: str, fid: float, seed: int = 0, **changes: Any) -> Path:
        made("few", "dcgan", seed, fid, *(["augmentations=ada"] if suffix else []), suffix=suffix, **changes)
        file: Path = publish.folder_of("few", "dcgan", suffix) / str(seed) / "whole.json"
        return file

    return make


def test_few_images_are_compared_by_all_of_them(
    publish: ModuleType, few: Callable[..., Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pages, registry = publish.publish_page, Registry.load()
    for suffix, fid, whole in (("", 3.0, 9.0), ("ada", 4.0, 8.0)):
        file = few(suffix, fid)
        assert not publish.published(registry, "few", "dcgan", suffix, 0)
        assert pages.compare("few", "dcgan+ada", "dcgan") is None  # never one kind of FID beside the other
        assert publish.check() == 1
        assert f"few {file.parents[1].name}: seed 0 not scored against all images" in capsys.readouterr().out
        file.write_text(json.dumps({"values": {"fid": whole}}))
        assert publish.published(registry, "few", "dcgan", suffix, 0)
    told = "| few | dcgan+ada | 8.00 | dcgan | 9.00 | - | lower, of one seed |"
    assert pages.compare("few", "dcgan+ada", "dcgan") == told
    assert "| - | higher, of one seed |" in pages.compare("few", "dcgan", "dcgan+ada")
    titles, _, first, second = list(pages.table_of("few"))[:4]
    assert titles.startswith("| rank | variant | FID | FID of all |")
    assert "[dcgan](zoo.md) | 3.00 | 9.00 |" in first
    assert "[dcgan+ada](zoo.md) | 4.00 | 8.00 |" in second
    publish.collect("few", tmp_path / "runs" / "few" / "dcgan-0")  # made again: what was scored was another generator
    assert not publish.published(registry, "few", "dcgan", "", 0)


def test_what_diverged_has_no_other_score(publish: ModuleType, few: Callable[..., Path]) -> None:
    file = few("", 3.0, diverged="NaN at 2 kimg", last=None)
    assert not publish.unscored("few", file.with_name("result.json"))


def test_generators_are_scored_against_all(
    publish: ModuleType, few: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By `run`, each as soon as it has finished, and the few themselves once."""
    scored: list[str] = []

    def bench(variants: Sequence[str], listen: Callable[..., None], out: Path, **options: Any) -> Any:
        for variant, diverged in zip(variants, (None,), strict=True):
            few("ada" if options.get("augment") else "", 3.0)
            run = tmp_path / "runs" / "few" / f"{variant}{'ada' if options.get('augment') else ''}-0"
            values: dict[str, Any] = {"values": {}, "img_per_s": None, "seconds": None, "path": str(run)}
            listen(Finished(job="", status="done", kimg=4.0, diverged=diverged, **values))
        return SimpleNamespace(runs=[])

    def score_whole(sheet: Any, source: Path, file: Path, arguments: Any) -> None:
        scored.append(source.name)
        file.write_text(json.dumps({"protocol": f"p-{source.name}", "images": 90, "values": {"fid": 5.0}}))

    monkeypatch.setattr(publish.ganzoo, "bench", bench)
    monkeypatch.setattr(publish, "score_whole", score_whole)
    monkeypatch.setattr(publish, "make_few", lambda *_: None)
    arguments = SimpleNamespace(variants=None, seeds=None, at_once=1, runs=tmp_path, data_root=None, folders="data")
    sheet = replace(publish.sheets.SHEETS["few"], dataset="folder:some")
    monkeypatch.setitem(publish.sheets.SHEETS, "few", sheet)
    publish.run("few", arguments)
    assert scored == ["some", "dcgan-0", "dcganada-0"]
    publish.run("few", arguments)
    assert len(scored) == 3
    told = "\n".join(publish.publish_page.conditions_of("few"))
    assert "*FID of all*: protocol `p-dcgan-0`. The 90 images themselves have \n5.00, which" in told


def test_throughput_is_of_each_row_and_a_column_of_nothing_is_none(
    publish: ModuleType, few: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few("", 3.0)
    few("ada", 4.0)
    titles = next(iter(publish.publish_page.table_of("few")))
    assert "train img/s" not in titles
    assert "| FID |" in titles

    def speed(variants: str, augment: str = "", **options: Any) -> Any:
        result = json.loads((publish.folder_of("few", "dcgan", "") / "0" / "result.json").read_text())
        row = timed(result, "dcgan", train_img_per_s=700.0 if augment else 900.0)
        return SimpleNamespace(measured={"environment": {"device_name": "a CPU"}, "rows": [row]})

    monkeypatch.setattr(publish.ganzoo, "speed", speed)
    arguments = SimpleNamespace(variants=None, runs=tmp_path, data_root=None, folders="data")
    publish.speed("few", arguments)
    publish.speed("few", arguments)  # in place of what was measured before
    lines = list(publish.publish_page.table_of("few"))
    assert "| train img/s | time | sample img/s |" in lines[0]
    assert "| 900 | 0:04 | 5 |" in lines[2]
    assert "| 700 | 0:06 | 5 |" in lines[3]
    measured = json.loads((publish.sheets.RESULTS / "few" / "speed.json").read_text())
    assert [row["variant"] for row in measured["rows"]] == ["dcgan", "dcgan+ada"]


def test_every_sheet_of_few_images_can_be_scored(registry: Registry) -> None:
    """FID needs more images than features, or to be told that it does not matter."""
    sheets = script("publish_sheets")
    for name, sheet in sheets.SHEETS.items():
        if sheet.whole:
            features = registry.features(sheet.options.get("features", "efficientnet-lite0"))
            enough = int(name.rpartition("-")[2]) > features.dim
            assert enough is not (sheets.ANY_COUNT in sheet.options["sets"]), name


def test_seeds_of_two_sources_are_no_row(publish: ModuleType, made: Callable[..., None]) -> None:
    made("digits", "gan", 0, 3.0)
    made("digits", "gan", 1, 3.0, source="another")
    with pytest.raises(ValueError, match="seeds of several recipes or sources: gan"):
        publish.publish_page.rows_of("digits")


def test_a_seed_that_diverged_is_told(publish: ModuleType, made: Callable[..., None]) -> None:
    made("digits", "gan", 0, 3.0)
    made("digits", "gan", 1, 3.0, diverged="NaN at 2 kimg", last=None)
    lines = list(publish.publish_page.table_of("digits"))
    assert any(line.startswith("| - | [gan](zoo.md) | 3.00 |") and line.endswith("| 1 of 2 |") for line in lines)
    assert any(line.startswith("No rank: gan (") for line in lines)


def test_the_place_of_images_stays_here(publish: ModuleType, write_run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "faces"
    result = write_run(folder)
    result["config"]["dataset"] |= {"name": "folder", "path": "/home/somebody/faces", "color": "rgb"}
    result["seed"] = 1
    (folder / "result.json").write_text(json.dumps(result))
    publish.collect("faces", folder)
    (file,) = publish.sheets.RESULTS.rglob("result.json")
    assert "somebody" not in file.read_text()
    assert json.loads(file.read_text())["config"]["dataset"]["path"] == "faces"
    result["config"]["init"] = "/home/somebody/faces/0.png"
    (folder / "result.json").write_text(json.dumps(result))
    with pytest.raises(ValueError, match="names /home/somebody"):
        publish.collect("faces", folder)


def test_strips_are_of_the_images_own_size(publish: ModuleType, tmp_path: Path) -> None:
    for side, columns, factor in ((28, 10, 2), (32, 8, 2), (64, 8, 1), (4, 10, 10)):
        images(side, columns=columns, factor=factor).save(tmp_path / "grid.png")
        strip = publish.strip(tmp_path / "grid.png", side)
        assert strip.size == (columns * (side + 2) + 2, 2 * (side + 2) + 2)
        assert strip.getpixel((2, 2)) == (1, 1, 1)
        assert strip.getpixel((side + 1, 2 * side + 3)) == (2, 2, 2)


@pytest.mark.skipif(not RESULTS, reason="none is published yet")
def test_published_results_are_a_leaderboard() -> None:
    sheets, pages = script("publish_sheets"), script("publish_page")
    for name in {file.parents[2].name for file in RESULTS}:
        rows, table = pages.rows_of(name)
        assert rows
        assert not table.skipped
        assert name in sheets.SHEETS
    for file in islice(RESULTS, 0, None, 7):
        assert '"path":"/' not in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("def f(x):\n    return (x + 1)\n", True),
        ("# Said.\ndef f(x):\n    return (x +  # more\n            1)\n\n", True),
        ("def f(x):\n    return (x + 2)\n", False),
        ("def f(x):\n    'Said.'\n    return (x + 1)\n", False),
    ],
)
def test_comments_are_not_code(publish: ModuleType, tmp_path: Path, text: str, same: bool) -> None:
    before, now = tmp_path / "before.py", tmp_path / "now.py"
    before.write_text("def f(x):\n    return (x + 1)\n")
    now.write_text(text)
    assert (publish.without_comments(before) == publish.without_comments(now)) is same
