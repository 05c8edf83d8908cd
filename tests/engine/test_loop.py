"""The loop as a whole: determinism, resume, budgets, divergence. Tiny networks on digits."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ganzoo import Objective, Variant
from ganzoo.config.layers import build_config
from ganzoo.config.run_config import RunConfig
from ganzoo.errors import RunError, UserError
from ganzoo.files.writing import sealed
from ganzoo.gan import GAN
from ganzoo.objectives import Losses
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.job import run_job
from ganzoo.runs.snapshots import load_snapshot
from ganzoo.scoring.scorer import Scorer
from ganzoo.zoo.plugins import Plugin
from ganzoo.zoo.registry import Registry

TINY = [
    "variant.channels=4",
    "variant.z_dim=8",
    "train.batch_size=16",
    "train.kimg=0.32",
    "train.tick_kimg=0.048",
    "train.tick_seconds=0",
    "train.snapshots=4",
    "train.keep=all",
    "eval.num_images=100",
    "eval.every=2",
    "eval.metrics=fid,conditional",
]


class Quiet:
    """An observer that does nothing; tests override what they need."""

    def on_status(self, status: Any) -> None: ...

    def on_snapshot(self, snapshot: Any) -> None: ...

    def on_end(self, result: dict[str, Any]) -> None: ...


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load(environ={})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


def config_of(registry: Registry, variant: str = "upsample-dcgan", *sets: str) -> RunConfig:
    return build_config(registry, variant=variant, dataset="digits", sets=[*TINY, *sets])


def last_snapshot(path: Path) -> bytes:
    return RunDirectory(path).snapshots()[-1].read_bytes()


@pytest.fixture(scope="module")
def whole(registry: Registry, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`whole(variant)`: a run of it that nothing has stopped, made once; tests only read it."""
    folder = tmp_path_factory.mktemp("whole")

    def run(variant: str) -> Path:
        if not (folder / variant).exists():
            run_job(registry, config_of(registry, variant), folder / variant, root=root)
        return folder / variant

    return run


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not(
    registry: Registry, root: Path, tmp_path: Path
) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        config = config_of(registry, "upsample-dcgan", f"seed={seed}")
        run_job(registry, config, tmp_path / name, root=root)
    tensors = [(tmp_path / name / "snapshots") for name in "abc"]
    last = [sorted(folder.iterdir())[-1] for folder in tensors]
    assert last[0].read_bytes() == last[1].read_bytes()
    from safetensors.torch import load_file

    first, third = load_file(last[0]), load_file(last[2])
    assert any(not torch.equal(first[name], third[name]) for name in first)


@pytest.mark.parametrize("variant", ["upsample-dcgan", "wgan-gp"])
@pytest.mark.parametrize(
    ("event", "count"), [("status", 1), ("status", 4), ("snapshot", 2), ("snapshot", 5), ("score", 2)]
)
def test_a_run_stopped_anywhere_ends_with_the_same_bytes(
    registry: Registry,
    root: Path,
    whole: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variant: str,
    event: str,
    count: int,
) -> None:
    """Dropout, batch norm, gradient penalty noise, optimizers, EMA and data order all have to be taken up again."""
    config = config_of(registry, variant)
    seen = 0

    def stop() -> None:
        nonlocal seen
        seen += 1
        if seen == count:
            raise KeyboardInterrupt

    class Stopper(Quiet):
        def on_status(self, status: Any) -> None:
            if event == "status":
                stop()

        def on_snapshot(self, snapshot: Any) -> None:
            if event == "snapshot":
                stop()

    with monkeypatch.context() as patch:
        patch.setattr("ganzoo.engine.loop.SAVE_SECONDS", 0.0)  # saved at every tick, as a long run is every minute
        if event == "score":
            from ganzoo.scoring.scorer import Scorer

            original = Scorer.score_generator

            def interrupted(self: Scorer, *arguments: Any, **options: Any) -> Any:
                stop()
                return original(self, *arguments, **options)

            patch.setattr(Scorer, "score_generator", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_job(registry, config, tmp_path / "stopped", root=root, observers=[Stopper()])
    torch.manual_seed(999)  # a new process would not have our random state either
    run_job(registry, config, tmp_path / "stopped", root=root)

    unstopped, stopped = RunDirectory(whole(variant)), RunDirectory(tmp_path / "stopped")
    assert last_snapshot(stopped.path) == last_snapshot(unstopped.path)
    timeless = ("images", "kimg", "d_loss", "g_loss", "d_accuracy", "diversity", "penalty")
    assert [[s.get(k) for k in timeless] for s in stopped.stats()] == [
        [s.get(k) for k in timeless] for s in unstopped.stats()
    ]
    assert [(m["images"], m["values"]) for m in stopped.metrics()] == [
        (m["images"], m["values"]) for m in unstopped.metrics()
    ]
    assert [p.name for p in stopped.snapshots()] == [p.name for p in unstopped.snapshots()]


def test_a_run_with_wide_layers_is_taken_up_again(registry: Registry, root: Path, tmp_path: Path) -> None:
    """Their weights and the moments of their gradients lie otherwise in memory while they are trained."""
    config = config_of(registry, "dcgan", "variant.channels=64")

    class Stopper(Quiet):
        def on_snapshot(self, snapshot: Any) -> None:
            if snapshot.images > 0 and not snapshot.last:
                raise KeyboardInterrupt

    run_job(registry, config, tmp_path / "whole", root=root)
    with pytest.raises(KeyboardInterrupt):
        run_job(registry, config, tmp_path / "stopped", root=root, observers=[Stopper()])
    file = RunDirectory(tmp_path / "stopped").state_file
    state = torch.load(file, weights_only=True)
    assert 0 < state["seconds"] < state["wall_seconds"]
    buffer = io.BytesIO()
    torch.save({**state, "wall_seconds": 1000.0}, buffer)
    file.write_bytes(sealed(buffer.getvalue()))
    result = run_job(registry, config, tmp_path / "stopped", root=root)
    assert last_snapshot(tmp_path / "stopped") == last_snapshot(tmp_path / "whole")
    assert 1000 < result["seconds"]["wall"] < 2000  # of both starts


def test_a_damaged_state_falls_back_to_the_one_before(
    registry: Registry, root: Path, whole: Callable[[str], Path], tmp_path: Path
) -> None:
    config = config_of(registry)
    run_job(registry, config, tmp_path / "cut", root=root)
    run = RunDirectory(tmp_path / "cut")
    run.result_file.unlink()
    run.state_file.write_bytes(run.state_file.read_bytes()[:1000])
    run_job(registry, config, run.path, root=root)
    assert last_snapshot(run.path) == last_snapshot(whole(config.variant.name))
    assert run.stats()[-1]["images"] == 320

    run.result_file.unlink()
    for file in (run.state_file, run.previous_state_file):
        file.write_bytes(b"no state")
    with pytest.raises(RunError, match="damaged"):
        run_job(registry, config, run.path, root=root)


def test_a_finished_run_is_not_trained_again(registry: Registry, root: Path, tmp_path: Path) -> None:
    config = config_of(registry)
    first = run_job(registry, config, tmp_path / "run", root=root)

    class Refuse(Quiet):
        def on_status(self, status: Any) -> None:
            raise AssertionError("it trained again")

    again = run_job(registry, config, tmp_path / "run", root=root, observers=[Refuse()])
    assert again["last"] == json.loads(json.dumps(first["last"]))


def test_another_config_is_refused_and_the_difference_shown(registry: Registry, root: Path, tmp_path: Path) -> None:
    run_job(registry, config_of(registry), tmp_path / "run", root=root)
    before = last_snapshot(tmp_path / "run")
    with pytest.raises(RunError, match=r"train\.g_lr: 0\.001 -> 0\.0007"):
        run_job(registry, config_of(registry, "upsample-dcgan", "train.g_lr=7e-4"), tmp_path / "run", root=root)
    assert last_snapshot(tmp_path / "run") == before


def test_budget_ticks_and_snapshots_are_in_images(registry: Registry, root: Path, tmp_path: Path) -> None:
    result = run_job(registry, config_of(registry), tmp_path / "run", root=root)
    run = RunDirectory(tmp_path / "run")
    assert result["kimg"] == 0.32
    assert [path.name for path in run.snapshots()] == [f"000000.{n:03d}.safetensors" for n in (0, 80, 160, 240, 320)]
    assert [record["images"] for record in run.metrics()] == [0, 160, 320]  # every second, the first and the last
    # every 48 images, and at each snapshot
    assert [record["images"] for record in run.stats()] == [48, 80, 96, 144, 160, 192, 240, 288, 320]
    assert result["last"]["images"] == 320
    assert result["untrained"]["images"] == 0
    assert result["train_img_per_s"] > 0
    assert result["sample_img_per_s"] > 0


def test_a_budget_in_minutes_ends(registry: Registry, root: Path, tmp_path: Path) -> None:
    config = config_of(registry, "upsample-dcgan", "train.kimg=none", "train.minutes=0.02")
    result = run_job(registry, config, tmp_path / "run", root=root)
    assert 1.2 <= result["seconds"]["train"] < 12
    assert RunDirectory(tmp_path / "run").metrics()[-1]["images"] == result["kimg"] * 1000


class _Broken(nn.Module):
    """A discriminator whose logits become NaN after a few images."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, images: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        self.steps += 1
        poison = torch.where(self.steps > 20, torch.nan, 1.0)
        return images.mean(dim=(1, 2, 3)) * self.scale * poison


class _Constant(nn.Module):
    """A generator that has collapsed to one image."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.zeros(()))

    def forward(self, z: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        return torch.tanh(self.level) + 1e-4 * z.mean(dim=1).view(-1, 1, 1, 1).expand(-1, 1, 32, 32)


class _Fine(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        return images.mean(dim=(1, 2, 3)) * self.scale


def _with(registry: Registry, discriminator: type[nn.Module], losses: Losses | None = None) -> Registry:
    def build(config: Any, shape: Any, num_classes: int) -> GAN:
        return GAN(generator=_Constant(), discriminator=discriminator(), z_dim=4)

    plugin = Plugin(name="test", origin="test", module="test")
    plugin.specs = {"variants": [Variant(name="odd", target=build)]}
    if losses is not None:
        plugin.specs["objectives"] = [Objective(name="odd", target=lambda config: losses)]
    return Registry([*registry.plugins, plugin])


ODD = [setting for setting in TINY if not setting.startswith("variant.")]


def test_divergence_is_recorded_and_stops_the_run(registry: Registry, root: Path, tmp_path: Path) -> None:
    ours = _with(registry, _Broken)
    config = build_config(ours, variant="odd", dataset="digits", sets=[*ODD, "eval.every=1"])
    result = run_job(ours, config, tmp_path / "run", root=root)
    assert result["status"] == "diverged"
    assert "loss not finite" in result["diverged"]
    assert result["kimg"] < 0.32
    assert result["best"]["images"] == 80
    assert result["last"] is None  # an earlier snapshot's score is not that of the last
    json.loads((tmp_path / "run" / "result.json").read_text(), parse_constant=lambda name: pytest.fail(name))


def test_collapse_is_recorded(registry: Registry, root: Path, tmp_path: Path) -> None:
    ours = _with(registry, _Fine)
    config = build_config(ours, variant="odd", dataset="digits", sets=[*ODD])
    result = run_job(ours, config, tmp_path / "run", root=root)
    assert result["status"] == "diverged"
    assert "collapsed" in result["diverged"]
    assert result["kimg"] == 0.32


def test_batch_norm_in_the_critic_is_refused_under_a_gradient_penalty(
    registry: Registry, root: Path, tmp_path: Path
) -> None:
    class Normed(_Fine):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(1)

    ours = _with(registry, Normed)
    config = build_config(ours, variant="odd", objective="wgan-gp", dataset="digits", sets=ODD)
    with pytest.raises(RunError, match="batch norm"):
        run_job(ours, config, tmp_path / "run", root=root)


def test_conditional_variants_are_scored_on_their_labels(registry: Registry, root: Path, tmp_path: Path) -> None:
    config = config_of(registry, "cdcgan")
    result = run_job(registry, config, tmp_path / "run", root=root)
    assert 0 <= result["last"]["values"]["cond_acc"] <= 100
    assert result["label_law"] == "balanced"
    plain = run_job(registry, config_of(registry, "dcgan"), tmp_path / "plain", root=root)
    assert "cond_acc" not in plain["last"]["values"]
    assert plain["protocol"]["id"] == result["protocol"]["id"]  # they may be ranked together
    assert plain["floors"][0]["values"]["cond_acc"] > 98


def test_any_objective_trains_any_variant(registry: Registry, root: Path, tmp_path: Path) -> None:
    for objective in ("minimax", "least-squares", "hinge", "wasserstein", "wgan-gp"):
        config = build_config(
            registry, variant="dcgan", objective=objective, dataset="digits", sets=[*TINY, "eval.metrics=fid"]
        )
        result = run_job(registry, config, tmp_path / objective, root=root)
        assert result["status"] in ("done", "diverged")
        assert result["last"]["values"]["fid"] > 0
        penalty = [record.get("penalty") for record in RunDirectory(tmp_path / objective).stats()]
        assert all(value is not None for value in penalty) == (objective == "wgan-gp")


def test_fewer_reference_images_are_another_protocol(registry: Registry, root: Path, tmp_path: Path) -> None:
    results = [
        run_job(registry, config_of(registry, "dcgan", *sets), tmp_path / name, root=root)
        for name, sets in (("all", []), ("few", ["eval.num_reference=300"]))
    ]
    assert [result["protocol"]["reference_count"] for result in results] == [1437, 300]
    assert results[0]["protocol"]["id"] != results[1]["protocol"]["id"]
    assert results[0]["last"]["values"]["fid"] != results[1]["last"]["values"]["fid"]
    snapshots = [RunDirectory(tmp_path / name).snapshots()[-1] for name in ("all", "few")]
    from safetensors.torch import load_file

    whole, few = (load_file(path) for path in snapshots)
    assert all(torch.equal(whole[name], few[name]) for name in whole)  # training sees every image all the same


def test_a_run_that_was_refused_before_its_first_step_may_be_started_otherwise(
    registry: Registry, root: Path, tmp_path: Path
) -> None:
    """The cure of the error is a setting; the folder that the first try left must not stand in its way."""
    with pytest.raises(UserError, match="is needs at least 100 images"):
        run_job(registry, config_of(registry, "dcgan", "eval.metrics=is", "eval.num_images=50"), tmp_path, root=root)
    run_job(registry, config_of(registry, "dcgan", "eval.metrics=kid", "eval.num_images=50"), tmp_path, root=root)
    assert RunDirectory(tmp_path).read_config()["eval"]["metrics"] == "kid"


def test_a_state_of_other_networks_is_refused(registry: Registry, root: Path, tmp_path: Path) -> None:
    """A plugin's file that was edited while its run was interrupted."""
    sets = [*ODD, "eval.metrics=kid"]
    ours = _with(registry, _Fine)
    run_job(ours, build_config(ours, variant="odd", dataset="digits", sets=sets), tmp_path, root=root)
    RunDirectory(tmp_path).result_file.unlink()

    class Edited(_Fine):
        def __init__(self) -> None:
            super().__init__()
            self.more = nn.Linear(2, 2)

    ours = _with(registry, Edited)
    with pytest.raises(RunError, match="not of these networks"):
        run_job(ours, build_config(ours, variant="odd", dataset="digits", sets=sets), tmp_path, root=root)


def test_a_floor_that_a_metric_cannot_give_does_not_stop_the_run(registry: Registry, tmp_path: Path) -> None:
    """150 images are enough for an inception score of 100, their halves are not."""
    import numpy as np

    images = np.random.default_rng(0).integers(0, 256, (150, 32, 32), dtype=np.uint8)
    np.savez(tmp_path / "few.npz", images=images)
    sets = [*TINY, "eval.metrics=is,kid"]
    config = build_config(registry, variant="dcgan", dataset=f"npz:{tmp_path}/few.npz", features="digits", sets=sets)
    result = run_job(registry, config, tmp_path / "run", root=tmp_path)
    assert result["last"]["values"]["is"] >= 1
    assert "is" not in result["floors"][0]["values"]
    assert "kid" in result["floors"][0]["values"]


def test_tied_weights_can_be_stored(registry: Registry, root: Path, tmp_path: Path) -> None:
    class Tied(_Constant):
        def __init__(self) -> None:
            super().__init__()
            self.alias = self.level

    def build(config: Any, shape: Any, num_classes: int) -> GAN:
        return GAN(generator=Tied(), discriminator=_Fine(), z_dim=4)

    plugin = Plugin(name="test", origin="test", module="test")
    plugin.specs = {"variants": [Variant(name="odd", target=build)]}
    ours = Registry([*registry.plugins, plugin])
    config = build_config(ours, variant="odd", dataset="digits", sets=[*ODD, "eval.metrics=kid"])
    run_job(ours, config, tmp_path, root=root)
    load_snapshot(RunDirectory(tmp_path).snapshots()[-1], ours, torch.device("cpu"))


def test_what_a_snapshot_draws_does_not_change_the_training(
    registry: Registry, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A generator may draw noise in its forward pass, which scoring and picturing call."""
    config = config_of(registry, "upsample-dcgan", "eval.metrics=fid,memorisation")
    run_job(registry, config, tmp_path / "plain", root=root)
    original = Scorer.neighbours

    def drawing(self: Scorer, *arguments: Any, **options: Any) -> Any:
        torch.randn(3)
        return original(self, *arguments, **options)

    monkeypatch.setattr(Scorer, "neighbours", drawing)
    run_job(registry, config, tmp_path / "drawing", root=root)
    assert last_snapshot(tmp_path / "plain") == last_snapshot(tmp_path / "drawing")


def test_scores_of_another_protocol_are_not_taken_over(registry: Registry, root: Path, tmp_path: Path) -> None:
    """A run that is taken up by another version of ganzoo, or with other test images."""
    config = config_of(registry)
    whole = run_job(registry, config, tmp_path / "run", root=root)
    run = RunDirectory(tmp_path / "run")
    run.result_file.unlink()
    records = run.metrics()
    for record in records:
        record["protocol"] = "another"
        record["values"]["fid"] = -99.0
    run.metrics_file.write_text("".join(json.dumps(record) + "\n" for record in records))
    result = run_job(registry, config, tmp_path / "run", root=root)
    assert result["last"]["values"] == whole["last"]["values"]
    assert result["best"]["protocol"] == result["protocol"]["id"]
    assert result["untrained"]["values"] == whole["untrained"]["values"]


def test_a_handful_of_images_has_a_picture_of_neighbours(registry: Registry, root: Path, tmp_path: Path) -> None:
    config = config_of(registry, "upsample-dcgan", "eval.num_images=5", "eval.metrics=kid,memorisation")
    result = run_job(registry, config, tmp_path / "run", root=root)
    assert result["last"]["values"]["memorised"] >= 0
    assert len(list((tmp_path / "run" / "neighbours").iterdir())) == 2
