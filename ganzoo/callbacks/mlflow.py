"""`--log mlflow`: to the server that MLFLOW_TRACKING_URI names, else into files in the folder `mlruns`."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganzoo.callbacks.logger import Logger, Picture, Scalars, hyperparameters, title
from ganzoo.config.run_config import RunConfig
from ganzoo.errors import UserError
from ganzoo.files.writing import write_text
from ganzoo.runs.directory import RunDirectory

EXPERIMENT = "ganzoo"
"""Unless MLFLOW_EXPERIMENT_NAME says another."""


class MLflow(Logger):
    """By MLflow's client, which has no run of the whole process: several may share one. Steps are images."""

    def __init__(self, run: RunDirectory, config: RunConfig) -> None:
        super().__init__(run, config)
        try:
            from mlflow.entities import Metric, Param, RunTag
            from mlflow.tracking import MlflowClient
        except ImportError:
            raise UserError("MLflow is not installed", "install it: uv pip install mlflow-skinny") from None
        self._metric, self._param, self._tag = Metric, Param, RunTag
        self._make_client: Any = MlflowClient
        self._client: Any = None
        self._id = ""

    def open(self, images: int) -> None:
        """
        Raises:
            UserError: the server does not answer.
        """
        from mlflow.exceptions import MlflowException

        where = os.environ.get("MLFLOW_TRACKING_URI", "")
        if not where:
            where = Path("mlruns").resolve().as_uri()
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow 3 asks; its database is not in the extra
        identity = self.run.path / "mlflow-id.txt"
        try:
            self._client = self._make_client(tracking_uri=where)
            known = identity.read_text(encoding="utf-8").strip() if identity.is_file() else ""
            self._id = self._known(known) or self._created()
        except MlflowException as error:
            first = (str(error).strip().splitlines() or ["no message"])[0]
            raise UserError(f"MLflow at {where} refuses: {first}", "see MLFLOW_TRACKING_URI") from error
        write_text(identity, f"{self._id}\n")

    def _known(self, run_id: str) -> str:
        """The run of an earlier start, which goes on; "" where it is not there."""
        from mlflow.exceptions import MlflowException

        if not run_id:
            return ""
        try:
            self._client.update_run(run_id, status="RUNNING")
        except MlflowException:
            return ""
        return run_id

    def _created(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        experiment = self._client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else self._client.create_experiment(name)
        run_id = str(self._client.create_run(number, run_name=title(self.config)).info.run_id)
        params = [self._param(key, str(value)) for key, value in hyperparameters(self.config).items()]
        self._client.log_batch(run_id, params=params, tags=[self._tag("run", str(self.run.path))])
        self._client.log_dict(run_id, self.config.to_dict(), "config.json")
        return run_id

    def log(self, scalars: Scalars, images: int) -> None:
        now = int(time.time() * 1000)
        metrics = [self._metric(name, value, now, images) for name, value in scalars.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def picture(self, name: str, picture: Picture, images: int) -> None:
        file = "grid/real.png" if name.endswith("real") else f"{name}/{images:09d}.png"
        self._client.log_image(self._id, picture, artifact_file=file)

    def close(self, result: Mapping[str, Any]) -> None:
        self._client.set_tag(self._id, "status", str(result["status"]))
        self._client.set_terminated(self._id, status="FAILED" if result.get("diverged") else "FINISHED")
