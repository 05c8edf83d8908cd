"""What Python decides by, and a replay would not: noticed when an iteration is captured, and as if it had not been."""

from __future__ import annotations

import array
import itertools
import random
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from pretended import CPU, LOSSES, D, G, Pretended, advance, assert_same_training, make_step
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ganzoo.config.run_config import Train
from ganzoo.engine.device import Precision
from ganzoo.engine.game import Game
from ganzoo.engine.inputs import Inputs, Iteration
from ganzoo.engine.phases import Phase, due_at, make_phases
from ganzoo.engine.probes.calls import Calls, difference, host_digest
from ganzoo.engine.probes.host_state import HostState
from ganzoo.engine.replays import WARM_UP, Iterations, nothing
from ganzoo.engine.state import TrainState
from ganzoo.engine.statistics import Statistics
from ganzoo.gan import GAN
from ganzoo.objectives import Losses

calls = 0
tally = {"calls": 0}
ticks = itertools.count()


def fading(calls: int) -> float:
    """A schedule that does nothing before the tenth call, by which iterations have been captured."""
    return 1.0 if calls < 10 else 0.5


@dataclass
class Schedule:
    calls: int = 0
    seen: list[int] = field(default_factory=list)


class Slotted:
    __slots__ = ("calls",)

    def __init__(self) -> None:
        self.calls = 0


class Going(D):
    """Logits times `factor()`."""

    counted = 0

    def __init__(self) -> None:
        super().__init__()
        self.list, self.deque, self.dict, self.nested = [0], deque([0], maxlen=2), Counter(a=0), {"a": ([0], {1})}
        self.numbers, self.array, self.set = np.zeros(1), array.array("l", [0]), {0}
        self.schedule, self.slotted, self.count = Schedule(), Slotted(), itertools.count()
        self.random, self.generator = random.Random(0), torch.Generator().manual_seed(0)
        self.numpy, self.old_numpy = np.random.default_rng(0), np.random.RandomState(0)
        self.kept = [torch.zeros(())]
        self.queue = deque([torch.zeros(2)], maxlen=1)
        self.hidden = 0.0

    def factor(self, logits: Tensor) -> float | Tensor:
        raise NotImplementedError

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        logits = super().forward(images, labels)
        return logits * self.factor(logits)


def of_list(network: Any, logits: Tensor) -> float:
    network.list[0] += 1
    return fading(network.list[0])


def of_growing_list(network: Any, logits: Tensor) -> float:
    network.list.append(7)
    return fading(len(network.list))


def of_deque(network: Any, logits: Tensor) -> float:
    network.deque.append(network.deque[-1] + 1)
    return fading(network.deque[-1])


def of_dict(network: Any, logits: Tensor) -> float:
    network.dict["a"] += 1
    return fading(network.dict["a"])


def of_nested(network: Any, logits: Tensor) -> float:
    network.nested["a"][0][0] += 1
    return fading(network.nested["a"][0][0])


def of_set(network: Any, logits: Tensor) -> float:
    network.set.add(len(network.set))
    return fading(len(network.set))


def of_numpy(network: Any, logits: Tensor) -> float:
    network.numbers += 1
    return fading(int(network.numbers[0]))


def of_array(network: Any, logits: Tensor) -> float:
    network.array[0] += 1
    return fading(network.array[0])


def of_dataclass(network: Any, logits: Tensor) -> float:
    network.schedule.calls += 1
    return fading(network.schedule.calls)


def of_slots(network: Any, logits: Tensor) -> float:
    network.slotted.calls += 1
    return fading(network.slotted.calls)


def of_count(network: Any, logits: Tensor) -> float:
    return fading(next(network.count))


def of_class(network: Any, logits: Tensor) -> float:
    type(network).counted += 1
    return fading(type(network).counted)


def of_replaced_tensor(network: Any, logits: Tensor) -> Tensor:
    network.kept[0] = 0.9 * network.kept[0] + 0.1 * logits.detach().mean()
    return 1 + network.kept[0]


def of_queue(network: Any, logits: Tensor) -> Tensor:
    factor = 1 + network.queue[0].mean()
    network.queue.append(logits.detach()[:2])
    return factor


def of_global(network: Any, logits: Tensor) -> float:
    global calls
    calls += 1
    return fading(calls)


def of_globals_dict(network: Any, logits: Tensor) -> float:
    tally["calls"] += 1
    return fading(tally["calls"])


def of_globals_count(network: Any, logits: Tensor) -> float:
    return fading(next(ticks))


def make_closure() -> Callable[[Any, Tensor], float]:
    calls, held = 0, [0]

    def factor(network: Any, logits: Tensor) -> float:
        nonlocal calls
        calls += 1
        held[0] = calls
        return fading(held[0])

    return factor


def of_default(network: Any, logits: Tensor, held: list[int] = [0]) -> float:  # noqa: B006
    held[0] += 1
    return fading(held[0])


STATE = [
    of_list, of_growing_list, of_deque, of_dict, of_nested, of_set, of_numpy, of_array, of_dataclass, of_slots,
    of_count, of_class, of_replaced_tensor, of_queue, of_global, of_globals_dict, of_globals_count, make_closure(),
    of_default,
]  # fmt: skip

DRAWS: dict[str, Callable[[Any], float]] = {
    "random": lambda network: random.random(),
    "numpy": lambda network: np.random.rand(),
    "a Random": lambda network: network.random.random(),
    "a Generator of numpy": lambda network: network.numpy.random(),
    "a RandomState": lambda network: network.old_numpy.rand(),
    "a Generator of torch": lambda network: float(torch.rand((), generator=network.generator)),
}


def critic_of(chosen: Callable[[Any, Tensor], Any]) -> type[Going]:
    return type("Chosen", (Going,), {"factor": lambda self, logits: chosen(self, logits)})


def seed_all() -> None:
    """All that the networks here go by outside themselves."""
    global calls, ticks
    calls, tally["calls"], ticks, of_default.__defaults__[0][0] = 0, 0, itertools.count(), 0  # type: ignore[index]
    random.seed(5), np.random.seed(5), torch.manual_seed(5)


def assert_eager_as_if_not_captured(make: Callable[[Pretended | None, Callable[[str], None]], Any]) -> str:
    """Why the run is eager. Its weights are those of a run that never tried."""
    told: list[str] = []
    backend, trained = Pretended(), []
    for one in (backend, None):
        seed_all()
        step = make(one, told.append)
        seed_all()
        advance(step, 12)
        trained.append(step)
    assert_same_training(*trained)
    assert backend.events[-1] != "replay"
    (said,) = told
    assert said.startswith("no CUDA graphs in this run, which is slower: ")
    return said


@pytest.mark.parametrize("per_replay", [1, 4])
@pytest.mark.parametrize("chosen", STATE, ids=lambda one: one.__qualname__)
def test_state_of_a_network_wherever_python_keeps_it(chosen: Callable[[Any, Tensor], Any], per_replay: int) -> None:
    """It acts after the capture only, so that no number of the captured iterations tells."""

    def make(backend: Pretended | None, report: Callable[[str], None]) -> Any:
        if chosen.__closure__:
            factor = make_closure()
            return make_step(backend, critic=critic_of(factor), per_replay=per_replay, report=report)
        return make_step(backend, critic=critic_of(chosen), per_replay=per_replay, report=report)

    assert "changes with each call" in assert_eager_as_if_not_captured(make)


@pytest.mark.parametrize("name", DRAWS)
def test_random_numbers_of_the_host(name: str) -> None:
    """Rare decisions: in the first iterations all of them go the same way."""

    def chosen(network: Any, logits: Tensor) -> float:
        return 2.0 if DRAWS[name](network) > 0.9999 else 1.0

    said = assert_eager_as_if_not_captured(
        lambda backend, report: make_step(backend, critic=critic_of(chosen), report=report)
    )
    assert "drawn from" in said or "changes with each call" in said


def test_a_loss_that_counts() -> None:
    def make(backend: Pretended | None, report: Callable[[str], None]) -> Any:
        seen = [0]

        def d_loss(real: Tensor, fake: Tensor) -> Tensor:
            seen[0] += 1
            return (fake - real) * fading(seen[0])

        return make_step(backend, losses=Losses(d_loss=d_loss, g_loss=LOSSES.g_loss), report=report)

    assert "seen of " in assert_eager_as_if_not_captured(make)


def of_clock(network: Any, logits: Tensor) -> float:
    return 1 + time.perf_counter() / 1e9


def make_generator() -> Callable[[Any, Tensor], float]:
    factors = (1 + index / 10 for index in itertools.count())
    return lambda network, logits: next(factors)


def make_cycle() -> Callable[[Any, Tensor], Tensor]:
    chosen = itertools.cycle([torch.sin, torch.cos, torch.tanh])
    return lambda network, logits: next(chosen)(logits)


@pytest.mark.parametrize("chosen", [of_clock, make_generator(), make_cycle()])
@pytest.mark.parametrize("per_replay", [1, 4])
def test_numbers_that_differ_from_iteration_to_iteration(chosen: Any, per_replay: int) -> None:
    """Wherever they come from."""
    told: list[str] = []
    step = make_step(Pretended(), critic=critic_of(chosen), per_replay=per_replay, report=told.append)
    advance(step, 12)
    assert "what is computed differs from iteration to iteration" in told[0]
    assert step.execution.startswith("eager: what is computed")


def keeps_activations(network: Any, logits: Tensor) -> float:
    network.features, network.kept[0] = logits, logits.detach()
    network.sizes, network.shape, network.nan = [len(logits)], logits.shape, float("nan")
    return 1.0 + 0 * float(network.kept[0].shape[0])


def clears_a_list(network: Any, logits: Tensor) -> float:
    network.list.clear()
    network.list.append(3)
    network.hook = lambda: network.list
    return 1.0


def draws_for_the_device(network: Any, logits: Tensor) -> Tensor:
    return 1 + 0.1 * torch.rand_like(logits)


@pytest.mark.parametrize("chosen", [keeps_activations, clears_a_list, draws_for_the_device])
@pytest.mark.parametrize("per_replay", [1, 4])
def test_what_is_the_same_after_each_call_or_only_kept_is_replayed(chosen: Any, per_replay: int) -> None:
    step = make_step(Pretended(), critic=critic_of(chosen), per_replay=per_replay)
    advance(step, 12)
    assert step.execution == "graphs"


def test_old_spectral_norm_which_replaces_its_weight_is_replayed() -> None:
    def critic() -> nn.Module:
        network = D()
        network.layers[0] = torch.nn.utils.spectral_norm(network.layers[0])
        return network

    step = make_step(Pretended(), critic=critic)
    advance(step, 12)
    assert step.execution == "graphs"


class Still(D):
    """Without dropout, so that nothing but `draw` uses torch's generator of the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Linear(16, 1)
        self.on_host = torch.zeros(())
        self.draw: Callable[[], Any] = lambda: None

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        self.draw()
        return self.layers(images.flatten(1)).squeeze(1)


class Elsewhere(Pretended):
    """Captures without giving back what is drawn meanwhile: its random numbers are not the CPU's."""

    def capture(self, work: Callable[[], None], vary: Callable[[], None] = nothing) -> Callable[[], None]:
        work()
        return lambda: None


def iterations_elsewhere(critic: Still, told: list[str]) -> Callable[[], None]:
    """One iteration that judges, of a run on a device with random numbers of its own, as far as can be told."""
    gan = GAN(generator=G(), discriminator=critic, z_dim=3)
    state = TrainState(gan=gan, ema=G(), phases=[], device=torch.device("cuda"))
    statistics, precision = Statistics(CPU), Precision(name="fp32", device_type="cpu")
    state.phases = make_phases(Game(gan=gan, losses=LOSSES), Train(batch_size=4), precision, statistics)
    backend = Elsewhere()
    images = torch.zeros(4, 1, 4, 4)

    def work(given: Inputs) -> None:
        statistics.add("logits", critic(given.pixels, given.labels))

    runs = Iterations(work=work, state=state, statistics=statistics, backend=backend, report=told.append, per_replay=1)
    iteration = Iteration(pixels=images, labels=None, due=due_at(state.phases, 1), decay=0.5, rates=[1.0, 1.0])
    return lambda: runs.run([iteration])


@pytest.mark.parametrize("draws", [True, False])
def test_torchs_generator_of_the_cpu_is_the_hosts_where_the_device_has_its_own(draws: bool) -> None:
    critic, told = Still(), list[str]()
    run = iterations_elsewhere(critic, told)
    critic.draw = (lambda: torch.rand(())) if draws else (lambda: None)
    for _ in range(WARM_UP + 2):
        run()
    assert [line.split(": ")[1] for line in told] == (
        ["torch's generator of the CPU is drawn from, which a graph would not do again"] if draws else []
    )


def test_tensors_in_main_memory_are_compared_by_value_where_they_are_the_hosts() -> None:
    critic, told = Still(), list[str]()
    run = iterations_elsewhere(critic, told)
    critic.draw = lambda: critic.on_host.add_(1)
    for number in range(WARM_UP + 2):
        run()
        assert critic.on_host == number + 1  # what the capture has added is taken back
    assert "discriminator.on_host changes with each call" in told[0]


def test_what_is_sent_to_the_device_is_part_of_a_call() -> None:
    """The device is "meta" here, whose tensors have no numbers."""
    device = torch.device("meta")
    images = torch.zeros(2, 3, device=device)

    def made(work: Callable[[], Any]) -> Calls:
        with Calls(device) as calls:
            work()
        return calls

    one, other = torch.tensor(1.0), torch.tensor(2.0)
    same = made(lambda: images * one).made
    assert difference(same, made(lambda: images * torch.tensor(1.0)).made[1:]) is None
    assert difference(same, made(lambda: images * other).made) == "mul"
    sent = made(lambda: torch.tensor(np.array([1.0]), device=device)).made
    assert difference(sent, made(lambda: torch.tensor(np.array([2.0]), device=device)).made) == "tensor"
    assert difference(same, [*same, *sent]) == "tensor"
    assert id(one) in made(lambda: torch.stack([one, one])).read
    assert difference(made(lambda: images.mul(float("nan"))).made, made(lambda: images.mul(float("nan"))).made) is None
    assert difference(made(lambda: images.mul(1)).made, made(lambda: images.mul(True)).made) == "mul"
    assert host_digest(torch.ones(2, dtype=torch.bfloat16)) != host_digest(torch.zeros(2, dtype=torch.bfloat16))


def test_a_recording_leaves_nothing_behind() -> None:
    network = critic_of(of_list)()
    network.class_name = "a"
    phases: list[Phase] = []
    state = TrainState(gan=GAN(generator=G(), discriminator=network, z_dim=3), ema=G(), phases=phases, device=CPU)
    host = HostState(state, Statistics(CPU))
    assert (host.drawn(), host.replaced(), host.changed(())) == (None, None, None)
    before = random.getstate()
    for chosen in (*STATE[:13], *(lambda n, _, draw=draw: draw(n) for draw in DRAWS.values())):
        chosen(network, torch.zeros(3))
    assert host.changed(()) is not None
    assert host.drawn() is not None
    host.restore()
    assert (host.drawn(), host.changed(())) == (None, None)
    assert random.getstate() == before
    assert next(network.count) == 0
    assert (network.list, list(network.deque), network.array[0], network.set) == ([0], [0], 0, {0})
    assert network.numbers[0] == 0


def test_a_network_that_holds_itself_and_more_than_is_followed() -> None:
    network = D()
    network.me, network.modes = [network], (TorchFunctionMode, np, Counter)
    deep: list[Any] = []
    network.deep = deep
    for _ in range(2000):
        deep.append([])
        deep = deep[0]
    state = TrainState(gan=GAN(generator=G(), discriminator=network, z_dim=3), ema=G(), phases=[], device=CPU)
    host = HostState(state, Statistics(CPU))
    assert host.changed(()) is None
    host.restore()
