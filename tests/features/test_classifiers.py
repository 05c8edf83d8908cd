from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from ganzoo.cli import train_classifier as train_command
from ganzoo.data.digits import load_digits
from ganzoo.data.downloads import DEBIAN_FASHION_MNIST
from ganzoo.data.idx import find_idx, load_fashion_mnist, load_mnist
from ganzoo.data.images import Images
from ganzoo.errors import DataError, UserError
from ganzoo.features import classifiers, train_classifier
from ganzoo.features.classifiers import Classifier, prepare
from ganzoo.features.train_classifier import RECIPES, accuracy, save
from ganzoo.features.training import augment, fold, train

TARGETS = {
    "digits": classifiers.digits,
    "mnist": classifiers.mnist,
    "fashion-mnist": classifiers.fashion_mnist,
}
DIMS = {
    "digits": classifiers.DIGITS_DIM,
    "mnist": classifiers.MNIST_DIM,
    "fashion-mnist": classifiers.FASHION_MNIST_DIM,
}
THRESHOLDS = {"digits": 0.985, "mnist": 0.992, "fashion-mnist": 0.925}
TEST_IMAGES = {"digits": 360, "mnist": 10_000, "fashion-mnist": 10_000}
NAMES = sorted(TARGETS)


@pytest.fixture(scope="module")
def networks() -> dict[str, Classifier]:
    return {name: target("cpu") for name, target in TARGETS.items()}


@pytest.fixture(scope="module")
def digits() -> dict[str, Images]:
    return {split: load_digits(Path(), split, False) for split in ("train", "test")}


def noise(n: int, channels: int, size: int) -> torch.Tensor:
    return torch.randint(
        0, 256, (n, channels, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


@pytest.mark.parametrize("name", NAMES)
def test_shipped_file_matches_its_record(name: str, networks: dict[str, Classifier]) -> None:
    record = classifiers.read_records()[name]
    content = (classifiers.WEIGHTS / record["file"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == record["sha256"] == networks[name].weights_sha256
    assert len(content) == record["bytes"] <= 2_000_000
    assert record["parameters"] == sum(p.numel() for p in networks[name].parameters())
    assert record["dim"] == DIMS[name]


@pytest.mark.parametrize("name", NAMES)
def test_record_is_complete_and_good_enough(name: str) -> None:
    record = classifiers.read_records()[name]
    assert record["accuracy"] >= THRESHOLDS[name]
    assert record["test_images"] == TEST_IMAGES[name]
    assert f"train_classifier {name} " in record["command"]
    assert f"--seed {record['seed']}" in record["command"]
    assert f"--epochs {record['recipe']['epochs']}" in record["command"]
    for key in ("torch", "date", "threads", "processor", "train_sha256", "test_sha256"):
        assert record[key], key


@pytest.mark.parametrize("name", NAMES)
def test_recipe_still_builds_the_shipped_network(name: str) -> None:
    record = classifiers.read_records()[name]
    assert RECIPES[name].network() == record["network"]
    assert RECIPES[name].epochs == record["recipe"]["epochs"]


@pytest.mark.parametrize("name", NAMES)
def test_output_and_frozen_state(name: str, networks: dict[str, Classifier]) -> None:
    network = networks[name]
    out = network(noise(3, 1, network.size))
    assert {key: (value.dtype, tuple(value.shape)) for key, value in out.items()} == {
        "pool": (torch.float32, (3, DIMS[name])),
        "logits": (torch.float32, (3, 10)),
    }
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_features_do_not_depend_on_the_batch(name: str, networks: dict[str, Classifier]) -> None:
    network = networks[name].train()  # even in training mode: batch norm is folded away
    images = noise(classifiers.CHUNK + 2, 1, network.size)  # more than one internal pass
    together = network(images)
    network.eval()
    for i in (0, classifiers.CHUNK, classifiers.CHUNK + 1):
        alone = network(images[i : i + 1])
        for key in ("pool", "logits"):
            torch.testing.assert_close(alone[key], together[key][i : i + 1], rtol=1e-4, atol=1e-4)


def test_autocast_changes_nothing(networks: dict[str, Classifier]) -> None:
    images = noise(4, 1, 32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = networks["digits"](images)
    assert torch.equal(inside["pool"], networks["digits"](images)["pool"])


def test_digits_accuracy_on_the_held_out_split(networks: dict[str, Classifier], digits: dict[str, Images]) -> None:
    record = classifiers.read_records()["digits"]
    assert digits["test"].sha256 == record["test_sha256"]
    assert digits["train"].sha256 == record["train_sha256"]
    found = accuracy(networks["digits"], digits["test"])
    assert found >= 0.985
    assert found == pytest.approx(record["accuracy"], abs=1 / 360)  # one image may sit on the border


def test_fashion_mnist_accuracy(networks: dict[str, Classifier], tmp_path: Path) -> None:
    if find_idx([DEBIAN_FASHION_MNIST], "test") is None:
        pytest.skip(f"needs Debian's package dataset-fashion-mnist in {DEBIAN_FASHION_MNIST}")
    images = load_fashion_mnist(tmp_path, "test", False)
    record = classifiers.read_records()["fashion-mnist"]
    assert images.sha256 == record["test_sha256"]
    assert accuracy(networks["fashion-mnist"], images) == pytest.approx(record["accuracy"], abs=5e-4)


def test_mnist_accuracy(networks: dict[str, Classifier]) -> None:
    try:
        images = load_mnist(Path(os.environ.get("GANZOO_DATA", "data")), "test", False)
    except UserError as error:
        pytest.skip(f"needs MNIST in $GANZOO_DATA or ./data: {error.cause}")
    record = classifiers.read_records()["mnist"]
    assert images.sha256 == record["test_sha256"]
    assert accuracy(networks["mnist"], images) == pytest.approx(record["accuracy"], abs=5e-4)


def test_colour_and_size_are_brought_to_the_classifiers_own(
    networks: dict[str, Classifier], digits: dict[str, Images]
) -> None:
    test = digits["test"]
    enlarged = test.pixels.repeat(1, 3, 1, 1).repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    changed = Images(pixels=enlarged, labels=test.labels, num_classes=10, sha256="")
    assert accuracy(networks["digits"], changed) >= 0.98


def test_prepare_is_luma_and_antialiased() -> None:
    red = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    red[:, 0] = 255
    torch.testing.assert_close(prepare(red, 4), torch.full((1, 1, 4, 4), 2 * 0.299 - 1))
    grey = noise(2, 1, 8)
    torch.testing.assert_close(prepare(grey.repeat(1, 3, 1, 1), 8), prepare(grey, 8))
    stripes = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    stripes[..., ::2] = 255
    inner = prepare(stripes, 8)[..., 1:-1]  # the border sees half a filter
    assert inner.abs().max() < 0.1  # without antialiasing the stripes would alias


def test_images_it_cannot_read_are_refused(networks: dict[str, Classifier]) -> None:
    with pytest.raises(DataError, match="2 channels"):
        networks["digits"](noise(1, 2, 32))
    with pytest.raises(TypeError, match="uint8"):
        networks["digits"](torch.zeros(1, 1, 32, 32))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    shutil.copytree(classifiers.WEIGHTS, folder)
    return folder


def test_a_flipped_bit_is_noticed(copied: Path) -> None:
    path = copied / "digits.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        classifiers.load("digits", "cpu", copied)
    assert classifiers.load("mnist", "cpu", copied).weights_sha256  # the others still load


def test_missing_or_wrong_files_are_user_errors(copied: Path) -> None:
    records = classifiers.read_records(copied)
    records["digits"]["network"]["widths"][0] += 1
    (copied / "classifiers.json").write_text(json.dumps(records))
    with pytest.raises(UserError, match="does not hold the network"):
        classifiers.load("digits", "cpu", copied)
    (copied / "mnist.safetensors").unlink()
    with pytest.raises(UserError, match="cannot read"):
        classifiers.load("mnist", "cpu", copied)
    with pytest.raises(UserError, match="no classifier 'letters'"):
        classifiers.load("letters", "cpu", copied)
    (copied / "classifiers.json").write_text('{"digits": ')
    with pytest.raises(UserError, match=r"cannot read .*classifiers\.json"):
        classifiers.load("digits", "cpu", copied)


def test_loading_leaves_the_random_state_alone() -> None:
    state = torch.get_rng_state()
    classifiers.digits("cpu")
    assert torch.equal(torch.get_rng_state(), state)


def test_loading_imports_no_torchvision() -> None:
    code = (
        "import sys; from ganzoo.features.classifiers import digits; digits('cpu'); "
        "assert 'torchvision' not in sys.modules and 'sklearn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


SMALL = replace(
    RECIPES["digits"], widths=(8, 16, 16), strides=(2, 2, 2), epochs=3, batch=32, shift=1, learning_rate=8e-3
)


def test_training_learns_and_repeats(digits: dict[str, Images]) -> None:
    losses: list[float] = []
    state = torch.get_rng_state()
    network = train(
        digits["train"].pixels, digits["train"].labels, SMALL, seed=3, on_epoch=lambda epoch, loss: losses.append(loss)
    )
    assert torch.equal(torch.get_rng_state(), state)  # the caller's random numbers are its own
    assert len(losses) == SMALL.epochs
    assert losses[-1] < 0.7 * losses[0]
    assert accuracy(network, digits["test"]) > 0.6  # chance is 0.1
    short = replace(SMALL, epochs=1)
    once, again, other = (
        train(digits["test"].pixels, digits["test"].labels, short, seed=seed).head.weight for seed in (3, 3, 4)
    )
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


def test_training_refuses_images_of_another_shape(digits: dict[str, Images]) -> None:
    with pytest.raises(ValueError, match="shape"):
        train(digits["test"].pixels, digits["test"].labels, replace(SMALL, size=28), seed=0)


def test_folding_keeps_the_function() -> None:
    torch.manual_seed(0)
    network = Classifier(**SMALL.network(), batch_norm=True)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.uniform_(module.bias, -1.0, 1.0)
            module.running_mean.uniform_(-1.0, 1.0)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
    images = noise(8, 1, 32)
    expected = network.eval()(images)
    folded = fold(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    torch.testing.assert_close(folded(images), expected, rtol=1e-4, atol=1e-4)


def test_augment_shifts_over_black_and_mirrors() -> None:
    pixels = torch.zeros(200, 1, 7, 7, dtype=torch.uint8)
    pixels[:, :, 3, 2] = 200  # one dot, left of the centre
    plain = replace(SMALL, shift=1, flip=False)
    generator = torch.Generator().manual_seed(0)
    places = {tuple(place[2:]) for place in augment(pixels, plain, generator).nonzero().tolist()}
    assert places == {(row, column) for row in (2, 3, 4) for column in (1, 2, 3)}
    mirrored = augment(pixels, replace(plain, shift=0, flip=True), generator)
    assert {tuple(place[2:]) for place in mirrored.nonzero().tolist()} == {(3, 2), (3, 4)}
    assert 60 < int((mirrored[:, 0, 3, 4] > 0).sum()) < 140  # about half


def test_save_keeps_other_records_and_loads_back(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save(name, Classifier(**SMALL.network()), tmp_path, {"network": SMALL.network()})
    assert list(classifiers.read_records(tmp_path)) == ["one", "two"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "classifiers.json",
        "one.safetensors",
        "two.safetensors",
    ]
    assert (
        classifiers.load("one", "cpu", tmp_path).weights_sha256
        != classifiers.load("two", "cpu", tmp_path).weights_sha256
    )


def test_command_trains_writes_and_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, "digits", SMALL)
    arguments = ["digits", "--out", str(tmp_path), "--epochs", "1", "--seed", "5", "--data-root", str(tmp_path)]
    result = CliRunner().invoke(train_command.main, arguments)
    assert result.exit_code == 0, result.output
    record = classifiers.read_records(tmp_path)["digits"]
    assert record["command"] == "python -m ganzoo.cli.train_classifier digits --epochs 1 --seed 5"
    loaded = classifiers.load("digits", "cpu", tmp_path)
    assert accuracy(loaded, load_digits(tmp_path, "test", False)) == record["accuracy"]
    assert f"{record['accuracy']:.2%}" in result.output


def test_command_reports_a_bad_folder_before_it_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_classifier, "train", lambda *args, **kwargs: pytest.fail("trained"))
    (tmp_path / "classifiers.json").write_text("{")
    result = CliRunner().invoke(train_command.main, ["digits", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "classifiers.json" in result.output
    assert "Traceback" not in result.output
