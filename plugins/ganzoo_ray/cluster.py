"""Orders as Ray tasks: each a generator, whose news are streamed to the driver as they come."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ganzoo.bench.clusters import Ended, News, Order
from ganzoo.bench.elsewhere import carry_out
from ganzoo.errors import RunError, UserError
from ganzoo.files.progress import Note

LOOK_SECONDS = 10.0
"""Without news, until it is looked whether the cluster has machines at all."""


class RayCluster:
    """Tasks are not retried by Ray: who orders knows what has been done, and what may be tried again."""

    slots: int | None = None  # Ray keeps a queue

    def __init__(self, settings: Mapping[str, Any], out: Path) -> None:
        """
        Raises:
            UserError: Ray is not installed.
            RunError: there is no cluster at the address.
        """
        try:
            import ray
        except ImportError:
            raise UserError("Ray is not installed", "install it: uv pip install 'ganzoo[ray]'") from None
        self._ray: Any = ray
        address = settings["address"]
        self._ours = not ray.is_initialized()
        if self._ours:
            try:
                _reach(address)
                ray.init(None if address == "local" else address, log_to_driver=False, logging_level=logging.ERROR)
            except Exception as error:  # which it raises when its processes do not start in time, among others
                first = (str(error).strip().splitlines() or [type(error).__name__])[0]
                raise RunError(
                    f"there is no Ray cluster at {address}: {first}",
                    "start one (ray start --head), name another by --set executor.address=HOST:PORT, or say local",
                ) from None
        self._check(settings)
        self._arguments = {
            "threads": int(settings["cpus"]) if settings["cpus"] >= 1 else 1,
            "gpus": settings["gpus"],
        }
        takes: dict[str, Any] = {"num_cpus": settings["cpus"], "num_gpus": settings["gpus"]}
        if settings["memory_gb"] is not None:
            takes["memory"] = int(settings["memory_gb"] * 1e9)
        self._task: Any = self._ray.remote(_carry_out).options(
            **takes, max_retries=0, num_returns="streaming", scheduling_strategy="SPREAD"
        )
        self._streams: dict[Any, Hashable] = {}
        self._late: list[tuple[Hashable, News]] = []  # news of tasks that were stopped
        self._started = 0
        self._needs = {"CPU": settings["cpus"], "GPU": settings["gpus"]}
        self._heard = time.monotonic()
        self._has_machines = True

    def _check(self, settings: Mapping[str, Any]) -> None:
        """A job that fits no machine would wait for ever."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        for what, amount in (("CPU", settings["cpus"]), ("GPU", settings["gpus"])):
            most = max((node.get(what, 0.0) for node in nodes), default=0.0)
            if amount > most:
                raise RunError(
                    f"a job takes {amount:g} {what}s, and no machine of the cluster has more than {most:g}",
                    f"--set executor.{what.lower()}s={most:g}, or less",
                )

    def start(self, order: Order) -> Hashable:
        self._started += 1
        self._streams[self._task.remote(order, self._arguments)] = self._started
        return self._started

    def news(self, seconds: float) -> Sequence[tuple[Hashable, News]]:
        found = self._news(seconds)
        if not found and self._streams and time.monotonic() - self._heard > LOOK_SECONDS:
            found = self._machines()
            self._heard = time.monotonic()
        elif found:
            self._heard = time.monotonic()
        return found

    def _machines(self) -> Sequence[tuple[Hashable, News]]:
        """A word where the last machine that could do a job has gone, or one has come. Ray waits, and says nothing."""
        alive = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        has = any(all(node.get(what, 0.0) >= amount for what, amount in self._needs.items()) for node in alive)
        if has == self._has_machines:
            return []
        self._has_machines = has
        text = "no machine of the cluster is left that could do a job: one is waited for"
        return [(next(iter(self._streams.values())), Note(text="the cluster has machines again" if has else text))]

    def _news(self, seconds: float) -> Sequence[tuple[Hashable, News]]:
        until, found, self._late = time.monotonic() + seconds, self._late, []
        while self._streams:
            left = 0.0 if found else max(0.0, until - time.monotonic())
            streams = list(self._streams)
            ready, _ = self._ray.wait(streams, num_returns=1, timeout=left, fetch_local=False)
            if not ready:
                return found
            # Whatever else has come by now, too: `wait` gives one, so that it returns as soon as there is one.
            more, _ = self._ray.wait(streams, num_returns=len(streams), timeout=0, fetch_local=False)
            for stream in {*ready, *more}:
                found += [(self._streams[stream], news) for news in self._next(stream)]
                if found and isinstance(found[-1][1], Ended):
                    del self._streams[stream]
            if found and time.monotonic() > until:  # where there is always more, it must be told all the same
                return found
        if not found:
            time.sleep(max(0.0, until - time.monotonic()))
        return found

    def _next(self, stream: Any) -> Iterator[News]:
        """The next of a stream that is ready; what Ray says of a task's end is an end."""
        errors = self._ray.exceptions
        try:
            yield self._ray.get(next(stream))
        except StopIteration:
            yield Ended(lost="it ended without a word")
        except errors.TaskCancelledError:
            yield Ended(lost="it was cancelled")
        except errors.RayTaskError as error:
            first = str(error.cause if getattr(error, "cause", None) else error).strip().splitlines()[-1]
            yield Ended(
                exitcode=1,
                refused=f"a worker of Ray cannot run ganzoo's jobs: {first}",
                cure="install the same ganzoo on all machines of the cluster",
            )
        except errors.RayError as error:  # of the machine, or its worker process
            yield Ended(lost=type(error).__name__)

    def stop(self, seconds: float) -> None:
        for stream in self._streams:
            self._ray.cancel(stream, force=False)  # KeyboardInterrupt in the task, which ends its process well
        until = time.monotonic() + seconds
        late: list[tuple[Hashable, News]] = []
        while self._streams and time.monotonic() < until:
            late += self._news(0.2)
        self._late = late
        for stream in self._streams:
            self._ray.cancel(stream, force=True)
        self._streams = {}
        if self._ours:
            self._ray.shutdown()


def _reach(address: str) -> None:
    """Ray itself tries for minutes.

    Raises:
        OSError: nobody answers at HOST:PORT.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _carry_out(order: Order, arguments: Mapping[str, Any]) -> Iterator[News]:
    yield from carry_out(order, **arguments)
