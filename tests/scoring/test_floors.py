"""Scoring a generator leaves it as it was; floors are what real images get, computed once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganzoo.config.layers import build_config
from ganzoo.config.run_config import RunConfig
from ganzoo.data import to_float
from ganzoo.errors import UserError
from ganzoo.files.progress import Event, Working, listening
from ganzoo.scoring import floors as floors_module
from ganzoo.scoring.floors import floors
from ganzoo.scoring.generation import generate
from ganzoo.scoring.images import load_images
from ganzoo.scoring.scorer import SCORE_SEED, Scorer
from ganzoo.zoo.registry import Registry

CPU = torch.device("cpu")


class Copier(nn.Module):
    """Gives training images, whatever it is asked for; has every kind of state that scoring could leave changed."""

    def __init__(self, pixels: Tensor) -> None:
        super().__init__()
        self.pixels = pixels
        self.norm, self.drop = nn.BatchNorm1d(7), nn.Dropout(0.5)

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        index = (self.drop(self.norm(z)).abs().sum(dim=1) * 1e4).long() % len(self.pixels)
        return to_float(self.pixels[index])


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load([])


def make_scorer(registry: Registry, root: Path, variant: str = "gan", **overrides: Any) -> Scorer:
    config: RunConfig = build_config(
        registry, variant=variant, overrides={"eval.num_images": 300, "eval.num_reference": 500, **overrides}
    )
    return Scorer(registry, config, load_images(registry, config, root, "train"), root=root, device=CPU)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


def test_scoring_changes_nothing_of_the_model(registry: Registry, root: Path) -> None:
    scorer = make_scorer(registry, root)
    assert scorer.reference.images is not None
    generator = Copier(scorer.reference.images.pixels).train()
    generator.norm.eval()
    state = {key: value.clone() for key, value in generator.state_dict().items()}
    random = torch.get_rng_state()
    scorer.score_generator(generator, 7)
    assert (generator.training, generator.norm.training, generator.drop.training) == (True, False, True)
    assert all(torch.equal(value, state[key]) for key, value in generator.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(parameter.grad is None for parameter in generator.parameters())


def test_a_copying_generator_is_found_and_its_pairs_shown(registry: Registry, root: Path) -> None:
    scorer = make_scorer(registry, root)
    assert scorer.reference.images is not None
    generator = Copier(scorer.reference.images.pixels).eval()
    score = scorer.score_generator(generator, 7)
    assert score.values["memorised"] == 100
    made, real = scorer.neighbours(generator, 7, score.pairs)
    assert torch.equal(made, real)
    whole = torch.cat([part for part, _ in generate(generator, 7, 300, labels=None, seed=SCORE_SEED, batch_size=50,
                                                    device=CPU)])  # fmt: skip
    assert torch.equal(made, whole[score.pairs[:, 0]])


def test_what_has_no_number_is_said(registry: Registry, root: Path) -> None:
    scorer = make_scorer(registry, root, "cgan", **{"eval.metrics": "kid,class-fid,cas,is", "eval.num_images": 90})
    train = scorer.reference.images
    assert train is not None
    labelled = replace(train, pixels=train.pixels[:90], labels=train.labels[:90] if train.labels is not None else None)
    score = scorer.score_images(labelled)
    assert set(score.values) == {"kid", "kid_std", "kid_se"}
    assert "90 images are too few" in score.left_out["is"]
    assert "65 generated images of each class" in score.left_out["class-fid"]
    assert "128 images" in score.left_out["cas"]


def test_nan_images_are_refused(registry: Registry, root: Path) -> None:
    class Broken(nn.Module):
        def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
            return torch.full((len(z), 1, 32, 32), float("nan"))

    with pytest.raises(UserError, match="generated images hold NaN"):
        make_scorer(registry, root).score_generator(Broken(), 7)


def test_floors_are_near_the_best_numbers(registry: Registry, root: Path) -> None:
    test, resample = floors(make_scorer(registry, root))
    assert (test["name"], test["images"], test["reference"]) == ("test split", 360, 500)
    assert (resample["name"], resample["images"], resample["reference"]) == ("train resample", 300, 500)
    assert test["values"]["fid"] < 1
    assert resample["values"]["fid"] < 1
    assert "memorised" not in test["values"]  # the test split is what it is measured by
    assert "memorisation" in test["left_out"]
    assert resample["values"]["memorised"] == 100
    assert resample["values"]["precision"] == 1
    assert test["values"]["cond_acc"] > 97


def test_floors_are_computed_once_per_conditions(
    registry: Registry, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = floors(make_scorer(registry, root))

    def never(*arguments: Any, **settings: Any) -> Any:
        raise AssertionError("computed again")

    with monkeypatch.context() as patch:
        patch.setattr(Scorer, "metrics", never)
        assert floors(make_scorer(registry, root)) == first
        for change in ({"eval.num_images": 310}, {"eval.metrics": "kid"}, {"metrics.kid.subsets": 7}):
            with pytest.raises(AssertionError, match="computed again"):
                floors(make_scorer(registry, root, **change))
        patch.setattr(floors_module, "package_sha256", lambda package: "edited")
        with pytest.raises(AssertionError, match="computed again"):
            floors(make_scorer(registry, root))


def test_without_a_test_split_halves_are_compared(registry: Registry, tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "images"
    folder.mkdir()
    random = torch.Generator().manual_seed(0)
    for i in range(140):
        Image.fromarray(torch.randint(0, 256, (32, 32), generator=random, dtype=torch.uint8).numpy()).save(
            folder / f"{i}.png"
        )
    config = build_config(
        registry, variant="gan", dataset=f"folder:{folder}", features="digits", sets=["dataset.color=gray"],
        overrides={"eval.num_images": 130, "eval.metrics": "fid,kid,cas,memorisation"},
    )  # fmt: skip
    scorer = Scorer(registry, config, load_images(registry, config, tmp_path, "train"), root=tmp_path, device=CPU)
    half, resample = floors(scorer)
    assert (half["name"], half["images"], half["reference"]) == ("half of train", 70, 70)
    assert set(half["values"]) >= {"kid", "memorised", "fid"}
    assert "cas" not in resample["values"]


def test_what_changes_a_score_changes_the_protocol(registry: Registry, root: Path) -> None:
    base = make_scorer(registry, root).protocol.id
    changes: list[dict[str, Any]] = [
        {"eval.num_images": 301},
        {"eval.num_reference": 501},
        {"dataset.size": 28},
        {"metrics.kid.subsets": 7},
        {"train.ema_kimg": 0.0},
    ]
    found = {make_scorer(registry, root, **change).protocol.id for change in changes}
    assert len(found) == len(changes)
    assert base not in found
    for change in ({"seed": 5}, {"train.kimg": 3.0}, {"eval.batch_size": 100}, {"eval.metrics": "kid"}):
        assert make_scorer(registry, root, **change).protocol.id == base
    assert make_scorer(registry, root, "cgan").protocol.id == base  # ranked in one table
    other = build_config(registry, variant="gan", features="mnist", overrides={"eval.num_reference": 500})
    scorer = Scorer(registry, other, load_images(registry, other, root, "train"), root=root, device=CPU)
    assert scorer.protocol.id not in {base, *found}


def test_a_part_of_the_real_images_has_an_identity_of_its_own(registry: Registry, root: Path) -> None:
    """Statistics are cached by it."""
    some, others = (make_scorer(registry, root, **{"eval.num_reference": n}) for n in (400, 401))
    whole = load_images(registry, some.config, root, "train")
    assert len({some.reference.sha256, others.reference.sha256, whole.sha256}) == 3
    assert len({some.protocol.dataset_sha256, others.protocol.dataset_sha256}) == 2


def test_the_protocol_names_the_test_images_and_plugins_code(registry: Registry, root: Path, tmp_path: Path) -> None:
    test = load_images(registry, make_scorer(registry, root).config, root, "test")
    assert make_scorer(registry, root).protocol.test_sha256 == test.sha256
    assert make_scorer(registry, root).protocol.plugin_code == ()
    source = (
        "import torch\nfrom ganzoo import Features, Metric, hookimpl\nGANZOO_API = 1\nSCALE = {scale}\n\n\n"
        "def network(device):\n    return lambda x: {{'pool': x.float().mean(dim=(1, 2)) / SCALE}}\n\n\n"
        "@hookimpl\ndef register_features():\n    return [Features(name='mine', target=network, dim=32)]\n"
    )
    seen = []
    for scale in (1, 7):
        path = tmp_path / str(scale) / "plugin.py"
        path.parent.mkdir()
        path.write_text(source.format(scale=scale))
        ours = Registry.load([path])
        config = build_config(ours, variant="gan", features="mine", sets=["eval.metrics=kid", "eval.num_images=90"])
        scorer = Scorer(ours, config, load_images(ours, config, root, "train"), root=root, device=CPU)
        assert scorer.protocol.plugin_code[0].startswith("mine=")
        seen.append((scorer.protocol.id, float(scorer.reference.pool.mean())))
    assert seen[0][0] != seen[1][0]
    assert seen[0][1] == pytest.approx(7 * seen[1][1])  # not from the cache of the other


def test_labels_of_generated_images_follow_their_index(registry: Registry, root: Path) -> None:
    scorer = make_scorer(registry, root, "cgan")

    class Labelled(nn.Module):
        def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
            assert labels is not None
            shade = (labels / 5 - 1).view(-1, 1, 1, 1) + 0.01 * z[:, :1, None, None].clamp(-1, 1)
            return shade.expand(-1, 1, 32, 32)

    pairs = torch.tensor([[7, 0], [3, 1], [250, 2]])
    made, real = scorer.neighbours(Labelled(), 7, pairs)
    assert scorer.labels is not None
    whole = torch.cat([part for part, _ in generate(Labelled(), 7, 300, labels=scorer.labels, seed=SCORE_SEED,
                                                    batch_size=64, device=CPU)])  # fmt: skip
    assert torch.equal(made, whole[pairs[:, 0]])
    assert scorer.reference.images is not None
    assert torch.equal(real, scorer.reference.images.pixels[:3])


def test_pixels_of_a_floor_belong_to_its_features(registry: Registry, root: Path) -> None:
    """CAS learns from the pixels of the images whose labels it is given."""
    sets = {"eval.metrics": "cas", "metrics.cas.epochs": 2, "eval.num_reference": 900, "eval.num_images": 900}
    _, resample = floors(make_scorer(registry, root, **sets))
    assert resample["values"]["cas"] > 30  # chance is 10


def test_nothing_is_computed_without_a_word(registry: Registry, tmp_path: Path) -> None:
    config = build_config(registry, variant="gan", overrides={"eval.num_images": 60, "eval.metrics": "kid,is,prdc"})
    told: list[Event] = []
    images = load_images(registry, config, tmp_path, "train")
    scorer = Scorer(registry, config, images, root=tmp_path, device=CPU)
    with listening(told.append):
        floors(scorer)
        scorer.score_generator(Copier(images.pixels), 7)
    said = {event.what for event in told if isinstance(event, Working)}
    for what in ("scoring real images, test split: ", "scoring real images, train resample: ", "computing "):
        assert said >= {f"{what}{metric}" for metric in ("kid", "is", "prdc")}
