"""What is told of runs, as plain data: a stream of events, from the engine and from all that takes a while, for whoever
listens: `ganzoo.train(..., listen=print)`. Torch-free; docs/python.md lists them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from ganzoo.files.progress import Event, Listen, Note, Working, listening, note, tell, working

__all__ = [
    "EVENTS",
    "SCHEMA",
    "Diagnosed",
    "Ended",
    "Event",
    "Failed",
    "Finished",
    "Interrupted",
    "Listen",
    "Note",
    "Picture",
    "Planned",
    "Resumed",
    "Scored",
    "Started",
    "Tick",
    "Working",
    "clock",
    "listening",
    "note",
    "tell",
    "to_dict",
    "working",
]

SCHEMA = 1
"""Version of the documents of `to_dict`, raised when a field changes its meaning or goes; new ones come without."""


@dataclass(frozen=True, kw_only=True)
class Planned(Event):
    """A bench begins."""

    kind: ClassVar[str] = "planned"

    jobs: tuple[str, ...]
    """Titles of all its runs."""
    at_once: int = 1

    def __str__(self) -> str:
        of = f", {self.at_once} at a time" if self.at_once > 1 else ""
        return f"{len(self.jobs)} {'run' if len(self.jobs) == 1 else 'runs'}{of}"


@dataclass(frozen=True, kw_only=True)
class Started(Event):
    """Training begins, or goes on, if `Resumed` follows."""

    kind: ClassVar[str] = "started"

    variant: str
    objective: str
    dataset: str
    seed: int
    kimg: float | None
    """The budget; None: by time."""
    minutes: float | None
    path: str
    """The run directory."""

    def __str__(self) -> str:
        limits = [(self.kimg, "kimg"), (self.minutes, "minutes")]
        budget = " or ".join(f"{value:g} {unit}" for value, unit in limits if value is not None)
        return f"training for {budget}, seed {self.seed}, in {self.path}"


@dataclass(frozen=True, kw_only=True)
class Resumed(Event):
    """A run goes on from a saved state."""

    kind: ClassVar[str] = "resumed"

    kimg: float
    lost_kimg: float
    """That were trained after the state was saved, as far as is known, and are trained again."""
    values: dict[str, float | None] = field(default_factory=dict)
    """Of the last score; empty: there is none."""

    def __str__(self) -> str:
        again = f"{self.lost_kimg:.3g} kimg after its last save are trained again"
        return f"continuing at {self.kimg:g} kimg; {again if self.lost_kimg else 'nothing that was recorded is lost'}"


@dataclass(frozen=True, kw_only=True)
class Tick(Event):
    """Training has come a little further."""

    kind: ClassVar[str] = "tick"

    kimg: float
    progress: float
    """0 .. 1 of the budget."""
    seconds: float
    """Of training."""
    seconds_left: float
    """Of training, at the speed so far."""
    img_per_s: float
    """Real images a second, since the last tick."""
    values: dict[str, float]
    """d_loss, g_loss, d_accuracy, diversity, ...: means since the last tick."""
    peak_memory: int = 0
    """Bytes; 0: not known."""
    scoring_left: float | None = 0.0
    """Seconds of the scores that are still to come, as fast as those before them; None: none has told how fast."""

    @property
    def left(self) -> str:
        """ "4:32 left", of training and scores; "0:42 left without scoring" where nobody knows how long scores take."""
        if self.scoring_left is None:
            return f"{clock(self.seconds_left)} left without scoring"
        return f"{clock(self.seconds_left + self.scoring_left)} left"

    @property
    def losses(self) -> dict[str, float]:
        """By player: {"D": 0.71, "G": 1.2}; G's may be missing."""
        names = {"D": "d_loss", "G": "g_loss"}
        return {player: self.values[name] for player, name in names.items() if name in self.values}

    def __str__(self) -> str:
        losses = "  ".join(f"{player} {loss:.3f}" for player, loss in self.losses.items())
        return f"{self.kimg:.1f} kimg  {self.img_per_s:,.0f} img/s  {losses}  {self.left}"


@dataclass(frozen=True, kw_only=True)
class Picture(Event):
    """A grid of samples has been written."""

    kind: ClassVar[str] = "picture"

    kimg: float
    path: str

    def __str__(self) -> str:
        return f"picture: {self.path}"


@dataclass(frozen=True, kw_only=True)
class Scored(Event):
    """A snapshot has been scored; the one at 0 kimg is of the untrained generator."""

    kind: ClassVar[str] = "scored"

    kimg: float
    values: dict[str, float]
    seconds: float
    """That it took."""

    def __str__(self) -> str:
        what = "untrained" if self.kimg == 0 else f"{self.kimg:g} kimg"
        return f"{what}: {short_scores(self.values)}"


@dataclass(frozen=True, kw_only=True)
class Diagnosed(Event):
    """Something is wrong, or may be: a rule of `ganzoo.runs.diagnostics` has found it, once in a run."""

    kind: ClassVar[str] = "diagnosed"

    rule: str
    """Its name, a heading of docs/diagnostics.md."""
    kimg: float
    text: str
    """What was found."""
    cure: str
    """What to try."""
    link: str
    """To the explanation."""

    def __str__(self) -> str:
        return f"{self.text}; {self.cure} ({self.link})"


@dataclass(frozen=True, kw_only=True)
class Finished(Event):
    """A run has its result."""

    kind: ClassVar[str] = "finished"

    status: str
    """ "done" or "diverged"."""
    kimg: float
    values: dict[str, float | None]
    """Of the last score; empty: there is none."""
    img_per_s: float | None
    seconds: float | None
    """Of all its starts, from their beginning to their end."""
    path: str
    diverged: str | None = None
    """Why; None: it has not."""
    before: bool = False
    """The result was there."""

    def __str__(self) -> str:
        if self.before:
            return "done before"
        speed = f"{self.img_per_s:,.0f} img/s" if self.img_per_s else ""
        time = "" if self.seconds is None else clock(self.seconds)
        status = self.status if self.diverged is None else f"{self.status}: {self.diverged}"
        parts = [status, f"{self.kimg:.1f} kimg", speed, short_scores(self.values), time]
        return "  ".join(part for part in parts if part)


@dataclass(frozen=True, kw_only=True)
class Interrupted(Event):
    """A signal has stopped a run, or all of them."""

    kind: ClassVar[str] = "interrupted"

    text: str
    """By what, at which kimg, what is saved, and how to go on."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, kw_only=True)
class Failed(Event):
    """A run, or the command, has ended without a result."""

    kind: ClassVar[str] = "failed"

    cause: str
    cure: str = ""

    def __str__(self) -> str:
        return f"failed: {self.cause}"


@dataclass(frozen=True, kw_only=True)
class Ended(Event):
    """Nothing more comes: the function that was listened to returns, or raises."""

    kind: ClassVar[str] = "ended"

    def __str__(self) -> str:
        return "ended"


EVENTS: dict[str, type[Event]] = {
    event.kind: event
    for event in (
        *(Planned, Started, Resumed, Working, Tick, Picture, Scored, Diagnosed, Finished, Interrupted, Failed),
        *(Note, Ended),
    )
}
"""By `kind`, in the order in which they may come."""


def to_dict(event: Event) -> dict[str, Any]:
    """JSON-ready: "schema", "event", "job" and the event's own fields."""
    own = {one.name: getattr(event, one.name) for one in fields(event) if one.name != "job"}
    return {"schema": SCHEMA, "event": event.kind, "job": event.job, **own}


def short_scores(values: dict[str, Any]) -> str:
    """ "FID 31.20  IS 7.41", of those that are there; the first of others where neither is."""
    named = [(name, values.get(key)) for name, key in (("FID", "fid"), ("IS", "is"))]
    shown = [f"{name} {value:.2f}" for name, value in named if value is not None]
    if not shown:
        shown = [f"{key} {value:.4g}" for key, value in values.items() if value is not None and "." not in key][:2]
    return "  ".join(shown)


def clock(seconds: float) -> str:
    """ "0:42", "1:02:03"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
