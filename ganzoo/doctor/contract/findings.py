"""What a check came to, and how an author's exception is told."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

import ganzoo
from ganzoo.errors import UserError

LONGEST_LINE = 80
"""Letters of an author's code that are shown."""

OK, WARNING, FAILED, SKIPPED = "ok", "warning", "FAILED", "skipped"


@dataclass(frozen=True, kw_only=True)
class Finding:
    check: str  # a word or two
    status: str  # OK, WARNING, FAILED or SKIPPED
    found: str = ""  # one line
    cure: str = ""  # one line; "" where there is nothing to mend


def ok(check: str, found: str = "") -> Finding:
    return Finding(check=check, status=OK, found=found)


def warning(check: str, found: str, cure: str) -> Finding:
    return Finding(check=check, status=WARNING, found=found, cure=cure)


def failed(check: str, found: str, cure: str) -> Finding:
    return Finding(check=check, status=FAILED, found=found, cure=cure)


def skipped(check: str, found: str) -> Finding:
    return Finding(check=check, status=SKIPPED, found=found)


Findings = Iterable[Finding]


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that was checked of one name of one kind."""

    kind: str  # a key of `ganzoo.zoo.specs.KINDS`
    name: str
    plugin: str  # its name and where it is from
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return not any(finding.status == FAILED for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "kind": self.kind,
            "name": self.name,
            "plugin": self.plugin,
            "ok": self.ok,
            "findings": [asdict(finding) for finding in self.findings],
        }

    def lines(self) -> Iterator[str]:
        """A table: a line for each check, and its cure below it."""
        kind = "feature network" if self.kind == "features" else self.kind[:-1]
        yield f"{kind} '{self.name}', of register_{self.kind} in plugin {self.plugin}"
        width = max((len(finding.check) for finding in self.findings), default=0)
        for finding in self.findings:
            yield f"  {finding.check:<{width}}  {finding.status:<7}  {finding.found}".rstrip()
            if finding.cure:
                yield f"  {'':<{width}}  {'':<7}  -> {finding.cure}"


class CheckFailed(AssertionError):
    """What `Verdict.raise_if_failed` raises; its text is the table."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Verdict:
    """Of everything that has the name, whatever its kind. Its text is the table."""

    reports: tuple[Report, ...]

    @property
    def ok(self) -> bool:
        """Whether no check has failed. Warnings are none."""
        return all(report.ok for report in self.reports)

    @property
    def failures(self) -> list[Finding]:
        return [one for report in self.reports for one in report.findings if one.status == FAILED]

    def lines(self) -> list[str]:
        return [line for report in self.reports for line in report.lines()]

    def summary(self) -> str:
        """ "2 of 15 checks failed, 1 warning"."""
        findings = [finding for report in self.reports for finding in report.findings]
        warned = sum(one.status == WARNING for one in findings)
        said = f"{len(self.failures)} of {len(findings)} checks failed" if self.failures else "all is well"
        return said + (f", {warned} warning{'s' if warned > 1 else ''}" if warned else "")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"ok": self.ok, "reports": [report.to_dict() for report in self.reports]}

    def __str__(self) -> str:
        return "\n".join((*self.lines(), "", self.summary()))

    __repr__ = __str__

    def raise_if_failed(self) -> None:
        """
        Raises:
            CheckFailed: a check has failed. Warnings are none.
        """
        if not self.ok:
            raise CheckFailed(f"\n{self}")


def without_repetitions(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """One mistake may end several checks: it is told once."""
    first: dict[str, Finding] = {}
    return tuple(one for one in findings if one.status != FAILED or first.setdefault(one.found, one) is one)


def guarded(check: str, work: Callable[[], Findings], cure: str = "mend the line named") -> Iterator[Finding]:
    """What `work` finds; whatever it raises is a finding, too, with the author's line."""
    try:
        yield from work()
    except UserError as error:
        yield failed(check, getattr(error, "found", "") or error.cause, error.cure)  # the table's head says whose it is
    except Exception as error:
        if isinstance(error, KeyError) and "what the network returns" in str(error):
            cure = "return it, and name it in gives; what asks for it, a regularizer or an objective, names it in needs"
        yield failed(check, told(error), cure)


def told(error: BaseException) -> str:
    """In a line, with the last of the author's own lines that led to it."""
    text = (str(error).strip().splitlines() or ["without a message"])[0]
    said = f"{type(error).__name__}: {text}"
    notes = [note for note in getattr(error, "__notes__", ()) if not note.startswith("ganzoo: ")]  # of the engine
    where = ", ".join(filter(None, (_authors_line(error), *notes)))
    return f"{said} ({where})" if where else said


def shortened(text: str) -> str:
    return text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]} ..."


def _authors_line(error: BaseException) -> str:
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_ours(frame.filename)]
    if not own:
        return ""
    frame = own[-1]
    line = f": {shortened(frame.line)}" if frame.line else ""
    return f"{Path(frame.filename).name}, line {frame.lineno}{line}"


_OURS = tuple(
    str(folder) + "/"
    for folder in (
        Path(ganzoo.__file__).resolve().parent,
        Path(torch.__file__).resolve().parent,
    )
)
_STANDARD = str(Path(sysconfig.get_paths()["stdlib"]).resolve()) + "/"


def _is_ours(file: str) -> bool:
    """Whether it is of ganzoo, torch or Python itself."""
    if file.startswith("<"):
        return True
    path = str(Path(file).resolve())
    return path.startswith(_OURS) or (path.startswith(_STANDARD) and "site-packages" not in path)
