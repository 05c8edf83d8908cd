"""Iterations from graphs against eager ones. The backend is pretended, but for the last test, which needs a GPU."""

from __future__ import annotations

import contextlib
import gc
import itertools
import signal
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pretended import CPU, FP32, LOSSES, D, G, Pretended, advance, assert_same_training, make_step, pretended_graphs
from torch import Tensor, nn

from ganzoo.config.layers import build_config
from ganzoo.config.run_config import Train
from ganzoo.data import make_images, make_sampler
from ganzoo.engine.cuda.capture import CudaGraphs
from ganzoo.engine.device import Precision, numerics, preserved_random_state
from ganzoo.engine.replays import LONGEST_ROUND, WARM_UP
from ganzoo.engine.state import _restore_optimizer
from ganzoo.engine.step import Step
from ganzoo.engine.stopping import Stop, Stopped
from ganzoo.gan import GAN
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.job import run_job
from ganzoo.zoo.registry import Registry


@pytest.mark.parametrize("d_steps", [1, 2])
@pytest.mark.parametrize("per_replay", [1, 4])
def test_replays_train_as_eager_iterations_do(d_steps: int, per_replay: int) -> None:
    """Weights bit for bit, dropout and the penalty's random numbers included; statistics of each stretch equal."""
    backend = Pretended()
    step, eager = make_step(backend, d_steps=d_steps, per_replay=per_replay), make_step(None, d_steps=d_steps)
    for stretch in (5, 12, 30):
        torch.manual_seed(stretch)
        ours = advance(step, stretch)
        torch.manual_seed(stretch)
        assert ours == advance(eager, stretch)
    assert_same_training(step, eager)
    assert step.execution == "graphs"
    assert eager.execution == "eager"
    assert backend.events.count("eager") == WARM_UP * d_steps  # of each pattern of phases
    assert backend.events.index("capture") >= WARM_UP
    assert backend.events.count("replay") >= 5


def test_each_pattern_is_captured_once_after_its_own_warm_up() -> None:
    backend = Pretended()
    advance(make_step(backend, d_steps=2, per_replay=1), 20)
    # D, D+G, D, D+G, D, D+G; from there on each has a graph
    assert backend.events == ["eager"] * 6 + ["capture", "replay"] * 2 + ["replay"] * 12


def test_a_long_replay_is_taken_only_where_it_fits_and_begins_a_round_of_phases() -> None:
    backend = Pretended()
    step = make_step(backend, d_steps=2, per_replay=3)
    assert step.longest == 4  # whole rounds of D, D+G
    advance(step, 7)
    step.advance(9)
    assert step.state.step == 8  # 7 begins no round
    step.advance(3)
    assert step.state.step == 9  # there is no room for 4
    step.advance(1)
    step.advance(4)
    assert step.state.step == 14


@pytest.mark.parametrize("fails_in", ["D", "G", "optimizer"])
def test_a_network_that_cannot_be_captured_is_trained_eagerly(fails_in: str) -> None:
    """As `.item()` in a forward pass, which ends a capture: nothing of the attempt may be left in the training."""
    backend, told = Pretended(), list[str]()

    class Reads(D):
        def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
            if (
                backend.capturing
                and fails_in != "optimizer"
                and (images.requires_grad and images.grad_fn is not None) == (fails_in == "G")
            ):
                raise RuntimeError("operation not permitted when stream is capturing\nmore lines")
            return super().forward(images, labels)

    def report(text: str) -> None:
        told.append(text)
        for network in (step.state.gan.generator, step.state.gan.discriminator):
            assert not any(parameter.requires_grad or parameter.grad is not None for parameter in network.parameters())

    def refuse(*arguments: Any) -> None:
        if backend.capturing and fails_in == "optimizer":
            raise RuntimeError("operation not permitted when stream is capturing")

    step, eager = make_step(backend, critic=Reads, report=report), make_step(None)
    step.state.phases[0].optimizer.register_step_pre_hook(refuse)
    ours, theirs = list[Any](), list[Any]()
    for one, values in ((step, ours), (eager, theirs)):
        torch.manual_seed(3)
        values += [advance(one, 10), advance(one, 20)]
    assert ours == theirs
    assert_same_training(step, eager)
    assert told == ["no CUDA graphs in this run, which is slower: operation not permitted when stream is capturing"]
    assert backend.events == ["eager"] * WARM_UP + ["capture"]
    assert step.execution == "eager: operation not permitted when stream is capturing"
    assert step.longest == 1


def test_a_network_that_replaces_its_buffers_is_trained_eagerly() -> None:
    """A replay would read the old buffer and write the new one, each time."""

    class Replaces(D):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("average", torch.zeros(()))

        def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
            self.average = 0.9 * self.average + 0.1 * images.detach().mean()
            return super().forward(images, labels) + self.average

    told: list[str] = []
    step, eager = make_step(Pretended(), critic=Replaces, report=told.append), make_step(None, critic=Replaces)
    for one in (step, eager):
        torch.manual_seed(3)
        advance(one, 12)
    assert_same_training(step, eager)
    assert len(told) == 1
    assert "average is replaced" in told[0]


def test_a_network_that_counts_its_calls_is_trained_eagerly() -> None:
    """A replay would go on with the number of the moment it was captured."""

    class Fades(D):
        def __init__(self) -> None:
            super().__init__()
            self.calls = 0

        def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
            self.calls += 1
            return super().forward(images, labels) * min(1.0, self.calls / 100)

    told: list[str] = []
    step, eager = make_step(Pretended(), critic=Fades, report=told.append), make_step(None, critic=Fades)
    for one in (step, eager):
        torch.manual_seed(3)
        advance(one, 12)
    assert_same_training(step, eager)
    assert step.state.gan.discriminator.calls == eager.state.gan.discriminator.calls
    assert len(told) == 1
    assert "calls changes with each call" in told[0]


def test_graphs_of_a_network_that_an_observer_has_moved_are_recorded_again() -> None:
    """As by `generator.to("cpu")` and back: the old addresses may belong to anything."""
    backend = Pretended()
    step = make_step(backend, per_replay=1)
    advance(step, 8)
    advance(step, 12)
    assert backend.events.count("capture") == 1
    for parameter in step.state.ema.parameters():
        parameter.data = parameter.data.clone()
    advance(step, 16)
    advance(step, 20)
    assert backend.events.count("capture") == 2
    assert backend.events[-8:] == ["replay"] * 8
    assert backend.events[-11:-8] == ["replay", "forget", "capture"]


def test_a_long_round_of_phases_is_replayed_one_iteration_at_a_time() -> None:
    assert make_step(Pretended(), d_steps=LONGEST_ROUND).longest == LONGEST_ROUND
    assert make_step(Pretended(), d_steps=LONGEST_ROUND + 1).longest == 1


def test_statistics_that_differ_from_call_to_call_are_not_replayed() -> None:
    backend, told = Pretended(), list[str]()
    step = make_step(backend, report=told.append)

    advance(step, WARM_UP)
    step.state.gan.generator.register_forward_hook(
        lambda module, inputs, images: step.statistics.add("extra", images) if backend.capturing else None
    )
    advance(step, 10)
    assert "statistics differ" in told[0]


TINY = [
    "train.keep=all",
    "variant.channels=4", "variant.z_dim=8", "train.batch_size=16", "train.kimg=0.64", "train.tick_kimg=0.128",
    "train.tick_seconds=0", "train.snapshots=3", "eval.num_images=100", "eval.every=9", "eval.metrics=fid",
]  # fmt: skip


@pytest.mark.parametrize("variant", ["dcgan", "wgan-gp"])
def test_a_run_from_graphs_ticks_saves_and_resumes_as_an_eager_one(
    registry: Registry, data_root: Path, tmp_path: Path, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    d_steps = 2 if variant == "wgan-gp" else 1
    config = build_config(registry, variant=variant, dataset="digits", sets=[*TINY, f"train.d_steps={d_steps}"])
    told: list[str] = []
    eager_result = run_job(registry, config, tmp_path / "eager", root=data_root)

    class Interrupt:
        def on_status(self, status: Any) -> None:
            if status.images == 384:
                raise KeyboardInterrupt

        def on_snapshot(self, snapshot: Any) -> None: ...

        def on_end(self, result: dict[str, Any]) -> None: ...

    with pretended_graphs() as made:
        result = run_job(registry, config, tmp_path / "graphs", root=data_root, report=told.append)
        with monkeypatch.context() as patch:
            patch.setattr("ganzoo.engine.loop.SAVE_SECONDS", 0.0)
            with pytest.raises(KeyboardInterrupt):
                run_job(registry, config, tmp_path / "stopped", root=data_root, observers=[Interrupt()])
        original = Step.advance
        for at in (3, 22, 33):  # warming up; in the middle of ticks, in a replay of several iterations where it can be
            stop = Stop()

            def advance(self: Step, room: int, at: int = at, stop: Stop = stop) -> None:
                before = self.state.step
                original(self, room)
                if before < at <= self.state.step:
                    stop.requested = signal.SIGTERM

            with monkeypatch.context() as patch:
                patch.setattr(Step, "advance", advance)
                with pytest.raises(Stopped):
                    run_job(registry, config, tmp_path / "told", root=data_root, stop=stop)
        torch.manual_seed(99)
        for name in ("stopped", "told"):
            run_job(registry, config, tmp_path / name, root=data_root)

    assert result["environment"]["execution"] == "graphs"
    assert eager_result["environment"]["execution"] != "graphs"  # recorded or not, it is as eager iterations are
    assert not [line for line in told if "graphs" in line]
    captures = made[0].events.count("capture")
    assert captures == (2 if variant == "dcgan" else 3)  # patterns of one iteration, and a longer replay
    assert len(made[0].events) - captures < 40  # of 40 iterations

    eager, graphs, stopped, told_to = (RunDirectory(tmp_path / name) for name in ("eager", "graphs", "stopped", "told"))
    timeless = ("images", "d_loss", "g_loss", "d_accuracy", "diversity", "penalty")
    seen = [
        [[record.get(key) for key in timeless] for record in run.stats()] for run in (eager, graphs, stopped, told_to)
    ]
    assert seen[0] == seen[1] == seen[2] == seen[3]
    assert [record[0] for record in seen[0]] == [128, 224, 256, 384, 432, 512, 640]
    states = [torch.load(run.state_file, weights_only=True) for run in (eager, graphs, stopped, told_to)]
    for network in ("generator", "discriminator"):
        for name, value in states[0][network].items():
            assert torch.equal(value, states[1][network][name]), name
            assert torch.equal(value, states[2][network][name]), name
            assert torch.equal(value, states[3][network][name]), name
    assert graphs.snapshots()[-1].read_bytes() == stopped.snapshots()[-1].read_bytes()
    assert [path.name for path in graphs.snapshots()] == [path.name for path in eager.snapshots()]


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_an_optimizers_state_from_elsewhere_keeps_our_way_of_stepping(optimizer: str) -> None:
    """A checkpoint carries "capturable" and "fused" of the machine that wrote it, and torch would take them over."""

    def make(**options: Any) -> torch.optim.Optimizer:
        parameter = nn.Parameter(torch.ones(3))
        parameter.grad = torch.ones(3)
        kind = torch.optim.Adam if optimizer == "adam" else torch.optim.RMSprop
        return kind([parameter], lr=0.1, **options)

    written = make(foreach=False)
    written.step()
    ours = make(capturable=True, foreach=True)
    _restore_optimizer(ours, written.state_dict())
    assert ours.param_groups[0]["capturable"] is True
    assert ours.param_groups[0]["foreach"] is True
    assert ours.param_groups[0]["lr"] == 0.1
    (state,) = ours.state.values()
    assert state["step"].dtype == torch.float32
    assert state["step"].item() == 1
    back = make(foreach=False)
    _restore_optimizer(back, ours.state_dict())
    assert back.param_groups[0]["capturable"] is False
    back.step()


def test_graphs_go_with_their_step_when_it_is_closed() -> None:
    """Without a collection: their memory would count as the next run's."""
    step = make_step(Pretended())
    advance(step, 12)
    assert step._iterations is not None
    graphs = [weakref.ref(step._iterations), *map(weakref.ref, step._iterations._graphs.values())]
    assert len(graphs) > 1
    gc.disable()
    try:
        step.close()
        assert [graph() for graph in graphs] == [None] * len(graphs)
    finally:
        gc.enable()


@pytest.mark.parametrize("fails", [False, True])
def test_a_run_closes_its_step_however_it_ends(
    fails: bool, registry: Registry, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Step] = []
    monkeypatch.setattr(Step, "close", lambda self: closed.append(self))
    if fails:
        monkeypatch.setattr(Step, "advance", lambda self, room: 1 / 0)
    config = build_config(registry, variant="gan", sets=["train.kimg=0.064", "train.scores=none", "train.snapshots=1"])
    with pytest.raises(ZeroDivisionError) if fails else contextlib.nullcontext():
        run_job(registry, config, tmp_path / "run", root=data_root)
    assert len(closed) == 1


@pytest.mark.parametrize("asked", ["highest", "high", "medium", "both"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_network_may_read_torchs_older_settings(asked: str, precision: str) -> None:
    """As `cudnn.flags` does, which people put around a penalty; torch refuses where the two kinds contradict."""
    cudnn: Any = torch.backends.cudnn
    places: tuple[Any, ...] = (cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)

    def settings() -> list[Any]:
        return [*(place.fp32_precision for place in places), cudnn.allow_tf32 if asked != "both" else None]

    def restore(values: list[str]) -> None:
        torch.set_float32_matmul_precision("highest")
        cudnn.allow_tf32 = True
        for place, value in zip(places, values, strict=True):
            place.fp32_precision = value

    original = [place.fp32_precision for place in places]
    try:
        if asked == "both":
            cudnn.conv.fp32_precision = "ieee"
        else:
            torch.set_float32_matmul_precision(asked)
        before = settings()
        with numerics(torch.device("cuda", 0), Precision(name=precision, device_type="cuda"), penalised=False):
            assert torch.get_float32_matmul_precision() == ("high" if precision == "bf16" else "highest")
            assert torch.backends.cuda.matmul.allow_tf32 == cudnn.allow_tf32 == (precision == "bf16")
            with cudnn.flags(enabled=False):
                pass
        assert settings() == before
        assert asked == "both" or torch.get_float32_matmul_precision() == asked
    finally:
        restore(original)


@pytest.mark.parametrize(
    ("precision", "penalised", "expected"), [("fp32", False, "ieee"), ("bf16", True, "ieee"), ("bf16", False, "tf32")]
)
def test_settings_of_float32_products_are_given_back(precision: str, penalised: bool, expected: str) -> None:
    cudnn: Any = torch.backends.cudnn

    def settings() -> tuple[Any, ...]:
        matmul = torch.backends.cuda.matmul.fp32_precision
        return cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision, matmul, cudnn.deterministic

    before = settings()
    inside: list[tuple[Any, ...]] = []

    @numerics(torch.device("cuda", 0), Precision(name=precision, device_type="cuda"), penalised=penalised)
    def fail() -> None:
        inside.append(settings())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert inside == [(expected, expected, expected, True)]
    assert settings() == before
    with numerics(CPU, FP32, penalised=False):
        assert settings() == before


def test_a_failed_capture_leaves_stream_generator_and_allocator_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch itself leaves the generator refusing to draw, and the capture's stream set."""
    calls: list[Any] = []

    class Stream:
        device = torch.device("cuda", 0)

        def wait_stream(self, other: Any) -> None:
            calls.append(("wait", self, other))

    class Generator:
        def clone_state(self) -> str:
            return "spare"

        def graphsafe_set_state(self, state: str) -> None:
            calls.append(("state", state))

    default, side = Stream(), Stream()

    @contextlib.contextmanager
    def graph(*arguments: Any, **options: Any) -> Iterator[None]:
        assert options == {"pool": (0, 1), "stream": side, "capture_error_mode": "thread_local"}
        try:
            yield
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")

    for name, value in {
        "current_stream": lambda device: default, "default_stream": lambda device: default,
        "Stream": lambda device: side, "graph_pool_handle": lambda: (0, 1), "CUDAGraph": object, "graph": graph,
        "set_stream": lambda stream: calls.append(("stream", stream)), "default_generators": [Generator()],
        "device": lambda device: contextlib.nullcontext(), "stream": lambda stream: contextlib.nullcontext(),
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", lambda *a: calls.append(("pool", *a)), raising=False)
    backend = CudaGraphs(torch.device("cuda", 0))
    backend.warm_up(lambda: calls.append("work"))
    assert calls == [("wait", side, default), "work", ("wait", default, side)]
    calls.clear()

    collecting: list[bool] = []

    def work() -> None:
        collecting.append(gc.isenabled())
        raise ValueError("the cause")

    assert gc.isenabled()
    with pytest.raises(ValueError, match="the cause"):
        backend.capture(work)
    assert (collecting, gc.isenabled()) == ([False], True)  # a graph that is collected meanwhile ends the capture
    assert calls == [("stream", default), ("state", "spare"), ("pool", 0, (0, 1))]


def test_graphs_that_are_recorded_again_have_a_pool_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What outlives the old graphs still lies in theirs, which torch then refuses to fill."""
    handles, pools = itertools.count(), list[int]()

    class Graph:
        replay = None

    class Stream:
        device = torch.device("cuda", 0)

    class Generator:
        def clone_state(self) -> None: ...

    @contextlib.contextmanager
    def graph(*arguments: Any, pool: int, **options: Any) -> Iterator[None]:
        pools.append(pool)
        yield

    for name, value in {
        "current_stream": lambda device: Stream(), "default_stream": lambda device: None,
        "graph_pool_handle": lambda: next(handles), "CUDAGraph": Graph, "graph": graph,
        "default_generators": [Generator()], "device": lambda device: contextlib.nullcontext(),
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, value)
    backend = CudaGraphs(torch.device("cuda", 0))
    for _ in range(2):
        backend.capture(lambda: None)
    backend.forget()
    for _ in range(2):
        backend.capture(lambda: None)
    assert pools == [0, 0, 1, 1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("per_replay", [1, 4])
def test_on_a_gpu_replays_are_bit_identical_to_eager_iterations(per_replay: int) -> None:
    device = torch.device("cuda", 0)
    steps = []
    for graphs in ("auto", None):
        torch.manual_seed(0)
        pixels = torch.randint(0, 256, (50, 1, 4, 4), dtype=torch.uint8)
        step = Step(
            gan=GAN(generator=G(), discriminator=D(), z_dim=3),
            losses=LOSSES,
            sampler=make_sampler(make_images(pixels, None), batch_size=8, device=device, seed=0),
            config=Train(batch_size=8, d_steps=2),
            num_classes=0,
            device=device,
            precision=Precision(name="bf16", device_type="cuda"),
            graphs=graphs,  # type: ignore[arg-type]
            per_replay=per_replay,
        )
        torch.manual_seed(1)
        advance(step, 15)
        with preserved_random_state(device):
            torch.randn(7, device=device)
        advance(step, 30)
        steps.append(step)
    assert [step.execution for step in steps] == ["graphs", "eager"]
    for ours, theirs in zip(
        (*steps[0].state.gan.generator.parameters(), *steps[0].state.ema.parameters()),
        (*steps[1].state.gan.generator.parameters(), *steps[1].state.ema.parameters()),
        strict=True,
    ):
        assert torch.equal(ours, theirs)
