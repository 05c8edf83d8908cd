"""Where datasets and caches lie."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from ganzoo.config import places
from ganzoo.config.places import as_source, cache_root
from ganzoo.errors import SettingError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("GANZOO_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_systems_own_place(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "elsewhere"))
    assert cache_root() == home / "elsewhere" / "ganzoo"


def test_what_earlier_versions_kept_is_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *names, **more: home / "Library" / "Caches" / "ganzoo")
    assert cache_root() == home / "Library" / "Caches" / "ganzoo"
    (home / ".cache" / "ganzoo").mkdir(parents=True)
    assert cache_root() == home / ".cache" / "ganzoo"
    (home / "Library" / "Caches" / "ganzoo").mkdir(parents=True)  # begun anew: it stays
    assert cache_root() == home / "Library" / "Caches" / "ganzoo"


def test_what_is_said_counts_most(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANZOO_DATA", "~/data")
    assert cache_root() == home / "data"
    assert cache_root(home / "other") == home / "other"
    assert places.OLD_CACHE.expanduser().is_relative_to(home)


def test_a_source_stays_as_it_was_written() -> None:
    assert as_source("images/", "source") == "images/"  # a folder, also where there is none
    assert as_source("./gan", "source") == "./gan"
    assert as_source(Path("runs") / "gan", "source") == "runs/gan"
    assert as_source("", "source") == "."
    with pytest.raises(SettingError, match="source is 3, no path"):
        as_source(3, "source")
