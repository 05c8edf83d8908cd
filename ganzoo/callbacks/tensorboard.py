"""`--log tensorboard`: event files in the run directory, so that TensorBoard calls the run by its folder's name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ganzoo.callbacks.logger import Logger, Picture, Scalars, final_scores, hyperparameters, title
from ganzoo.config.run_config import RunConfig
from ganzoo.errors import UserError
from ganzoo.runs.directory import RunDirectory


class TensorBoard(Logger):
    """Steps are images, so that runs of different batch sizes share an axis."""

    def __init__(self, run: RunDirectory, config: RunConfig) -> None:
        super().__init__(run, config)
        try:
            from torch.utils.tensorboard import SummaryWriter
            from torch.utils.tensorboard.summary import hparams
        except ImportError:
            raise UserError("TensorBoard is not installed", "install it: uv pip install tensorboard") from None
        self._make_writer: Any = SummaryWriter
        self._hparams: Any = hparams
        self._writer: Any = None

    def open(self, images: int) -> None:
        """What had been logged from `images` on, before the run was interrupted, is hidden by TensorBoard."""
        self._writer = self._make_writer(str(self.run.path), purge_step=images)
        scores = {f"metrics/{name}": 0 for name in ("fid", "is", "kid", "precision", "recall")}
        experiment, begin, self._end = self._hparams(hyperparameters(self.config), scores)
        for summary in (experiment, begin):
            self._writer.file_writer.add_summary(summary)
        document = json.dumps(self.config.to_dict(), indent=1, ensure_ascii=False)
        text = f"**{title(self.config)}**\n\n```json\n{document}\n```"
        self._writer.add_text("config", text, images)

    def log(self, scalars: Scalars, images: int) -> None:
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, images)

    def picture(self, name: str, picture: Picture, images: int) -> None:
        self._writer.add_image(name, picture, images, dataformats="HWC")
        self._writer.flush()

    def close(self, result: Mapping[str, Any]) -> None:
        if not result.get("diverged") and final_scores(result):
            self._writer.file_writer.add_summary(self._end)
        self._writer.close()
