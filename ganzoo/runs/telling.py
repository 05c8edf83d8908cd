"""What a run tells: its ticks, scores and end as events, and what they mean, which is recorded, too."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.config.run_config import RunConfig, dataset_label
from ganzoo.engine.stopping import Stopped
from ganzoo.errors import UserError
from ganzoo.runs.diagnostics import Diagnosis, Facts, Finding
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.events import Diagnosed, Ended, Failed, Finished, Interrupted, Resumed, Started, Tick, tell
from ganzoo.runs.score_time import ScoresAhead

if TYPE_CHECKING:
    from ganzoo.data import Images
    from ganzoo.engine.loop import Snapshot, Status


class Telling:
    """The observer that every run has."""

    def __init__(self, run: RunDirectory, config: RunConfig, images: Images) -> None:
        self._run, self._config = run, config
        self.scores_ahead: ScoresAhead | None = None  # None: nothing is scored
        self._facts = Facts.of(
            config.to_dict(),
            num_classes=images.num_classes,
            numbers=math.prod(images.shape),
            real_diversity=diversity_of(images),
        )
        self._diagnosis = Diagnosis(self._facts)

    def started(self) -> None:
        config = self._config
        tell(
            Started(
                variant=config.variant.name,
                objective=config.objective.name,
                dataset=dataset_label(config.dataset.name, config.dataset.settings),
                seed=config.seed,
                kimg=config.train.kimg,
                minutes=config.train.minutes,
                path=str(self._run.path),
            )
        )

    def resumed(self, images: int, seen: int) -> None:
        """The run goes on after `images`; before it was stopped, it had come to `seen`."""
        scores = self._run.metrics()
        self._diagnosis = Diagnosis(self._facts, self._run.stats(), scores, self._run.diagnostics())
        values: dict[str, float | None] = next(
            (score["values"] for score in reversed(scores) if score["images"] > 0), {}
        )
        tell(Resumed(kimg=images / 1000, lost_kimg=(seen - images) / 1000, values=values))

    def on_status(self, status: Status) -> None:
        ahead = self.scores_ahead
        tell(
            Tick(
                kimg=status.kimg,
                progress=status.progress,
                seconds=status.seconds,
                seconds_left=status.seconds_left,
                img_per_s=status.img_per_s,
                values=dict(status.values),
                peak_memory=status.peak_memory,
                scoring_left=0.0 if ahead is None else ahead.seconds(status.snapshot, status.last_snapshot),
            )
        )
        tick = {"images": status.images, "kimg": status.kimg, "img_per_s": status.img_per_s, **status.values}
        self._found(status.images, self._diagnosis.tick(tick))

    def on_snapshot(self, snapshot: Snapshot) -> None:
        if snapshot.metrics:
            self._found(snapshot.images, self._diagnosis.scored(self._run.metrics()))

    def on_end(self, result: dict[str, Any]) -> None:
        tell(finished(self._run.path, result))

    def _found(self, images: int, findings: list[Finding]) -> None:
        for finding in findings:
            said = finding.to_dict()
            self._run.add_diagnosis({"images": images, "kimg": images / 1000, **said})
            tell(Diagnosed(kimg=images / 1000, **said))


def diversity_of(images: Images) -> float:
    """What `diversity` of stats.jsonl is for real images: the standard deviation of at most 1,000, spread over the data
    set, averaged over pixels, in units of [-1, 1].
    """
    pixels = images.pixels[:: max(1, len(images) // 1000)][:1000]  # uint8 [n,C,H,W]
    return float(pixels.float().std(0, correction=0).mean()) / 127.5


def finished(path: Path, result: dict[str, Any], *, before: bool = False) -> Finished:
    """The end of the run at `path`, from its result.json."""
    return Finished(
        status="diverged" if result.get("diverged") else "done",
        kimg=result.get("kimg") or 0.0,
        values=dict((result["last"] or {}).get("values", {})),
        img_per_s=result.get("train_img_per_s"),
        seconds=(result.get("seconds") or {}).get("wall"),
        path=str(path),
        diverged=result.get("diverged"),
        before=before,
    )


@contextlib.contextmanager
def endings_told() -> Iterator[None]:
    """What ends the work inside before its time is told, and goes on as it is; so is that nothing more comes."""
    try:
        yield
    except Stopped as stopped:
        tell(Interrupted(text=stopped.text))
        raise
    except UserError as error:
        tell(Failed(cause=error.cause, cure=error.cure))
        raise
    except Exception as error:
        tell(Failed(cause=f"{type(error).__name__}: {error}", cure="this is a bug, perhaps of a plugin: report it"))
        raise
    finally:
        tell(Ended())
