"""Archives as they come from elsewhere: odd names, links, shards of one name, files that are cut or damaged."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganzoo.data.folder import load_folder
from ganzoo.data.several import files_at
from ganzoo.errors import DataError
from ganzoo_hdf5.dataset import load_hdf5
from ganzoo_tar.dataset import load_tar

h5py = pytest.importorskip("h5py")

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def tar_of(path: Path, members: Sequence[tuple[str, bytes] | tarfile.TarInfo]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for one in members:
            if isinstance(one, tarfile.TarInfo):
                archive.addfile(one)
                continue
            member = tarfile.TarInfo(one[0])
            member.size = len(one[1])
            archive.addfile(member, io.BytesIO(one[1]))
    return path


def some(count: int, first: int = 0, folder: str = "") -> list[tuple[str, bytes]]:
    return [(f"{folder}{number:03d}.png", png(first + number)) for number in range(count)]


@pytest.mark.parametrize(
    "shards",
    [
        ("faces.v1.tar", "faces.v2.tar"),  # one name up to the first dot
        ("a/x.tar", "b/x.tar"),  # one name in two folders
        ("s.tar", "s-000.tar"),  # "s-" before "000-000.png" is "s-000-" before "000.png"
    ],
)
def test_no_shard_takes_anothers_images(tmp_path: Path, shards: tuple[str, str]) -> None:
    for number, shard in enumerate(shards):
        more = [("000-000.png", png(500))] if number == 0 and shard == "s.tar" else []
        tar_of(tmp_path / "shards" / shard, [*some(5, 10 * number), *more])
    images = load_tar(tmp_path, "train", False, path=tmp_path / "shards")
    assert len({pixels.numpy().tobytes() for pixels in images.pixels}) == len(images) == 10 + ("s.tar" in shards)


@pytest.mark.parametrize("before", ["../", "a/../", "./", ".//", "/", "././", "../../x/../"])
def test_names_are_those_that_unpacking_gives(tmp_path: Path, before: str) -> None:
    path = tar_of(tmp_path / "a.tar", [*some(3, 0, f"{before}cat/"), *some(3, 9, f"{before}dog/./")])
    images = load_tar(tmp_path, "train", False, path=path)
    assert images.class_names == ("cat", "dog")
    assert len(images) == 6


def test_links_are_the_files_that_they_lead_to(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png(77))
    kinds = [link("b/9.png", "../a/000.png"), link("b/8.png", "9.png"), link("7.png", "a/001.png", tarfile.LNKTYPE)]
    path = tar_of(tmp_path / "a.tar", [*some(3, 0, "a/"), *kinds])
    images = load_tar(tmp_path, "train", False, path=path, labels=False)
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path / "out", filter="data")
    assert images.sha256 == load_folder(tmp_path, "train", False, path=tmp_path / "out", labels=False).sha256
    assert len(images) == 6

    astray = [link("1.png", str(tmp_path / "secret.png")), link("2.png", "../secret.png"), link("3.png", "3.png")]
    images = load_tar(tmp_path, "train", False, path=tar_of(tmp_path / "b.tar", [*some(3), *astray]))
    assert len(images) == 3
    assert images.facts is not None
    assert images.facts.passed_over == (("links to nothing", 3),)


def test_a_tar_file_that_is_cut_or_damaged_anywhere_is_refused(tmp_path: Path) -> None:
    whole = tar_of(tmp_path / "whole.tar", some(10)).read_bytes()
    with tarfile.open(tmp_path / "whole.tar") as archive:
        headers = [member.offset for member in archive]
        last = archive.offset
    path = tmp_path / "cut.tar"
    for end in (*headers[1:], headers[5] + 100, last, last + 100):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match="damaged or cut short after"):
            load_tar(tmp_path, "train", False, path=path)
    for header in headers[1:]:
        damaged = bytearray(whole)
        damaged[header + 150] ^= 1  # of its sum
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="damaged or cut short after"):
            load_tar(tmp_path, "train", False, path=path)
    path.write_bytes(whole[: last + 512])  # as some write it: one block
    assert len(load_tar(tmp_path, "train", False, path=path)) == 10
    path.write_bytes(whole + tar_of(tmp_path / "b.tar", some(3, 50, "b/")).read_bytes())
    with pytest.raises(DataError, match="several tar files, one behind the other"):
        load_tar(tmp_path, "train", False, path=path)


def test_an_empty_tar_file_is_told_as_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no files in it") as caught:
        load_tar(tmp_path, "train", False, path=tar_of(tmp_path / "a.tar", []))
    assert caught.value.cure == "give a tar file with images in it"


def test_a_range_that_is_too_large_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="range of 1,000,000,000 files") as caught:
        files_at(tmp_path / "x-{0..999999999}.tar", ".tar")
    assert caught.value.cure == "give a smaller range"


def hdf5_of(path: Path, fill: Callable[[object], None]) -> Path:
    with h5py.File(path, "w") as opened:
        fill(opened)
    return path


def refer(kind: str, source: Path) -> Callable[[object], None]:
    def fill(opened: object) -> None:
        if kind == "link":
            opened["images"] = h5py.ExternalLink(str(source), "/data")  # type: ignore[index]
        elif kind == "virtual":
            layout = h5py.VirtualLayout(IMAGES.shape, "u1")
            layout[:] = h5py.VirtualSource(str(source), "data", IMAGES.shape)
            opened.create_virtual_dataset("images", layout)  # type: ignore[attr-defined]
        else:
            where = [(str(source), 0, IMAGES.size)]
            opened.create_dataset("images", IMAGES.shape, "u1", external=where)  # type: ignore[attr-defined]

    return fill


@pytest.mark.parametrize("kind", ["link", "virtual", "raw"])
def test_an_array_in_another_file_is_refused(tmp_path: Path, kind: str) -> None:
    hdf5_of(tmp_path / "source.h5", lambda opened: opened.create_dataset("data", data=IMAGES))  # type: ignore[attr-defined]
    path = hdf5_of(tmp_path / "a.h5", refer(kind, tmp_path / "source.h5"))
    with pytest.raises(DataError, match="images only refers to other files") as caught:
        load_hdf5(tmp_path, "train", False, path=path)
    assert "copy them into one" in caught.value.cure


@pytest.mark.parametrize("name", ["images", "labels", "test_images"])
def test_a_name_that_leads_nowhere_is_said(tmp_path: Path, name: str) -> None:
    def fill(opened: object) -> None:
        opened["images"] = IMAGES  # type: ignore[index]
        if name in opened:  # type: ignore[operator]
            del opened[name]  # type: ignore[attr-defined]
        opened[name] = h5py.SoftLink("/none")  # type: ignore[index]

    with pytest.raises(DataError, match=f"{name} cannot be opened"):
        load_hdf5(tmp_path, "train", False, path=hdf5_of(tmp_path / "a.h5", fill))


@pytest.mark.parametrize("name", ["images", "labels"])
def test_an_array_without_values_is_said(tmp_path: Path, name: str) -> None:
    def fill(opened: object) -> None:
        opened["images"] = h5py.Empty("u1") if name == "images" else IMAGES  # type: ignore[index]
        opened["labels"] = h5py.Empty("i4") if name == "labels" else np.arange(12) % 2  # type: ignore[index]

    with pytest.raises(DataError, match=r"images has shape|labels is int32 without values"):
        load_hdf5(tmp_path, "train", False, path=hdf5_of(tmp_path / "a.h5", fill))


def test_a_damaged_hdf5_file_is_told_wherever_it_is_damaged(tmp_path: Path) -> None:
    def fill(opened: object) -> None:
        opened["images"] = IMAGES  # type: ignore[index]
        opened["labels"] = np.arange(12) % 2  # type: ignore[index]

    whole = hdf5_of(tmp_path / "a.h5", fill).read_bytes()
    chosen, path = random.Random(0), tmp_path / "b.h5"
    told = []
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(4):
            damaged[chosen.randrange(2500)] = chosen.randrange(256)  # where its tables are
        path.write_bytes(damaged)
        try:
            load_hdf5(tmp_path, "train", False, path=path)
        except DataError as error:
            told.append(f"{error.cause}{error.cure}")
    assert len(told) > 20
    assert not any("\n" in text for text in told)
