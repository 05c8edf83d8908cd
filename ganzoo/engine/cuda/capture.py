"""Recording on CUDA: the backend of `graphs`, and what torch leaves behind where a recording fails."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any

import torch

from ganzoo.engine.replays import WARM_UP, Backend, nothing


class CudaGraphs:
    """The real backend: one memory pool for all graphs of a run that live, which are replayed one after the other.

    Warm-up and capture are on one stream. It must be the run's own: libraries keep a workspace for each stream, and
    graphs that were captured with the same one must not run at the same time, as those of concurrent runs do.
    """

    after = WARM_UP

    def __init__(self, device: torch.device) -> None:
        self._device = device
        current = torch.cuda.current_stream(device)
        ours = current != torch.cuda.default_stream(device)  # which cannot be captured
        self._stream = current if ours else torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, work: Callable[[], None]) -> None:
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            work()
        current.wait_stream(self._stream)

    def capture(self, work: Callable[[], None], vary: Callable[[], None] = nothing) -> Callable[[], None]:
        current = torch.cuda.current_stream(self._device)
        index = current.device.index
        generator = torch.cuda.default_generators[index]
        spare = generator.clone_state()
        graph = torch.cuda.CUDAGraph()
        cause: list[Exception] = []

        def recorded() -> None:
            try:
                work()
            except Exception as error:
                cause.append(error)
                raise

        try:
            # "thread_local": the thread that prefetches batches may wait for its copies meanwhile, and other runs of
            # the process for their streams. By default that would end the capture.
            with (
                _no_garbage_collection(),
                torch.cuda.device(self._device),
                torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"),
            ):
                recorded()
        except Exception as error:
            # When the end of a capture fails, torch leaves behind: the stream set, the generator's state "capturing"
            # (it would refuse to draw), and the allocator with a filter that refers to the graph.
            torch.cuda.set_stream(current)
            generator.graphsafe_set_state(spare)
            _FAILED.append(graph)
            with contextlib.suppress(Exception):
                torch._C._cuda_endAllocateToPool(index, self._pool)
            # The first error names the cause, the one at the end of the capture its consequence.
            raise (cause[0] if cause else error) from None
        replay: Callable[[], None] = graph.replay
        return replay

    def forget(self) -> None:
        # Tensors that outlive the graphs (an activation that a plugin keeps) still lie in their pool: the allocator
        # refuses to fill a pool whose graphs are gone.
        self._pool = torch.cuda.graph_pool_handle()


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A graph of an earlier run that is collected in the middle of a capture would end it (pytorch/pytorch#161037)."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


_FAILED: list[Any] = []
"""Graphs whose capture failed: the allocator may refer to them until the process ends."""


def cuda_graphs(device: torch.device) -> Backend | None:
    """The backend for `device`; None where there are no CUDA graphs."""
    return CudaGraphs(device) if device.type == "cuda" else None
