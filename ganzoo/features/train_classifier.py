"""Train one of the frozen classifiers that score generated images: `python -m ganzoo.cli.train_classifier NAME`.

AdamW with a one-cycle learning rate, light augmentation, no label smoothing (it would squeeze each class into a point
and flatten the class probabilities that the inception score reads). The last weights are kept: the test images are
looked at once, after training, so the recorded accuracy is not selected. The same seed, torch version and number of
threads on the same kind of processor give the same file, bit for bit.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from ganzoo.data.digits import load_digits
from ganzoo.data.idx import load_fashion_mnist, load_mnist
from ganzoo.data.images import Images
from ganzoo.data.load import load_dataset
from ganzoo.features.classifiers import RECORDS, Classifier, read_records
from ganzoo.features.training import Recipe, train
from ganzoo.files.writing import write_atomic, write_json

DATASETS: dict[str, Callable[..., Images]] = {
    "digits": load_digits,
    "mnist": load_mnist,
    "fashion-mnist": load_fashion_mnist,
}


DIGITS = Recipe(
    size=32,
    widths=(16, 32, 32, 64, 64, 64),
    strides=(1, 2, 1, 2, 1, 2),
    epochs=40,
    learning_rate=4e-3,
    shift=3,
    flip=False,
)
MNIST = Recipe(
    size=28,
    widths=(16, 32, 32, 64, 64, 128, 128),
    strides=(1, 2, 1, 2, 1, 2, 1),
    epochs=4,
    learning_rate=4e-3,
    shift=2,
    flip=False,
)
_IN_NETWORK = ("size", "widths", "strides", "channels", "num_classes")
RECIPES = {"digits": DIGITS, "mnist": MNIST, "fashion-mnist": replace(MNIST, epochs=9, shift=1, flip=True)}


def accuracy(network: Callable[[Tensor], dict[str, Tensor]], images: Images) -> float:
    """Fraction of labelled `images` whose largest logit is at their label."""
    if images.labels is None:
        raise ValueError("accuracy needs labels")
    return (network(images.pixels)["logits"].argmax(dim=1) == images.labels).double().mean().item()


def save(name: str, network: Classifier, folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Write `NAME.safetensors` and its record in `classifiers.json` into `folder`; return the complete record.

    Raises UserError when the folder cannot be written or holds an unreadable `classifiers.json`.
    """
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    content = safetensors.torch.save(state)
    complete = {
        "file": f"{name}.safetensors",
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "parameters": sum(value.numel() for value in state.values()),
        **record,
    }
    records = read_records(folder) if (folder / RECORDS).exists() else {}
    records[name] = complete
    write_atomic(folder / complete["file"], lambda temporary: temporary.write_bytes(content))
    write_json(folder / RECORDS, dict(sorted(records.items())))
    return complete


def train_and_save(
    name: str, root: Path, folder: Path, *, epochs: int | None, seed: int, on_epoch: Callable[[int, float], None]
) -> dict[str, Any]:
    """Train classifier `name` on its dataset (under `root`, downloaded if need be), test it, write it to `folder`.

    `epochs` None: the recipe's. Returns the record. Raises UserError for images that cannot be had or files that cannot
    be written.
    """
    if (folder / RECORDS).exists():
        read_records(folder)  # unreadable: better said now than after the training
    recipe = RECIPES[name] if epochs is None else replace(RECIPES[name], epochs=epochs)
    images = {split: load_dataset(DATASETS[name], root=root, split=split) for split in ("train", "test")}
    labels = images["train"].labels
    assert labels is not None  # all of DATASETS are labelled
    network = train(images["train"].pixels, labels, recipe, seed=seed, on_epoch=on_epoch)
    return save(name, network, folder, describe(name, recipe, network, images, seed=seed))


def describe(name: str, recipe: Recipe, network: Classifier, images: dict[str, Images], *, seed: int) -> dict[str, Any]:
    """JSON-ready: the network, its accuracy on the test images, and all that is needed to train it again."""
    return {
        "network": recipe.network(),
        "dim": recipe.widths[-1],
        "accuracy": accuracy(network, images["test"]),
        "test_images": len(images["test"]),
        "test_sha256": images["test"].sha256,
        "train_images": len(images["train"]),
        "train_sha256": images["train"].sha256,
        "command": f"python -m ganzoo.cli.train_classifier {name} --epochs {recipe.epochs} --seed {seed}",
        "seed": seed,
        "recipe": {key: value for key, value in asdict(recipe).items() if key not in _IN_NETWORK},
        "torch": torch.__version__,
        "processor": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "threads": torch.get_num_threads(),
        "date": datetime.now(UTC).date().isoformat(),
    }
