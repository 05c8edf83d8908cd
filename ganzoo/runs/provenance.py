"""Who started a run, when, where and how: for the people who find it later, and no part of what it is. Torch-free."""

from __future__ import annotations

import contextlib
import datetime
import getpass
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

COMMIT = "GANZOO_COMMIT"
"""Environment variable: what `commit` says where there is no checkout, as JSON."""

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


def commit() -> dict[str, Any] | None:
    """Of the checkout ganzoo is run from: "commit", its hash, and "dirty", whether files that git knows are others now.
    None when it is installed as a wheel or git is missing; where the code was brought from another machine, that one's.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        with contextlib.suppress(KeyError, ValueError):
            told = json.loads(os.environ[COMMIT])
            return told if isinstance(told, dict) else None
        return None
    try:
        found = output_of("git", "-C", str(root), "rev-parse", "HEAD")
        # Files that git does not know are left out: results and reports lie there too.
        changed = output_of("git", "-C", str(root), "status", "--porcelain", "--untracked-files=no")
        return {"commit": found, "dirty": bool(changed)}
    except (OSError, subprocess.SubprocessError):
        return None


def output_of(*command: str) -> str:
    """What a program says. Raises OSError or SubprocessError where it is missing, fails, or takes long."""
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True, env=environment)
    return done.stdout.strip()


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container whose user has no name
        return None
