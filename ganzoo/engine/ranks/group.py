"""The processes of one run. Rank 0 leads: it alone decides, reads clocks and signals, writes files and tells.

The others follow: they wait for its orders, and do the same calls with their part of each batch. An order is one small
tensor on a gloo group, in which the others' signals come back; so nothing that one rank knows and the others do not, a
clock for one, ever decides what is computed.

    leader                                       followers (`ganzoo.runs.following`)
    BEGIN, a config, when its networks are made  load the same images, make the same networks
    TRAIN, a state, when it has taken one up     take the same: weights, optimizers, random generators
    ADVANCE, n, in `Step.advance`                n iterations, in which gradients and buffers are averaged
    GATHER, before statistics are read or saved  add theirs, and take the same random generators
    SCORE, weights, in `ganzoo.scoring.spread`   their blocks of images, and the features of these
    LEAVE, at the end                            end

Two groups: orders go over `control`, on which followers wait for as long as the leader scores, saves or loads;
everything within an iteration goes over `work`, NCCL between GPUs, on which nobody waits for longer than `timeout`.
"""

from __future__ import annotations

import contextlib
import datetime
import enum
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

from ganzoo.engine.device import resolve_device, synchronize
from ganzoo.engine.ranks.place import Place
from ganzoo.engine.ranks.rows import Rows
from ganzoo.engine.stopping import NEVER, Stop, Stopped
from ganzoo.errors import RunError, SettingError, UserError

TIMEOUT = 300.0
"""Seconds that a rank waits for another within an iteration before it gives the run up."""

PATIENCE = datetime.timedelta(days=30)
"""How long followers wait for an order, and the leader for followers that load the images."""

LAST_SECONDS = 10.0
"""For which a rank that was told to end waits for the others."""

SLACK = datetime.timedelta(seconds=60)
"""What NCCL is given beyond `timeout`: it ends the process, after which nothing can be told."""


class RankLost(RunError):
    """Another process of the run has ended, or does not answer."""


class Order(enum.IntEnum):
    """What followers are told to do."""

    BEGIN = 1
    TRAIN = 2
    ADVANCE = 3
    GATHER = 4
    SCORE = 5
    LEAVE = 6


class Ranks:
    """One process of a run in several; by default the only one, for which there is nothing to do.

    Methods are called by all ranks at the same time, unless they say that they are the leader's or the followers'.

    Raises, each of them:
        RankLost: another rank has ended, or has not answered for `timeout` seconds.
    """

    def __init__(self, place: Place | None = None, *, stop: Stop = NEVER) -> None:
        place = place or Place()
        self.rank, self.size, self.local = place.rank, place.size, place.local
        self.timeout = TIMEOUT
        self._stop = stop
        self._store: Any = None
        self._control: Any = None
        self._work: Any = None

    @property
    def several(self) -> bool:
        return self.size > 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def rows(self, batch_size: int) -> Rows:
        """The part of what is drawn for `batch_size` images that is this rank's."""
        return Rows(rank=self.rank, size=self.size, rows=batch_size // self.size)

    def device(self, name: str) -> torch.device:
        """As `resolve_device`; of several processes each has a GPU of its own.

        Raises:
            UserError: the device is not there, or none that several processes can have.
        """
        device = resolve_device(name)
        if not self.several:
            return device
        if device.type not in ("cpu", "cuda") or (device.type == "cuda" and ":" in name):
            raise SettingError(
                f"device '{name}' is one for all {self.size} processes of this run",
                "say auto, cpu, or cuda, with which each process takes the GPU of its LOCAL_RANK",
            )
        if device.type == "cuda" and self.local >= torch.cuda.device_count():
            raise SettingError(
                f"process {self.local} of this machine has no GPU of its own: there are {torch.cuda.device_count()}",
                f"--nproc-per-node {torch.cuda.device_count()}, or --device cpu; a launcher that shows each process "
                "one GPU alone has to set LOCAL_RANK=0",
            )
        return device

    # How processes find each other, and part

    def join(self) -> None:
        """Find the others, by what torchrun has put in the environment."""
        import torch.distributed as dist
        from torch.distributed.rendezvous import rendezvous

        if torch.cuda.is_available() and self.local < torch.cuda.device_count():
            torch.cuda.set_device(self.local)
        with self._answered():
            wait = datetime.timedelta(seconds=self.timeout)
            store, _, _ = next(rendezvous("env://", self.rank, self.size, timeout=wait))
            self._store = store
            dist.init_process_group(
                "gloo", store=dist.PrefixStore("ganzoo", store), rank=self.rank, world_size=self.size, timeout=PATIENCE
            )
        self._control = dist.group.WORLD

    def meet(self, device: torch.device, timeout: float = TIMEOUT) -> None:
        """Make the group of an iteration's work: NCCL on CUDA, gloo on the CPU. `timeout`: seconds."""
        import torch.distributed as dist

        self.timeout = timeout
        backend, slack = ("nccl", SLACK) if device.type == "cuda" else ("gloo", datetime.timedelta())
        with self._answered():
            self._work = dist.new_group(backend=backend, timeout=datetime.timedelta(seconds=self.timeout) + slack)

    def claim(self) -> bool:
        """Whether this rank is the first that has something to tell of the run's failure, and so the only one to."""
        if not self.several:
            return True
        try:
            first: int = self._store.add("told", 1)
        except Exception:  # whoever kept it has gone: torchrun, or where others start the processes, the leader
            return self.rank <= 1
        return first == 1

    def part(self) -> None:
        """Leave the groups, when all ranks do."""
        import torch.distributed as dist

        dist.destroy_process_group()
        self._control = self._work = None  # whose threads end with them

    # Orders

    def order(self, what: Order, number: int = 0) -> None:
        """The leader's: tell the others what to do. If one of them has had a signal, it counts as the leader's."""
        if not self.several:
            return
        came = self._exchange(what, number)[2]
        if came and self._stop.requested is None:
            self._stop.note(came)

    def next_order(self) -> tuple[Order, int]:
        """The followers': wait for an order."""
        what, number, _ = self._exchange(0, 0)
        return Order(what), number

    def _exchange(self, what: int, number: int) -> list[int]:
        import torch.distributed as dist

        told = torch.tensor([what, number, self._stop.requested or 0], dtype=torch.int64)
        patient = not self.leads or what == Order.TRAIN
        limit = PATIENCE if patient else datetime.timedelta(seconds=self.timeout)
        with self._answered(limit.total_seconds()):
            work = dist.all_reduce(told, op=dist.ReduceOp.MAX, group=self._control, async_op=True)
            assert work is not None
            while what == Order.TRAIN and not work.is_completed():  # torch would not let a signal through
                if self._stop.requested is not None:
                    raise Stopped(self._stop.requested, " while other processes of the run load the images")
                time.sleep(0.01)
            work.wait(limit)
        found: list[int] = told.tolist()
        return found

    def send(self, what: Order, data: bytes) -> None:
        """The leader's: an order with something to go with it."""
        import torch.distributed as dist

        if not self.several:
            return
        self.order(what, len(data))
        with self._answered():
            dist.broadcast(torch.frombuffer(bytearray(data), dtype=torch.uint8), 0, group=self._control)

    def receive(self, length: int) -> bytes:
        """The followers': what goes with an order."""
        import torch.distributed as dist

        data = torch.empty(length, dtype=torch.uint8)
        with self._answered():
            dist.broadcast(data, 0, group=self._control)
        return data.numpy().tobytes()

    def to_leader(self, tensor: Tensor) -> None:
        """The followers': what `from_follower` gets."""
        import torch.distributed as dist

        with self._answered():
            dist.send(tensor.cpu().contiguous(), 0, group=self._control)

    def from_follower(self, rank: int, like: Tensor) -> Tensor:
        """The leader's: what `rank` sends, of the shape and type of `like`, on its device."""
        import torch.distributed as dist

        tensor = torch.empty(like.shape, dtype=like.dtype)
        with self._answered():
            dist.recv(tensor, rank, group=self._control)
        return tensor.to(like.device)

    # Within an iteration

    def synchronize(self, device: torch.device) -> None:
        """Wait until the device has done all that this thread's current stream was told, as `engine.device` does."""
        if not self.several or device.type != "cuda":
            synchronize(device)
            return
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream(device))
        self.wait_until(event.query)

    def wait_until(self, done: Callable[[], bool]) -> None:
        """Until the device has done that in which other ranks have a part, for at most `timeout` seconds. Torch would
        wait without end, and not let a signal through.
        """
        until, pause, told = time.monotonic() + self.timeout, 1e-5, False
        while not done():
            if self._stop.requested is not None and not told:
                told, until = True, min(until, time.monotonic() + LAST_SECONDS)
            if time.monotonic() > until:
                raise self._lost(silent=not told)
            time.sleep(pause)
            pause = min(2 * pause, 1e-3)

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor]) -> None:
        """Make each of the same tensors on every rank the mean of theirs, in one all-reduce for each type of number.
        On CUDA without waiting for the device.
        """
        import torch.distributed as dist

        by_type: dict[torch.dtype, list[Tensor]] = defaultdict(list)
        for tensor in tensors:
            by_type[tensor.dtype].append(tensor)
        for those in by_type.values():
            flat = torch.cat([tensor.reshape(-1) for tensor in those])
            with self._answered():
                dist.all_reduce(flat, group=self._work)
            flat /= self.size
            means = flat.split([tensor.numel() for tensor in those])
            torch._foreach_copy_(those, [mean.view(tensor.shape) for mean, tensor in zip(means, those, strict=True)])

    def total(self, tensor: Tensor) -> Tensor:
        """The sum of the ranks' tensors, on the device."""
        import torch.distributed as dist

        total = tensor.clone()
        with self._answered():
            dist.all_reduce(total, group=self._work)
        return total

    def average_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Those that have any: the same ones on all ranks."""
        if self.several:
            self.average([parameter.grad for parameter in parameters if parameter.grad is not None])

    def add(self, numbers: Tensor) -> Tensor:
        """The sum of the ranks' `numbers`, float64 on the CPU."""
        import torch.distributed as dist

        with self._answered():
            dist.all_reduce(numbers, group=self._control)
        return numbers

    @contextlib.contextmanager
    def _answered(self, seconds: float | None = None) -> Iterator[None]:
        """Inside, another rank is waited for, for so many seconds at most; None: `timeout`."""
        began, limit = time.monotonic(), self.timeout if seconds is None else seconds
        try:
            yield
        except UserError:
            raise
        except RuntimeError as error:  # torch has a type for some of them
            raise self._lost(silent=time.monotonic() - began >= 0.9 * limit) from error

    def _lost(self, *, silent: bool) -> RankLost:
        self._stop.hold()  # torchrun, which has seen it, too, asks the others to end: the cause is to be told first
        what = f"has not answered for {self.timeout:g} seconds (train.rank_timeout)" if silent else "has ended"
        return RankLost(
            f"another of the {self.size} processes of this run {what}",
            "the same command goes on from the last saved state, with the same --nproc-per-node or another",
        )


ALONE = Ranks()
"""The only process of its run."""

_ranks: ContextVar[Ranks] = ContextVar("ranks", default=ALONE)


def ranks_here() -> Ranks:
    """The processes of the runs that this thread does."""
    return _ranks.get()


@contextlib.contextmanager
def joined(place: Place, stop: Stop = NEVER) -> Iterator[Ranks]:
    """Inside, runs of this thread are done by all processes of which `place` is one. What ends the work inside is told
    by the first of them that has something to tell: in the others it becomes a SystemExit.

    Raises:
        RankLost: the others cannot be found, or another one has ended.
    """
    if place.size == 1:
        yield ALONE
        return
    ranks = Ranks(place, stop=stop)
    token = _ranks.set(ranks)
    try:
        ranks.join()
        yield ranks
        if ranks.leads:
            ranks.order(Order.LEAVE)
        ranks.part()
    except BaseException as error:
        if not ranks.claim():
            raise SystemExit(error.code if isinstance(error, (Stopped, SystemExit)) else 1) from None
        raise
    finally:
        _ranks.reset(token)
