"""What becomes of a snapshot: a file, a picture and, where it is due, a score."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ganzoo.config.run_config import RunConfig
from ganzoo.data import Images
from ganzoo.engine.device import preserved_random_state
from ganzoo.engine.host import Host
from ganzoo.engine.loop import Observer, Snapshot
from ganzoo.engine.memory import MemoryMeter
from ganzoo.errors import RunError, UserError
from ganzoo.gan import GAN
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.environment import device_name
from ganzoo.runs.events import Picture, Scored, tell
from ganzoo.runs.grid import grid_inputs, make_grid, save_png
from ganzoo.runs.repicture import grid_images, pictured, save_picture
from ganzoo.runs.score_time import ScoresAhead, known_speed, remember_speed
from ganzoo.runs.snapshots import read_snapshot, save_snapshot
from ganzoo.scoring.floors import floors
from ganzoo.scoring.generation import generate_once
from ganzoo.scoring.scorer import Scorer


class Scoring:
    """A scorer and its floors, which are computed when the first score is due: features of a large dataset take
    minutes, and training begins without them.
    """

    def __init__(self, scorer: Scorer, run: RunDirectory, root: Path) -> None:
        """`root`: the data root, where it is kept how long scores take."""
        self.scorer, self._run, self._root = scorer, run, root
        self._device = device_name(scorer.device)
        self._floors: list[dict[str, Any]] | None = None

    def ahead(self) -> ScoresAhead:
        """What is still to be scored."""
        scorer = self.scorer
        return ScoresAhead(
            scorer.config,
            lambda: [line for line in self._run.metrics() if line["protocol"] == scorer.protocol.id],
            count=scorer.generated_count,
            real=scorer.unseen,
            known=known_speed(self._root, scorer.config, self._device),
        )

    def took(self, seconds: float) -> None:
        """A score did."""
        remember_speed(self._root, self.scorer.config, self._device, seconds / self.scorer.generated_count)

    def prepare(self) -> None:
        if self._floors is None:
            self._floors = floors(self.scorer)

    @property
    def floors(self) -> list[dict[str, Any]]:
        """Rows of real images."""
        self.prepare()
        return self._floors or []


class SnapshotTaker:
    """Stores, pictures and, where it is due, scores a snapshot, and tells the observers.

    The untrained generator is scored from its file, together with the first trained one: training begins at once.
    """

    def __init__(
        self,
        run: RunDirectory,
        config: RunConfig,
        gan: GAN,
        images: Images,
        *,
        scoring: Scoring | None,
        conditional: bool,
        observers: Sequence[Observer],
        device: torch.device,
        memory: MemoryMeter,
        host: Host,
    ) -> None:
        self._run, self._config, self._gan, self._images = run, config, gan, images
        self._scoring, self._observers, self._device = scoring, observers, device
        self._memory, self._host = memory, host
        self._inputs, self._count, self._columns = grid_inputs(
            gan.z_dim, images.num_classes, conditional, prior=gan.prior
        )
        self._pictured = pictured(self._count, self._columns, images.shape[1])

    def __call__(self, *, images: int, index: int, last: bool, generator: nn.Module) -> dict[str, float]:
        """A generator may draw noise of its own: whatever is drawn here, training goes on as if it had not been."""
        where = f" at {images / 1000:g} kimg, state saved" if images else " before the first step"
        with self._host.stop.let_through(where), preserved_random_state(self._device):
            return self._take(images=images, index=index, last=last, generator=generator)

    def picture(self, *, images: int, generator: nn.Module) -> None:
        """The first rows of the grid as they are now, in their own size and colour. Of images that hold NaN there is
        none: that the run has diverged is the next tick's to say.
        """
        with preserved_random_state(self._device), contextlib.suppress(UserError):
            pixels = generate_once(generator, self._inputs, self._pictured, device=self._device)
            save_picture(self._run, images, pixels, self._columns)

    def _take(self, *, images: int, index: int, last: bool, generator: nn.Module) -> dict[str, float]:
        run, config = self._run, self._config
        save_snapshot(
            run.snapshot_file(images),
            generator,
            config,
            shape=self._images.shape,
            num_classes=self._images.num_classes,
            class_names=self._images.class_names,
            images=images,
            images_sha256=self._images.sha256,
        )
        pixels = grid_images(generator, self._inputs, self._count, self._device)
        grid = make_grid(pixels, self._columns)
        save_png(run.sample_file(images), grid)
        if config.train.pictures:
            save_picture(run, images, pixels[: self._pictured], self._columns)
        tell(Picture(kimg=images / 1000, path=str(run.sample_file(images))))
        record = None
        if self._scoring is not None and config.is_scored(index, last) and (index > 0 or last):
            with self._host.ledger.of("score"):
                self._score_untrained(self._scoring, generator)
                record = self._scored(self._scoring, images, generator)
        snapshot = Snapshot(
            images=images,
            index=index,
            last=last,
            generator=generator,
            grid=grid,
            metrics=record["values"] if record else {},
        )
        for observer in self._observers:
            observer.on_snapshot(snapshot)
        return snapshot.metrics

    def finish(self) -> None:
        """Score what has been left for later: a run may end, diverged, before its first score."""
        if self._scoring is not None:
            with self._host.stop.let_through(), preserved_random_state(self._device), self._host.ledger.of("score"):
                self._score_untrained(self._scoring, self._gan.generator)
                self._scoring.prepare()

    def _score_untrained(self, scoring: Scoring, like: nn.Module) -> None:
        """Score snapshot 0, if it is to be and has not been. `like`: the same network with other weights."""
        if not self._config.is_scored(0, last=False) or self._known(scoring.scorer, 0) is not None:
            return
        try:
            _, tensors = read_snapshot(self._run.snapshot_file(0))
        except RunError as error:  # the trained ones are there all the same
            self._host.report(f"the untrained generator is not scored: {error.cause}")
            return
        generator = copy.deepcopy(like)
        generator.load_state_dict(tensors)
        self._scored(scoring, 0, generator)

    def _known(self, scorer: Scorer, images: int) -> dict[str, Any] | None:
        """The snapshot's line of metrics.jsonl under today's protocol: a run taken up by another is scored anew."""
        lines = (line for line in self._run.metrics() if line["images"] == images)
        return next((line for line in lines if line["protocol"] == scorer.protocol.id), None)

    def _scored(self, scoring: Scoring, images: int, generator: nn.Module) -> dict[str, Any]:
        """The snapshot's line of metrics.jsonl: what is there, or made now."""
        run, scorer = self._run, scoring.scorer
        with self._memory.scoring():
            scoring.prepare()
            known = self._known(scorer, images)
            if known is not None:
                return known
            what = "scoring" if images else "scoring untrained G"
            score = scorer.score_generator(generator, self._gan.z_dim, what, prior=self._gan.prior)
            if images and len(score.pairs):
                self._save_neighbours(scorer, images, generator, score.pairs)
        record = {
            "images": images,
            "kimg": images / 1000,
            "values": score.values,
            "left_out": score.left_out,
            "seconds": round(score.seconds, 3),
            "sample_img_per_s": round(score.sample_img_per_s, 1),
            "peak_memory": self._memory.scoring_peak,
            "protocol": scorer.protocol.id,
        }
        run.add_metrics(record)
        scoring.took(score.seconds)
        tell(Scored(kimg=images / 1000, values=score.values, seconds=score.seconds))
        return record

    def _save_neighbours(self, scorer: Scorer, images: int, generator: nn.Module, pairs: torch.Tensor) -> None:
        """Rows of ten generated images, each above a row of the training images they are nearest to; nearest first."""
        made, real = scorer.neighbours(generator, self._gan.z_dim, pairs, prior=self._gan.prior)
        columns = min(10, len(made))
        whole = len(made) // columns * columns
        rows = zip(made[:whole].split(columns), real[:whole].split(columns), strict=True)
        grid = make_grid(torch.cat([row for pair in rows for row in pair]), columns)
        save_png(self._run.neighbours_file(images), grid)
