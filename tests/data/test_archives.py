"""`tar:`, `parquet:` and `hdf5:`: the images of a folder are the same images there, and faults are told in one line."""

from __future__ import annotations

import gzip
import io
import json
import sys
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo.data import Images, NoTestSplit, load_dataset
from ganzoo.data.decode import suffixes
from ganzoo.data.folder import load_folder
from ganzoo.data.several import files_at, splits_of
from ganzoo.errors import DataError, UserError
from ganzoo_hdf5.dataset import load_hdf5
from ganzoo_parquet.dataset import Rows, _Table, load_parquet
from ganzoo_tar import dataset as tar_module
from ganzoo_tar.dataset import load_tar

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
h5py = pytest.importorskip("h5py")

CLASSES = ("cat", "dog", "10", "9")  # in their order: 9, 10, cat, dog
Load = Callable[..., Images]


def encoded(image: Image.Image, ending: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format={"jpg": "JPEG"}.get(ending, ending.upper()), **options)
    return buffer.getvalue()


def picture(seed: int, size: tuple[int, int] = (20, 16), mode: str = "RGB") -> Image.Image:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (size[1], size[0], len(Image.new(mode, (1, 1)).getbands())), dtype=np.uint8)
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels, mode if mode == "CMYK" else None)


def odd_files() -> dict[str, bytes]:
    """What people bring: each is treated as it is in a folder."""
    exif = Image.Exif()
    exif[0x0112] = 6  # on its side
    clear = picture(5, mode="RGBA")
    deep = Image.fromarray(np.random.default_rng(6).integers(0, 65536, (16, 20), dtype=np.uint16))
    frames = [picture(7), picture(8)]
    return {
        "cat/palette.png": encoded(picture(1).convert("P"), "png"),
        "cat/turned.jpg": encoded(picture(2), "jpg", exif=exif),
        "dog/cmyk.jpg": encoded(picture(3, mode="CMYK"), "jpg"),
        "dog/clear.png": encoded(clear, "png"),
        "9/deep.png": encoded(deep, "png"),
        "9/film.gif": encoded(frames[0], "gif", save_all=True, append_images=frames[1:]),
        "10/gray.png": encoded(picture(9, mode="L"), "png"),
    }


@pytest.fixture
def files() -> dict[str, bytes]:
    """By name below the folder; 120 images, one of them cut short."""
    found = {f"{CLASSES[i % 4]}/{i:03d}.png": encoded(picture(100 + i), "png") for i in range(113)} | odd_files()
    found["dog/001.png"] = found["dog/001.png"][:200]
    return found


def folder_of(top: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)
    return top


def tar_of(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def in_order(files: dict[str, bytes]) -> list[str]:
    return sorted(name for name in files if name[name.rfind(".") :] in suffixes())


def label_of(name: str) -> int:
    return ("9", "10", "cat", "dog").index(name.partition("/")[0])


def parquet_of(
    path: Path, cells: Sequence[Any], labels: Sequence[Any] | None, names: Sequence[str] | None = None, **options: Any
) -> Path:
    """As `datasets` writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Any] = {"image": [{"bytes": content, "path": None} for content in cells]}
    if labels is not None:
        columns["label"] = labels
    table = pa.table(columns)
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    if names is not None:
        features["label"] = {"names": list(names), "_type": "ClassLabel"}
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, **options)
    return path


def test_the_same_images_are_the_same_wherever_they_lie(tmp_path: Path, files: dict[str, bytes]) -> None:
    """Pixels, order, labels, class names and digest, and with them the protocol; the broken one is left out of each."""
    expected = load_folder(tmp_path, "train", False, path=folder_of(tmp_path / "pets", files), size=16)
    assert len(expected) == 119
    assert expected.class_names == ("9", "10", "cat", "dog")
    order = in_order(files)
    names = ["9", "10", "cat", "dog"]
    shards = [dict(list(files.items())[at::3]) for at in range(3)]
    for at, shard in enumerate(shards):
        tar_of(tmp_path / f"shard-{at}.tar", shard)
    web = {f"{at:06d}{Path(name).suffix}": files[name] for at, name in enumerate(order)}
    web |= {f"{at:06d}.cls": str(label_of(name)).encode() for at, name in enumerate(order)}
    cells, labels = [files[name] for name in order], [label_of(name) for name in order]
    other = tmp_path / "elsewhere"  # another data root: each is decoded anew
    found = {
        "tar": load_tar(other, "train", False, path=tar_of(tmp_path / "pets.tar", files), size=16),
        "shards": load_tar(tmp_path / "b", "train", False, path=tmp_path / "shard-{0..2}.tar", size=16),
        "pattern": load_tar(tmp_path / "c", "train", False, path=tmp_path / "shard-*.tar", size=16),
        "web": load_tar(other, "train", False, path=tar_of(tmp_path / "web.tar", web), size=16),
        "parquet": load_parquet(
            other, "train", False, path=parquet_of(tmp_path / "p.parquet", cells, labels, names), size=16
        ),
        "row groups": load_parquet(
            tmp_path / "d", "train", False, size=16,
            path=parquet_of(tmp_path / "q.parquet", cells, labels, names, row_group_size=7),
        ),
    }  # fmt: skip
    for name, images in found.items():
        assert images.sha256 == expected.sha256, name
        assert torch.equal(images.pixels, expected.pixels), name
        assert images.mapped, name
        assert images.facts is not None
        assert expected.facts is not None
        assert images.facts.broken_count == 1, name
        told = ("images", "smallest", "largest", "transparent", "sixteen_bit", "original_color", "levels")
        assert all(getattr(images.facts, key) == getattr(expected.facts, key) for key in told), name
        if name != "web":  # has numbers alone
            assert images.class_names == expected.class_names, name


@pytest.mark.parametrize("chunks", [None, (7, 16, 20, 3)])
@pytest.mark.parametrize("first", [False, True], ids=["NHWC", "NCHW"])
def test_arrays_in_hdf5_are_the_same_images_as_files(tmp_path: Path, chunks: Any, first: bool) -> None:
    pictures = [picture(i) for i in range(60)]
    made = {f"{i % 3}/{i // 3:02d}.png": encoded(one, "png") for i, one in enumerate(pictures)}
    expected = load_folder(tmp_path, "train", False, path=folder_of(tmp_path / "a", made), size=8, fit="pad")
    order = in_order(made)
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(made[name]))) for name in order])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        shape = None if chunks is None else (7, 3, 16, 20) if first else chunks
        packed = {} if chunks is None else {"chunks": shape, "compression": "gzip"}
        file.create_dataset("images", data=pixels.transpose(0, 3, 1, 2) if first else pixels, **packed)
        file["labels"] = np.array([int(name[0]) for name in order], dtype=np.uint8)
    found = load_hdf5(tmp_path, "train", False, path=tmp_path / "a.h5", size=8, fit="pad")
    assert found.sha256 == expected.sha256
    assert torch.equal(found.pixels, expected.pixels)


def test_hdf5_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole chunks, and no more at a time than they or the bound need; gray stays gray."""
    pixels = np.random.default_rng(0).integers(0, 256, (50, 6, 6), dtype=np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("train/images", data=pixels, chunks=(8, 6, 6), compression="gzip")
        file["train/y"] = np.arange(50)[:, None] % 5
        file["test_images"], file["test_labels"] = pixels[:10], np.arange(10) % 5
    monkeypatch.setattr("ganzoo_hdf5.dataset._BLOCK", 20 * 36)
    slices = []
    real = h5py.Dataset.__getitem__

    def spy(self: Any, key: Any, *more: Any, **options: Any) -> Any:
        if isinstance(key, slice) and key.start is not None:
            slices.append((key.start, key.stop))
        return real(self, key, *more, **options)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", spy)
    where = {"path": tmp_path / "a.h5", "images": "train/images", "image_labels": "train/y"}
    images = load_hdf5(tmp_path, "train", False, **where)
    assert set(slices) == {(0, 16), (16, 32), (32, 48), (48, 64)}
    assert images.shape == (1, 6, 6)
    assert np.array_equal(images.pixels[:, 0].numpy(), pixels)
    assert images.num_classes == 5
    assert len(load_hdf5(tmp_path, "test", False, **where)) == 10


def test_splits_are_found_by_the_names_of_files(tmp_path: Path) -> None:
    both = {f"{name}/{i}.png": encoded(picture(i + len(name)), "png") for name in ("a", "bb") for i in range(20)}
    for split, some in (("train", both), ("test", dict(list(both.items())[15:25]))):
        tar_of(tmp_path / f"{split}-000.tar", some)
        order = in_order(some)
        labels = [int(name[0] == "b") for name in order]
        parquet_of(tmp_path / "data" / f"{split}-00000-of-00001.parquet", [some[n] for n in order], labels, ["a", "bb"])
    tars = load_tar(tmp_path, "test", False, path=tmp_path, size=8)
    rows = load_parquet(tmp_path, "test", False, path=tmp_path / "data", size=8)
    assert tars.sha256 == rows.sha256
    assert (len(tars), tars.num_classes) == (10, 2)
    assert len(load_tar(tmp_path, "train", False, path=tmp_path, size=8)) == 40
    assert len(load_parquet(tmp_path, "train", False, path=tmp_path / "data", size=8)) == 40
    with pytest.raises(NoTestSplit):
        load_parquet(tmp_path, "test", False, path=tmp_path / "data" / "train-00000-of-00001.parquet")
    with pytest.raises(NoTestSplit):
        load_tar(tmp_path, "test", False, path=tmp_path / "train-000.tar")
    paths = [tmp_path / "cifar10-train-1.tar", tmp_path / "cifar10-test-1.tar"]
    assert splits_of(paths, "x") == ([paths[0]], [paths[1]])


def test_shards_may_number_their_images_anew(tmp_path: Path) -> None:
    for shard in range(2):
        some = {f"{i:03d}.png": encoded(picture(10 * shard + i), "png") for i in range(5)}
        tar_of(tmp_path / f"s{shard}.tar", some | {f"{i:03d}.cls": str(i % 2).encode() for i in range(5)})
    images = load_tar(tmp_path, "train", False, path=tmp_path / "s?.tar", size=8)
    assert len(images) == 10
    assert images.labels is not None
    assert images.labels.tolist() == [0, 1, 0, 1, 0] * 2


def test_a_tar_file_is_listed_once(tmp_path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    path = tar_of(tmp_path / "pets.tar", files)
    monkeypatch.setattr("ganzoo_tar.index.RACY_SECONDS", -60)  # written a moment ago: not to be trusted otherwise
    monkeypatch.setattr("ganzoo.data.contents.RACY_SECONDS", -60)
    before = load_tar(tmp_path, "train", False, path=path, size=8)
    with monkeypatch.context() as patched:
        patched.setattr(tarfile, "open", lambda *a, **k: pytest.fail("listed again"))
        patched.setattr(tar_module.TarMembers, "get", lambda *a: pytest.fail("read again"))
        assert load_tar(tmp_path, "train", False, path=path, size=8).sha256 == before.sha256
    tar_of(path, {name: files[name] for name in list(files)[:60] if name != "dog/001.png"})
    assert len(load_tar(tmp_path, "train", False, path=path, size=8)) == 59


def test_hard_links_and_later_copies_are_what_unpacking_gives(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, seed in (("1.png", 1), ("2.png", 2), ("1.png", 3)):
            content = encoded(picture(seed), "png")
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("3.png")
        link.type, link.linkname = tarfile.LNKTYPE, "./2.png"
        archive.addfile(link)
    images = load_tar(tmp_path, "train", False, path=tmp_path / "a.tar", size=16)
    expected = [np.asarray(picture(seed).crop((2, 0, 18, 16))) for seed in (3, 2, 2)]
    assert np.array_equal(images.pixels.numpy().transpose(0, 2, 3, 1), np.stack(expected))


def tar_faults(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    some = {f"{i}.png": encoded(picture(i), "png") for i in range(8)}
    whole = tar_of(tmp_path / "whole.tar", some).read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "zip.tar.gz").write_bytes(gzip.compress(whole))
    (tmp_path / "text.tar").write_text("not a tar file " * 100)
    (tmp_path / "empty.tar").write_bytes(b"")
    tar_of(tmp_path / "notes.tar", {"notes.txt": b"none"})
    tar_of(tmp_path / "odd.tar", some | {f"{i}.cls": b"1" for i in range(7)})
    tar_of(tmp_path / "word.tar", some | {f"{i}.cls": b"cat" for i in range(8)})
    return {
        "cut": (tmp_path / "cut.tar", "damaged or cut short"),
        "compressed": (tmp_path / "zip.tar.gz", "is compressed"),
        "text": (tmp_path / "text.tar", "is no tar file"),
        "empty": (tmp_path / "empty.tar", "no tar file|has no files|no images"),
        "no images": (tmp_path / "notes.tar", "has no images, only other files such as notes.txt"),
        "absent": (tmp_path / "none.tar", "does not exist"),
        "no match": (tmp_path / "none-*.tar", "no file matches"),
        "range": (tmp_path / "whole-{00..11}.tar", "one of 12 files"),
        "backward": (tmp_path / "whole-{3..1}.tar", "range of 0 files"),
        "unlabelled": (tmp_path / "odd.tar", "beside some images, and none beside 7.png"),
        "label": (tmp_path / "word.tar", "no number of a class"),
    }


FAULTS = ("cut", "compressed", "text", "empty", "no images", "absent", "no match", "range", "backward", "unlabelled",
          "label")  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_tar_files(tmp_path: Path, fault: str) -> None:
    path, cause = tar_faults(tmp_path)[fault]
    with pytest.raises(DataError, match=cause) as caught:
        load_tar(tmp_path / "root", "train", False, path=path, size=8)
    assert caught.value.cure


@pytest.mark.parametrize(
    ("columns", "settings", "cause"),
    [
        ({"img": "image", "label": [0, 1]}, {}, r"no column image \(found: img, label\)"),
        ({"image": ["a", "b"], "label": [0, 1]}, {}, "holds string in place of encoded images"),
        ({"image": "image", "label": ["a", "b"]}, {}, "holds string in place of whole numbers"),
        ({"image": "image", "label": [0, None]}, {}, "no value in 1 rows"),
        ({"image": "image", "label": [0, -1]}, {}, "the label -1, which is none"),
        ({"image": "image", "label": [0, 7]}, {}, "labels up to 7 for 2 images"),
        ({"image": "image"}, {"label": "kind"}, "no column kind"),
        ({"image": []}, {}, "holds null in place|has no rows"),
    ],
)
def test_faults_of_parquet_files(tmp_path: Path, columns: dict[str, Any], settings: Any, cause: str) -> None:
    cells = [{"bytes": encoded(picture(i), "png"), "path": None} for i in range(2)]
    table = {name: cells if column == "image" else column for name, column in columns.items()}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=cause) as caught:
        load_parquet(tmp_path, "train", False, path=tmp_path / "a.parquet", size=8, **settings)
    assert caught.value.cure


def test_more_faults_of_parquet_files(tmp_path: Path) -> None:
    cells = [encoded(picture(i), "png") for i in range(4)]
    path = parquet_of(tmp_path / "a.parquet", cells, [0, 1, 2, 3], ["a", "b", "c"])
    with pytest.raises(DataError, match="the label 3, which is none of 3 names"):
        load_parquet(tmp_path, "train", False, path=path, size=8)
    assert load_parquet(tmp_path, "train", False, path=path, size=8, labels=False).labels is None
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="no readable Parquet file"):
        load_parquet(tmp_path, "train", False, path=path, size=8)
    parquet_of(path, cells, [0, 1, 2, 0], ["a", "b", "c", "d"])
    with pytest.raises(DataError, match=r"class d of .*no image that can be read"):
        load_parquet(tmp_path, "train", False, path=path, size=8)
    pq.write_table(pa.table({"image": [{"bytes": cells[0], "path": "y"}, {"bytes": None, "path": "x.png"}]}), path)
    with pytest.raises(DataError, match=r"broken: a\.parquet/1 .*no bytes, only the path 'x\.png'"):
        load_parquet(tmp_path, "train", False, path=path, size=8)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no \.parquet file"):
        load_parquet(tmp_path, "train", False, path=tmp_path / "empty", size=8)


def test_faults_of_hdf5_files(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)

    def refused(cause: str, arrays: dict[str, Any], **settings: Any) -> None:
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file[name] = values
        with pytest.raises(DataError, match=cause) as caught:
            load_hdf5(tmp_path, "train", False, path=path, **settings)
        assert caught.value.cure

    refused(r"no array named images \(found: x/pixels\)", {"x/pixels": pixels})
    refused("float32 instead of uint8", {"images": pixels.astype(np.float32)})
    refused(r"has shape \[6, 8, 8, 2\]", {"images": pixels[..., :2]})
    refused(r"has shape \[0, 8, 8, 3\]", {"images": pixels[:0]})
    refused("has 5 labels for 6 images", {"images": pixels, "labels": [0, 1, 0, 1, 0]})
    refused("negative label -1", {"images": pixels, "labels": [0, 1, 0, 1, 0, -1]})
    refused("labels up to 9 for 6 images", {"images": pixels, "labels": [0, 1, 0, 1, 0, 9]})
    refused("labels is float64", {"images": pixels, "labels": [0.5] * 6})
    refused("no array kinds", {"images": pixels}, image_labels="kinds")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="no readable HDF5 file"):
        load_hdf5(tmp_path, "train", False, path=path)
    with pytest.raises(DataError, match="does not exist"):
        load_hdf5(tmp_path, "train", False, path=tmp_path / "none.h5")
    with h5py.File(path, "w") as file:
        file["images"] = pixels
    with pytest.raises(NoTestSplit):
        load_hdf5(tmp_path, "test", False, path=path)


@pytest.mark.parametrize(
    ("name", "module", "load"), [("parquet", "pyarrow", load_parquet), ("hdf5", "h5py", load_hdf5)]
)
def test_a_missing_library_is_said_with_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str, load: Load
) -> None:
    (tmp_path / "a").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=f"{module}, which reads") as caught:
        load(tmp_path, "train", False, path=tmp_path / "a")
    assert caught.value.cure == f"pip install 'ganzoo[{name}]'"


def test_a_row_group_is_never_read_whole(tmp_path: Path) -> None:
    """Of 80 MB in one row group, what Arrow holds at a time is a page or two, of 1,024 rows as it writes them."""
    content = np.random.default_rng(0).bytes(10_000 * 8192)
    cells = [content[at : at + 8192] for at in range(0, len(content), 8192)]
    path = parquet_of(tmp_path / "a.parquet", cells, None, row_group_size=10_000)
    before, most, read = pa.total_allocated_bytes(), 0, 0
    for batch in Rows(_Table.of([path], "image")).batches(32):
        most = max(most, pa.total_allocated_bytes() - before)
        read += sum(len(content()) for content in batch)
    assert read == 10_000 * 8192
    assert 0 < most < 30 * 2**20


def test_files_at(tmp_path: Path) -> None:
    for name in ("a-01.tar", "a-02.tar", "b/c-10.tar", ".hidden.tar", "note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [file.name for file in files_at(tmp_path, ".tar")] == ["a-01.tar", "a-02.tar", "c-10.tar"]
    assert [file.name for file in files_at(tmp_path / "a-{01..02}.tar", ".tar")] == ["a-01.tar", "a-02.tar"]


@pytest.mark.parametrize("name", ["tar", "parquet", "hdf5"])
def test_they_are_datasets_of_the_zoo(tmp_path: Path, name: str) -> None:
    from ganzoo.zoo.registry import Registry

    spec = Registry.load().dataset(name)
    assert spec.takes_path
    with pytest.raises(DataError, match="does not exist"):
        load_dataset(spec.load(), root=tmp_path, split="train", path=tmp_path / "absent")
