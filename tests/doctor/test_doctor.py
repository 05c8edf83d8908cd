"""The doctor finds what is broken: every check fails for the fault it is there for, and only then."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

import ganzoo.data.downloads
import ganzoo.metrics.fid
from ganzoo.cli.main import cli
from ganzoo.data import make_images
from ganzoo.doctor import checks, examine, golden
from ganzoo.features import classifiers
from ganzoo.metrics.statistics import Moments, moments
from ganzoo.runs.environment import describe_environment, doctor_summary
from ganzoo.zoo.registry import Registry

CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root without Fashion-MNIST, on a machine without it."""
    monkeypatch.setattr(ganzoo.data.downloads, "DEBIAN_FASHION_MNIST", tmp_path / "nowhere")
    monkeypatch.delenv("GANZOO_DISABLE", raising=False)
    return tmp_path / "data"


@pytest.fixture
def doctor(root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`doctor("--json")` runs the command in this process with fewer levels, on the classifier of digits alone."""
    monkeypatch.setattr(examine, "NOISE", (0.0, 0.8))
    monkeypatch.setattr(examine, "BLUR", (0.0, 4.0))
    monkeypatch.delitem(examine.REFERENCE_IMAGES, "fashion-mnist")
    monkeypatch.setattr(examine, "_recorded", lambda folder: ["digits"])

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(cli, ["doctor", "--data-root", str(root), "--device", "cpu", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


@pytest.fixture
def only_golden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes long, where a test is about something else; as the next two."""
    monkeypatch.setattr(examine, "_metric_checks", lambda *arguments: iter(()))


@pytest.fixture
def without_scores(only_golden: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "check_golden", lambda name, *rest: checks.verdict(name, True, "", "", ""))


@pytest.fixture
def without_networks(without_scores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "_recorded", lambda folder: [])


def document_of(result: Result) -> dict[str, Any]:
    """What --json printed; click 8.1 puts stderr before it."""
    document: dict[str, Any] = json.loads(result.stdout[result.stdout.index("{\n") :])
    return document


def failures(result: Result) -> set[str]:
    """Names of the failed checks, each of which says what to do."""
    failed = [check for check in document_of(result)["checks"] if check["status"] == "FAILED"]
    assert all(check["cure"] and "\n" not in check["cure"] for check in failed)
    return {check["name"] for check in failed}


def test_all_is_well(root: Path) -> None:
    """The whole examination, every level and every shipped classifier."""
    result = CliRunner().invoke(cli, ["doctor", "--data-root", str(root), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    record = json.loads((root / "doctor.json").read_text())
    assert record["ok"]
    status = {check["name"]: check["status"] for check in record["checks"]}
    assert status.pop("golden values of fashion-mnist") == "skipped"
    assert set(status.values()) == {"ok"}
    expected = {"FID under noise", "FID under blur", "FID under dropping of modes", "golden values of digits"}
    assert expected | {f"weights of {name}" for name in classifiers.read_records()} <= set(status)
    for line in (
        "ok       FID under blur: 0.04",
        "skipped  golden values of fashion-mnist: there are no files",
        "all is",
    ):
        assert line in result.output
    assert str(root) in result.output


def test_json_is_what_is_kept_and_what_runs_tell(doctor: Callable[..., Result], root: Path, registry: Registry) -> None:
    assert doctor_summary(root) is None
    assert describe_environment(CPU, "fp32", registry.plugins, root)["doctor"] is None
    result = doctor("--json")
    assert result.exit_code == 0, result.output
    document = document_of(result)
    assert document == json.loads((root / "doctor.json").read_text())
    environment = document["environment"]
    assert environment["auto"]["device"]
    assert environment["datasets"]["digits"]
    assert {plugin["name"] for plugin in environment["plugins"]} >= {"core", "gan", "dcgan"}
    assert environment["devices"][0]["name"] == "cpu"
    assert environment["disk_free"] > 0
    summary = describe_environment(CPU, "fp32", registry.plugins, root)["doctor"]
    assert (summary["ok"], summary["failed"], summary["stale"]) == (True, [], False)
    assert summary["when"] == document["when"]


def test_runs_tell_of_a_failed_doctor_of_another_torch(root: Path, registry: Registry) -> None:
    described = describe_environment(CPU, "fp32", registry.plugins)
    assert described["doctor"] is None
    root.mkdir()
    record = {"when": "2026-01-01", "ok": False, "environment": described}
    record["checks"] = [{"name": "x", "status": "FAILED"}, {"name": "y", "status": "ok"}]
    (root / "doctor.json").write_text(json.dumps(record))
    summary = doctor_summary(root)
    assert summary is not None
    assert (summary["ok"], summary["failed"], summary["stale"]) == (False, ["x"], False)
    described["packages"]["torch"] = "1.0"
    (root / "doctor.json").write_text(json.dumps(record))
    assert (doctor_summary(root) or {})["stale"]
    for damage in ("", "[]", '{"environment": 1}', "{}"):
        (root / "doctor.json").write_text(damage)
        assert doctor_summary(root) is None


def test_a_wrong_fid(doctor: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    right = ganzoo.metrics.fid.frechet_distance
    monkeypatch.setattr(ganzoo.metrics.fid, "frechet_distance", lambda a, b: 1.001 * right(a, b) + 1e-6)
    result = doctor("--json")
    assert result.exit_code == 1
    known = {"distance of known Gaussians", "FID of a set with itself", "golden values of digits"}
    assert failures(result) == known


def test_a_changed_byte_in_the_weights(
    doctor: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(classifiers.WEIGHTS, folder)
    path = folder / "digits.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr(examine, "WEIGHTS", folder)
    result = doctor("--json")
    assert result.exit_code == 1
    assert failures(result) == {"weights of digits"}
    status = {check["name"]: check["status"] for check in document_of(result)["checks"]}
    assert status["golden values of digits"] == status["FID on digits"] == "skipped"


@pytest.mark.parametrize("layer", [nn.Dropout(0.1), nn.BatchNorm2d(64)])
@pytest.mark.usefixtures("without_scores")
def test_an_extractor_in_train_mode(
    doctor: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, layer: nn.Module
) -> None:
    right = classifiers.load

    def load(name: str, device: torch.device) -> classifiers.Classifier:
        network = right(name, device)
        network.body.append(layer)
        return network.train()

    monkeypatch.setattr(classifiers, "load", load)
    result = doctor("--json")
    assert result.exit_code == 1
    assert {"eval mode of digits", "batches of digits"} <= failures(result)


@pytest.mark.usefixtures("only_golden")
def test_golden_values_that_are_off(
    doctor: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = golden.read_golden()["digits"]
    record["values"]["recall"] += 1.5 * record["tolerance"]["recall"]
    monkeypatch.setattr(examine, "read_golden", lambda folder: {"digits": record})
    result = doctor()
    assert result.exit_code == 1
    lines = result.output.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("FAILED   golden values of digits: recall 0.97"))
    line, cure = lines[at : at + 2]
    assert "expected recall 0.98" in line
    assert "fid" not in line
    assert cure.strip().startswith("try: ")
    assert "1 of " in result.output


@pytest.mark.usefixtures("without_networks")
def test_a_broken_plugin(doctor: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("raise ValueError('on purpose')\n")
    result = doctor("--json", "--plugin", str(tmp_path / "broken.py"))
    assert result.exit_code == 1
    assert failures(result) == {"plugins"}
    assert "on purpose" in result.stdout


@pytest.mark.usefixtures("without_networks")
def test_a_data_root_that_cannot_be_written(doctor: Callable[..., Result], root: Path) -> None:
    root.write_text("a file, not a folder")
    result = doctor("--json")
    assert result.exit_code == 1
    assert failures(result) == {"data root"}
    assert "not kept" in result.output


@pytest.mark.usefixtures("without_scores")
def test_what_torch_refuses_is_a_failed_check(doctor: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, device: torch.device) -> nn.Module:
        raise RuntimeError("no kernel image is available\nfor this device")

    monkeypatch.setattr(classifiers, "load", refuse)
    result = doctor("--json")
    assert result.exit_code == 1
    assert failures(result) == {"eval mode of digits"}


def test_images_other_than_those_of_the_values(registry: Registry) -> None:
    record = golden.read_golden()["digits"]
    pair = examine.load_pair(registry, Path("unused"), "digits")
    other = make_images(pair.test.pixels.flip(0), pair.test.labels)
    changed = golden.Pair(test=other, train=pair.train, reference_images=pair.reference_images)

    def not_called() -> dict[str, float]:
        raise AssertionError

    check = golden.check_golden("digits", record, changed, record["weights_sha256"], not_called)
    assert (check.status, check.found[:11]) == ("FAILED", "test images")
    check = golden.check_golden("digits", record, pair, "0" * 64, not_called)
    assert (check.status, check.found[:7]) == ("FAILED", "weights")
    good = golden.check_golden("digits", record, pair, record["weights_sha256"], lambda: record["values"])
    assert good.status == "ok"
    nan = dict.fromkeys(golden.KEYS, float("nan"))
    assert golden.check_golden("digits", record, pair, record["weights_sha256"], lambda: nan).status == "FAILED"


def test_the_stored_values_belong_to_the_shipped_classifiers() -> None:
    records, stored = classifiers.read_records(), golden.read_golden()
    assert set(stored) == set(golden.REFERENCE_IMAGES)
    for name, record in stored.items():
        assert record["weights_sha256"] == records[name]["sha256"]
        for split in ("train", "test"):
            assert record["sha256"][split] == records[name][f"{split}_sha256"]
        assert record["tolerance"] == golden.tolerances((record["images"], record["reference_images"]))
        for moves in record["moves"].values():
            assert all(moves[key] <= record["tolerance"][key] / 2 for key in golden.KEYS)


def test_half_precision_features_are_found(registry: Registry) -> None:
    """The tolerance is small enough that features in TF32 or less do not pass for float32."""
    pair = examine.load_pair(registry, Path("unused"), "digits")
    network = classifiers.load("digits", CPU)
    features = golden.features_of(pair, network, CPU)
    record = golden.read_golden()["digits"]

    def check(round_to: torch.dtype) -> checks.Check:
        rounded = [{key: values.to(round_to).float() for key, values in part.items()} for part in features]
        return golden.check_golden(
            "digits", record, pair, network.weights_sha256, lambda: golden.score(registry, pair, rounded, CPU)
        )

    assert check(torch.float32).status == "ok"
    assert check(torch.float16).status == "FAILED"


def test_writing_golden_values(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On two conditions; they are those that are shipped, and a value that moves is refused."""
    folder = tmp_path / "weights"
    shutil.copytree(classifiers.WEIGHTS, folder)
    before = golden.read_golden()["digits"]
    (folder / golden.GOLDEN).unlink()
    every = golden.conditions
    monkeypatch.setattr(golden, "conditions", lambda network: dict(list(every(network).items())[::3]))
    pairs = {"digits": examine.load_pair(registry, tmp_path, "digits")}
    said: list[str] = []
    golden.write_golden(registry, pairs, folder, {"torch": "x"}, said.append)
    written = golden.read_golden(folder)["digits"]
    assert len(said) == 2
    assert set(written["moves"]) == {"1 thread", "not channels_last"}
    for key in golden.KEYS:
        assert abs(written["values"][key] - before["values"][key]) <= before["tolerance"][key]
    assert {key: written[key] for key in ("sha256", "weights_sha256", "tolerance")} == {
        key: before[key] for key in ("sha256", "weights_sha256", "tolerance")
    }
    monkeypatch.setattr(golden, "conditions", lambda network: dict(list(every(network).items())[:1]))
    monkeypatch.setitem(golden.TOLERANCE, "fid", -1.0)
    with pytest.raises(golden.UserError, match="fid by"):
        golden.write_golden(registry, pairs, folder, {}, said.append)


def test_known_gaussians_have_the_distance_of_their_samples() -> None:
    """The closed form itself, by the definition of its matrix root: S^2 = A B."""
    a, b, distance = checks.known_gaussians(4)
    values, vectors = torch.linalg.eig(a.covariance @ b.covariance)
    root = vectors @ torch.diag(values.sqrt()) @ torch.linalg.inv(vectors)
    gap = (a.mean - b.mean).square().sum()
    expected = gap + a.covariance.trace() + b.covariance.trace() - 2 * root.diagonal().sum().real
    assert distance == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda a, b: ganzoo.metrics.fid.frechet_distance(a, b) ** 0.5,
        lambda a, b: float((a.mean - b.mean).square().sum()),
        lambda a, b: float("nan"),
        lambda a, b: float(  # a common mistake: the roots of the elements
            (a.mean - b.mean).square().sum()
            + (a.covariance.diagonal().sqrt() - b.covariance.diagonal().sqrt()).square().sum()
        ),
    ],
)
def test_wrong_distances_are_told_from_the_closed_form(wrong: Callable[[Moments, Moments], float]) -> None:
    assert checks.check_gaussians(wrong).status == "FAILED"
    assert checks.check_gaussians(ganzoo.metrics.fid.frechet_distance).status == "ok"


def test_a_distance_that_does_not_rise_or_is_not_symmetric() -> None:
    features = {str(level): torch.full((4, 2), float(level)) for level in (1, 2, 2)}
    a, b = torch.zeros(4, 2), torch.ones(4, 2)

    def mean_gap(x: torch.Tensor, y: torch.Tensor) -> float:
        return float((x.mean() - y.mean()).abs())

    assert checks.check_rising("x", mean_gap, a, features).status == "ok"
    assert checks.check_rising("x", mean_gap, a, {**features, "3": torch.full((4, 2), 2.0)}).status == "FAILED"
    assert checks.check_rising("x", lambda x, y: float("nan"), a, features).status == "FAILED"
    assert checks.check_symmetry(mean_gap, a, b).status == "ok"
    assert checks.check_symmetry(lambda x, y: float(x.sum()), a, b).status == "FAILED"
    assert checks.check_self_distance(mean_gap, b).status == "ok"
    assert checks.check_self_distance(lambda x, y: float("nan"), b).status == "FAILED"


def test_a_network_that_draws_random_numbers_mixes_nothing_but_fails() -> None:
    pixels = torch.randint(0, 256, (8, 1, 4, 4), dtype=torch.uint8)

    def noisy(x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"pool": x.flatten(1).float() + torch.randn(len(x), 16)}

    assert checks.check_batches("noisy", noisy, pixels, CPU).status == "FAILED"
    assert checks.check_batches("plain", lambda x: {"pool": x.flatten(1).float()}, pixels, CPU).status == "ok"


def test_trainable_parameters_are_named() -> None:
    check = checks.check_eval_mode("x", nn.Sequential(nn.Linear(2, 2)).eval())
    assert check.status == "FAILED"
    assert "0.weight" in check.found


def test_blur_and_noise() -> None:
    """A blur keeps the mean of a flat image and of a spot in the middle, and spreads the spot by its sigma."""
    flat = torch.full((1, 1, 9, 9), 90, dtype=torch.uint8)
    assert torch.equal(checks.blurred(flat, 2.0), flat)
    assert torch.equal(checks.blurred(flat, 0.0), flat)
    spot = torch.zeros(1, 1, 21, 21, dtype=torch.uint8)
    spot[..., 10, 10] = 255
    row = checks.blurred(spot, 1.0)[0, 0, 10].double()
    assert row[10] == pytest.approx(255 / (2 * torch.pi), abs=1)  # (1 / sqrt(2 pi))^2 of it
    assert row[9] / row[10] == pytest.approx(0.6065, abs=0.02)  # exp(-1/2)
    grey = torch.full((4, 1, 50, 50), 128, dtype=torch.uint8)
    assert float(checks.noised(grey, 0.2).double().std()) == pytest.approx(0.2 * 127.5, rel=0.03)
    assert torch.equal(checks.noised(grey, 0.0), grey)


def test_dropping_classes_keeps_the_count() -> None:
    labels = torch.arange(10).repeat(30)
    for classes in (10, 5, 2):
        index = checks.balanced_index(labels, range(classes), 20)
        assert len(index) == len(set(index.tolist())) == 20
        assert torch.bincount(labels[index]).tolist() == [20 // classes] * classes
    with pytest.raises(checks.UserError, match="fewer than 40"):
        checks.balanced_index(labels, [0], 40)


def test_moments_of_known_gaussians_are_well_formed() -> None:
    """Samples of the first Gaussian have its covariance: it is symmetric and positive definite."""
    a, _, _ = checks.known_gaussians(2)
    lower = torch.linalg.cholesky(a.covariance)
    sample = torch.randn(20_000, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) @ lower.T
    assert torch.allclose(moments(sample).covariance, a.covariance, atol=0.03 * float(a.covariance.trace()))
