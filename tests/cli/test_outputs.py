"""What `--out` may not be: each command that writes says so before it works, and leaves what is there alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from ganzoo.cli.main import cli
from ganzoo.errors import SettingError, UserError
from ganzoo.files.writing import write_bytes

FILES = {
    "film": (["film", "nowhere"], "x.webp"),
    "compare": (["compare", "nowhere", "nowhere"], "x.png"),
    "stats": (["stats", "digits"], "x.npz"),
    "report": (["report", "nowhere"], "x.html"),
}
FOLDERS = {"plot": (["plot", "nowhere"], "--out"), "report": (["report", "nowhere"], "--site")}


@pytest.fixture(autouse=True)
def no_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def work(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("it is refused first")

    monkeypatch.chdir(tmp_path)
    for name in ("ganzoo.scoring.images.load_images", "ganzoo.runs.filming.tracks_of"):
        monkeypatch.setattr(name, work)


def refused(words: list[str]) -> SettingError:
    with pytest.raises(SettingError) as caught:
        cli.main(words, standalone_mode=False)
    return caught.value


@pytest.mark.parametrize("command", FILES)
def test_a_folder_is_no_file(command: str, tmp_path: Path) -> None:
    words, name = FILES[command]
    (tmp_path / name).mkdir()
    error = refused([*words, "--out", name])
    assert error.cause == f"one file is written, and {name} is a folder"
    assert error.cure.startswith(f"say --out {name}{os.sep}")
    assert error.cure.endswith(Path(name).suffix)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such files")
@pytest.mark.parametrize("command", FILES)
def test_pipes_and_devices_are_not_replaced(command: str, tmp_path: Path) -> None:
    words, name = FILES[command]
    os.mkfifo(tmp_path / f"pipe{name}")
    (tmp_path / f"null{name}").symlink_to("/dev/null")
    for place in (f"pipe{name}", f"null{name}"):
        assert refused([*words, "--out", place]).cause == f"{place} is no plain file"
    assert stat.S_ISFIFO(os.stat(f"pipe{name}").st_mode)
    assert os.readlink(f"null{name}") == "/dev/null"
    for place in (Path("/dev/null"), tmp_path / f"pipe{name}"):
        with pytest.raises(UserError, match="is no plain file"):  # whoever writes
            write_bytes(place, b"x")
    assert stat.S_ISFIFO(os.stat(f"pipe{name}").st_mode)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize("command", FOLDERS)
def test_a_file_is_no_folder(command: str, tmp_path: Path) -> None:
    words, option = FOLDERS[command]
    (tmp_path / "x").write_text("mine")
    error = refused([*words, option, "x"])
    assert error.cause == "a folder is written, and x is none"
    assert option in error.cure
    if os.name == "posix":
        assert refused([*words, option, os.devnull]).cause == f"a folder is written, and {os.devnull} is none"
    assert (tmp_path / "x").read_text() == "mine"
