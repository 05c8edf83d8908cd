"""Files of mu and sigma, as pytorch-fid, the TTUR code and clean-fid keep them."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo.errors import DataError
from ganzoo.files.npz import add_array
from ganzoo.files.writing import write_atomic
from ganzoo.metrics.extract import Extractor, checked_features, scoring
from ganzoo.metrics.statistics import Moments, RunningMoments

CURE = "give an .npz with mu [D] and sigma [D,D], as `ganzoo stats` or `python -m pytorch_fid --save-stats` write it"


@dataclass(frozen=True, kw_only=True)
class MomentsFile:
    """What a file says of the images it was computed from; what it does not say is "unknown"."""

    path: Path
    sha256: str  # of its bytes
    moments: Moments  # count 0 where the file does not say
    features_sha256: str  # of the weights; files of `ganzoo stats` name them

    @property
    def dim(self) -> int:
        return len(self.moments.mean)


def read_moments(path: Path) -> MomentsFile:
    """
    Raises:
        DataError: no such file, or what it holds is not the mean and covariance of anything.
    """
    try:
        data = path.read_bytes()
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", CURE) from None
    except Exception as error:  # a damaged file can raise nearly anything in zipfile, its decompressors and NumPy
        raise DataError(f"{path} is no readable .npz file of numeric arrays ({type(error).__name__})", CURE) from None
    if not {"mu", "sigma"} <= arrays.keys():
        found = ", ".join(sorted(arrays)) or "nothing"
        cure = (
            f"for images, give it as SOURCE or as --dataset npz:{path}" if arrays.keys() & {"arr_0", "images"} else CURE
        )
        raise DataError(f"{path} has no mu and sigma (found: {found})", cure)
    mean, covariance = arrays["mu"], arrays["sigma"]
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)) or not len(mean):
        raise DataError(f"{path}: mu is {list(mean.shape)} and sigma {list(covariance.shape)}", CURE)
    if mean.dtype.kind != "f" or covariance.dtype.kind != "f":
        raise DataError(f"{path}: mu is {mean.dtype} and sigma {covariance.dtype}, not floating point", CURE)
    mean, covariance = mean.astype(np.float64), covariance.astype(np.float64)
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise DataError(f"{path} holds NaN or infinity", "compute it again from sound images")
    largest = float(np.abs(covariance).max())
    if float(np.abs(covariance - covariance.T).max()) > 1e-5 * largest:
        raise DataError(f"{path}: sigma is not symmetric", CURE)
    covariance = (covariance + covariance.T) / 2
    lowest = float(np.linalg.eigvalsh(covariance)[0])
    if lowest < -1e-5 * largest * len(mean) ** 0.5:  # beyond what rounding in float32 leaves of a singular one
        raise DataError(f"{path}: sigma is no covariance, it has the eigenvalue {lowest:.3g}", CURE)
    return MomentsFile(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        moments=Moments(
            count=int(arrays["count"]) if "count" in arrays and arrays["count"].ndim == 0 else 0,
            mean=torch.from_numpy(mean),
            covariance=torch.from_numpy(covariance),
        ),
        features_sha256=str(arrays["features_sha256"]) if "features_sha256" in arrays else "unknown",
    )


def write_moments(path: Path, moments: Moments, facts: Mapping[str, str]) -> None:
    """`mu` `[D]` and `sigma` `[D,D]` float64, `count`, and `facts` as texts. Other tools read the first two.

    Raises:
        UserError: it cannot be written.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "mu": moments.mean.numpy(),
        "sigma": moments.covariance.numpy(),
        "count": np.array(moments.count, dtype=np.int64),
        **{name: np.array(text) for name, text in facts.items()},
    }

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w") as archive:
            for name, array in arrays.items():
                add_array(archive, name, array)

    write_atomic(path, write)


def moments_of_batches(
    batches: Iterable[Tensor], extractor: Extractor, *, device: torch.device, on_batch: Callable[[int], object]
) -> Moments:
    """Of the pool features of batches uint8 `[n,C,H,W]`, which may be made as they are asked for.

    Raises:
        UserError: fewer than two images, or a feature network that gives something else than features.
    """
    running = RunningMoments()
    with scoring(extractor, device):
        for pixels in batches:
            running.update(checked_features(extractor, pixels.to(device))["pool"])
            on_batch(len(pixels))
    return running.compute()
