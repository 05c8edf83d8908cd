"""Loggers against the real packages, without a network."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganzoo.callbacks.logger import Logger, Picture, Pool, Scalars, hyperparameters, named_scores, title
from ganzoo.config.layers import build_config
from ganzoo.config.run_config import RunConfig
from ganzoo.engine.loop import Snapshot, Status
from ganzoo.errors import UserError
from ganzoo.runs.directory import RunDirectory
from ganzoo.zoo.registry import Registry

MAKE = {"tensorboard": "TensorBoard", "wandb": "WandB", "mlflow": "MLflow"}


def status(images: int, **values: float) -> Status:
    return Status(
        images=images, seconds=1.0, img_per_s=100.0, progress=0.1, seconds_left=9.0, values=values, peak_memory=1000
    )


def snapshot(images: int, index: int, **metrics: float) -> Snapshot:
    grid = torch.full((3, 8, 12), min(255, images // 10), dtype=torch.uint8)
    return Snapshot(images=images, index=index, last=False, generator=torch.nn.Identity(), metrics=metrics, grid=grid)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    from PIL import Image

    directory = RunDirectory(tmp_path / "dcgan-mine")
    directory.path.mkdir()
    Image.fromarray(np.full((8, 12, 3), 7, dtype=np.uint8)).save(directory.path / "real.png")
    return directory


@pytest.fixture(scope="module")
def config(registry: Registry) -> RunConfig:
    sets = ["train.tick_kimg=1", "variant.channels=4", "train.g_lr=0.003", "seed=3"]
    return build_config(registry, variant="dcgan", dataset="digits", regularize="r1", sets=sets)


def play(logger: Logger, *, from_images: int = 0, diverged: str | None = None) -> None:
    """A run of 2 kimg, or its second half."""
    if not from_images:
        logger.on_snapshot(snapshot(0, 0))
        logger.on_status(status(1000, d_loss=1.0, g_loss=2.0))
    logger.on_status(status(2000, d_loss=0.5, g_loss=3.0))
    logger.on_snapshot(snapshot(2000, 1, **{"fid": 12.5, "density": 0.5, "fid.200": 99.0}))
    values = {"fid": 12.5, "density": 0.5, "fid.200": 99.0}
    logger.on_end({"kimg": 2.0, "diverged": diverged, "status": "done", "last": {"values": values}})


class Recorder(Logger):
    def __init__(self, run: RunDirectory, config: RunConfig) -> None:
        super().__init__(run, config)
        self.said: list[Any] = []

    def open(self, images: int) -> None:
        self.said.append(("open", images))

    def log(self, scalars: Scalars, images: int) -> None:
        self.said.append((images, scalars))

    def picture(self, name: str, picture: Picture, images: int) -> None:
        self.said.append((name, images, picture.shape))

    def close(self, result: Mapping[str, Any]) -> None:
        self.said.append("close")


def test_what_a_logger_is_told(run: RunDirectory, config: RunConfig) -> None:
    logger = Recorder(run, config)
    play(logger)
    speed = {"speed/img_per_s": 100.0, "speed/peak_memory_bytes": 1000.0}
    assert logger.said == [
        ("open", 0),
        ("grid/fake", 0, (8, 12, 3)),
        ("grid/real", 0, (8, 12, 3)),
        (1000, {"train/d_loss": 1.0, "train/g_loss": 2.0, **speed}),
        (2000, {"train/d_loss": 0.5, "train/g_loss": 3.0, **speed}),
        (2000, {"metrics/fid": 12.5, "more/density": 0.5}),
        ("grid/fake", 2000, (8, 12, 3)),
        "close",
    ]


def test_a_short_tick_at_the_end_is_told(run: RunDirectory, config: RunConfig) -> None:
    logger = Recorder(run, config)
    for images in (1000, 1200):
        logger.on_status(status(images, d_loss=float(images)))
    logger.on_end({"kimg": 1.2, "diverged": None, "status": "done", "last": None})
    assert [(said[0], said[1]["train/d_loss"]) for said in logger.said[1:-1]] == [(1000, 1000.0), (1200, 1200.0)]


def test_ticks_that_were_cut_short_are_put_together() -> None:
    pool = Pool(750)
    first = pool.add(status(1000, d_loss=1.0))
    assert first is not None
    assert first["train/d_loss"] == 1.0
    assert pool.add(status(1100, d_loss=9.0, g_loss=4.0)) is None
    both = pool.add(status(2000, d_loss=1.0))
    assert both is not None
    assert both["train/d_loss"] == pytest.approx(1.8)  # 100 images of 9, 900 of 1
    assert both["train/g_loss"] == 4.0  # trained in one of them alone
    assert pool.add(status(2100, d_loss=3.0)) is None
    assert pool.take() == ({"train/d_loss": 3.0, "speed/img_per_s": 100.0, "speed/peak_memory_bytes": 1000.0}, 2100)
    assert pool.take() is None


def test_names_for_people(config: RunConfig) -> None:
    assert title(config) == "dcgan + non-saturating + r1, digits, seed 3"
    flat = hyperparameters(config)
    assert flat["train.g_lr"] == 0.003
    assert flat["train.minutes"] == "none"
    assert flat["regularizers.r1.weight"] == config.regularizers[0].settings["weight"]
    assert not any(key.startswith(("eval.", "metrics.")) for key in flat)
    assert named_scores({"fid": 1.0, "kid": None, "class_fid.3": 2.0}) == {"metrics/fid": 1.0}


@pytest.mark.parametrize("name", MAKE)
def test_what_is_not_installed_is_named_with_its_cure(
    name: str, run: RunDirectory, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib
    import sys

    module = importlib.import_module(f"ganzoo.callbacks.{name}")
    for missing in ("torch.utils.tensorboard", "wandb", "mlflow.entities", "mlflow.tracking"):
        monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UserError, match="is not installed") as caught:
        getattr(module, MAKE[name])(run, config)
    assert "uv pip install" in caught.value.cure


@pytest.fixture
def served(run: RunDirectory, config: RunConfig) -> Iterator[Callable[..., Any]]:
    """A real TensorBoard over HTTP, of the folder above the run: `served("data/runs")` asks it."""
    pytest.importorskip("tensorboard", reason="needs the extra `tensorboard`")
    from ganzoo.callbacks.tensorboard import TensorBoard

    play(TensorBoard(run, config))
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(run.path.parent), "--port", "0"]
    with subprocess.Popen([*command, "--load_fast=false"], stderr=subprocess.PIPE, text=True) as child:
        try:
            assert child.stderr is not None
            said = next(line for line in child.stderr if "at http://" in line)
            (address,) = re.findall(r"http://\S+?:\d+/", said)

            def ask(path: str, **question: Any) -> Any:
                data = json.dumps(question).encode() if question else None
                request = urllib.request.Request(address + path, data, {"Content-Type": "application/json"})
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return json.loads(answer.read())

            for _ in range(100):  # it reads the files in a thread of its own
                if served_all := "metrics/fid" in ask("data/plugin/scalars/tags").get("dcgan-mine", {}):
                    break
                time.sleep(0.2)
            assert served_all
            yield ask
        finally:
            child.kill()


def leveldb_records(data: bytes) -> Iterator[bytes]:
    """Of a log in LevelDB's format behind 7 bytes of W&B's: blocks of 32 KiB, records of (crc, length, type, data)."""
    at, parts = 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # no room for another head in this block
            at += 32768 - at % 32768
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


def test_wandb_keeps_a_run_that_can_be_synced(
    run: RunDirectory, config: RunConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("wandb", reason="needs the extra `wandb`")
    from wandb.proto.wandb_internal_pb2 import Record

    from ganzoo.callbacks.wandb import WandB

    for name, value in (("WANDB_MODE", "offline"), ("WANDB_SILENT", "true"), ("HOME", str(tmp_path))):
        monkeypatch.setenv(name, value)

    def written(before: Collection[Path] = ()) -> tuple[Path, list[Any]]:
        (file,) = set(run.path.glob("wandb/offline-run-*/*.wandb")) - set(before)
        for _ in range(100):  # a process of W&B's own writes it
            records = [Record.FromString(data) for data in leveldb_records(file.read_bytes())]
            if any(record.WhichOneof("record_type") == "exit" for record in records):
                break
            time.sleep(0.2)
        return file, records

    play(WandB(run, config))
    file, records = written()
    (begun,) = [record.run for record in records if record.WhichOneof("record_type") == "run"][:1]
    assert (begun.project, begun.display_name) == ("ganzoo", title(config))
    assert (run.path / "wandb-id.txt").read_text().strip() == begun.run_id
    settings = {item.key: json.loads(item.value_json) for item in begun.config.update}
    assert settings["train.g_lr"] == 0.003
    rows = [
        {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.WhichOneof("record_type") == "history"
    ]
    assert [(row["kimg"], row["train/d_loss"]) for row in rows if "train/d_loss" in row] == [(1.0, 1.0), (2.0, 0.5)]
    assert [(row["kimg"], row["metrics/fid"]) for row in rows if "metrics/fid" in row] == [(2.0, 12.5)]
    assert len(list(run.path.glob("wandb/offline-run-*/files/media/images/grid/*.png"))) == 3
    assert [record.exit.exit_code for record in records if record.WhichOneof("record_type") == "exit"] == [0]

    time.sleep(1.1)  # folders are called by the second
    play(WandB(run, config), from_images=1000, diverged="NaN")  # the same command, after it was interrupted
    _, records = written([file])
    assert {record.run.run_id for record in records if record.WhichOneof("record_type") == "run"} == {begun.run_id}
    assert [record.exit.exit_code for record in records if record.WhichOneof("record_type") == "exit"] == [1]


def test_mlflow_has_metrics_params_and_grids_and_goes_on(
    run: RunDirectory, config: RunConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("mlflow", reason="needs the extra `mlflow`")
    from mlflow.tracking import MlflowClient

    from ganzoo.callbacks.mlflow import MLflow

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    first = MLflow(run, config)
    first.on_snapshot(snapshot(0, 0))
    first.on_status(status(1000, d_loss=1.0))
    play(MLflow(run, config), from_images=1000)  # the same command, after it was interrupted
    client = MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("ganzoo")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.run_name, found.info.status) == (title(config), "FINISHED")
    assert found.data.params["train.g_lr"] == "0.003"
    history = client.get_metric_history(found.info.run_id, "train/d_loss")
    assert [(point.step, point.value) for point in history] == [(1000, 1.0), (2000, 0.5)]
    assert found.data.metrics["metrics/fid"] == 12.5
    assert "metrics/fid.200" not in found.data.metrics
    assert sorted(file.path for file in client.list_artifacts(found.info.run_id, "grid")) == [
        "grid/fake",
        "grid/real.png",
    ]
    assert len(client.list_artifacts(found.info.run_id, "grid/fake")) == 2


def test_a_tracking_server_that_does_not_answer_is_the_users_to_mend(
    run: RunDirectory, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason="needs the extra `mlflow`")
    from ganzoo.callbacks.mlflow import MLflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError, match=r"MLflow at http://127\.0\.0\.1:9 refuses"):
        MLflow(run, config).on_status(status(1000, d_loss=1.0))


@pytest.mark.parametrize("diverged", [None, "NaN"])
def test_tensorboard_hides_what_is_trained_again(run: RunDirectory, config: RunConfig, diverged: str | None) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra `tensorboard`")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from ganzoo.callbacks.tensorboard import TensorBoard

    killed = TensorBoard(run, config)
    for images in (1000, 2000, 3000):
        killed.on_status(status(images, d_loss=images / 1000))
    killed._writer.close()
    time.sleep(1.1)  # event files are called by the second
    play(TensorBoard(run, config), from_images=1000, diverged=diverged)
    read = EventAccumulator(str(run.path)).Reload()
    assert [(point.step, point.value) for point in read.Scalars("train/d_loss")] == [(1000, 1.0), (2000, 0.5)]
    assert ("_hparams_/session_end_info" in read.summary_metadata) == (diverged is None)


def test_tensorboard_serves_scalars_grids_config_and_hparams(served: Callable[..., Any]) -> None:
    assert served("data/runs") == ["dcgan-mine"]
    tags = set(served("data/plugin/scalars/tags")["dcgan-mine"])
    assert tags == {
        *("train/d_loss", "train/g_loss", "speed/img_per_s", "speed/peak_memory_bytes"),
        *("metrics/fid", "more/density"),
    }
    points = served("data/plugin/scalars/scalars?run=dcgan-mine&tag=train/d_loss")
    assert [(step, value) for _, step, value in points] == [(1000, 1.0), (2000, 0.5)]
    grids = served("data/plugin/images/images?run=dcgan-mine&tag=grid/fake&sample=0")
    assert [grid["step"] for grid in grids] == [0, 2000]
    assert served("data/plugin/text/tags") == {"dcgan-mine": ["config/text_summary"]}
    statuses = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
    groups = served(
        "data/plugin/hparams/session_groups",
        experimentName="", colParams=[], startIndex=0, sliceSize=10, allowedStatuses=statuses,
    )  # fmt: skip
    (group,) = groups["sessionGroups"]
    assert group["hparams"]["variant.name"] == "dcgan"
    assert group["hparams"]["train.g_lr"] == 0.003
    values = {value["name"]["tag"]: value["value"] for value in group["metricValues"]}
    assert values["metrics/fid"] == 12.5
