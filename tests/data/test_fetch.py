"""Downloads from a server on this machine: what is got, checked, unpacked, asked of mirrors, and refused."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pooch
import pytest
import torch
import torchvision
from commands import GanZoo

from ganzoo.data import downloads, fetch
from ganzoo.data.downloads import DOWNLOADS, Download, missing
from ganzoo.data.fetch import fetch_files, load_or_fetch
from ganzoo.errors import DataError, UnknownName
from ganzoo.runs.fetching import fetch as fetch_name
from ganzoo.zoo.registry import Registry

FILE, OTHER = b"twelve bytes", b"twelve other"


class Handler(SimpleHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        if self.server.cut:  # type: ignore[attr-defined]
            self.server.cut -= 1  # type: ignore[attr-defined]
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"half of")
            self.close_connection = True
            return
        super().do_GET()

    def log_message(self, *arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    asked: list[str]
    cut = 0  # requests that are answered with half of what was promised
    url = ""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Of the folder "served"."""
    (tmp_path / "served").mkdir()
    with Server(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "served"))) as server:
        server.asked, server.url = [], f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture
def thing(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Download:
    """ "thing" is one file, published under /official/a.bin and mirrored under /mirror/thing/a.bin."""
    for variable in ("GANZOO_MIRROR", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    for folder in ("official", "mirror/thing"):
        (tmp_path / "served" / folder).mkdir(parents=True)
        (tmp_path / "served" / folder / "a.bin").write_bytes(FILE)
    made = Download(path="thing/a.bin", urls=(f"{server.url}/official/a.bin",), digest=digest(FILE))
    monkeypatch.setattr(fetch, "DOWNLOADS", {"thing": (made,)})
    monkeypatch.setattr(downloads, "DOWNLOADS", {"thing": (made,)})
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between retries
    return made


def test_it_is_got_once(thing: Download, server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    level = pooch.get_logger().level
    assert fetch_files("thing", tmp_path / "root") == [tmp_path / "root" / "thing" / "a.bin"]
    assert (tmp_path / "root" / "thing" / "a.bin").read_bytes() == FILE
    assert fetch_files("thing", tmp_path / "root") == []
    assert server.asked == ["/official/a.bin"]
    (tmp_path / "plain").touch()
    assert (tmp_path / "root" / "thing" / "a.bin").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert capfd.readouterr() == ("", "")  # pooch is not heard
    assert pooch.get_logger().level == level


def test_a_connection_that_breaks_is_tried_again(thing: Download, server: Server, tmp_path: Path) -> None:
    server.cut = fetch.RETRIES
    fetch_files("thing", tmp_path / "root")
    assert (tmp_path / "root" / "thing" / "a.bin").read_bytes() == FILE
    server.cut = fetch.RETRIES + 1
    with pytest.raises(DataError, match=r"cannot download thing: http.*a.bin: "):
        fetch_files("thing", tmp_path / "other")
    assert [path for path in (tmp_path / "other").rglob("*") if path.is_file() and path.name != ".thing.lock"] == []


def test_something_else_is_not_taken(thing: Download, tmp_path: Path) -> None:
    (tmp_path / "served" / "official" / "a.bin").write_bytes(OTHER)
    with pytest.raises(DataError, match="its digest is not that of the published file") as caught:
        fetch_files("thing", tmp_path / "root")
    assert "GANZOO_MIRROR=URL" in caught.value.cure
    assert not (tmp_path / "root" / "thing" / "a.bin").exists()


def test_a_mirror_is_asked_first_and_alone(
    thing: Download, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANZOO_MIRROR", f"{server.url}/mirror/")
    fetch_files("thing", tmp_path / "root")
    assert server.asked == ["/mirror/thing/a.bin"]


def test_a_mirror_that_lacks_it_is_said(thing: Download, server: Server, tmp_path: Path) -> None:
    lines: list[str] = []
    fetch_files("thing", tmp_path / "root", mirror=f"{server.url}/none", note=lines.append)
    assert lines == [f"{server.url}/none/thing/a.bin: the server says 404 File not found; asking the next source"]
    assert (tmp_path / "root" / "thing" / "a.bin").read_bytes() == FILE


@pytest.mark.parametrize("mirror", ["nonsense", "ftps://x", "http://127.0.0.1:1"])
def test_a_mirror_that_is_none(thing: Download, tmp_path: Path, mirror: str) -> None:
    lines: list[str] = []
    fetch_files("thing", tmp_path / "root", mirror=mirror, note=lines.append)
    assert len(lines) == 1
    assert "\n" not in lines[0]
    assert "Pool(" not in lines[0]
    assert ("Connection refused" in lines[0]) == (mirror == "http://127.0.0.1:1")


def test_archives_are_unpacked_as_a_whole(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        header = tarfile.TarInfo("set/data")
        header.size = len(FILE)
        archive.addfile(header, io.BytesIO(FILE))
    (tmp_path / "served" / "set.tar.gz").write_bytes(packed.getvalue())
    one = Download(
        path="set.tar.gz", urls=(f"{server.url}/set.tar.gz",), digest=digest(packed.getvalue()), folder="set"
    )
    for module in (fetch, downloads):
        monkeypatch.setattr(module, "DOWNLOADS", {"set": (one,)})
    root = tmp_path / "root"
    fetch_files("set", root)
    assert (root / "set" / "data").read_bytes() == FILE
    assert missing("set", root) == []
    (root / "set" / "data").write_bytes(b"damaged")
    fetch_files("set", root, again=True)  # by who has found it damaged
    assert (root / "set" / "data").read_bytes() == FILE
    assert server.asked == ["/set.tar.gz"]
    assert sorted(path.name for path in root.iterdir()) == [".set.lock", "set", "set.tar.gz"]


def test_the_table_is_torchvisions_and_torch_fidelitys() -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    sets = torchvision.datasets
    for name, kind in (("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST"), ("kmnist", "KMNIST")):
        ours = {Path(one.path).name: one.digest.removeprefix("md5:") for one in DOWNLOADS[name]}
        assert ours == dict(getattr(sets, kind).resources)
        for mirror in getattr(sets, kind).mirrors:
            assert mirror in {url.rpartition("/")[0] + "/" for one in DOWNLOADS[name] for url in one.urls}
    for name, kind in (("cifar10", "CIFAR10"), ("cifar100", "CIFAR100"), ("stl10", "STL10")):
        [one], theirs = DOWNLOADS[name], getattr(sets, kind)
        assert (one.urls, one.digest, one.folder, one.path) == (
            (theirs.url,), f"md5:{theirs.tgz_md5}", theirs.base_folder, theirs.filename,
        )  # fmt: skip
    for one, split in zip(DOWNLOADS["svhn"], ("train", "test"), strict=True):
        url, file, md5 = sets.SVHN.split_list[split]
        assert (one.urls, one.path, one.digest) == ((url,), f"svhn/{file}", f"md5:{md5}")
    assert DOWNLOADS["inception"][0].urls == (URL_INCEPTION_V3,)
    assert set(DOWNLOADS) <= {spec.name for kind in ("datasets", "features") for spec in Registry.load().all(kind)}


def test_what_has_no_files_of_its_own(registry: Registry, tmp_path: Path) -> None:
    assert fetch_name(registry, "digits", tmp_path).places == ()
    with pytest.raises(DataError, match="folder is of your own images"):
        fetch_name(registry, "folder", tmp_path)
    with pytest.raises(UnknownName, match="unknown dataset or feature network 'mnits'") as caught:
        fetch_name(registry, "mnits", tmp_path)
    assert "mnist" in caught.value.cure


PLUGIN = """
from ganzoo import Features, hookimpl
GANZOO_API = 2
@hookimpl
def register_features():
    return [Features(name="mine", target=mine, dim=1)]
def mine(device, root=None):
    (root / "weights").mkdir(parents=True)
    (root / "weights" / "mine.bin").write_bytes(b"x")
    return lambda pixels: {"pool": pixels[:, 0, 0, :1].float()}
"""


def test_the_command(ganzoo: GanZoo, tmp_path: Path, server: Server) -> None:
    root, mirror = tmp_path / "root", f"{server.url}"
    (tmp_path / "mine.py").write_text(PLUGIN)
    done = ganzoo("fetch", "mine", "--plugin", "mine.py", "--data-root", root)
    assert done.stdout == "mine: ready\n"
    assert (root / "weights" / "mine.bin").exists()
    (root / "mnist").mkdir()
    for one in DOWNLOADS["mnist"]:
        (root / one.path).write_bytes(b"")
    told = json.loads(ganzoo("fetch", "--data-root", root, "--json").stdout)
    assert told["mnist"] == sorted(str(root / one.path) for one in DOWNLOADS["mnist"])
    assert told["inception"] == []
    done = ganzoo("fetch", "nobody", "mnist", "--data-root", root, "--mirror", mirror, code=2)
    assert done.stdout == f"mnist: was there: {root / 'mnist'}\n"
    assert done.stderr.startswith("error: unknown dataset or feature network 'nobody'\n  try: ")
    assert server.asked == []


def test_weights_are_kept_in_the_data_root(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ganzoo.scoring.declared import load_features

    seen = []
    monkeypatch.setattr(
        "ganzoo.features.inception.inception_v3", lambda device, *, weights=None, root=None: seen.append(root) or len
    )
    load_features(registry, registry.features("inception"), torch.device("cpu"), {"weights": None}, tmp_path)
    assert seen == [tmp_path]


def test_a_data_root_that_takes_no_files_is_what_is_said(thing: Download, tmp_path: Path) -> None:
    """Running as root, as in a container, a folder's permissions stop nobody; a file in its place does."""
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "root"
    for get in (
        lambda: fetch_files("thing", place),
        lambda: load_or_fetch("thing", lambda: (place / "a").read_bytes(), root=place, download=True, files="a.bin"),
    ):
        with pytest.raises(DataError, match=r"^thing cannot be put into .*root: .*Not a directory") as caught:
            get()
        assert caught.value.cure == "choose another --data-root"
