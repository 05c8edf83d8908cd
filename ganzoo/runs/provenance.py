"""Who started a run, when, where and how: for the people who find it later, and no part of what it is. Torch-free."""

from __future__ import annotations

import datetime
import getpass
import os
import platform
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ANONYMOUS = "GANZOO_ANONYMOUS"
"""Environment variable; where it says anything but 0, neither host, user nor command line is recorded."""


def provenance(before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """JSON-ready: "began", the run's first start, "started", this one's (UTC, ISO 8601), "host", "user" and "command".

    `before`: what an earlier start of the same run recorded; None: there was none.
    """
    now = utc_now()
    began = (before or {}).get("began")
    times = {"began": began if isinstance(began, str) else now, "started": now}
    if os.environ.get(ANONYMOUS, "0") not in ("", "0"):
        return times
    return times | {"host": platform.node() or None, "user": _user(), "command": command_line()}


def utc_now() -> str:
    """ "2026-05-01T12:00:00Z"."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def command_line() -> str:
    """That started the process, as a shell takes it: "ganzoo train dcgan --kimg 8"."""
    program, *arguments = sys.argv or [""]
    name = Path(program).name
    words = ["python", "-m", "ganzoo"] if name == "__main__.py" else [name or "python"]
    return shlex.join([*words, *arguments]).encode(errors="replace").decode()


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container whose user has no name
        return None
