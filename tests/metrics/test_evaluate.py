"""One pass over images for all metrics: checked features, a cached reference, nothing left behind."""

import pytest
import torch
from torch import nn

from ganzoo.data.images import Images
from ganzoo.errors import UserError
from ganzoo.metrics.conditional import ClassBalance, ConditionalAccuracy
from ganzoo.metrics.evaluate import Reference, evaluate, extract_features, reference_features
from ganzoo.metrics.fid import FrechetDistance
from ganzoo.metrics.inception_score import InceptionScore
from ganzoo.metrics.kid import KernelDistance
from ganzoo.metrics.prdc import PrecisionRecallDensityCoverage

CPU = torch.device("cpu")


class Network(nn.Module):
    """A tiny classifier with everything that depends on modes: dropout, batch norm; counts the images it sees."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.norm, self.drop, self.head = nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, classes)
        self.head.weight.data = torch.linspace(-9, 9, 16 * classes).sin().reshape(classes, 16)
        self.head.bias.data = torch.zeros(classes)
        self.seen = 0

    def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        self.seen += len(pixels)
        pool = self.drop(self.norm(pixels.flatten(1).float() / 255))
        return {"pool": pool, "logits": self.head(pool)}


def make_images(n: int, seed: int = 0) -> Images:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (n, 1, 4, 4), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 3, (n,), generator=generator)
    return Images(pixels=pixels, labels=labels, num_classes=3, sha256=f"{n}-{seed}")


def all_metrics() -> dict:
    return {
        "fid": FrechetDistance(),
        "inception-score": InceptionScore(),
        "kid": KernelDistance(subsets=5, subset_size=50),
        "prdc": PrecisionRecallDensityCoverage(),
        "conditional-accuracy": ConditionalAccuracy(),
        "class-balance": ClassBalance(),
    }


def test_features_do_not_depend_on_batches_and_are_in_order():
    images, done = make_images(57), []
    whole = extract_features(Network(), images.pixels, device=CPU)
    parts = extract_features(Network(), images.pixels, device=CPU, batch_size=10, on_batch=done.append)
    assert done == [10] * 5 + [7]
    assert whole["pool"].shape == (57, 16)
    assert whole["logits"].shape == (57, 3)
    for name in whole:
        torch.testing.assert_close(whole[name], parts[name])
    torch.testing.assert_close(whole["pool"][31], Network().eval()(images.pixels[31:32])["pool"][0])


def test_modes_gradients_and_precision_are_as_before():
    network = Network()
    network.drop.eval()
    precision = torch.backends.cudnn.conv.fp32_precision
    seen = []

    def spy(module, args):
        seen.append((module.training, torch.is_grad_enabled(), torch.backends.cudnn.conv.fp32_precision))

    network.drop.register_forward_pre_hook(spy)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = extract_features(network, make_images(5).pixels, device=CPU)
    assert seen == [(False, False, "ieee")]
    assert features["logits"].dtype == torch.float32
    assert network.training
    assert network.norm.training
    assert not network.drop.training
    assert torch.is_grad_enabled()
    assert torch.backends.cudnn.conv.fp32_precision == precision


def test_modes_are_restored_after_a_failure():
    network = Network()
    network.head = nn.Linear(4, 4)
    with pytest.raises(RuntimeError):
        extract_features(network, make_images(5).pixels, device=CPU)
    assert network.training
    assert torch.backends.cudnn.conv.fp32_precision != "ieee"


@pytest.mark.parametrize(
    "output",
    [
        torch.zeros(5, 4),
        {"logits": torch.zeros(5, 4)},
        {"pool": torch.zeros(4, 4)},
        {"pool": torch.zeros(5, 4, 1)},
        {"pool": torch.zeros(5, 0)},
        {"pool": torch.zeros(5, 4, dtype=torch.float64)},
        {"pool": torch.zeros(5, 4), "logits": [0.0]},
        {"pool": torch.full((5, 4), float("nan"))},
    ],
)
def test_bad_outputs_name_the_network(output):
    def my_network(pixels):
        return output

    with pytest.raises(UserError, match="my_network gave"):
        extract_features(my_network, make_images(5).pixels, device=CPU)


def test_outputs_that_change_between_batches_are_refused():
    def growing(pixels):
        pool = pixels.flatten(1).float()
        return {"pool": pool} if len(pixels) == 4 else {"pool": pool, "logits": pool}

    with pytest.raises(UserError, match="growing gave other names"):
        extract_features(growing, make_images(6).pixels, device=CPU, batch_size=4)


@pytest.mark.parametrize("pixels", [torch.zeros(5, 1, 4, 4), torch.zeros(5, 4, 4, dtype=torch.uint8)])
def test_only_uint8_images_are_scored(pixels):
    with pytest.raises(UserError, match=r"uint8 \[N,C,H,W\]"):
        extract_features(Network(), pixels, device=CPU)


def test_the_reference_is_cached(tmp_path):
    images, network = make_images(40), Network()
    first = reference_features(images, network, cache_dir=tmp_path / "new", key="a", device=CPU)
    again = reference_features(images, network, cache_dir=tmp_path / "new", key="a", device=CPU)
    assert network.seen == 40
    assert torch.equal(first.pool, again.pool)
    assert torch.equal(first.logits, again.logits)
    assert again.labels is images.labels
    assert (len(again), again.num_classes) == (40, 3)
    assert len(list((tmp_path / "new").glob("*.safetensors"))) == 1


def test_the_cache_knows_network_and_images_apart(tmp_path):
    network = Network()
    for images, key in ((make_images(40), "a"), (make_images(40), "b"), (make_images(40, seed=1), "a")):
        found = reference_features(images, network, cache_dir=tmp_path, key=key, device=CPU)
        expected = extract_features(Network(), images.pixels, device=CPU)
        assert torch.equal(found.pool, expected["pool"])
    assert network.seen == 120


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "swapped"])
def test_a_damaged_cache_is_computed_again(tmp_path, damage):
    images, network = make_images(40), Network()
    good = reference_features(images, network, cache_dir=tmp_path, key="a", device=CPU)
    (path,) = tmp_path.glob("*.safetensors")
    data = path.read_bytes()
    if damage == "swapped":  # a whole file, but of other images
        reference_features(make_images(40, seed=1), network, cache_dir=tmp_path, key="a", device=CPU)
        (other,) = set(tmp_path.glob("*.safetensors")) - {path}
        other.replace(path)
    else:
        path.write_bytes({"cut": data[:-100], "garbage": b"x" * 500, "empty": b""}[damage])
    found = reference_features(images, network, cache_dir=tmp_path, key="a", device=CPU)
    assert torch.equal(found.pool, good.pool)
    assert path.read_bytes() == data  # and mended


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.warns(RuntimeWarning, match="not cached"):
        found = reference_features(make_images(40), Network(), cache_dir=blocked, key="a", device=CPU)
    assert len(found) == 40


def test_no_cache_directory_means_no_cache():
    network = Network()
    for _ in range(2):
        reference_features(make_images(40), network, cache_dir=None, key="a", device=CPU)
    assert network.seen == 80


def test_all_metrics_from_one_pass():
    real, fake, network, done = make_images(150), make_images(120, seed=1), Network(), []
    reference = reference_features(real, network, cache_dir=None, key="", device=CPU)
    network.seen = 0
    batches = zip(fake.pixels.split(50), fake.labels.split(50), strict=True)
    values = evaluate(all_metrics(), batches, network, reference, device=CPU, on_batch=done.append)
    assert network.seen == 120
    assert done == [50, 50, 20]
    assert list(values) == [
        *("fid", "is", "is_std", "kid", "kid_std", "kid_se", "precision", "recall", "density", "coverage"),
        *("cond_acc", "modes", "class_kl"),
    ]
    assert all(type(value) is float for value in values.values())
    rebatched = zip(fake.pixels.split(7), fake.labels.split(7), strict=True)
    assert evaluate(all_metrics(), rebatched, network, reference, device=CPU) == pytest.approx(values, rel=1e-5)


def test_real_against_itself_is_perfect():
    real, network = make_images(150), Network()
    reference = reference_features(real, network, cache_dir=None, key="", device=CPU)
    labels = reference.logits.argmax(1)
    values = evaluate(all_metrics(), [(real.pixels, labels)], network, reference, device=CPU)
    assert values["fid"] == pytest.approx(0, abs=1e-10)
    assert values["precision"] == values["recall"] == values["coverage"] == 1
    assert values["cond_acc"] == 100
    assert values["class_kl"] == 0


def test_the_random_state_is_left_alone():
    reference = reference_features(make_images(150), Network(), cache_dir=None, key="", device=CPU)

    def drawn():
        for _ in range(2):
            yield torch.randint(0, 256, (60, 1, 4, 4), dtype=torch.uint8), torch.zeros(60, dtype=torch.int64)

    before = torch.get_rng_state()
    evaluate(all_metrics(), drawn(), lambda pixels: Network()(pixels), reference, device=CPU)
    assert torch.equal(torch.get_rng_state(), before)


def test_nothing_to_score_is_refused():
    reference = Reference(pool=torch.zeros(9, 16))
    with pytest.raises(UserError, match="no generated images"):
        evaluate({"fid": FrechetDistance()}, [], Network(), reference, device=CPU)
    with pytest.raises(UserError, match="no images"):
        extract_features(Network(), make_images(0).pixels, device=CPU)


@pytest.mark.parametrize("labels", [torch.zeros(1), torch.zeros(6), torch.zeros(5, 1)])
def test_labels_that_are_not_one_per_image_are_refused(labels):
    reference = Reference(pool=torch.zeros(9, 16))
    batches = [(make_images(5).pixels, labels.long())]
    with pytest.raises(UserError, match="for 5 images"):
        evaluate({"conditional": ConditionalAccuracy()}, batches, Network(), reference, device=CPU)


def test_features_of_another_network_are_refused():
    reference = Reference(pool=torch.zeros(9, 8))
    with pytest.raises(UserError, match="16 features per generated image, 8 per reference"):
        evaluate({"fid": FrechetDistance()}, [(make_images(5).pixels, None)], Network(), reference, device=CPU)


def test_two_metrics_with_one_key_are_refused():
    reference = reference_features(make_images(50), Network(), cache_dir=None, key="", device=CPU)
    twice = {"a": FrechetDistance(), "b": FrechetDistance()}
    with pytest.raises(UserError, match="'a' and 'b' both compute 'fid'"):
        evaluate(twice, [(make_images(50).pixels, None)], Network(), reference, device=CPU)
