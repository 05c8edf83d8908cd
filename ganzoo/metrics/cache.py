"""Tensors kept in files between runs: features of real images, and what was computed from them."""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ganzoo.errors import UserError
from ganzoo.files.locks import locked
from ganzoo.files.writing import write_atomic


class TensorCache:
    """Named tensors of one `key`, each name in a safetensors file of its own below `folder`.

    A file that is missing, damaged or of another key reads as None. A file that cannot be written is a warning: the
    tensors are there, only the next run pays.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder
        self._key = key

    def read(self, name: str) -> dict[str, Tensor] | None:
        """What was written under `name`, or None. All floating values are finite."""
        key = self._full(name)
        try:
            with safe_open(self._path(key), framework="pt") as file:
                if (file.metadata() or {}).get("key") != key:
                    return None
                tensors = {  # copies: what is mapped would be read from the disk again when memory is short
                    tensor: file.get_tensor(tensor).clone()
                    for tensor in file.keys()  # noqa: SIM118 (not a dict)
                }
        except (OSError, SafetensorError):
            return None
        return tensors if all(bool(values.isfinite().all()) for values in tensors.values()) else None

    def write(self, name: str, tensors: dict[str, Tensor]) -> None:
        key = self._full(name)
        try:
            ready = {part: values.contiguous() for part, values in tensors.items()}
            write_atomic(self._path(key), lambda temporary: save_file(ready, temporary, metadata={"key": key}))
        except (OSError, SafetensorError, UserError) as error:
            warnings.warn(f"{name} of real images are not cached: {error}", RuntimeWarning, stacklevel=3)

    @contextlib.contextmanager
    def being_made(self, name: str) -> Iterator[None]:
        """Held while `name` is computed, so that others who need it at the same time wait and read it. Where there is
        no lock to be had, each computes it.
        """
        path = self._path(self._full(name))
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                stack.enter_context(locked(path.with_name(f".{path.stem}.lock")))
            yield

    def has(self, name: str) -> bool:
        """Whether there is a file of `name`, which nobody has looked into."""
        return self._path(self._full(name)).is_file()

    def below(self, part: str) -> TensorCache:
        """The cache of a part of these images, or of one way to compute from them."""
        return TensorCache(self._folder, f"{part} {self._key}")

    def _full(self, name: str) -> str:
        return f"{name} {self._key}"

    def _path(self, key: str) -> Path:
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors"
