"""`ganzoo sample`: what is made, what it is written as, and how it is read again."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ganzoo
from ganzoo.cli.main import cli
from ganzoo.config.layers import build_config
from ganzoo.data.folder import load_folder
from ganzoo.data.npz import load_npz
from ganzoo.errors import UserError
from ganzoo.metrics.moments_file import write_moments
from ganzoo.metrics.statistics import moments
from ganzoo.runs.outputs import write_folder, write_npz
from ganzoo.runs.sampling import near_square, open_source, parse_labels, plan_samples
from ganzoo.runs.snapshots import build_gan, save_snapshot
from ganzoo.scoring.noise import noise, slerp
from ganzoo.zoo.registry import Registry

NAMES = ("cat", "dog", "owl, barn", "3")


@pytest.fixture(scope="module")
def make_run(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`make_run("cdcgan", colors=3, names=NAMES)`: a run directory with two snapshots of networks as they begin."""

    def make(variant: str, colors: int = 1, names: tuple[str, ...] | None = NAMES) -> Path:
        run = tmp_path_factory.mktemp("runs") / variant
        config = build_config(registry, variant=variant, sets=["variant.z_dim=8"])
        (run / "snapshots").mkdir(parents=True)
        (run / "config.json").write_text(json.dumps(config.to_dict()))
        classes = 0 if names is None else len(names)
        with torch.random.fork_rng(devices=[]):
            for images in (16_000, 32_000):
                torch.manual_seed(images)
                generator = build_gan(registry, config, (colors, 16, 16), classes).generator
                for parameter in generator.parameters():
                    parameter.detach().mul_(3)
                save_snapshot(
                    run / "snapshots" / f"{images // 1000:06d}.000.safetensors",
                    generator,
                    config,
                    shape=(colors, 16, 16),
                    num_classes=classes,
                    class_names=names,
                    images=images,
                )
        return run

    return make


@pytest.fixture(scope="module")
def conditional(make_run: Callable[..., Path]) -> Path:
    return make_run("cdcgan", colors=3)


@pytest.fixture(scope="module")
def plain(make_run: Callable[..., Path]) -> Path:
    return make_run("gan", names=None)


def sample(*arguments: Any) -> None:
    cli.main(["sample", *map(str, arguments)], standalone_mode=False)


def refused(cause: str, cure: str, *arguments: Any) -> None:
    with pytest.raises(UserError) as caught:
        sample(*arguments)
    assert cause in caught.value.cause
    assert cure in caught.value.cure
    assert "\n" not in caught.value.cause + caught.value.cure


def arrays(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    with np.load(path, allow_pickle=False) as archive:
        return archive["arr_0"], archive["arr_1"] if "arr_1" in archive.files else None


def test_the_same_images_as_grid_folder_and_arrays(plain: Path, tmp_path: Path) -> None:
    sample(plain, "-n", 9, "--seed", 4, "--out", tmp_path / "x.npz")
    pixels, labels = arrays(tmp_path / "x.npz")
    assert (pixels.shape, pixels.dtype, labels) == ((9, 16, 16, 1), np.uint8, None)
    assert pixels.std() > 10
    for out in ("a/", "b"):  # by its slash, by having no ending
        sample(plain, "-n", 9, "--seed", 4, "--out", f"{tmp_path}/{out}")
        files = sorted((tmp_path / out).glob("*.png"))
        assert [file.name for file in files] == [f"{index:06d}.png" for index in range(9)]
        with Image.open(files[8]) as image:
            assert image.mode == "L"
            assert np.array_equal(np.asarray(image), pixels[8, :, :, 0])
    sample(plain, "-n", 9, "--seed", 4, "--out", tmp_path / "x.png")
    grid = np.asarray(Image.open(tmp_path / "x.png").convert("L"))
    scale = grid.shape[1] // (8 * 18 + 2)
    small = grid[::scale, ::scale]
    assert np.array_equal(small[2:18, 20:36], pixels[1, :, :, 0])
    assert np.array_equal(small[20:36, 2:18], pixels[8, :, :, 0])


def test_image_i_does_not_depend_on_the_count(conditional: Path, plain: Path, tmp_path: Path) -> None:
    for run in (conditional, plain):
        sample(run, "-n", 300, "--seed", 5, "--out", tmp_path / "many.npz")
        many, _ = arrays(tmp_path / "many.npz")
        for n in (1, 9, 64):
            sample(run, "-n", n, "--seed", 5, "--out", tmp_path / "few.npz")
            assert np.array_equal(arrays(tmp_path / "few.npz")[0], many[:n])


def test_classes_are_folders_and_labels_and_come_back(
    conditional: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample(conditional, "-n", 12, "--out", f"{tmp_path}/out/")
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}/out",
        "classes: 0 cat, 1 dog, 2 owl, barn, 3 3",
    ]
    sample(conditional, "-n", 12, "--out", tmp_path / "x.npz")
    pixels, labels = arrays(tmp_path / "x.npz")
    assert labels is not None
    assert labels.dtype == np.int64
    assert labels.tolist() == [0, 1, 2, 3] * 3
    images = load_folder(tmp_path / "root", "train", False, path=tmp_path / "out")
    assert images.class_names is not None
    assert set(images.class_names) == set(NAMES)
    assert images.labels is not None
    first = images.pixels[images.labels == images.class_names.index("dog")]
    assert np.array_equal(first.permute(0, 2, 3, 1).numpy(), pixels[1::4])
    again = load_npz(tmp_path, "train", False, path=tmp_path / "x.npz")
    assert np.array_equal(again.pixels.permute(0, 2, 3, 1).numpy(), pixels)
    assert again.labels is not None
    assert again.labels.tolist() == labels.tolist()


def test_a_folder_of_other_things_is_left_alone(plain: Path, conditional: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "000000.png").write_bytes(b"mine")  # named as ours are
    refused("holds other files, such as 000000.png", "new or empty", plain, "--out", tmp_path / "photos")
    assert (tmp_path / "photos" / "000000.png").read_bytes() == b"mine"
    out = tmp_path / "out"
    sample(conditional, "-n", 20, "--out", out)
    sample(plain, "-n", 3, "--out", out)  # an earlier sample gives way, to the last image
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.png")) == [f"00000{i}.png" for i in range(3)]
    assert not [path for path in out.iterdir() if path.is_dir()]
    (out / "notes.txt").write_text("mine")
    refused("holds other files, such as notes.txt", "new or empty", plain, "--out", out)
    assert len(list(out.glob("*.png"))) == 3


@pytest.mark.parametrize("ending", [".jpg", ".mp4", ".txt", ".PNGX"])
def test_another_ending_is_refused_before_anything_is_made(
    ending: str, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganzoo.runs.sampling.plan_samples", lambda *arguments, **options: pytest.fail("was made"))
    refused(f"cannot be written as {ending.lower()}", "end --out in .png", plain, "--out", tmp_path / f"x{ending}")
    assert not list(tmp_path.iterdir())


def test_names_that_are_no_folders_are_numbers(make_run: Callable[..., Path], tmp_path: Path) -> None:
    """A snapshot of a stranger may name its classes as it likes."""
    for names in (("../../evil", "b"), ("a/b", "c"), (".hidden", "b"), ("A", "a"), ("a", "a")):
        run = make_run("cgan", names=names)
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        sample(run, "-n", 4, "--out", out)
        assert sorted(str(path.relative_to(out)) for path in out.rglob("*.png")) == [
            "0/000000.png",
            "0/000002.png",
            "1/000001.png",
            "1/000003.png",
        ]


@pytest.mark.parametrize("write", [write_npz, write_folder])
def test_many_images_take_little_memory(write: Any, registry: Registry, plain: Path, tmp_path: Path) -> None:
    source = open_source(registry, str(plain))
    write(tmp_path / "first", plan_samples(source, count=8))  # what is imported on the way is counted nowhere
    samples = plan_samples(source, count=8000)
    gc.collect()
    tracemalloc.start()
    write(tmp_path / "out", samples)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000  # NumPy's share; all of them are 2 MB
    assert samples.count == 8000


def test_equal_arrays_are_equal_files(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of day is not in them: the SHA-256 of a file says something."""
    import time

    now = time.time()
    for name, later in (("a", 0), ("b", 100_000)):
        monkeypatch.setattr(time, "time", lambda later=later: now + later)
        monkeypatch.setattr(time, "localtime", lambda *at, later=later: time.gmtime(now + later))
        sample(plain, "-n", 3, "--out", tmp_path / f"{name}.npz")
        write_moments(tmp_path / f"{name}-stats.npz", moments(torch.eye(4)), {"features": "mine"})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert (tmp_path / "a-stats.npz").read_bytes() == (tmp_path / "b-stats.npz").read_bytes()


def test_an_npz_is_there_in_full_or_not_at_all(
    plain: Path, tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = plan_samples(open_source(registry, str(plain)), count=600)
    good = samples.blocks

    def broken(self: Any) -> Any:
        yield next(good())
        raise UserError("diverged", "look")

    monkeypatch.setattr("ganzoo.runs.sampling.Samples.blocks", broken)
    with pytest.raises(UserError):
        write_npz(tmp_path / "x.npz", samples)
    assert not list(tmp_path.iterdir())


def test_which_class_is_where_is_said_of_classes_without_names(
    make_run: Callable[..., Path], plain: Path, tmp_path: Path, capsys: Any
) -> None:
    def said(run: Path, *words: Any) -> list[str]:
        sample(run, *words)
        return [line for line in capsys.readouterr().out.splitlines()[1:] if not line.startswith("snapshot")]

    run = make_run("cdcgan", names=("0", "1", "2", "3"))
    assert said(run, "--labels", "3,0", "-n", 8, "--out", tmp_path / "x.png") == ["columns: 3, 0"]
    assert said(run, "--labels", "0,2,3", "-n", 9, "--out", tmp_path / "y.png") == ["columns: 0, 2, 3"]
    along = ["--interpolate", "0:1", "--steps", 2]
    assert said(run, "--labels", "2,1", "-n", 2, *along, "--out", tmp_path / "i.png") == ["rows: 2, 1"]
    assert said(run, "--labels", "2,1", "-n", 5, *along, "--out", tmp_path / "j.png") == ["rows in turn: 2, 1"]
    assert said(run, "--labels", "2,1", "-n", 4, "--out", tmp_path / "k.npz") == ["classes: 2, 1"]
    assert said(plain, "-n", 4, "--out", tmp_path / "z.png") == []


def test_labels_by_name_and_number(conditional: Path, plain: Path, tmp_path: Path, capsys: Any) -> None:
    assert parse_labels("cat,1,owl, barn", 4, NAMES) == (0, 1, 2)
    assert parse_labels("3", 4, NAMES) == (3,)
    assert parse_labels("1", 2, ("1", "0")) == (0,)  # a name comes before a number
    assert parse_labels(" dog , 0", 4, NAMES) == (1, 0)
    assert parse_labels("a,b,a", 3, ("a", "b", "a,b")) == (2, 0)
    assert parse_labels("2,0", 3, None) == (2, 0)
    sample(conditional, "--labels", "dog,owl, barn", "-n", 4, "--out", tmp_path / "x.png")
    assert capsys.readouterr().out.splitlines()[1] == "columns: 1 dog, 2 owl, barn"
    sample(conditional, "--labels", "1,2", "-n", 4, "--out", tmp_path / "y.png")
    assert (tmp_path / "x.png").read_bytes() == (tmp_path / "y.png").read_bytes()
    listed = "0 cat, 1 dog, 2 owl, barn, 3 3"
    for text, named in (("bird", "'bird'"), ("4", "4"), ("-1", "-1"), ("cat,", "''"), ("²", "'²'"), ("9" * 5000, "9")):
        refused(f"there is no class {named}", listed, conditional, "--labels", text, "--out", tmp_path / "z.png")
    refused("no class 'Cat'", "did you mean cat?", conditional, "--labels", "Cat", "--out", tmp_path / "z.png")
    refused("takes no labels", "leave --labels out", plain, "--labels", "0", "--out", tmp_path / "z.png")
    with pytest.raises(UserError) as caught:
        parse_labels("x", 30, [f"n{number}" for number in range(30)])
    assert caught.value.cure.endswith("19 n19 and so on to 29 n29")


def test_interpolation_leads_from_one_seed_to_the_other(
    conditional: Path, registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--interpolate", "2:9", "--steps", 5, "-n", 3, "--labels", "dog,cat"]
    sample(conditional, *options, "--out", tmp_path / "between.npz")
    pixels, labels = arrays(tmp_path / "between.npz")
    assert labels is not None
    assert labels.reshape(3, 5).tolist() == [[1] * 5, [0] * 5, [1] * 5]
    rows = pixels.reshape(3, 5, *pixels.shape[1:])
    for seed, column in ((2, 0), (9, -1)):
        sample(conditional, "--seed", seed, "-n", 3, "--labels", "dog,cat", "--out", tmp_path / "end.npz")
        assert np.array_equal(arrays(tmp_path / "end.npz")[0], rows[:, column])
    samples = plan_samples(open_source(registry, str(conditional)), count=3, interpolate=(2, 9), steps=5)
    z, _ = samples.inputs(torch.arange(4, 11))
    expected = slerp(noise(2, 0, 3, 8), noise(9, 0, 3, 8), 5).flatten(0, 1)
    assert torch.equal(z, expected[4:11])
    capsys.readouterr()
    sample(conditional, "--interpolate", "0:1", "--out", tmp_path / "grid.png")
    assert capsys.readouterr().out.splitlines()[1].startswith("rows in turn: 0 cat, 1 dog")
    assert plan_samples(open_source(registry, str(conditional)), interpolate=(0, 1)).count == 64


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["--interpolate", "1"], "not two seeds"),
        (["--interpolate", "a:b"], "not two seeds"),
        (["--interpolate", "0:1", "--seed", "3"], "its own two seeds"),
        (["--steps", "4"], "are those of --interpolate"),
    ],
)
def test_interpolations_that_are_none(arguments: list[str], cause: str, plain: Path, tmp_path: Path) -> None:
    refused(cause, "", plain, *arguments, "--out", tmp_path / "x.png")


def test_a_snapshot_by_kimg_or_by_file(plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample(plain, "--snapshot", 20, "--out", tmp_path / "a.png")
    said = capsys.readouterr()
    assert said.out.splitlines()[1] == "snapshot: 000016.000.safetensors, 16 kimg"
    assert said.err.count("there is no snapshot of 20 kimg: this is the nearest that was kept, of 16") == 1
    sample(plain / "snapshots" / "000016.000.safetensors", "--out", tmp_path / "b.png")
    sample(plain, "--out", tmp_path / "c.png")
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c
    file = plain / "snapshots" / "000016.000.safetensors"
    refused("this is a file", "leave --snapshot out", file, "--snapshot", 3, "--out", tmp_path / "d.png")
    heard: list[object] = []
    assert ganzoo.load(plain, snapshot=20, listen=heard.append).kimg == 16
    assert [str(event) for event in heard] == [
        "there is no snapshot of 20 kimg: this is the nearest that was kept, of 16"
    ]
    for wrong in ("-1", "nan", "inf"):
        refused("is no number of kimg", "--snapshot 16", plain, "--snapshot", wrong, "--out", tmp_path / "e.png")


@pytest.mark.parametrize(
    ("variant", "engine"), [("gan", "fast"), ("upsample-dcgan", "fast"), ("upsample-dcgan", "plain")]
)
def test_the_grids_of_a_run_are_the_images_of_seed_0(
    variant: str, engine: str, data_root: Path, tmp_path: Path
) -> None:
    """In the process that trained it, with its weights laid out as they were trained, and in this one."""
    command = ["train", variant, "--kimg", "0.1", "--data-root", data_root, "--out", tmp_path / "run"]
    sets = ["train.scores=none", "train.snapshots=1", "train.batch_size=32", f"engine={engine}"]
    cli.main(
        [str(text) for text in (*command, *(part for text in sets for part in ("--set", text)))], standalone_mode=False
    )
    sample(tmp_path / "run", "-n", 80, "--out", tmp_path / "grid.png")
    last = sorted((tmp_path / "run" / "samples").iterdir())[-1]
    assert (tmp_path / "grid.png").read_bytes() == last.read_bytes()


def test_folders_are_made_for_classes_that_have_images(conditional: Path, tmp_path: Path) -> None:
    sample(conditional, "-n", 2, "--out", f"{tmp_path}/two/")
    assert len([entry for entry in (tmp_path / "two").iterdir() if entry.is_dir()]) == 2
    sample(conditional, "--interpolate", "0:1", "--steps", 3, "-n", 1, "--out", f"{tmp_path}/between/")
    assert len([entry for entry in (tmp_path / "between").iterdir() if entry.is_dir()]) == 1


@pytest.mark.parametrize(
    ("count", "classes", "columns"),
    [(16, 1, 4), (16, 2, 4), (24, 3, 6), (32, 4, 4), (40, 5, 5), (80, 10, 10), (160, 20, 20), (4, 2, 2), (1, 1, 1)],
)  # fmt: skip
def test_grids_of_few_classes_are_near_a_square(count: int, classes: int, columns: int) -> None:
    assert near_square(count, classes) == columns


def test_one_class_makes_no_tower(conditional: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample(conditional, "--labels", "dog", "--out", tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as grid:
        assert grid.width == grid.height
    sample(conditional, "--labels", "dog,cat", "--out", tmp_path / "y.png")
    assert capsys.readouterr().out.splitlines()[-1] == "columns in turn: 1 dog, 0 cat"


def test_no_picture_is_replaced_unless_it_was_named(plain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def made(*arguments: Any) -> str:
        capsys.readouterr()
        sample(plain, *arguments)
        return str(capsys.readouterr().out.splitlines()[0])

    assert made() == str(plain / "samples.png")
    first = (plain / "samples.png").read_bytes()
    assert made("--seed", 3) == str(plain / "samples-2.png")
    assert made() == str(plain / "samples.png")  # the same again
    assert made("--seed", 3) == str(plain / "samples-2.png")
    assert (plain / "samples.png").read_bytes() == first
    assert not (plain / "samples-3.png").exists()
    sample(plain, "--seed", 3, "--out", plain / "samples.png")
    assert "was there before, and is replaced" in capsys.readouterr().err
    assert (plain / "samples.png").read_bytes() != first


@pytest.mark.parametrize("ending", ["webp", "gif"])
def test_an_interpolation_as_a_film(ending: str, conditional: Path, plain: Path, tmp_path: Path) -> None:
    out = tmp_path / f"x.{ending}"
    sample(conditional, "--interpolate", "0:1", "--steps", 5, "-n", 4, "--out", out)
    sample(conditional, "--interpolate", "0:1", "--steps", 5, "-n", 4, "--out", tmp_path / "x.npz")
    pixels, _ = arrays(tmp_path / "x.npz")
    with Image.open(out) as film:
        assert film.n_frames == 8  # there and back
        frames = []
        for frame in range(8):
            film.seek(frame)
            frames.append(np.asarray(film.convert("RGB"), dtype=float))
    scale = frames[0].shape[1] // (2 * 18 + 2)
    small = frames[3][::scale, ::scale][2:18, 2:18]
    assert np.abs(small - pixels[3].astype(float)).mean() < 25  # lossy
    assert np.abs(frames[1] - frames[7]).mean() < 5
    refused("something that changes", "--interpolate 0:1", plain, "--out", out)
