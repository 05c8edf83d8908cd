"""What the machine says of itself, held to what Linux says elsewhere, and to other systems' answers."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from ganzoo.files import machine

linux = pytest.mark.skipif(sys.platform != "linux", reason="compares with /proc")


@linux
def test_memory_and_cores() -> None:
    assert machine.total_memory() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < machine.available_memory() <= machine.total_memory()
    assert machine.usable_cores() == len(os.sched_getaffinity(0))


@linux
def test_the_peak_is_what_was_once_taken() -> None:
    before = psutil.Process().memory_info().rss
    taken = bytearray(os.urandom(1)) * (before + 64 * 2**20)
    del taken
    assert machine.peak_resident() > before + 64 * 2**20


def test_windows_tells_its_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    class Process:
        def memory_info(self) -> SimpleNamespace:
            return SimpleNamespace(rss=5, peak_wset=12345)

    monkeypatch.setattr(machine, "linux_status", lambda name: None)
    monkeypatch.setattr(psutil, "Process", Process)
    assert machine.peak_resident() == 12345


def test_a_system_that_counts_no_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "Process", lambda: SimpleNamespace())
    assert machine.usable_cores() == os.cpu_count()


@linux
@pytest.mark.parametrize(
    ("told", "count"),
    [
        *[("150000 100000", 1), ("200000 100000", 2), ("50000 100000", 1), ("0 100000", 1)],
        *[("max 100000", 4), ("", 4), ("100000 0", 4), ("two cores", 4)],
    ],
)
def test_a_container_has_the_processors_it_pays_for(
    told: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(told)
    monkeypatch.setattr(machine, "GROUP", tmp_path)
    monkeypatch.setattr(psutil.Process, "cpu_affinity", lambda self: [0, 1, 2, 3])
    assert machine.usable_cores() == count


@pytest.mark.parametrize(("physical", "count"), [(2, 2), (8, 4), (None, 4)])
def test_processors_of_one_core_count_once(physical: int | None, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: 4)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: physical)
    assert machine.whole_cores() == count


@linux
@pytest.mark.parametrize(
    ("limit", "stat", "free"),
    [
        ("3000", "anon 1200\ninactive_file 500\n", 1500),  # what lies in a cache is given back
        ("1000", "inactive_file 0\n", 0),
        ("9000", "inactive_file 0\n", 5000),  # the machine has no more
        *[("max", "inactive_file 0\n", 5000), ("3000", "", 5000), ("3000", "inactive_file\n", 5000)],
    ],
)
def test_a_container_has_the_memory_it_is_lent(
    limit: str, stat: str, free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {"max": limit, "current": "2000", "stat": stat}.items():
        (tmp_path / f"memory.{name}").write_text(text)
    monkeypatch.setattr(machine, "GROUP", tmp_path)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=5000))
    assert machine.available_memory() == free


@pytest.mark.parametrize(
    ("said", "count"),
    [("3", 3), (" 3 ", 3), ("4,2", 4), *[(text, None) for text in ("", "0", "abc", "-1", ",2", "1.5", "²")]],
)
def test_how_many_threads_have_been_asked_for(said: str, count: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert machine.threads_said() == count
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert machine.threads_said() is None


@linux
def test_the_processors_name() -> None:
    told = Path("/proc/cpuinfo").read_text()
    if "model name" not in told:
        pytest.skip("this processor's name is not among what Linux says")
    assert machine.cpu_name() in told
