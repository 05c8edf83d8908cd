"""What can be fetched, from where, and how it is known to be whole. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Download:
    path: str  # below the data root, and below a mirror
    urls: tuple[str, ...]  # its sources, in order
    digest: str  # "md5:..." or "sha256:...", as whoever published it says
    folder: str | None = None  # of an archive: what is in it, below the data root


def _idx(name: str, urls: tuple[str, ...], digests: Mapping[str, str]) -> tuple[Download, ...]:
    return tuple(
        Download(path=f"{name}/{file}.gz", urls=tuple(f"{url}{file}.gz" for url in urls), digest=f"md5:{md5}")
        for file, md5 in digests.items()
    )


def _archive(url: str, md5: str, folder: str) -> tuple[Download, ...]:
    return (Download(path=url.rpartition("/")[2], urls=(url,), digest=f"md5:{md5}", folder=folder),)


INCEPTION = Download(
    path="weights/weights-inception-2015-12-05-6726825d.pth",
    urls=(
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    ),
    digest="sha256:6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
)

DOWNLOADS: Mapping[str, tuple[Download, ...]] = {
    "mnist": _idx(
        "mnist",
        ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
        {
            "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
        },
    ),
    "fashion-mnist": _idx(
        "fashion-mnist",
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        {
            "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
    "kmnist": _idx(
        "kmnist",
        ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
        {
            "train-images-idx3-ubyte": "bdb82020997e1d708af4cf47b453dcf7",
            "train-labels-idx1-ubyte": "e144d726b3acfaa3e44228e80efcd344",
            "t10k-images-idx3-ubyte": "5c965bf0a639b31b8f53240b1b52f4d7",
            "t10k-labels-idx1-ubyte": "7320c461ea6c1c855c0b718fb2a4b134",
        },
    ),
    "cifar10": _archive(
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "c58f30108f718f92721af3b95e74349a",
        "cifar-10-batches-py",
    ),
    "cifar100": _archive(
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "eb9058c3a382ffc7106e4002c42a8d85",
        "cifar-100-python",
    ),
    "svhn": tuple(
        Download(
            path=f"svhn/{split}_32x32.mat",
            urls=(f"http://ufldl.stanford.edu/housenumbers/{split}_32x32.mat",),
            digest=f"md5:{md5}",
        )
        for split, md5 in (("train", "e26dedcc434d2e4c54c9b2d4a06d8373"), ("test", "eb5a983be6a315427106f1b164d9cef3"))
    ),
    "stl10": _archive(
        "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
        "91f7769df0f17e558f3565bffb0c7dfb",
        "stl10_binary",
    ),
    "inception": (INCEPTION,),
}
"""Dataset or feature network -> its files. Digests are those that torchvision and torch-fidelity have."""

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # from Debian's package dataset-fashion-mnist

_ELSEWHERE = {
    "mnist": (Path("MNIST/raw"),),
    "fashion-mnist": (Path("FashionMNIST/raw"),),
    "kmnist": (Path("KMNIST/raw"),),
}
"""Where such files may be as well: where torchvision puts what it downloads itself, as earlier versions had it do."""


def missing(name: str, root: Path) -> list[Download]:
    """Files of `name` that are not there, nor what they hold. Presence is looked at, not content."""
    return [download for download in DOWNLOADS[name] if place_of(name, download, root) is None]


def place_of(name: str, download: Download, root: Path) -> Path | None:
    """Where the file is, or what was in it; None: nowhere under `root`."""
    path = root / download.path
    plain = path.name.removesuffix(".gz")
    places = [root / download.folder] if download.folder else [path, path.with_name(plain)]
    elsewhere = (*_ELSEWHERE.get(name, ()), *((DEBIAN_FASHION_MNIST,) if name == "fashion-mnist" else ()))
    places += [root / folder / file for folder in elsewhere for file in (path.name, plain)]
    return next((place for place in places if place.exists()), None)
