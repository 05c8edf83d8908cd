"""Films: a frame for each moment, several runs side by side, in three formats."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ganzoo
from ganzoo.cli.main import cli
from ganzoo.errors import RunError, SettingError, UserError
from ganzoo.runs.directory import RunDirectory, stem
from ganzoo.runs.film import find_ffmpeg, times_of, tracks_of

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path, write_run: Callable[..., dict[str, Any]]) -> Make:
    """`make("a", "gan", {0.0: 10, 1.0: 200})` is a run with a picture of one grey level at each kimg."""

    def write(
        name: str, variant: str, levels: dict[float, int], seed: int = 0, size: tuple[int, int] = (40, 20)
    ) -> Path:
        write_run(tmp_path / name, variant, seed=seed)
        (tmp_path / name / "pictures").mkdir()
        for kimg, level in levels.items():
            file = tmp_path / name / "pictures" / f"{stem(round(kimg * 1000))}.png"
            Image.new("L", size, level).save(file)
        return tmp_path / name

    return write


def film(*arguments: Any) -> None:
    cli.main(["film", *map(str, arguments)], standalone_mode=False)


def levels(path: Path, at: tuple[int, int]) -> list[int]:
    """Of a pixel, in each frame."""
    found = []
    with Image.open(path) as opened:
        for frame in range(opened.n_frames):
            opened.seek(frame)
            found.append(opened.convert("L").getpixel(at))
    return found


@pytest.mark.parametrize("ending", ["webp", "gif"])
def test_a_frame_for_each_picture(ending: str, make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = make("a", "gan", {0.0: 10, 0.3: 90, 2.0: 200}), tmp_path / f"x.{ending}"
    film(run, "--out", out, "--size", 120, "--fps", 4)
    assert levels(out, (60, 40)) == pytest.approx([10, 90, 200], abs=3)
    with Image.open(out) as opened:
        assert opened.size == (120, 60 + 48)
        durations = []
        for frame in range(3):
            opened.seek(frame)
            opened.load()
            durations.append(opened.info["duration"])
        assert durations == [250, 250, 1500]  # the last one stays
    assert capsys.readouterr().out.splitlines()[1].startswith("3 frames, 0 to 2 kimg, ")


def test_several_runs_stand_side_by_side_at_one_moment(make: Make, tmp_path: Path) -> None:
    one = make("a", "gan", {0.0: 10, 1.0: 100})
    two = make("b", "dcgan", {0.0: 30, 0.5: 150, 2.0: 220}, size=(80, 20))
    film(one, two, "--out", tmp_path / "x.webp", "--size", 160)
    with Image.open(tmp_path / "x.webp") as opened:
        assert (opened.width, opened.n_frames) == (160 + 8 + 160, 4)  # at 0, 0.5, 1 and 2 kimg
    assert levels(tmp_path / "x.webp", (80, 40)) == pytest.approx([10, 10, 100, 100], abs=3)
    assert levels(tmp_path / "x.webp", (248, 40)) == pytest.approx([30, 150, 150, 220], abs=3)


def test_more_than_four_runs_are_in_rows(make: Make, tmp_path: Path) -> None:
    runs = [make(str(number), "gan", {0.0: 40 * number, 1.0: 40 * number}, seed=number) for number in range(5)]
    film(*runs, "--out", tmp_path / "x.webp", "--size", 160)
    with Image.open(tmp_path / "x.webp") as opened:
        assert opened.size == (3 * 160 + 2 * 8, 2 * (80 + 48))
    for number in range(5):
        at = (number % 3 * 168 + 80, number // 3 * 128 + 60)
        assert levels(tmp_path / "x.webp", at) == pytest.approx([40 * number] * 2, abs=3)


def test_even_frames_are_equally_far_apart(make: Make) -> None:
    tracks = tracks_of([RunDirectory(make("a", "gan", {0.0: 10, 0.3: 20, 2.0: 200}))])
    assert times_of(tracks) == [0.0, 0.3, 2.0]
    assert times_of(tracks, even=5) == [0.0, 0.5, 1.0, 1.5, 2.0]


def test_runs_are_named_by_what_tells_them_apart(make: Make) -> None:
    runs = [RunDirectory(make(name, "gan", {0.0: 1}, seed=seed)) for name, seed in (("a", 0), ("b", 1), ("c", 1))]
    assert [track.name for track in tracks_of(runs[:1])] == ["gan"]
    assert [track.name for track in tracks_of(runs[:2])] == ["gan, seed 0", "gan, seed 1"]
    assert [track.name for track in tracks_of(runs)] == ["gan, seed 0, a", "gan, seed 1, b", "gan, seed 1, c"]


def test_names_and_kimg_are_written(make: Make, tmp_path: Path) -> None:
    film(make("a", "gan", {0.0: 0, 1.0: 0}), "--out", tmp_path / "x.gif", "--size", 120)
    with Image.open(tmp_path / "x.gif") as opened:
        frames = []
        for frame in range(2):
            opened.seek(frame)
            frames.append(np.asarray(opened.convert("L")).copy())
    assert frames[0][:24].min() < 50  # the name, above
    assert frames[0][84:].min() < 50  # the kimg, below
    assert np.array_equal(frames[0][:84], frames[1][:84])
    assert not np.array_equal(frames[0][84:], frames[1][84:])


def test_an_mp4_where_there_is_an_ffmpeg(make: Make, tmp_path: Path) -> None:
    try:
        ffmpeg = find_ffmpeg()
    except UserError:
        pytest.skip("needs ffmpeg, or the extra `mp4`")
    film(make("a", "gan", {0.0: 10, 1.0: 200}), "--out", tmp_path / "x.mp4", "--size", 120, "--fps", 4)
    command = [ffmpeg, "-loglevel", "error", "-i", str(tmp_path / "x.mp4"), "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    raw = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    frames = np.frombuffer(raw, dtype=np.uint8).reshape(-1, 108, 120)
    assert [int(frame[40, 60]) for frame in frames] == pytest.approx([10] + [200] * 6, abs=4)  # held for 1.5 s


def test_without_ffmpeg_an_mp4_is_refused_and_nothing_written(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(UserError, match="needs ffmpeg") as caught:
        film(make("a", "gan", {0.0: 10, 1.0: 200}), "--out", tmp_path / "x.mp4")
    assert "imageio-ffmpeg" in caught.value.cure
    assert not list(tmp_path.glob("*x.mp4*"))


def test_an_ffmpeg_that_fails_says_why(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "bin" / "ffmpeg"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'no libx264 here' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}:/usr/bin:/bin")
    with pytest.raises(UserError, match="no libx264 here"):
        film(make("a", "gan", {0.0: 10, 1.0: 200}), "--out", tmp_path / "x.mp4")
    assert not list(tmp_path.glob("*x.mp4*"))


def test_what_is_no_film_is_refused(make: Make, tmp_path: Path) -> None:
    run = make("a", "gan", {0.0: 10})
    with pytest.raises(SettingError, match=r"written as \.mov"):
        film(run, "--out", tmp_path / "x.mov")
    with pytest.raises(RunError, match="has no pictures, and is finished"):
        film(make("b", "gan", {}), "--out", tmp_path / "x.gif")
    with pytest.raises(SettingError, match="13 runs are too many"):
        film(*[run] * 13, "--out", tmp_path / "x.gif")
    with pytest.raises(SettingError, match="too large"):
        film(make("wide", "gan", {0.0: 1}, size=(10, 4000)), "--size", 4096, "--out", tmp_path / "x.gif")


@pytest.mark.parametrize("variant", ["gan", "cgan"])
def test_pictures_that_are_gone_are_made_from_snapshots(
    variant: str, tmp_path: Path, data_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    sets = {"train.snapshots": 2, "train.pictures": 1, "train.keep": "all", "variant.width": 8, "eval.num_images": 100}
    ganzoo.train(variant, dataset="digits", kimg=0.2, sets=sets, out=run, data_root=data_root)
    before = {file.name: file.read_bytes() for file in (run / "pictures").iterdir()}
    for place in ("pictures", "samples"):
        shutil.rmtree(run / place)
    film(run, "--out", tmp_path / "x.gif")
    told = capsys.readouterr()
    assert f"{run} has no pictures: they are made from its snapshots" in told.err
    assert "3 frames, 0 to 0.2" in told.out
    made = {file.name: file.read_bytes() for file in (run / "pictures").iterdir()}
    assert len(made) == 3
    assert made == {name: before[name] for name in made}
    film(run, "--out", tmp_path / "y.gif")
    assert "are made" not in capsys.readouterr().err
    shutil.rmtree(run / "pictures")
    for snapshot in sorted((run / "snapshots").glob("*.safetensors"))[:-1]:
        snapshot.unlink()
    film(run, "--out", tmp_path / "z.gif")
    told = capsys.readouterr()
    assert f"{run} has kept one snapshot" in told.err
    assert "1 frame, of 0.2" in told.out


def test_a_file_that_is_replaced_is_named(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = make("a", "gan", {0.0: 10, 1.0: 200}), tmp_path / "x.gif"
    film(run, "--out", out)
    assert "replaced" not in capsys.readouterr().err
    film(run, "--out", out)
    assert f"{out} was there before, and is replaced" in capsys.readouterr().err


def test_from_python_it_is_the_commands_film(make: Make, tmp_path: Path) -> None:
    run, other = make("a", "gan", {0.0: 10, 1.0: 200}), make("b", "dcgan", {0.0: 30})
    film(run, other, "--out", tmp_path / "x.webp", "--size", 120, "--fps", 4)
    made = ganzoo.Run(run).film(other, out=tmp_path / "y.webp", size=120, fps=4)
    assert Path(made).read_bytes() == (tmp_path / "x.webp").read_bytes()
    assert made.names == ("gan", "dcgan")
    assert made.kimg == (0.0, 1.0)
    assert ganzoo.film(run).path == run / "film.webp"
    for wrong in ({"fps": 0}, {"size": 5000}, {"even": 1.5}, {"out": "x.mov"}):
        with pytest.raises(SettingError):
            ganzoo.film(run, **wrong)
    with pytest.raises(SettingError, match="none is named"):
        ganzoo.film()


@pytest.mark.parametrize(("ending", "tag", "kind"), [("gif", "img", "image/gif"), ("webp", "img", "image/webp")])
def test_a_notebook_plays_it(ending: str, tag: str, kind: str, make: Make, tmp_path: Path) -> None:
    made = ganzoo.film(make("a", "gan", {0.0: 10, 1.0: 200}), out=tmp_path / f"<x>.{ending}", size=40)
    html = made._repr_html_()
    assert html.startswith(f'<{tag} src="data:{kind};base64,')
    assert 'alt="film of gan, 0 to 1 kimg"' in html
    data = base64.b64decode(html.split("base64,")[1].split('"')[0])
    assert data == made.path.read_bytes()
    made.path.unlink()
    assert "&lt;x&gt;" in made._repr_html_()


def test_films_need_no_torch(make: Make, tmp_path: Path) -> None:
    run = make("a", "gan", {0.0: 10, 1.0: 200})
    code = "import sys; from ganzoo.cli.main import cli; cli.main(sys.argv[1:], standalone_mode=False); "
    code += "assert 'torch' not in sys.modules"
    command = [sys.executable, "-c", code, "film", str(run), "--out", str(tmp_path / "x.webp")]
    subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)
    assert json.loads((run / "config.json").read_text())["variant"]["name"] == "gan"
