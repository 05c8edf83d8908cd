"""What this machine is, and what it lends the process: psutil's answers, and processors' names."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
from pathlib import Path

GROUP = Path("/sys/fs/cgroup")
"""Of a container on Linux: what it is lent of the machine."""


def usable_cores() -> int:
    """Processors that this process may use, as many as a container's quota pays for."""
    import psutil

    try:
        count = len(psutil.Process().cpu_affinity())
    except (AttributeError, psutil.Error):  # macOS has no such thing
        count = os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):  # no container, or "max"
        quota, period = (GROUP / "cpu.max").read_text(encoding="ascii").split()  # microseconds of time, and in how many
        count = min(count, max(1, int(quota) // int(period)))
    return count


def whole_cores() -> int:
    """As `usable_cores`, but counting processors that share a core's arithmetic once."""
    import psutil

    return min(usable_cores(), psutil.cpu_count(logical=False) or usable_cores())


def threads_said() -> int | None:
    """What OMP_NUM_THREADS says, of its first level; None where it is not set, or says nothing that OpenMP takes."""
    said = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(said) or None if said.isdecimal() else None


def threads_spin() -> bool:
    """Whether somebody has said that OpenMP's threads spin while they wait, which who has the machine alone does.
    libgomp obeys a number of turns first.
    """
    said = os.environ.get("OMP_WAIT_POLICY", "").strip().lower() == "active"
    return said and os.environ.get("GOMP_SPINCOUNT", "").strip() != "0"


def total_memory() -> int:
    """Bytes of main memory."""
    import psutil

    return int(psutil.virtual_memory().total)


def available_memory() -> int:
    """Bytes of main memory that programs can be given now, without swapping, as many as a container's limit leaves."""
    import psutil

    free = int(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError, KeyError):  # no container, or "max"
        limit, used, told = (
            (GROUP / f"memory.{name}").read_text(encoding="ascii") for name in ("max", "current", "stat")
        )
        idle = int(dict(line.split() for line in told.splitlines())["inactive_file"])  # a cache, as Docker counts it
        free = min(free, max(0, int(limit) - int(used) + idle))
    return free


def peak_resident() -> int:
    """The most main memory that this process has had since it began, or since Linux was told to count anew, in bytes;
    0 where the system does not say.
    """
    peak = linux_status("VmHWM")
    if peak is not None:
        return peak
    import psutil

    memory = psutil.Process().memory_info()
    if hasattr(memory, "peak_wset"):  # Windows
        return int(memory.peak_wset)
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def linux_status(name: str) -> int | None:
    """A line of Linux's account of this process, in bytes: psutil knows neither the peak nor what is no file."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024  # given in kB
    return None


def cpu_name() -> str:
    """ "Intel(R) Xeon(R) Platinum 8488C", or as much as the system says."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        name = _cpu_name(sys.platform)
        if name:
            return name
    return platform.processor() or platform.machine()


def _cpu_name(system: str) -> str:
    """What psutil does not know, from where each system keeps it; "" where it does not."""
    if system == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    if system == "win32":
        import winreg

        key = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as opened:  # type: ignore[attr-defined,unused-ignore]
            return str(winreg.QueryValueEx(opened, "ProcessorNameString")[0]).strip()  # type: ignore[attr-defined,unused-ignore]
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return ""
