"""Iterations that are replayed on the CPU: those of eager training bit for bit, or none."""

from __future__ import annotations

import ctypes
import dis
import gc
import math
import shutil
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from combined import COMBINATIONS, REGISTRY, assert_equal, everything, step_of
from pretended import advance
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from ganzoo.engine.cpu import bf16, convolutions, recording, threads
from ganzoo.engine.cpu.optimizers import FusedAdam
from ganzoo.engine.cpu.recording import Recordings, one_hot
from ganzoo.engine.device import Precision
from ganzoo.engine.replays import Iterations
from ganzoo.engine.step import Step
from ganzoo.gan import GAN, Term

EAGER = {
    "cosine": "eager",  # AdamW's steps are torch's own, which are told the rate as a number
    "sgd": "eager",
    "top-k": "eager",  # its loss is told the progress of the run as a number
}
"""Combinations that are not recorded, by name."""

VARIANTS: dict[str, dict[str, Any]] = {spec.name: {"variant": spec.name} for spec in REGISTRY.variants()}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """And whatever other tests have compiled in this process."""
    monkeypatch.setattr(Recordings, "after", 3)
    monkeypatch.setattr(recording, "compiled", lambda: False)


def all_of(step: Step) -> dict[str, Tensor]:
    """Whatever an iteration leaves."""
    found = everything(step) | {"torch's generator": torch.get_rng_state()}
    for phase in step.state.phases:
        for number, values in enumerate(phase.optimizer.state.values()):
            found |= {f"{phase.name} {number} {name}": torch.as_tensor(one).clone() for name, one in values.items()}
    found |= {f"sum of {name}": one.clone() for name, one in step.statistics._sums.items()}
    return found | {f"count of {name}": torch.tensor(one) for name, one in step.statistics.counted.items()}


def trained(step: Step, iterations: int) -> dict[str, Tensor]:
    torch.manual_seed(1)
    advance(step, iterations)
    return all_of(step)


@pytest.mark.parametrize("name", [*VARIANTS, *COMBINATIONS])
def test_replays_train_as_eager_iterations_do(name: str) -> None:
    options = {**VARIANTS, **COMBINATIONS}[name]
    colors = 1 + 2 * (len(name) % 2)
    recorded, eager = (step_of(backend=backend, colors=colors, **options) for backend in ("auto", None))
    period = math.lcm(*(phase.period for phase in recorded.state.phases))
    assert_equal(trained(recorded, 6 * period), trained(eager, 6 * period))
    assert recorded.execution == EAGER.get(name, "recordings")


class Network(nn.Module):
    """A D that does something else beside judging."""

    def __init__(self, beside: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer = nn.Linear(256, 1)
        self.beside = beside

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        return self.layer(self.beside(images).flatten(1)).squeeze(1)


def judged_by(beside: Callable[[Tensor], Tensor], backend: Any) -> Step:
    torch.manual_seed(0)
    return step_of("gan", backend=backend, fields={"discriminator": Network(beside)})


class Elsewhere:
    """Memory that something else than torch fills."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, images: Tensor) -> Tensor:
        factor = torch.empty(4)
        values = (ctypes.c_float * 4)(*[2.0] * 4)
        ctypes.memmove(factor.untyped_storage().data_ptr(), values, 16)
        return images * factor.mean()


def _by_number(images: Tensor) -> Tensor:
    return images * (2.0 if images.mean() > 0 else 0.5)


def _by_array(images: Tensor) -> Tensor:
    return images * torch.from_numpy(np.square(images.detach().numpy()))


def _from_list(images: Tensor) -> Tensor:
    return images * torch.tensor(images.detach()[0, 0, 0, :1].tolist())


def _by_mask(images: Tensor) -> Tensor:
    return images * images[images > 0].mean()


def _drawn_twice(images: Tensor) -> Tensor:
    return checkpoint(lambda x: F.dropout(x, 0.5), images, use_reentrant=False)


def _in_complex(images: Tensor) -> Tensor:
    return torch.view_as_complex(torch.stack([images, images], -1)).conj().abs()


def _watched_otherwise(images: Tensor) -> Tensor:
    return images + torch.linalg.eigvalsh(images.squeeze(1) @ images.squeeze(1).mT).mean()


def _by_truth(images: Tensor) -> Tensor:
    with torch.inference_mode():
        bright = torch.is_nonzero(images.mean() > 0)
    return images * (2.0 if bright else 0.5)


def _of_its_own(images: Tensor) -> Tensor:
    return images + torch.rand((), generator=OWN)


OWN = torch.Generator()


def _quietly(images: Tensor) -> Tensor:
    """What refuses a recording is caught by the network."""
    try:
        return images * images.max().item()
    except RuntimeError:
        return images


@pytest.mark.parametrize(
    ("beside", "why"),
    [
        (_watched_otherwise, "aten._linalg_eigh.default is another one while it is watched"),
        (_by_truth, "Python goes by numbers, in aten.is_nonzero"),
        (_of_its_own, "aten.rand.generator draws from a generator of its own"),
        (_quietly, "Python goes by numbers, in aten._local_scalar_dense"),
        (_by_number, "Python goes by numbers, in aten._local_scalar_dense"),
        (_by_array, "Python looks into a tensor, by numpy"),
        (_from_list, "Python looks into a tensor, by tolist"),
        (_by_mask, "Python goes by numbers, in aten.index.Tensor"),
        (_drawn_twice, "Python sets the state of torch's random numbers"),
        (_in_complex, "a tensor is torch.strided on cpu"),
        (Elsewhere(), "a replay does not do what an eager iteration does"),
    ],
    ids=lambda one: getattr(one, "__name__", type(one).__name__) if callable(one) else "",
)
def test_what_a_recording_does_not_hold_is_trained_eagerly(beside: Callable[[Tensor], Tensor], why: str) -> None:
    left = []
    for backend in ("auto", None):
        OWN.manual_seed(3)
        step = judged_by(beside, backend)
        left.append(trained(step, 8))
        if backend == "auto":
            assert step.execution.startswith(f"eager: {why}")
    assert_equal(*left)


def _taken_by_number(images: Tensor) -> Tensor:
    return images[torch.randperm(len(images))]


def _turned_in_place(images: Tensor) -> Tensor:
    return (images * 2).transpose_(2, 3).unsqueeze_(0).squeeze_(0).contiguous()


def _with_constants(images: Tensor) -> Tensor:
    return images * torch.tensor([0.5, 1.0]).sum() + torch.from_numpy(np.full((), 0.25, np.float32))


def _scaled_by_infinity(images: Tensor) -> Tensor:
    return images.clamp(-math.inf, math.inf).nan_to_num(nan=math.nan)


def _told_classes(images: Tensor) -> Tensor:
    return images * F.one_hot((images.flatten(1).mean(1) > 0).long(), 2).float().amax(1)[:, None, None, None]


def _in_parts(images: Tensor) -> Tensor:
    first, second = images.chunk(2)
    values, _ = torch.cat([second, first]).sort(0)
    return values


def _turned_beside_another(images: Tensor) -> Tensor:
    turned = images * 2
    as_it_was = turned.detach()
    turned.transpose_(2, 3)
    return turned + as_it_was


def _draws_for_nobody(images: Tensor) -> Tensor:
    torch.rand(3)
    return images


@pytest.mark.parametrize(
    "beside",
    [
        _turned_beside_another,
        _draws_for_nobody,
        _taken_by_number,
        _turned_in_place,
        _with_constants,
        _scaled_by_infinity,
        _told_classes,
        _in_parts,
    ],
)
def test_what_a_network_does_is_replayed(beside: Callable[[Tensor], Tensor]) -> None:
    recorded, eager = judged_by(beside, "auto"), judged_by(beside, None)
    assert_equal(trained(recorded, 8), trained(eager, 8))
    assert recorded.execution == "recordings"


def test_a_constant_that_is_another_each_time_is_noticed() -> None:
    count = iter(range(100))

    def beside(images: Tensor) -> Tensor:
        return images * torch.from_numpy(np.full((), next(count), np.float32))

    recorded = judged_by(beside, "auto")
    advance(recorded, 8)
    assert recorded.execution.startswith("eager: ")


@pytest.mark.filterwarnings("ignore")  # of torch's compiler
def test_compiled_code_is_trained_eagerly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kernels are not torch's, and write to memory that no call is seen to make."""
    monkeypatch.setattr(recording, "compiled", threads.compiled)

    def beside(images: Tensor) -> Tensor:
        return compiled(images)

    compiled = torch.compile(lambda images: (images * 2).tanh() + 1)
    if shutil.which("g++") is None:
        pytest.skip("no C++ compiler")
    recorded, eager = judged_by(beside, "auto"), judged_by(beside, None)
    try:
        assert_equal(trained(recorded, 8), trained(eager, 8))
    finally:
        sys.modules["torch._dynamo.utils"].counters.clear()  # what `compiled` goes by, for the tests that follow
    assert recorded.execution == "eager: torch.compile is used in this process"


def test_replays_call_no_python(monkeypatch: pytest.MonkeyPatch) -> None:
    step = step_of("dcgan", backend="auto")
    advance(step, 5)
    before = everything(step)

    def refuse(*arguments: Any) -> Any:
        raise AssertionError("a network is called")

    for network in (step.state.gan.generator, step.state.gan.discriminator):
        monkeypatch.setattr(network, "forward", refuse)
    advance(step, 7)
    assert any(not torch.equal(value, before[name]) for name, value in everything(step).items())


def test_runs_of_a_few_iterations_are_eager() -> None:
    step = step_of("gan", backend="auto")
    advance(step, 3)
    assert step.execution == "eager"


def test_a_layer_that_no_longer_trains_is_recorded_anew() -> None:
    """As where an observer freezes the statistics of a batch norm between two ticks."""
    steps = [step_of("dcgan", backend=backend) for backend in ("auto", None)]
    left = []
    for step in steps:
        torch.manual_seed(1)
        advance(step, 6)
        step.statistics.read()
        for module in step.state.gan.discriminator.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        advance(step, 14)
        left.append(all_of(step))
    assert_equal(*left)
    assert steps[0].execution == "recordings"


class Kept(Network):
    """A D that keeps something."""

    def __init__(self, keep: Callable[[Kept, Tensor, Tensor | None], Tensor]) -> None:
        super().__init__(lambda images: images)
        self.keep = keep
        self.peak, self.seen = torch.zeros(()), torch.zeros(4, dtype=torch.int64)
        self.register_buffer("wide", torch.full((1,), 0.5).expand(256))
        with warnings.catch_warnings(action="ignore"):  # of torch, that nobody must write to it
            self.read_only = torch.from_numpy(np.frombuffer(np.full(256, 0.5, np.float32).tobytes(), np.float32))

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        return self.layer(self.keep(self, images, labels).flatten(1)).squeeze(1)


def _peak(network: Kept, images: Tensor, labels: Tensor | None) -> Tensor:
    network.peak = torch.maximum(network.peak, images.detach().flatten()[5])
    return images + network.peak


def _labels_of_before(network: Kept, images: Tensor, labels: Tensor | None) -> Tensor:
    assert labels is not None
    before, network.seen = network.seen, labels
    return images + (before[:, None, None, None] if len(before) == len(images) else 0.0)


def _held_to_a_box(network: Kept, images: Tensor, labels: Tensor | None) -> Tensor:
    network.layer.weight.data = network.layer.weight.data.clamp(-0.01, 0.01)
    return images


@pytest.mark.parametrize("keep", [_peak, _labels_of_before, _held_to_a_box])
def test_what_python_keeps_is_trained_eagerly_and_put_back(keep: Callable[..., Tensor]) -> None:
    steps = []
    for backend in ("auto", None):
        torch.manual_seed(0)
        steps.append(step_of("cgan", backend=backend, fields={"discriminator": Kept(keep)}))
    assert_equal(*(trained(step, 10) for step in steps))
    assert steps[0].execution.startswith("eager: ")


@pytest.mark.parametrize("name", ["wide", "read_only"])
def test_what_is_only_read_need_not_be_written_to(name: str) -> None:
    def keep(network: Kept, images: Tensor, labels: Tensor | None) -> Tensor:
        return images * getattr(network, name).view(16, 16)

    steps = []
    for backend in ("auto", None):
        torch.manual_seed(0)
        steps.append(step_of("cgan", backend=backend, fields={"discriminator": Kept(keep)}))
    assert_equal(*(trained(step, 10) for step in steps))
    assert steps[0].execution == "recordings"


def test_statistics_that_nobody_reads_in_an_iteration_move() -> None:
    def keep(network: Kept, images: Tensor, labels: Tensor | None) -> Tensor:
        torch.native_batch_norm(images, None, None, network.mean, network.variance, True, 0.1, 1e-5)
        return images

    steps = []
    for backend in ("auto", None):
        torch.manual_seed(0)
        critic = Kept(keep)
        critic.register_buffer("mean", torch.zeros(1))
        critic.register_buffer("variance", torch.ones(1))
        steps.append(step_of("cgan", backend=backend, fields={"discriminator": critic}))
    assert_equal(*(trained(step, 10) for step in steps))
    assert steps[0].execution == "recordings"
    assert everything(steps[0])["d.mean"] != 0


class Handed:
    """Two terms, the seldom one of which leaves a tensor to the other."""

    def __init__(self) -> None:
        self.weight = torch.ones(())

    def seldom(self, batch: Any) -> Tensor:
        self.weight = batch.real.detach().mean().abs() + 1
        return batch.fake.square().flatten(1).mean(1) * self.weight

    def always(self, batch: Any) -> Tensor:
        return batch.fake.abs().flatten(1).mean(1) * self.weight


def test_what_one_kind_of_iteration_leaves_to_another_is_trained_eagerly() -> None:
    steps = []
    for backend in ("auto", None):
        handed = Handed()
        terms = [
            Term(name="seldom", phase="G", loss=handed.seldom, every=2),
            Term(name="always", phase="G", loss=handed.always),
        ]
        steps.append(step_of("dcgan", backend=backend, terms=terms))
    assert_equal(*(trained(step, 20) for step in steps))
    assert steps[0].execution.startswith("eager: ")


def test_rates_of_one_network_that_move_are_recorded() -> None:
    steps = [step_of("gan", ["train.g_schedule=cosine"], backend) for backend in ("auto", None)]
    assert_equal(*(trained(step, 12) for step in steps))
    assert steps[0].execution == "recordings"


def test_statistics_that_are_restored_are_those_that_replays_add_to() -> None:
    steps = [step_of("dcgan", backend=backend) for backend in ("auto", None)]
    left = []
    for step in steps:
        torch.manual_seed(1)
        advance(step, 6)
        step.statistics.restore({"sums": {"d_loss": torch.tensor(3.0)}, "counted": {"d_loss": 1}})
        advance(step, 8)
        left.append(all_of(step))
    assert_equal(*left)


def test_a_step_that_is_closed_holds_nothing() -> None:
    step = step_of("dcgan", backend="auto")
    advance(step, 6)
    held = weakref.ref(step.state.gan.generator)
    gc.collect()
    gc.disable()
    try:
        assert step._iterations is not None
        (graph,) = step._iterations._graphs.values()
        recorded = weakref.ref(graph.replay.__wrapped__)  # type: ignore[attr-defined]
        del graph
        step.close()
        assert recorded() is None
    finally:
        gc.enable()
    assert held() is not None


def test_rates_that_move_are_read_at_each_replay() -> None:
    steps = [step_of("gan", ["train.schedule=linear"], backend) for backend in ("auto", None)]
    assert_equal(*(trained(step, 12) for step in steps))
    assert steps[0].execution == "recordings"
    adam = steps[0].state.phases[0].optimizer
    assert isinstance(adam, FusedAdam)
    assert [float(rate) for rate in adam.rates] == [group["lr"] for group in adam.param_groups]
    assert adam.rates[0] < adam.param_groups[0]["initial_lr"]


def test_memory_of_a_replay_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording holds what was there before, and no activation."""
    held: list[Iterations] = []
    step = step_of("dcgan", backend="auto")
    assert step._iterations is not None
    held.append(step._iterations)
    advance(step, 6)
    known = {tensor.untyped_storage().data_ptr() for tensor in everything_given(step)}
    (graph,) = held[0]._graphs.values()
    names = graph.replay.__wrapped__.__globals__  # type: ignore[attr-defined]
    kept = {one.untyped_storage().data_ptr() for one in names.values() if isinstance(one, Tensor)}
    assert kept <= known
    code = graph.replay.__wrapped__.__code__  # type: ignore[attr-defined]
    deleted = {one.argval for one in dis.get_instructions(code) if one.opname == "DELETE_FAST"}  # after its last use
    assert deleted == {*code.co_varnames} - {"_"}


def everything_given(step: Step) -> list[Tensor]:
    gan: GAN = step.state.gan
    found = [one for module in (gan.generator, gan.discriminator) for one in (*module.parameters(), *module.buffers())]
    for phase in step.state.phases:
        found += [value for values in phase.optimizer.state.values() for value in values.values()]
    assert step._iterations is not None
    (buffers,) = step._iterations._buffers
    return [*found, *step.statistics._sums.values(), buffers.pixels]


def test_one_hot_is_torchs() -> None:
    labels = torch.tensor([[0, 2], [1, 1]])
    assert torch.equal(one_hot(labels, 3), F.one_hot(labels, 3))
    assert one_hot(labels, 3).dtype == torch.int64
    assert torch.equal(one_hot(labels), F.one_hot(labels))


@pytest.fixture
def tiles(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[torch.dtype]]:
    """As if the processor multiplied tiles of bf16, and narrow networks were wide; of what windows are made."""
    used: list[torch.dtype] = []
    windows = bf16.windows
    monkeypatch.setattr(bf16, "multiplies_tiles", lambda: True)
    monkeypatch.setattr(bf16, "windows", lambda x, how: (used.append(x.dtype), windows(x, how))[1])
    monkeypatch.setattr(convolutions, "MANY", 1)
    ways = (
        convolutions.way_of,
        convolutions.way_of_transposed,
        convolutions.bf16_way_of,
        convolutions.bf16_way_of_transposed,
    )
    for way in ways:
        way.cache_clear()
    yield used
    for way in ways:
        way.cache_clear()


@pytest.mark.parametrize("variant", ["dcgan", "wgan-gp", "sngan"])  # the second's penalty is in fp32
def test_iterations_in_bf16_are_replayed(variant: str, tiles: list[torch.dtype]) -> None:
    numbers = Precision(name="bf16", device_type="cpu")
    recorded, eager = (step_of(variant, backend=backend, numbers=numbers) for backend in ("auto", None))
    period = math.lcm(*(phase.period for phase in recorded.state.phases))
    assert_equal(trained(recorded, 6 * period), trained(eager, 6 * period))
    assert recorded.execution == "recordings"
    assert set(tiles) == {torch.bfloat16}
