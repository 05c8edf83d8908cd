"""`ganzoo eval` of snapshots, with other data and against files of mu and sigma; `ganzoo stats`, which writes them."""

from __future__ import annotations

import io
import json
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo.cli.main import cli
from ganzoo.config.layers import build_config
from ganzoo.data import load_dataset
from ganzoo.data.digits import load_digits
from ganzoo.errors import UserError
from ganzoo.metrics.moments_file import read_moments
from ganzoo.runs.foreign import ForeignProtocol
from ganzoo.runs.snapshots import build_gan, save_snapshot
from ganzoo.scoring.protocol import looks_like_id
from ganzoo.zoo.registry import Registry

N = ["--num-images", "100"]


@pytest.fixture(autouse=True)
def _root(data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANZOO_DATA", str(data_root))


def make_run(
    registry: Registry, run: Path, variant: str, class_names: tuple[str, ...] | None = None, images_sha256: str = ""
) -> Path:
    """Two snapshots of networks as they begin."""
    config = build_config(registry, variant=variant, sets=["variant.z_dim=8", "eval.num_images=100"])
    (run / "snapshots").mkdir(parents=True)
    (run / "config.json").write_text(json.dumps(config.to_dict()))
    with torch.random.fork_rng(devices=[]):
        for images in (16_000, 32_000):
            torch.manual_seed(images)
            generator = build_gan(registry, config, (1, 32, 32), 10).generator
            for parameter in generator.parameters():
                parameter.detach().mul_(3)
            file = run / "snapshots" / f"{images // 1000:06d}.000.safetensors"
            save_snapshot(file, generator, config, shape=(1, 32, 32), num_classes=10, images=images,
                          class_names=class_names, images_sha256=images_sha256)  # fmt: skip
    return run


@pytest.fixture(scope="module")
def run(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(registry, tmp_path_factory.mktemp("runs") / "run", "gan")


@pytest.fixture(scope="module")
def stats_file(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stats") / "digits-train.npz"
    call("stats", "digits", "--out", path, "--data-root", data_root)
    return path


def call(*arguments: Any) -> None:
    cli.main([str(argument) for argument in arguments], standalone_mode=False)


def score(capsys: pytest.CaptureFixture[str], *arguments: Any) -> dict[str, Any]:
    capsys.readouterr()
    call("eval", *arguments, "--json")
    return dict(json.loads(capsys.readouterr().out))


def refused(cause: str, cure: str, *arguments: Any) -> None:
    with pytest.raises(UserError) as caught:
        call(*arguments)
    assert cause in caught.value.cause
    assert cure in caught.value.cure
    assert "\n" not in caught.value.cause + caught.value.cure


def test_a_snapshot_by_kimg_or_by_file(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = score(capsys, run, "--metrics", "kid")
    early = score(capsys, run, "--metrics", "kid", "--snapshot", 20)
    file = score(capsys, run / "snapshots" / "000016.000.safetensors", "--metrics", "kid")
    assert last["snapshot"] == "000032.000.safetensors, 32 kimg"
    assert early["snapshot"] == file["snapshot"] == "000016.000.safetensors, 16 kimg"
    assert early["values"] == file["values"] != last["values"]
    call("eval", run, "--metrics", "kid", "--snapshot", 20)
    said = capsys.readouterr()
    assert "snapshot: 000016.000.safetensors, 16 kimg\n" in said.out
    assert "there is no snapshot of 20 kimg: this is the nearest that was kept, of 16" in said.err
    call("eval", run, "--metrics", "kid", "--snapshot", 16.5)
    assert "no snapshot" not in capsys.readouterr().err
    refused("this is a file", "leave --snapshot out", "eval", file_of(run), "--snapshot", 3)


def file_of(run: Path) -> Path:
    return run / "snapshots" / "000016.000.safetensors"


def colour_folder(path: Path, n: int, size: tuple[int, int]) -> Path:
    random = np.random.default_rng(0)
    path.mkdir()
    for index in range(n):
        Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path / f"{index}.png")
    return path


def test_another_dataset_keeps_colour_size_and_features(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Colour photographs of another size, against a run of grey images."""
    folder = colour_folder(tmp_path / "photos", 90, (48, 40))
    document = score(capsys, run, "--dataset", f"folder:{folder}", "--metrics", "kid")
    assert document["ingredients"]["shape"] == [1, 32, 32]
    assert document["ingredients"]["features"] == "digits"
    document = score(capsys, run, "--dataset", f"folder:{folder}", "--metrics", "kid", "--features", "fashion-mnist")
    assert document["ingredients"]["features"] == "fashion-mnist"
    refused("the run makes 32x32x1 images", "--size", "eval", run, "--dataset", f"folder:{folder}", "--size", "16")


def test_classes_are_asked_for_only_as_the_run_has_learned_them(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """20 classes would be labels that G does not have; 2 would be two of its own, as if they were those."""
    made = make_run(registry, tmp_path / "run", "cgan", tuple("0123456789"))
    for classes in (0, 2, 20):
        images = tmp_path / f"of{classes}"
        if classes:
            images.mkdir()
        for folder in [images / f"kind{number}" for number in range(classes)] or [images]:
            colour_folder(folder, 45, (32, 32))
        has = f"{classes}, such as kind0" if classes else "no classes"
        refused(f"images of 10 classes, such as 0, folder:of{classes} has {has}", "ganzoo eval made/", "eval", made,
                "--dataset", f"folder:{images}", "--metrics", "kid")  # fmt: skip
    tens = tmp_path / "ten"
    tens.mkdir()
    for number in range(10):
        colour_folder(tens / f"kind{number}", 9, (32, 32))
    refused("such as 0, folder:ten has 10, such as kind0", "-n 2000", "eval", made, "--dataset", f"folder:{tens}")
    unnamed = make_run(registry, tmp_path / "unnamed", "cgan")  # as snapshots of earlier versions
    assert "kid" in score(capsys, unnamed, "--dataset", f"folder:{tens}", "--metrics", "kid")["values"]
    for number in range(9):
        (tens / f"kind{number}").rename(tens / str(number))
    refused("10 classes, such as 9, folder:ten has 10, such as kind9", "", "eval", made, "--dataset", f"folder:{tens}")
    (tens / "kind9").rename(tens / "9")
    assert "kid" in score(capsys, made, "--dataset", f"folder:{tens}", "--metrics", "kid")["values"]
    settings = {"path": str(tens), "size": 32, "color": "gray"}
    sha256 = load_dataset(registry.dataset("folder").load(), root=tmp_path, split="train", **settings).sha256
    renamed = make_run(registry, tmp_path / "renamed", "cgan", tuple("abcdefghij"), sha256)  # its own, called otherwise
    assert "kid" in score(capsys, renamed, "--dataset", f"folder:{tens}", "--metrics", "kid")["values"]


def test_what_images_are_compared_with_has_to_be_said(run: Path, tmp_path: Path) -> None:
    folder = colour_folder(tmp_path / "photos", 3, (32, 32))
    np.savez(tmp_path / "x.npz", images=np.zeros((3, 32, 32), dtype=np.uint8))
    for source in (folder, tmp_path / "x.npz"):
        refused("nothing says what", "--dataset digits", "eval", source)
        refused("--snapshot is of a run", "leave", "eval", source, "--dataset", "digits", "--snapshot", 3)
    refused("no/ does not exist", "folder of images", "eval", "no/", "--dataset", "digits")


class Facts:
    def line(self, label: str) -> str:
        return f"{label}: 3 images, cropped"


def test_eval_says_what_was_read(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import ganzoo.runs.evaluation

    load = ganzoo.runs.evaluation.scored_images
    monkeypatch.setattr(ganzoo.runs.evaluation, "scored_images", lambda *a, **o: replace(load(*a, **o), facts=Facts()))
    call("eval", run, "--metrics", "kid")
    assert "real images: 3 images, cropped\n" in capsys.readouterr().out


def save_folder(path: Path, pixels: torch.Tensor) -> Path:
    path.mkdir()
    for index, image in enumerate(pixels):
        Image.fromarray(image[0].numpy()).save(path / f"{index:05d}.png")
    return path


@pytest.mark.filterwarnings("ignore:The `disp` argument:DeprecationWarning")  # of SciPy, by pytorch-fid
def test_files_of_statistics_are_read_by_pytorch_fid_and_give_its_number(
    run: Path, stats_file: Path, data_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fid_score = pytest.importorskip("pytorch_fid.fid_score")
    folder = save_folder(tmp_path / "test", load_digits(data_root, "test", False).pixels)
    call("sample", run, "-n", 150, "--out", tmp_path / "made.npz")
    reference = fid_score.compute_statistics_of_path(str(stats_file), None, 1, 1, "cpu")
    for source, dataset in ((folder, f"folder:{folder}"), (tmp_path / "made.npz", f"npz:{tmp_path / 'made.npz'}")):
        call("stats", dataset, "--features", "digits", "--out", tmp_path / "other.npz")
        other = fid_score.compute_statistics_of_path(str(tmp_path / "other.npz"), None, 1, 1, "cpu")
        theirs = fid_score.calculate_frechet_distance(*other, *reference)
        ours = score(capsys, source, "--reference", stats_file, "--features", "digits")
        assert ours["values"]["fid"] == pytest.approx(theirs, rel=1e-6)
        assert ours["values"]["fid"] > 0.01
    # what we know ourselves is the same by the whole way
    whole = score(capsys, folder, "--dataset", "digits", "--metrics", "fid")
    assert score(capsys, folder, "--reference", stats_file, "--features", "digits")["values"]["fid"] == pytest.approx(
        whole["values"]["fid"], rel=1e-6
    )


@pytest.mark.parametrize("variant", ["gan", "cgan"])
def test_a_run_against_a_file(
    variant: str, registry: Registry, stats_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(registry, tmp_path / "run", variant)
    document = score(capsys, run, "--reference", stats_file, "--features", "digits")
    whole = score(capsys, run, "--metrics", "fid")
    assert document["values"]["fid"] == pytest.approx(whole["values"]["fid"], rel=1e-6)
    protocol = document["protocol"]
    sha = read_moments(stats_file).sha256
    assert protocol.startswith(f"foreign-digits_train-{sha[:8]}-gen100-digits-")
    assert not looks_like_id(protocol)
    assert document["ingredients"]["reference_resizer"] == "unknown"
    assert document["ingredients"]["reference_count"] == "1437"  # our own file says so
    assert document["ingredients"]["label_law"] == ("balanced" if variant == "cgan" else "none")
    call("eval", run, "--reference", stats_file, "--features", "digits")
    text = capsys.readouterr().out
    assert f"against {stats_file}\n" in text
    assert "how the file was computed is not known" in text


def moments(dim: int = 64, **changes: Any) -> dict[str, Any]:
    random = np.random.default_rng(0)
    features = random.normal(size=(200, dim))
    return {"mu": features.mean(0), "sigma": np.cov(features, rowvar=False), **changes}


def test_a_file_of_other_tools_says_less(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "their stats.npz", **moments())
    document = score(capsys, run, "--reference", tmp_path / "their stats.npz", "--features", "digits")
    assert document["protocol"].startswith("foreign-their_stats-")
    assert document["ingredients"]["reference_count"] == "unknown"
    single = {name: array.astype(np.float32) for name, array in moments().items()}
    np.savez(tmp_path / "single.npz", **single)
    close = score(capsys, run, "--reference", tmp_path / "single.npz", "--features", "digits")
    assert close["values"]["fid"] == pytest.approx(document["values"]["fid"], rel=1e-4)
    assert close["protocol"] != document["protocol"]


def bad(kind: str) -> dict[str, Any]:
    good = moments()
    sigma = good["sigma"].copy()
    if kind == "nan":
        sigma[3, 3] = math.nan
    elif kind == "asymmetric":
        sigma[3, 4] += 1
    elif kind == "negative":
        sigma -= 2 * np.eye(64)
    return {
        "nan": good | {"sigma": sigma},
        "asymmetric": good | {"sigma": sigma},
        "negative": good | {"sigma": sigma},
        "square": good | {"sigma": sigma[:, :3]},
        "keys": {"mean": good["mu"], "cov": sigma},
        "integers": good | {"mu": np.zeros(64, dtype=np.int64)},
        "images": {"arr_0": np.zeros((3, 8, 8, 3), dtype=np.uint8)},
        "dim": moments(65),
        "2048": {"mu": np.zeros(2048), "sigma": np.eye(2048)},
    }[kind]


@pytest.mark.parametrize(
    ("kind", "cause", "cure"),
    [
        ("nan", "NaN", "compute it again"),
        ("asymmetric", "not symmetric", "ganzoo stats"),
        ("negative", "the eigenvalue -", "ganzoo stats"),
        ("square", "sigma [64, 3]", "mu [D] and sigma [D,D]"),
        ("keys", "found: cov, mean", "ganzoo stats"),
        ("integers", "mu is int64", "ganzoo stats"),
        ("images", "no mu and sigma", "npz:"),
        ("dim", "65 features, digits gives 64", "no feature network"),
        ("2048", "2048 features, digits gives 64", "--features inception"),
    ],
)
def test_files_that_are_no_statistics(kind: str, cause: str, cure: str, run: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **bad(kind))
    refused(cause, cure, "eval", run, "--reference", tmp_path / "x.npz", "--features", "digits")


def test_what_a_reference_does_not_allow(run: Path, stats_file: Path, tmp_path: Path) -> None:
    reference = ["eval", run, "--reference", stats_file]
    refused("which network gave the 64 features", "--features digits", *reference)
    reference += ["--features", "digits"]
    refused("both say", "leave one", *reference, "--dataset", "digits")
    refused("allows no kid", "--metrics fid", *reference, "--metrics", "kid")
    refused("more images than the 64", "--num-images 65", *reference, "--num-images", "64")
    refused("cannot read", "mu", "eval", run, "--reference", tmp_path / "nowhere.npz")
    refused("cannot read", "mu", "eval", run, "--reference", tmp_path)
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 nothing")
    refused("no readable .npz", "mu", "eval", run, "--reference", tmp_path / "x.npz")
    np.savez(tmp_path / "other.npz", **moments(), features_sha256=np.array("0" * 64))
    refused("weights 00000000", "the same one", *reference[:2], "--reference", tmp_path / "other.npz", *reference[4:])
    refused("not to", "end --out in .npz", "stats", "digits", "--out", tmp_path / "x.csv")


def test_every_condition_is_in_the_id_of_a_foreign_protocol() -> None:
    base = ForeignProtocol(
        file="x.npz", file_sha256="a" * 64, count="unknown", shape=(1, 32, 32), generated_count=100, features="digits",
        features_sha256="b" * 64, resizer="none", features_settings=(), features_code="none", label_law="none", rules=2,
    )  # fmt: skip
    others: dict[str, Any] = {
        "file": "y.npz", "file_sha256": "c" * 64, "count": "5", "shape": (3, 32, 32), "generated_count": 101,
        "features": "mnist", "features_sha256": "d" * 64, "resizer": "bilinear", "features_settings": ("a=1",),
        "features_code": "1a", "label_law": "balanced", "rules": 3,
    }  # fmt: skip
    assert len({replace(base, **{field.name: others[field.name]}).id for field in fields(base)} | {base.id}) == 13
    assert not looks_like_id(replace(base, file="a-32x32x1-train5-gen3.npz").id)


def test_inception_is_the_network_of_2048(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With weights that have learned nothing: the real ones are 95 MB from elsewhere."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Untrained(FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, state_dict: Any) -> None:
            pass

    empty = io.BytesIO()
    torch.save({}, empty)
    empty.seek(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save(Untrained("untrained", ["2048"], empty).state_dict(), tmp_path / "random.pth")
    folder = colour_folder(tmp_path / "photos", 6, (20, 20))
    weights = ["--set", f"features.inception.weights={tmp_path / 'random.pth'}"]
    call("stats", f"folder:{folder}", "--features", "inception", *weights, "--out", tmp_path / "x.npz")
    assert "6 images of 20x20x3, 2048 features by inception" in capsys.readouterr().out
    with np.load(tmp_path / "x.npz") as archive:
        assert archive["mu"][:].shape == (2048,)
        assert archive["sigma"][:].dtype == np.float64
        assert (int(archive["count"]), str(archive["features"])) == (6, "inception")
        spread = float(np.trace(archive["sigma"]))
    rank = ["--set", "metrics.fid.allow_rank_deficient=true"]
    same = score(capsys, folder, "--reference", tmp_path / "x.npz", *weights, *rank)  # seconds: 2048 by 2048
    assert same["values"]["fid"] < 1e-4 * spread
    assert "-gen6-inception-" in same["protocol"]


def test_stats_of_a_part_of_a_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("stats", "digits", "--split", "test", "--num-images", "200", "--size", "16", "--out", tmp_path / "x.npz")
    text = capsys.readouterr().out
    assert text.splitlines()[0] == str(tmp_path / "x.npz")
    assert "digits, test split: 200 images of 16x16x1, 64 features by digits" in text
    found = read_moments(tmp_path / "x.npz")
    assert (found.moments.count, found.dim) == (200, 64)


NO_EFFECT = [
    "variant.z_dim=9",
    "variant.dcgan.channels=4",
    "objective.real_label=0.9",
    "train.g_lr=1",
    "train.batch_size=9",
    "eval.every=2",
    "seed=1",
    "precision=bf16",
    "engine=plain",
    "preset=laptop",
    "callbacks=tensorboard",
    "device=cpu",
]


@pytest.mark.parametrize("text", NO_EFFECT)
def test_what_cannot_be_set_of_a_finished_run_is_refused(
    run: Path, tmp_path: Path, text: str, stats_file: Path
) -> None:
    key = text.partition("=")[0]
    images, out = tmp_path / "images.npz", tmp_path / "out.npz"
    np.savez(images, images=np.zeros((4, 1, 32, 32), dtype=np.uint8))
    for command in (
        ["eval", run],
        ["eval", images, "--dataset", "digits"],
        ["eval", run, "--reference", stats_file],
        ["eval", images, "--reference", stats_file],
        ["stats", "digits", "--out", out],
    ):
        with pytest.raises(UserError, match="has no effect here") as caught:
            call(*command, "--set", text)
        assert f"--set {key}" in caught.value.cause
        assert ("--device" if key == "device" else "what may be set: ") in caught.value.cure
    assert not out.exists()


def test_what_is_set_has_an_effect_or_is_refused(
    run: Path, tmp_path: Path, stats_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kid = [run, "--set", "eval.metrics=kid"]
    sizes = (score(capsys, *kid, "--set", f"metrics.kid.subset_size={size}")["values"] for size in (20, 30))
    assert next(sizes) != next(sizes)
    assert score(capsys, *kid, "--set", "eval.num_images=50")["images"] == 50
    with pytest.raises(UserError, match=r"--set eval\.num_images has no effect") as caught:
        call("stats", "digits", "--out", tmp_path / "out.npz", "--set", "eval.num_images=50")
    assert caught.value.cure == "say --num-images N"
    for text in ("eval.metrics=kid", "dataset.size=16"):  # FID alone, and no real images
        with pytest.raises(UserError, match="has no effect here"):
            call("eval", run, "--reference", stats_file, "--set", text)
    with pytest.raises(UserError, match="unknown setting 'evall"):
        call("eval", run, "--set", "evall.num_images=50")
    with pytest.raises(UserError, match="there is no '='"):
        call("eval", run, "--set", "eval.num_images")
