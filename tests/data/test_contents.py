"""The cache of decoded images is found by what the files hold, and believed only as far as its digest goes."""

from __future__ import annotations

import os
import shutil
import tarfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganzoo.data import Images, cache, contents, decode_all
from ganzoo.data.folder import load_folder
from ganzoo.data.pixels import digest
from ganzoo.errors import DataError

LONG_AGO = 1_000_000_000


def pack(path: Path, seed: int) -> Path:
    """A tar of ten bitmaps: equal names, sizes and times whatever the seed, other pixels."""
    random = np.random.default_rng(seed)
    with tarfile.open(path, "w") as archive:
        for number in range(10):
            data = BytesIO()
            Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8)).save(data, "BMP")
            member = tarfile.TarInfo(f"{number}.bmp")
            member.size, member.mtime = data.tell(), LONG_AGO
            data.seek(0)
            archive.addfile(member, data)
    return path


def unpack(path: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    with tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Images]:
    """Load a folder with what was unpacked a moment ago counted as old, so that its digest is kept."""
    monkeypatch.setattr(contents, "RACY_SECONDS", -3600.0)
    return lambda folder: load_folder(tmp_path / "root", "train", False, path=folder, color="gray")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often files were hashed and images decoded."""
    counts = {"hashed": 0, "decoded": 0}
    hash_one, decode = decode_all.digest_of, decode_all.decode_image

    def hashing(content: Callable[[], bytes]) -> bytes:
        counts["hashed"] += 1
        return hash_one(content)

    def decoding(*arguments: object) -> np.ndarray:
        counts["decoded"] += 1
        return decode(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(decode_all, "digest_of", hashing)
    monkeypatch.setattr(decode_all, "decode_image", decoding)
    return counts


def test_equal_names_sizes_and_times_are_not_equal_images(tmp_path: Path, load: Callable[[Path], Images]) -> None:
    first, second = pack(tmp_path / "first.tar", 1), pack(tmp_path / "second.tar", 2)
    a, b = load(unpack(first, tmp_path / "a")), load(unpack(second, tmp_path / "b"))
    listed = [sorted((p.name, p.stat().st_size, p.stat().st_mtime) for p in (tmp_path / n).iterdir()) for n in "ab"]
    assert listed[0] == listed[1]
    assert a.sha256 == digest(a.pixels, None)
    assert b.sha256 == digest(b.pixels, None) != a.sha256
    # the same place, unpacked over
    assert load(unpack(second, tmp_path / "a")).sha256 == b.sha256
    assert load(unpack(first, tmp_path / "a")).sha256 == a.sha256


def test_a_file_written_over_with_its_times_put_back(tmp_path: Path, load: Callable[[Path], Images]) -> None:
    folder = unpack(pack(tmp_path / "a.tar", 1), tmp_path / "a")
    before = load(folder)
    file = folder / "3.bmp"
    found = file.stat()
    data = bytearray(file.read_bytes())
    data[-1] ^= 255
    with file.open("r+b") as opened:  # the same inode
        opened.write(data)
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert load(folder).sha256 != before.sha256


def test_what_has_not_changed_is_not_read(
    tmp_path: Path, load: Callable[[Path], Images], counted: dict[str, int]
) -> None:
    folder = unpack(pack(tmp_path / "a.tar", 1), tmp_path / "a")
    first = load(folder)
    assert counted == {"hashed": 10, "decoded": 10}
    assert load(folder).sha256 == first.sha256
    assert counted == {"hashed": 10, "decoded": 10}
    # touched, moved or copied: read, but not decoded
    os.utime(folder / "3.bmp")
    assert load(folder).sha256 == first.sha256
    moved = Path(shutil.move(folder, tmp_path / "moved"))
    assert load(moved).sha256 == first.sha256
    assert load(Path(shutil.copytree(moved, tmp_path / "copy"))).sha256 == first.sha256
    assert counted == {"hashed": 40, "decoded": 10}


def test_files_that_changed_a_moment_ago_are_read_again(tmp_path: Path, counted: dict[str, int]) -> None:
    """Within a tick of the file system's clock a file may change twice."""
    folder = unpack(pack(tmp_path / "a.tar", 1), tmp_path / "a")
    for times in (1, 2):
        load_folder(tmp_path / "root", "train", False, path=folder, color="gray")
        assert counted["hashed"] == 10 * times
    assert counted["decoded"] == 10


def test_files_that_change_while_they_are_read_are_an_error(
    tmp_path: Path, load: Callable[[Path], Images], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = unpack(pack(tmp_path / "a.tar", 1), tmp_path / "a")
    original = cache.digest_all

    def hashing(*arguments: object) -> str:
        found = original(*arguments)  # type: ignore[arg-type]
        unpack(pack(tmp_path / "b.tar", 2), folder)  # between hashing and decoding
        return found

    monkeypatch.setattr(cache, "digest_all", hashing)
    with pytest.raises(DataError, match="written to while they were read"):
        load(folder)
    monkeypatch.setattr(cache, "digest_all", original)
    images = load(folder)
    assert images.sha256 == digest(images.pixels, None)


@pytest.mark.parametrize("file", ["pixels.bin", "labels.npy", "meta.json"])
@pytest.mark.parametrize("place", [0.3, 0.6, 0.99])
def test_a_flipped_bit_in_the_cache_is_noticed(
    tmp_path: Path, load: Callable[[Path], Images], file: str, place: float, caplog: pytest.LogCaptureFixture
) -> None:
    for name, seed in (("cat", 1), ("dog", 2)):
        (tmp_path / "pets").mkdir(exist_ok=True)
        unpack(pack(tmp_path / f"{name}.tar", seed), tmp_path / "pets" / name)
    before = load(tmp_path / "pets")
    (target,) = (tmp_path / "root" / "folder-cache").glob(f"*/{file}")
    sound = target.read_bytes()
    damaged = bytearray(sound)
    damaged[int(len(sound) * place)] ^= 4
    target.write_bytes(damaged)
    caplog.clear()
    after = load(tmp_path / "pets")
    assert after.sha256 == before.sha256 == digest(after.pixels, after.labels)
    assert after.class_names == before.class_names
    (target,) = (tmp_path / "root" / "folder-cache").glob(f"*/{file}")
    assert target.read_bytes() == sound


def test_a_cache_that_was_copied_is_compared_once(
    tmp_path: Path, load: Callable[[Path], Images], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = unpack(pack(tmp_path / "a.tar", 1), tmp_path / "a")
    before = load(folder)
    hashed: list[int] = []
    monkeypatch.setattr(cache, "digest", lambda pixels, labels: hashed.append(1) or digest(pixels, labels))
    load(folder)
    assert not hashed
    shutil.copytree(tmp_path / "root", tmp_path / "again")
    shutil.rmtree(tmp_path / "root")
    shutil.move(tmp_path / "again", tmp_path / "root")
    assert [load(folder).sha256, load(folder).sha256] == [before.sha256] * 2
    assert len(hashed) == 1


def test_what_is_no_file_is_not_waited_for(tmp_path: Path, load: Callable[[Path], Images]) -> None:
    folder = unpack(pack(tmp_path / "a.tar", 1), tmp_path / "a")
    for number in range(200):
        shutil.copy(folder / "1.bmp", folder / f"more-{number}.bmp")
    os.mkfifo(folder / "pipe.png")
    started = time.monotonic()
    assert len(load(folder)) == 210
    assert time.monotonic() - started < 20
