"""`--log tensorboard`: event files in the run directory, in the folder `tensorboard`."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from ganzoo.config.run_config import RunConfig
from ganzoo.engine.loop import Snapshot, Status
from ganzoo.errors import UserError
from ganzoo.runs.directory import RunDirectory


class TensorBoard:
    """An observer. Steps are images, so that runs of different batch sizes share an axis."""

    def __init__(self, run: RunDirectory, config: RunConfig) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UserError("TensorBoard is not installed", "install it: uv pip install tensorboard") from None
        self._run = run
        self._make_writer: Any = SummaryWriter
        self._opened: Any = None

    def _writer(self, images: int) -> Any:
        """Opened at the first event, because only then it is known where a run is taken up again: what it had logged
        from there on, before it was interrupted, is hidden by TensorBoard.
        """
        if self._opened is None:
            self._opened = self._make_writer(str(self._run.path / "tensorboard"), purge_step=images)
        return self._opened

    def on_status(self, status: Status) -> None:
        """Losses, D's accuracy, diversity, img/s and peak memory."""
        writer = self._writer(status.images)
        for name, value in status.values.items():
            writer.add_scalar(f"train/{name}", value, status.images)
        writer.add_scalar("speed/img_per_s", status.img_per_s, status.images)
        writer.add_scalar("speed/peak_memory_bytes", status.peak_memory, status.images)

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Metrics where it was scored, the grid of fakes, and once the grid of real images."""
        writer = self._writer(snapshot.images)
        for name, value in snapshot.metrics.items():
            writer.add_scalar(f"metrics/{name}", value, snapshot.images)
        if snapshot.grid is not None:
            writer.add_image("grid/fake", snapshot.grid, snapshot.images)
        real = self._run.path / "real.png"
        if snapshot.index == 0 and real.exists():
            with Image.open(real) as image:
                writer.add_image("grid/real", np.asarray(image.convert("RGB")), 0, dataformats="HWC")
        writer.flush()

    def on_end(self, result: dict[str, Any]) -> None:
        if self._opened is not None:
            self._opened.close()
