"""NumPy archives whose bytes depend on nothing but the arrays."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from typing import IO, Any

import numpy as np


@contextlib.contextmanager
def npz_member(archive: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
    """Open the array `name` of a .npz for writing. `numpy.savez` would store the time of day: equal arrays would be
    other files, of another SHA-256.
    """
    info = zipfile.ZipInfo(f"{name}.npy")  # of 1980
    info.external_attr = 0o644 << 16
    with archive.open(info, "w", force_zip64=True) as file:
        yield file


def add_array(archive: zipfile.ZipFile, name: str, array: np.ndarray[Any, Any]) -> None:
    with npz_member(archive, name) as file:
        np.lib.format.write_array(file, array, allow_pickle=False)
