"""`--log wandb`: Weights & Biases. With WANDB_MODE=offline nothing leaves the machine; `wandb sync` sends it later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganzoo.callbacks.logger import Logger, Picture, Scalars, final_scores, hyperparameters, title
from ganzoo.config.run_config import RunConfig
from ganzoo.errors import UserError
from ganzoo.files.writing import write_text
from ganzoo.runs.directory import RunDirectory


class WandB(Logger):
    """The x axis is kimg. Project, entity and mode are W&B's own environment variables; the project is ganzoo unless
    WANDB_PROJECT says another. A run that is continued is the same run there, where the service is asked.
    """

    def __init__(self, run: RunDirectory, config: RunConfig) -> None:
        super().__init__(run, config)
        try:
            import wandb
        except ImportError:
            raise UserError("Weights & Biases is not installed", "install it: uv pip install wandb") from None
        self._wandb: Any = wandb
        self._run: Any = None

    def open(self, images: int) -> None:
        """
        Raises:
            UserError: W&B refuses, for want of a login perhaps.
        """
        import os

        identity = self.run.path / "wandb-id.txt"
        try:
            known = identity.read_text(encoding="utf-8").strip() if identity.is_file() else ""
            self._run = self._wandb.init(
                project=os.environ.get("WANDB_PROJECT", "ganzoo"),
                name=title(self.config),
                group=self.config.variant.name,
                tags=[self.config.dataset.name],
                config=hyperparameters(self.config) | {"run": str(self.run.path)},
                dir=str(self.run.path),
                id=known or None,
                resume="allow" if known else None,
                reinit="create_new",  # runs may share a process
                settings=self._wandb.Settings(console="off"),  # which would go through the progress on the terminal
            )
        except self._wandb.errors.Error as error:
            first = (str(error).strip().splitlines() or ["no message"])[0]
            raise UserError(
                f"Weights & Biases refuses: {first}", "log in (wandb login), or keep it here: WANDB_MODE=offline"
            ) from error
        write_text(identity, f"{self._run.id}\n")
        self._run.define_metric("kimg", hidden=True)
        self._run.define_metric("*", step_metric="kimg")

    def log(self, scalars: Scalars, images: int) -> None:
        self._run.log({**scalars, "kimg": images / 1000})

    def picture(self, name: str, picture: Picture, images: int) -> None:
        self._run.log({name: self._wandb.Image(picture), "kimg": images / 1000})

    def close(self, result: Mapping[str, Any]) -> None:
        self._run.summary.update({**final_scores(result), "status": result["status"]})
        self._run.finish(exit_code=1 if result.get("diverged") else 0)
