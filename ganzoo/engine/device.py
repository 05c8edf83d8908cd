"""Where a run computes, and in which numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from ganzoo.engine.cpu.bf16 import multiplies_tiles
from ganzoo.errors import SettingError, UserError

T = TypeVar("T")


def resolve_device(name: str) -> torch.device:
    """ "auto" takes the first of CUDA, MPS, CPU that is there.

    Raises:
        UserError: the device is not there, or the name means nothing to torch.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingError(f"'{name}' is not a device", "use auto, cpu, cuda, cuda:1 or mps") from None
    here = available_devices()
    if device.type == "cuda" and device.index is None and "cuda:0" in here:
        return torch.device("cuda", torch.cuda.current_device())
    if str(device) not in here:
        raise UserError(f"device '{name}' is not there", f"use auto, or one of: {', '.join(here)}")
    return device


def available_devices() -> list[str]:
    """Names torch can use here, e.g. ["cpu", "cuda:0"]."""
    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return ["cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])]


@dataclass(frozen=True, kw_only=True)
class Precision:
    """fp32, or bf16 autocast with fp32 master weights (and fp32 losses and penalties)."""

    name: str
    device_type: str

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        if self.name == "fp32":
            return contextlib.nullcontext()
        # The weight cache would hand D's graph of one phase to the next, after its weights have moved.
        return torch.autocast(self.device_type, dtype=torch.bfloat16, cache_enabled=False)


def resolve_precision(name: str, device: torch.device) -> Precision:
    """ "auto" is bf16 on CUDA devices that have it and on CPUs that multiply tiles of it, and fp32 elsewhere."""
    if name == "auto":
        fast = has_bf16(device) if device.type == "cuda" else device.type == "cpu" and multiplies_tiles()
        name = "bf16" if fast else "fp32"
    return Precision(name=name, device_type=device.type)


def has_bf16(device: torch.device) -> bool:
    """Whether a CUDA device computes bfloat16 itself. torch asks the current device, which need not be this one."""
    with torch.cuda.device(device):
        return torch.cuda.is_bf16_supported(including_emulation=False)


@contextlib.contextmanager
def numerics(device: torch.device, precision: Precision, *, penalised: bool) -> Iterator[None]:
    """What CUDA does with float32 products while training; torch's settings are given back. Elsewhere: nothing.

    TF32 rounds the factors to 10 bits. Where precision is "fp32" there is none of it, in convolutions neither (torch
    would use it there by default). Where it is "bf16", the networks' products have 8 bits anyway, and what autocast
    leaves in float32 may be TF32; except under a penalty on gradients (`penalised`), which stays in IEEE float32 with
    its double backward. A backward pass has no settings of its own: they hold for the whole iteration.

    cuDNN is held to algorithms that add in the same order each time: the same seed gives the same weights, unless a
    network has an operation whose gradient CUDA adds up in any order (`torch.use_deterministic_algorithms` lists them):
    bilinear resizing, `gather`, embeddings.
    """
    if device.type != "cuda":
        yield
        return
    cudnn: Any = torch.backends.cudnn
    places = (cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul)  # the names of torch 2.9 and later
    deterministic = cudnn.deterministic
    with float32_products("tf32" if precision.name == "bf16" and not penalised else "ieee", places):
        try:
            cudnn.deterministic = True
            yield
        finally:
            cudnn.deterministic = deterministic


@contextlib.contextmanager
def float32_products(how: str, places: Sequence[Any]) -> Iterator[None]:
    """Inside, what `places` of torch's backends do with float32 products is `how`, "ieee" or "tf32". Torch's older
    settings say the same of CUDA: else it raises where a network reads them, as `cudnn.flags` does.
    """
    cudnn: Any = torch.backends.cudnn
    mkldnn: Any = torch.backends.mkldnn
    every = (*places, mkldnn.matmul)  # which the older settings set as well
    before = [place.fp32_precision for place in every]
    convolutions, matrices = _older(lambda: cudnn.allow_tf32), _older(torch.get_float32_matmul_precision)
    try:
        cudnn.allow_tf32 = how == "tf32"
        torch.set_float32_matmul_precision("high" if how == "tf32" else "highest")
        for place in places:
            place.fp32_precision = how
        yield
    finally:
        if convolutions is not None:
            cudnn.allow_tf32 = convolutions
        if matrices is not None:
            torch.set_float32_matmul_precision(matrices)
        for place, value in zip(every, before, strict=True):
            place.fp32_precision = value


def _older(setting: Callable[[], T]) -> T | None:
    """None where the newer settings have been set otherwise, so that torch does not tell."""
    try:
        return setting()
    except RuntimeError:
        return None


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that this thread's current stream was told, and so not for other runs on the
    same device. A deliberate sync: ticks and timings only.
    """
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()
    elif device.type == "mps":
        torch.mps.synchronize()


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """The states of the global generators a run draws from."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_random_state(state: dict[str, torch.Tensor], device: torch.device) -> None:
    """Undo what has been drawn since `random_state`. A state from another kind of device leaves ours seeded."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
    elif device.type == "mps" and "mps" in state:
        torch.mps.set_rng_state(state["mps"])


@contextlib.contextmanager
def preserved_random_state(device: torch.device) -> Iterator[None]:
    """Whatever is drawn inside, training goes on as if it had not been."""
    state = random_state(device)
    try:
        yield
    finally:
        set_random_state(state, device)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Sums on the CPU are taken in one order, however many threads torch has; it has them again afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def denormals_flushed() -> Iterator[None]:
    """Adam's moments decay into denormal floats, on which processors are many times slower. To be entered before the
    first parallel operation: torch's threads take the mode over when they are started, and keep it.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
