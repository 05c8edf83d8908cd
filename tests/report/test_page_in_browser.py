"""The page in a browser: everything on it that can be pressed, moved or chosen, without a request or a complaint."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from ganzoo.report import make_report, make_site
from ganzoo.report.commands import commands
from ganzoo.zoo.registry import Registry

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BEST, SECOND, WORST = "dcgan", "cgan", "gan"  # of the bench of conftest.py


@pytest.fixture(scope="module")
def file(bench: Path, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(make_report([bench], command=commands(registry)).html, encoding="utf-8")
    return path


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """`open_page(file, width=1400, dark=False, ...)`: a page that is drawn. What it complains of, or asks of anybody
    but its own folder, is an error at the end.
    """
    complaints: list[str] = []
    contexts = []

    def asked(folder: Path, url: str) -> None:
        if not url.startswith(("data:", "blob:", folder.as_uri())):
            complaints.append(url)

    def opened(file: Path, width: int = 1400, dark: bool = False, drawn: bool = True, **options: Any) -> Page:
        scheme: Any = "dark" if dark else "light"
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked(file.parent, request.url))
        page.goto(file.as_uri())
        if drawn:
            until(page, "document.querySelectorAll('.chart[data-drawn]').length >= 2")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def until(page: Page, expression: str, argument: Any = None) -> None:
    """Wait until it is true. (Playwright's own way compiles text to code in the page, whose policy forbids that.)"""
    end = time.monotonic() + 20
    while not page.evaluate(expression, argument):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(30)


def names(page: Page) -> list[str]:
    return page.locator("table.board tbody tr:visible th.name").evaluate_all(
        "heads => heads.map(h => h.firstChild.textContent)"
    )


def described(page: Page, part: str) -> str:
    """What a screen reader says of the chart of a part."""
    return str(page.locator(f'[data-part="{part}"] [role="graphics-document"]').get_attribute("aria-label"))


def redrawn(page: Page, part: str, act: Callable[[], object]) -> str:
    """What the chart of a part says of itself, after `act` and what it draws."""
    chart = page.locator(f'[data-part="{part}"] .chart')
    before = int(chart.get_attribute("data-drawn") or 0)
    act()
    changed = """([part, n]) => Number(document.querySelector(`[data-part="${part}"] .chart`).dataset.drawn) > n"""
    until(page, changed, [part, before])
    return described(page, part)


def texts_of(page: Page, part: str) -> list[str]:
    return page.locator(f'[data-part="{part}"] .chart svg text').all_text_contents()


def logarithmic(page: Page, part: str) -> bool:
    """Whether the numbers at the vertical axis stand as their logarithms do, and not as they do."""
    labels = page.locator(f'[data-part="{part}"] svg .role-axis-label text').evaluate_all(
        "all => all.map(one => [one.textContent, ...one.getAttribute('transform').match(/-?[0-9.]+/g).map(Number)])"
    )
    at = {float(text.replace("\N{MINUS SIGN}", "-")): y for text, x, y in labels if text and x < 0}
    low, middle, high = min(at), sorted(at)[len(at) // 2], max(at)
    share = (at[low] - at[middle]) / (at[low] - at[high])
    linear = (middle - low) / (high - low)
    return abs(share - math.log(middle / low) / math.log(high / low)) < abs(share - linear) if low > 0 else False


def violations(page: Page) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]


def test_rows_are_sorted_and_real_images_stay_below(file: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(file)
    real = "real: test split"
    assert names(page) == [BEST, SECOND, WORST, real]
    head = page.locator('table.board thead th[data-key="train_img_per_s"]')
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert names(page) == [WORST, SECOND, BEST, real]
    head.get_by_role("button").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert names(page) == [BEST, SECOND, WORST, real]
    page.locator('table.board thead th[data-key="fid"] button').click()
    assert names(page) == [BEST, SECOND, WORST, real]  # though its FID is the lowest
    page.locator('table.board thead th[data-key="name"] button').click()
    assert names(page) == [SECOND, BEST, WORST, real]
    assert page.locator("table.board thead th[aria-sort]").count() == 1
    assert page.locator("table.board tbody tr").first.locator(".rank").text_content() == "1="


def test_the_filter_leaves_rows_pictures_and_lines(file: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(file)
    told = redrawn(page, "curves", lambda: page.get_by_label("filter").fill("DCG"))
    assert names(page) == [BEST, "real: test split"]
    assert "1 of 3 rows" in page.locator('[data-part="count"]').inner_text()
    assert f"{BEST} 11" in told
    assert WORST not in re.findall(r"\w+", told.replace(BEST, ""))
    assert page.locator('[data-part="films"] figure:visible').count() == 2  # of dcgan, and the real images
    page.get_by_label("filter").fill("gan hinge")  # both words, and dcgan has one
    assert names(page) == ["real: test split"]
    page.get_by_label("filter").fill("nobody")
    until(page, "document.querySelectorAll('.two .chart svg').length === 0")
    assert "Nothing matches “nobody”" in page.locator('[data-part="count"]').inner_text()
    for part in ("films", "pareto", "curves"):  # nor captions of what is not there
        assert page.locator(f'[data-part="{part}"]').is_hidden()
    told = redrawn(page, "curves", lambda: page.get_by_label("filter").fill(""))
    assert WORST in told


def test_columns_are_chosen(file: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(file)
    shown = page.locator("table.board thead th:visible")
    assert page.locator('th[data-key="kid"]').is_hidden()
    page.get_by_role("button", name="all", exact=True).click()
    assert page.locator('th[data-key="kid"]').is_visible()
    everything = shown.count()
    page.get_by_text("choose columns").click()
    page.get_by_role("checkbox", name="KID", exact=True).uncheck()
    assert page.locator('th[data-key="kid"]').is_hidden()
    assert shown.count() == everything - 1
    page.get_by_role("button", name="cost", exact=True).click()
    assert page.locator('th[data-key="recall"]').is_hidden()
    assert page.locator('th[data-key="peak_memory"]').is_visible()


def test_the_slider_and_the_button_move_all_pictures(file: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(file)
    part = page.locator('[data-part="films"]')
    image = part.locator("figure img").first
    slider = part.get_by_role("slider")
    last, alt = image.get_attribute("src"), image.get_attribute("alt")
    assert alt == f"Images generated by {BEST}, seed 0, after 1 kimg"
    slider.press("Home")
    first = image.get_attribute("src")
    assert part.locator("output").inner_text() == "0 kimg"
    assert first != last
    slider.press("ArrowRight")
    assert part.locator("output").inner_text() == "0.5 kimg"
    assert image.get_attribute("src") not in (first, last)
    slider.press("Home")
    part.get_by_role("button", name="play").click()
    assert "pause" in part.locator("button").first.inner_text()
    until(page, "src => document.querySelector('[data-part=films] figure img').src === src", last)
    part.get_by_role("button", name="play").wait_for()
    part.get_by_label("of", exact=True).select_option(label="seed 2")
    assert "seed 2" in str(image.get_attribute("alt"))
    alts = part.locator("img").evaluate_all("images => images.map(image => image.alt)")
    assert len(set(alts)) == len(alts) == 4


def test_a_seed_without_a_film_can_be_left_again(bench: Path, tmp_path: Path, open_page: Callable[..., Page]) -> None:
    """A page that is full has films of first seeds alone."""
    for seed in range(2):
        shutil.copytree(bench / f"gan-s{seed}", tmp_path / "runs" / f"gan-s{seed}")
    for picture in sorted((tmp_path / "runs" / "gan-s1" / "samples").iterdir())[:-1]:
        picture.unlink()
    (tmp_path / "page.html").write_text(make_report([tmp_path / "runs"]).html, encoding="utf-8")
    page = open_page(tmp_path / "page.html", drawn=False)
    part = page.locator('[data-part="films"]')
    part.get_by_label("of", exact=True).select_option("seed 1")
    assert part.get_by_role("slider").is_hidden()
    part.get_by_label("of", exact=True).select_option("seed 0")
    assert part.get_by_role("slider").is_visible()


def test_pictures_stand_in_line_where_the_names_of_classes_are_too_long(
    file: Path, open_page: Callable[..., Page]
) -> None:
    page = open_page(file)
    named = "[data-part=films] .classes:not(:empty)"
    page.evaluate(f"document.querySelectorAll('{named}').forEach(one => (one.className = 'classes long'))")
    films = page.locator('[data-part="films"]')
    assert films.locator(".classes.long").count() == 1
    assert films.locator(".classes.long").is_hidden()
    tops = "all => [...new Set(all.map(one => Math.round(one.getBoundingClientRect().top)))].length"
    assert films.locator("figure").evaluate_all(tops) == 1  # in one line
    assert films.locator("figure img").evaluate_all(tops) == 1
    assert films.locator("figcaption").evaluate_all(tops) == 1


def test_the_charts_have_choices(file: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(file)
    curves = page.locator('[data-part="curves"]')
    assert described(page, "curves") == "FID over kimg. At the end: dcgan 11, cgan 12, gan 43."
    assert "Untrained, off the axis: dcgan 900" in curves.inner_text()
    assert {"dcgan", "cgan", "gan"} <= set(texts_of(page, "curves"))  # the legend
    assert curves.locator("svg .mark-area path").count() == 3  # a band for each
    log = curves.get_by_role("button", name="log vertical")
    assert log.get_attribute("aria-pressed") == "true"  # as FIDs lie far apart
    assert logarithmic(page, "curves")
    redrawn(page, "curves", log.click)
    assert log.get_attribute("aria-pressed") == "false"
    assert not logarithmic(page, "curves")
    assert "FID over seconds" in redrawn(page, "curves", curves.get_by_role("button", name="seconds").click)
    assert "seconds of training" in texts_of(page, "curves")
    told = redrawn(page, "curves", lambda: curves.get_by_label("show", exact=True).select_option("d_accuracy"))
    assert told.startswith("accuracy of D over")

    pareto = page.locator('[data-part="pareto"]')
    told = redrawn(page, "pareto", lambda: pareto.get_by_label("against", exact=True).select_option("train_img_per_s"))
    assert told.endswith("On the front, beaten by none in both: dcgan, cgan, gan.")
    assert "training speed (images/s), higher is better" in texts_of(page, "pareto")
    told = redrawn(page, "pareto", lambda: pareto.get_by_label("quality", exact=True).select_option("recall"))
    assert told.endswith("On the front, beaten by none in both: cgan, gan.")
    assert "Upper right is better." in pareto.inner_text()
    redrawn(page, "pareto", pareto.get_by_role("button", name="log horizontal").click)
    assert pareto.locator("svg .mark-rule.role-mark line").count() == 0  # recall is the same for all seeds
    redrawn(page, "pareto", lambda: pareto.get_by_label("quality", exact=True).select_option("fid"))
    assert pareto.locator("svg .mark-rule.role-mark line").count() == 3
    redrawn(page, "pareto", pareto.get_by_role("button", name="intervals").click)
    assert pareto.locator("svg .mark-rule.role-mark line").count() == 0


def test_a_row_opens_its_run_by_keyboard(file: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(file)
    button = page.locator("table.board").get_by_role("button", name=SECOND, exact=True)
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name=SECOND)
    until(page, "document.querySelectorAll('dialog .chart[data-drawn]').length === 3")
    assert dialog.get_by_role("heading", name=SECOND).is_visible()
    assert dialog.locator(".classes span").first.text_content() == "zero"
    image = dialog.locator("figure img").first
    before = image.get_attribute("src")
    dialog.get_by_label("run").select_option(label="seed 1")
    until(page, "document.querySelectorAll('dialog .chart[data-drawn]').length === 3")
    assert image.get_attribute("src") != before
    assert "cgan-s1" in dialog.inner_text()
    assert dialog.get_by_text("train.kimg").is_hidden()
    dialog.get_by_text("Settings").click()
    assert dialog.get_by_text("train.kimg").is_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    assert dialog.count() == 0
    assert button.evaluate("button => document.activeElement === button")


def test_the_command_of_a_run_is_copied(file: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(file, permissions=["clipboard-read", "clipboard-write"])
    page.locator("table.board").get_by_role("button", name=SECOND, exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("run").select_option(label="seed 2")
    dialog.get_by_role("button", name="copy command").press("Enter")
    until(page, "document.querySelector('dialog [role=status]').textContent === 'copied'")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("ganzoo train cgan --dataset digits")
    assert copied.endswith("--seed 2")
    assert copied == dialog.locator("code").inner_text()


def test_a_command_that_may_not_be_copied_is_selected(file: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(file)
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error()) }")
    page.locator("table.board").get_by_role("button", name=SECOND, exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="copy command").click()
    until(page, "getSelection().toString().startsWith('ganzoo train cgan')")
    assert "Ctrl+C" in page.get_by_role("dialog").locator("[role=status]").inner_text()


def test_the_rows_that_are_shown_are_saved_as_csv(file: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(file)
    page.locator('table.board thead th[data-key="train_img_per_s"] button').click()
    page.get_by_label("filter").fill("gan non-sat")
    page.get_by_label("filter").press("Tab")

    def saved() -> list[dict[str, str]]:
        with page.expect_download() as download:
            page.get_by_role("button", name="save CSV").press("Enter")
        assert download.value.suggested_filename == "leaderboard.csv"
        return list(csv.DictReader(download.value.path().read_text(encoding="utf-8").splitlines()))

    rows = saved()
    assert [row["variant"] for row in rows] == names(page) == [WORST, SECOND, BEST, "real: test split"]
    columns = {str(cell.get_attribute("data-key")) for cell in page.locator("table.board thead th").all()}
    assert columns - {"name"} <= set(rows[0])
    assert (rows[2]["fid"], rows[2]["rank"], rows[2]["seeds"]) == ("11", "1", "3")
    assert float(rows[2]["fid_interval95"]) == pytest.approx(4.3027 * 3 / 3**0.5, rel=1e-4)  # Student's t, 3 seeds
    page.get_by_label("filter").fill(BEST)
    assert [row["variant"] for row in saved()] == [BEST, "real: test split"]


def test_names_are_no_formulas_in_the_saved_csv(
    tmp_path: Path, write_run: Callable[..., dict[str, Any]], open_page: Callable[..., Page]
) -> None:
    names = ["=1+1", '@SUM(A1), "x"', "-2", "anna;=3", "anna"]
    for seed, name in enumerate(names):
        write_run(tmp_path / "runs" / str(seed), seed=seed, sets=(f"name={name}",))
    page_file = tmp_path / "report.html"
    page_file.write_text(make_report([tmp_path / "runs"]).html, encoding="utf-8")
    page = open_page(page_file, drawn=False)
    with page.expect_download() as download:
        page.get_by_role("button", name="save CSV").click()
    rows = csv.DictReader(download.value.path().read_text(encoding="utf-8").splitlines())
    assert sorted(row["name"] for row in rows) == sorted(["'=1+1", '\'@SUM(A1), "x"', "'-2", "anna;'=3", "anna"])


@pytest.mark.parametrize("width", [390, 1400])
def test_long_names_leave_room_for_the_charts(
    width: int, tmp_path: Path, grid_runs: Path, open_page: Callable[..., Page]
) -> None:
    page_file = tmp_path / "report.html"
    page_file.write_text(make_report([grid_runs]).html, encoding="utf-8")
    page = open_page(page_file, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    shares = page.evaluate("""[...document.querySelectorAll('.chart[data-drawn]')].map((box) =>
        box.querySelector('.background').getBoundingClientRect().width / box.clientWidth)""")
    assert len(shares) == 2
    assert min(shares) > 0.3
    legend = page.locator('[data-part="curves"] .chart')
    inside = legend.bounding_box()
    assert inside is not None
    for entry in legend.locator(".role-legend-label text").all():
        box = entry.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= inside["x"] + inside["width"] - 1
    entries = page.locator('[data-part="curves"] .role-legend-label text').all_text_contents()
    assert len(set(entries)) == 4


def test_no_axis_begins_below_what_can_be(bench: Path, tmp_path: Path, open_page: Callable[..., Page]) -> None:
    """Nobody shows a critic -5 kimg."""
    shutil.copytree(bench / "gan-s0", tmp_path / "run")
    ticks = [{"images": 1000 * k, "kimg": k, "seconds": 20.0 * k, "g_loss": 2 + k / 40} for k in range(1, 33)]
    (tmp_path / "run" / "stats.jsonl").write_text("".join(json.dumps(tick) + "\n" for tick in ticks))
    (tmp_path / "page.html").write_text(make_report([tmp_path / "run"]).html, encoding="utf-8")
    page = open_page(tmp_path / "page.html", drawn=False, width=390)
    until(page, "document.querySelectorAll('.chart[data-drawn]').length === 1")
    part = page.locator('[data-part="curves"]')
    redrawn(page, "curves", lambda: part.get_by_label("show", exact=True).select_option("g_loss"))
    assert not [text for text in texts_of(page, "curves") if text.startswith("\N{MINUS SIGN}")]
    redrawn(page, "curves", lambda: part.get_by_role("button", name="seconds").click())
    assert "seconds of training" in texts_of(page, "curves")
    assert not [text for text in texts_of(page, "curves") if text.startswith("\N{MINUS SIGN}")]


def test_what_stands_below_the_leaderboard_is_read_without_scrolling(
    file: Path, open_page: Callable[..., Page]
) -> None:
    page = open_page(file, width=390)
    page.get_by_role("button", name="all", exact=True).click()
    note = page.locator(".note").first
    box = note.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= 390
    assert box["height"] > 60  # it takes several lines
    assert page.locator("table.board").first.get_attribute("aria-describedby") == note.get_attribute("id")


def test_one_run_has_its_curves_over_the_whole_width(
    bench: Path, tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    """There is nothing to set its quality against."""
    shutil.copytree(bench / "gan-s0", tmp_path / "run")
    (tmp_path / "page.html").write_text(make_report([tmp_path / "run"]).html, encoding="utf-8")
    page = open_page(tmp_path / "page.html", drawn=False)
    until(page, "document.querySelectorAll('.chart[data-drawn]').length === 1")
    chart, board = (page.locator(one).bounding_box() for one in ('[data-part="curves"]', ".scroll >> nth=0"))
    assert chart is not None
    assert board is not None
    assert (chart["x"], chart["width"]) == pytest.approx((board["x"], board["width"]), abs=1)


def test_two_runs_side_by_side(file: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(file)
    part = page.locator('[data-part="compare"]')
    part.get_by_label("left").select_option(label=f"{BEST}, seed 1")
    settings = part.get_by_role("region", name="Settings that differ")
    part.get_by_label("right").select_option(label=f"{WORST}, seed 1")
    assert "variant.name" in settings.inner_text()
    assert "seed\t" not in settings.inner_text()
    part.get_by_label("right").select_option(label=f"{WORST}, seed 2")
    left, right = part.locator("figure img").all()
    assert "dcgan, seed 1, after 1 kimg" in str(left.get_attribute("alt"))
    ends = [left.get_attribute("src"), right.get_attribute("src")]
    part.get_by_role("slider").press("Home")
    assert left.get_attribute("src") != ends[0]
    assert right.get_attribute("src") != ends[1]
    rows = {row.split("\t")[0]: row.split("\t")[1:] for row in settings.inner_text().splitlines()}
    assert rows["variant.name"] == [BEST, WORST]
    assert rows["seed"] == ["1", "2"]
    assert "train.kimg" not in rows
    part.get_by_text("Scores side by side").click()
    assert "11.00" in part.get_by_role("region", name="Scores side by side").inner_text()


@pytest.mark.parametrize("dark", [False, True])
def test_light_and_dark_are_accessible(file: Path, open_page: Callable[..., Page], dark: bool) -> None:
    page = open_page(file, dark=dark)
    assert violations(page) == []
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == ("rgb(20, 22, 26)" if dark else "rgb(255, 255, 255)")
    label = page.locator('[data-part="curves"] .chart svg text').first
    colour = label.get_attribute("fill")
    redrawn(page, "curves", lambda: page.get_by_label("colours").select_option("light" if dark else "dark"))
    assert page.evaluate(background) == ("rgb(255, 255, 255)" if dark else "rgb(20, 22, 26)")
    assert label.get_attribute("fill") != colour


def test_a_phone_shows_name_fid_and_recall_first(file: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(file, width=390)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    heads = page.locator("table.board thead th:visible").all()
    inside = [head for head in heads if (box := head.bounding_box()) and box["x"] + box["width"] <= 390]
    assert [head.get_attribute("data-key") for head in inside][:3] == ["name", "fid", "recall"]
    page.locator("table.board").get_by_role("button", name=BEST, exact=True).click()
    box = page.get_by_role("dialog").bounding_box()
    assert box is not None
    assert box["width"] == 390
    assert violations(page) == []


def test_many_rows_of_one_seed(
    registry: Registry, tmp_path: Path, write_run: Callable[..., dict[str, Any]], open_page: Callable[..., Page]
) -> None:
    """No ranks, so no column of them; a chart names no more points than can be read; one seed has no interval."""
    variants = [variant.name for variant in registry.variants()][:16]
    for number, name in enumerate(variants):  # the later, the better and larger, but for the last, which is worst
        small = {"generator": 1000 if number == 15 else 1000 * number, "discriminator": 500}
        fid = 90.0 if number == 15 else 40.0 - number
        write_run(tmp_path / "runs" / name, name, fid=fid, changes={"parameters": small})
    for name, kimgs in ((variants[0], (2, 3)), (variants[1], (1, 2, 3))):
        (tmp_path / "runs" / name / "pictures").mkdir()
        for kimg in kimgs:
            picture = Image.new("L", (40, 20), 60 * kimg)
            picture.save(tmp_path / "runs" / name / "pictures" / f"00000{kimg}.000.png")
    (tmp_path / "page.html").write_text(make_report([tmp_path / "runs"]).html, encoding="utf-8")
    page = open_page(tmp_path / "page.html", drawn=False)
    assert page.locator("table.board .rank:visible").count() == 0
    assert page.locator('table.board th[data-key="fid"]').get_attribute("aria-sort") == "ascending"
    assert names(page) == [*reversed(variants[:15]), variants[15]]
    best = page.locator("table.board td.best").evaluate_all("cells => cells.map(c => c.dataset.key)")
    assert best == ["parameters"]  # which do not vary: of one seed nothing else can be told
    cards = page.locator(".card").all_inner_texts()
    assert any("closest to real, as measured" in card and "1 seed; no test tells it from" in card for card in cards)
    assert any(card.startswith("smallest\n") for card in cards)
    until(page, "document.querySelectorAll('[data-part=pareto] .chart[data-drawn]').length === 1")
    pareto = page.locator('[data-part="pareto"]')
    redrawn(page, "pareto", lambda: pareto.get_by_label("against", exact=True).select_option("train_img_per_s"))
    redrawn(page, "pareto", lambda: pareto.get_by_label("against", exact=True).select_option("parameters"))
    assert set(variants) & set(texts_of(page, "pareto")) == set(variants[:15])
    assert "only they have names" in pareto.inner_text()
    assert pareto.locator("svg .mark-rule.role-mark line").count() == 0
    redrawn(page, "pareto", lambda: page.get_by_label("filter").fill(variants[15]))
    assert variants[15] in texts_of(page, "pareto")
    page.get_by_label("filter").fill("")

    part = page.locator('[data-part="films"]')
    until(page, "document.querySelectorAll('[data-part=films] figure:not([hidden])').length === 2")
    part.get_by_role("slider").press("Home")
    early, late = part.locator("figure:visible img").all()
    assert [image.get_attribute("class") or "" for image in (early, late)] == ["", "later"]
    assert late.get_attribute("title") == "its first picture is of 2 kimg"
    part.get_by_role("slider").press("ArrowRight")
    assert late.get_attribute("class") == late.get_attribute("title") == ""


def test_a_card_is_of_most_rows(
    tmp_path: Path, write_run: Callable[..., dict[str, Any]], open_page: Callable[..., Page]
) -> None:
    """Runs that shared a device have no speed: the fastest of two of seven says nothing of the seven."""

    def cards(fast: int) -> list[str]:
        for number, name in enumerate(("gan", "dcgan", "cgan", "cdcgan", "acgan", "lsgan", "wgan")):
            changes = {"train_img_per_s": 100.0 * (number + 1) if number < fast else None}
            write_run(tmp_path / f"runs-{fast}" / name, name, fid=10.0 + number, changes=changes)
        file = tmp_path / f"{fast}.html"
        file.write_text(make_report([tmp_path / f"runs-{fast}"]).html, encoding="utf-8")
        return open_page(file, drawn=False).locator(".card").all_inner_texts()

    few = cards(2)
    assert any("closest to real" in card and "rows that have it" not in card for card in few)
    assert not [card for card in few if "fastest" in card]
    [card] = [card for card in cards(4) if "fastest" in card]
    assert "cdcgan" in card
    assert "of 4 rows that have it" in card


def test_on_paper_there_are_no_controls(file: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(file, dark=True)
    page.emulate_media(media="print")
    assert page.get_by_label("filter").is_hidden()
    assert page.locator("table.board").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    table = page.locator("table.board").evaluate("table => table.scrollWidth <= table.parentElement.clientWidth")
    assert table
    conditions = page.get_by_text("What these numbers are").locator("xpath=..")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert conditions.locator("ul").is_visible()  # on paper nobody can unfold them
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert conditions.locator("ul").is_hidden()
    assert page.pdf()[:4] == b"%PDF"


def test_without_scripts_there_is_the_table(file: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(file, drawn=False, dark=True, java_script_enabled=False)
    assert page.locator("table.board tbody tr").count() == 4
    assert page.locator("table.board").get_by_text("11.0").first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 26)"  # before any script


def test_a_site_shows_its_pictures(bench: Path, tmp_path: Path, open_page: Callable[..., Page]) -> None:
    make_site([bench], tmp_path)
    page = open_page(tmp_path / "index.html")
    page.locator('[data-part="films"]').scroll_into_view_if_needed()
    until(
        page,
        "[...document.querySelectorAll('[data-part=films] img')].every(i => i.complete && i.naturalWidth > 0)",
    )
    assert page.locator('[data-part="films"] img').count() == 4


def test_a_class_is_grouped_by_whose_runs_they_are(
    tmp_path: Path, write_run: Callable[..., dict[str, Any]], open_page: Callable[..., Page]
) -> None:
    """And what people call themselves is text."""
    evil = "<img src=x onerror=alert(1)>"
    for who, fid in (("anna", 10.0), ("ben", 30.0), (evil, 20.0)):
        write_run(tmp_path / "class" / who / "gan", "gan", fid=fid, sets=(f"name={who}",))
        write_run(tmp_path / "class" / who / "dcgan", "dcgan", fid=fid / 2, sets=(f"name={who}",))
    (tmp_path / "page.html").write_text(make_report([tmp_path / "class"]).html, encoding="utf-8")
    page = open_page(tmp_path / "page.html", drawn=False)
    part = page.locator('[data-part="people"]')
    whose = part.locator("tbody th")
    assert whose.all_text_contents() == [evil, "anna", "ben"]
    assert part.locator("thead th").all_text_contents() == ["whose", "dcgan", "gan"]
    part.get_by_label("order by").select_option("gan")
    assert whose.all_text_contents() == ["anna", evil, "ben"]
    assert part.locator("td.best").all_text_contents() == ["5.00", "10.00"]
    page.set_viewport_size({"width": 390, "height": 900})
    widths = whose.evaluate_all("all => all.map(one => [one.scrollWidth, one.clientWidth])")
    assert all(inner <= outer for inner, outer in widths)  # nothing of a name lies over the numbers beside it
    part.get_by_role("button", name="ben, dcgan: FID 15.00").click()
    assert "class/ben/dcgan" in page.get_by_role("dialog").inner_text().replace("\\", "/")
