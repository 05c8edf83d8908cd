"""`ganzoo check`: what a plugin promises, tried on a small scale. Needs no display."""

from __future__ import annotations

from ganzoo.doctor.contract.findings import CheckFailed, Finding, Report, Verdict
from ganzoo.doctor.contract.run import check

__all__ = ["CheckFailed", "Finding", "Report", "Verdict", "check"]
