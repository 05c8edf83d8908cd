"""The run directory: the truth about a run, from which everything else is derived."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shlex
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.errors import RunError
from ganzoo.files.below import Below
from ganzoo.files.reading import LINES_BYTES, RECORD_BYTES, Unreadable, decode_json, is_plain, read_inside, refused
from ganzoo.files.text import clean
from ganzoo.files.writing import append_jsonl, write_json, write_text, writing
from ganzoo.runs.records import Config, Result, Run, diagnostics_lines, metrics_lines, read_record, stats_lines

if TYPE_CHECKING:
    from ganzoo.config.run_config import RunConfig


RECORD_SCHEMA = 1
"""Version of run.json."""


class RunDirectory:
    """Paths and records of one run; layout in docs/architecture.md. Torch-free."""

    config_file = Below("config.json")
    record_file = Below("run.json")
    env_file = Below("env.json")
    stats_file = Below("stats.jsonl")
    metrics_file = Below("metrics.jsonl")
    diagnostics_file = Below("diagnostics.jsonl")
    result_file = Below("result.json")
    failure_file = Below("failure.txt")
    log_file = Below("log.txt")
    snapshots_dir = Below("snapshots")
    samples_dir = Below("samples")
    neighbours_dir = Below("neighbours")
    pictures_dir = Below("pictures")
    state_file = Below("state", "latest.pt")
    previous_state_file = Below("state", "previous.pt")

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def open(cls, path: Path, config: RunConfig) -> RunDirectory:
        """Create the directory, or take it up again where it holds the same config, but for how long the run is to be,
        or nothing but a config.

        Raises:
            RunError: it belongs to another config, the differences are in the message; or it has been trained for
                longer than is asked for.
            UserError: it cannot be written.
        """
        run = cls(path)
        with writing(path):
            known = run.config_file.exists()  # a path the system cannot look at is refused here
        if not known:
            with writing(path):
                path.mkdir(parents=True, exist_ok=True)
                run.samples_dir.mkdir(exist_ok=True)
            write_json(run.config_file, config.to_dict())
            return run
        for name in ("snapshots", "samples", "neighbours", "pictures", "state"):
            if os.path.islink(path / name):  # what is written there would be written elsewhere
                raise RunError(f"{path / name} is a link", "put the folder itself there, or choose another --out")
        if not run.trained:  # it was refused or stopped before its first step
            if run.read_config() != config.to_dict():
                write_json(run.config_file, config.to_dict())
        else:
            run._compare(config)
        return run

    def _compare(self, config: RunConfig) -> tuple[list[str], bool]:
        """Settings in which the stored config differs, and whether they change how long the run is to be.

        Raises:
            RunError: as `open`.
        """
        from ganzoo.config.run_config import LATER, difference, flatten

        ours, stored = config.identity(), flatten(self.read_config())
        later = {key for key, value in LATER.items() if stored.get(key, value) != value}  # which `ours` leaves out
        lines = difference(ours, {key: value for key, value in stored.items() if key in ours or key in later})
        free = ("eval.", "metrics.", "features.") if not self.metrics() else ()  # nothing has been scored by them
        names = [line.partition(":")[0] for line in lines]
        lasting = [name for name in names if name not in config.budget() and not name.startswith(free or ("\0",))]
        longer = [line for line in lines if line.partition(":")[0] in config.budget()]
        limits = [line for line in longer if not line.startswith(("train.snapshots", "train.scores"))]
        if lasting or (any(line.startswith("train.snapshots") for line in longer) and not limits):
            cure = "choose another --out, or repeat the command that started it"
            if config.fixed_length and set(lasting) <= {"train.kimg", "train.minutes"}:
                cure = "its learning rates or losses go by how far it has come, so its length is part of it: " + cure
            raise RunError(f"{self.path} belongs to a run with another config: {'; '.join(lines)}", cure)
        if limits:
            self._check_longer(config)
        return lines, bool(limits)

    def settle(self, config: RunConfig) -> None:
        """Let the run be as long as `config` says; to be called by whoever holds its lock. Errors as in `open`."""
        if not self.trained:
            return
        stored = self.read_config().get("train") or {}
        lines, longer = self._compare(config)
        if longer:
            earlier = self.read_record().get("budgets") or [budget_of(stored)]
            asked = budget_of(vars(config.train)) | {"snapshots": earlier[0]["snapshots"]}
            self.record(budgets=earlier if earlier[-1] == asked else [*earlier, asked])
        if lines:
            write_json(self.config_file, config.to_dict())

    def _check_longer(self, config: RunConfig) -> None:
        """Raises RunError where the run has been trained for longer than the config's budget."""
        last: dict[str, Any] = next(reversed(self.stats()), {})
        kimg, seconds = float(last.get("kimg") or 0.0), float(last.get("seconds") or 0.0)
        over = [
            f"{done:g} {unit}, more than the {limit:g}"
            for done, limit, unit in (
                (kimg, config.train.kimg, "kimg"),
                (seconds / 60, config.train.minutes, "minutes"),
            )
            # a step more than the budget is what rounding up to whole batches gives
            if limit is not None and done > limit + (config.train.batch_size / 1000 if unit == "kimg" else 0.1)
        ]
        if over:
            score = f"score an earlier moment of it (ganzoo eval {self.path} --snapshot KIMG), "
            earlier = any(kimg_of(path) < kimg for path in self.snapshots())
            cure = f"ask for more, {score if earlier else ''}or choose another --out"
            raise RunError(f"{self.path} has been trained for {over[0]} asked for", cure)

    def read_record(self) -> dict[str, Any]:
        """Content of run.json: what the run began with, beside its config. Empty for runs of earlier versions.

        Raises:
            RunError: it is damaged.
        """
        return self._read("run.json", Run) if os.path.lexists(self.record_file) else {}

    def record(self, **facts: Any) -> None:
        """Put `facts` into run.json."""
        write_json(self.record_file, {"schema": RECORD_SCHEMA, **self.read_record(), **facts})

    @classmethod
    def existing(cls, path: Path) -> RunDirectory:
        """
        Raises:
            RunError: there is no run here.
        """
        run = cls(path)
        if not os.path.lexists(run.config_file):
            raise RunError(f"{path} is no run directory (it has no config.json)", "give the --out of a `ganzoo train`")
        return run

    @property
    def trained(self) -> bool:
        """Whether there is anything that training has made."""
        return any(file.exists() for file in (self.state_file, self.previous_state_file, self.result_file))

    @property
    def has_state(self) -> bool:
        """Whether there is a saved state, whatever is in it."""
        return any(os.path.lexists(file) for file in (self.state_file, self.previous_state_file))

    def read_config(self) -> dict[str, Any]:
        """
        Raises:
            RunError: config.json is damaged, or some other program's.
        """
        return self._read("config.json", Config)

    def is_ours(self) -> bool:
        """Whether config.json may be ganzoo's: other programs have files of that name, too."""
        try:
            document = decode_json(read_inside(self.path, "config.json", RECORD_BYTES))
        except (FileNotFoundError, Unreadable):
            return True  # it is to be told what is wrong with it
        return isinstance(document, dict) and {"variant", "objective", "dataset"} <= document.keys()

    def read_result(self) -> dict[str, Any] | None:
        """The finished run's row, or None while it is not finished.

        Raises:
            RunError: result.json is damaged, of another version, or no plain file.
        """
        return self._read("result.json", Result) if os.path.lexists(self.result_file) else None

    def read_environment(self) -> dict[str, Any]:
        """Content of env.json; empty where there is none that can be read."""
        try:
            document = decode_json(read_inside(self.path, "env.json", RECORD_BYTES))
        except (FileNotFoundError, Unreadable):
            return {}
        return document if isinstance(document, dict) else {}

    def read_failure(self) -> str:
        """The first line of failure.txt; "" where there is none."""
        try:
            text = read_inside(self.path, "failure.txt", RECORD_BYTES)[:8192].decode("utf-8", errors="replace")
        except (FileNotFoundError, Unreadable):
            return ""
        return clean((text.strip().splitlines() or ["no message"])[0], 500)

    def stats(self) -> list[dict[str, Any]]:
        """The ticks, oldest first; lines that are none are left out. RunError for what is no plain file."""
        return list(stats_lines(self._read_lines("stats.jsonl")))

    def metrics(self) -> list[dict[str, Any]]:
        """The scores; as `stats`."""
        return list(metrics_lines(self._read_lines("metrics.jsonl")))

    def diagnostics(self) -> list[dict[str, Any]]:
        """What was found to be wrong, oldest first; as `stats`."""
        return list(diagnostics_lines(self._read_lines("diagnostics.jsonl")))

    def _read(self, name: str, schema: type[Any]) -> dict[str, Any]:
        try:
            return read_record(read_inside(self.path, name, RECORD_BYTES), schema)
        except (FileNotFoundError, Unreadable) as error:
            raise refused(self.path / name, error) from None

    def _read_lines(self, name: str) -> bytes:
        try:
            return read_inside(self.path, name, LINES_BYTES)
        except FileNotFoundError:
            return b""
        except Unreadable as error:
            raise refused(self.path / name, error) from None

    def add_stats(self, document: dict[str, Any]) -> None:
        append_jsonl(self.stats_file, document)

    def add_metrics(self, document: dict[str, Any]) -> None:
        append_jsonl(self.metrics_file, document)

    def add_diagnosis(self, document: dict[str, Any]) -> None:
        append_jsonl(self.diagnostics_file, document)

    def rewind(self, images: int) -> None:
        """Forget what was recorded after `images` images; the run is taken up there."""
        records = [(self.stats_file, self.stats()), (self.metrics_file, self.metrics())]
        if os.path.lexists(self.diagnostics_file):  # most runs have none
            records.append((self.diagnostics_file, self.diagnostics()))
        for file, documents in records:
            kept = [document for document in documents if document["images"] <= images]
            text = "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in kept)
            write_text(file, text)
        for file in self.pictures():
            if kimg_of(file) * 1000 > images + 0.5:
                file.unlink(missing_ok=True)

    def write_failure(self, text: str) -> None:
        """Say why there is no result; the leaderboard shows the first line."""
        write_text(self.failure_file, text + "\n")

    def discard_unstarted(self) -> None:
        """Remove what a refused start left behind; nothing, once there is a state or a snapshot."""
        if not os.path.isdir(self.path):  # False, not an error, for a path the system refuses
            return
        if self.snapshots() or self.state_file.exists() or self.result_file.exists():
            return
        records = (self.stats_file, self.metrics_file, self.diagnostics_file)
        ours = (self.config_file, self.record_file, self.env_file, *records)
        for file in (*ours, self.log_file, self.path / "real.png", self.path / ".lock"):
            with contextlib.suppress(OSError):  # could not be made in the first place
                file.unlink()
        for folder in (self.samples_dir, self.path):
            with contextlib.suppress(OSError):  # not there, or holds something else
                folder.rmdir()

    def snapshot_file(self, images: int) -> Path:
        return self.snapshots_dir / f"{stem(images)}.safetensors"

    def sample_file(self, images: int) -> Path:
        return self.samples_dir / f"{stem(images)}.png"

    def neighbours_file(self, images: int) -> Path:
        """Generated images above the training images they are nearest to."""
        return self.neighbours_dir / f"{stem(images)}.png"

    def picture_file(self, images: int) -> Path:
        """The fixed noise, in the images' own size and colour."""
        return self.pictures_dir / f"{stem(images)}.png"

    def snapshots(self) -> list[Path]:
        """Oldest first; plain files only."""
        return self._listed("snapshots", ".safetensors")

    def samples(self) -> list[Path]:
        """Oldest first; plain files only."""
        return self._listed("samples", ".png")

    def neighbours(self) -> list[Path]:
        """Oldest first; plain files only."""
        return self._listed("neighbours", ".png")

    def pictures(self) -> list[Path]:
        """Oldest first; plain files only. Those of snapshots are among them; see `ganzoo.runs.pictures.moments`."""
        return self._listed("pictures", ".png")

    def _listed(self, folder: str, ending: str) -> list[Path]:
        try:
            names = os.listdir(self.path / folder)
        except OSError:
            return []
        ours = sorted(name for name in names if _STEM.fullmatch(name.removesuffix(ending)) and name.endswith(ending))
        return [self.path / folder / name for name in ours if is_plain(self.path, f"{folder}/{name}")]


_STEM = re.compile(r"\d{6,9}\.\d{3}")  # of `stem`


def budget_of(train: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of "budgets" in run.json, from the settings of training."""
    return {"kimg": train.get("kimg"), "minutes": train.get("minutes"), "snapshots": train.get("snapshots") or 8}


def lacking(run: RunDirectory, what: str) -> RunError:
    """The error where something of a run is not there: what is finished is not trained again in its place."""
    again = f"ganzoo train --config {shlex.quote(str(run.config_file))} --out"
    if not os.path.exists(run.result_file):
        return RunError(f"{run.path} has no {what} yet", f"train it further: {again} {shlex.quote(str(run.path))}")
    fresh = (f"{run.path.name}-again{number or ''}" for number in itertools.count())
    out = next(place for name in fresh if not os.path.lexists(place := run.path.with_name(name)))
    return RunError(
        f"{run.path} has no {what}, and is finished", f"train another like it: {again} {shlex.quote(str(out))}"
    )


def stem(images: int) -> str:
    """File name of a snapshot: its kimg, sortable, exact to the image: 1234567 -> "001234.567"."""
    return f"{images // 1000:06d}.{images % 1000:03d}"


def kimg_of(path: Path) -> float:
    """The inverse of `stem`, in kimg: "001234.567.safetensors" -> 1234.567."""
    return float(path.name.removesuffix(path.suffix))


def told_with_traceback(error: BaseException) -> str:
    """For failure.txt: a bug, a plugin's perhaps, in one line, and below it where it came from."""
    return "".join([f"{type(error).__name__}: {error}\n\n", *traceback.format_exception(error)])
