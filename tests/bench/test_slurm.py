"""Jobs through submitit, whose local executor is processes of this machine in place of Slurm's."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from same_rows import rows

import ganzoo
from ganzoo.errors import UserError
from ganzoo.files.progress import Event

pytest.importorskip("submitit", reason="needs the extra `slurm`")

OPTIONS: dict[str, Any] = {"variants": ["gan", "dcgan"], "kimg": 0.25, "num_images": 500, "device": "cpu"}
FAST = {"eval.metrics": "fid", "train.snapshots": 2, "variant.z_dim": 16}
HERE = {"executor.cluster": "local", "executor.minutes": 10}


def test_the_same_rows_as_on_this_machine(data_root: Path, tmp_path: Path) -> None:
    where = {"data_root": data_root, **OPTIONS}
    ganzoo.bench(out=tmp_path / "here", concurrent=2, sets={**FAST, "train.snapshots": 2}, **where)
    board = ganzoo.bench(out=tmp_path / "there", executor="slurm", sets={**FAST, **HERE}, **where)
    assert not board.failed
    here, there = rows(tmp_path / "here"), rows(tmp_path / "there")
    assert len(here) == 2
    assert there == here


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_a_job_that_is_killed_with_its_machine_is_submitted_again(data_root: Path, tmp_path: Path) -> None:
    told: list[Event] = []

    def listen(event: Event) -> None:
        told.append(event)
        if event.kind == "tick" and not any("is lost" in str(one) for one in told):
            for log in (tmp_path / "bench" / "slurm" / "logs").glob("*_submitted.pkl"):
                os.kill(int(log.name.partition("_")[0]), signal.SIGKILL)  # submitit's process; its child follows

    sets = {**FAST, **HERE, "train.tick_kimg": 0.064}
    board = ganzoo.bench(
        "gan", kimg=0.5, num_images=500, device="cpu", executor="slurm", sets=sets, data_root=data_root,
        out=tmp_path / "bench", listen=listen,
    )  # fmt: skip
    assert any("its machine is lost (Slurm says INTERRUPTED)" in str(event) for event in told)
    assert not board.failed
    assert len(rows(tmp_path / "bench")) == 1


@pytest.mark.parametrize(
    ("executor", "sets", "cause"),
    [
        ("slurm", {}, "are you indeed on a slurm cluster?"),
        ("slrum", {}, "unknown executor 'slrum'"),
        ("slurm", {"executor.cpu": 3}, "unknown setting 'executor.cpu'"),
        ("slurm", {"executor.cpus": 0}, "executor.cpus"),
        ("slurm", {"executor.minutes": 4}, "executor.minutes"),  # saving and beginning take as long
        ("local", {"executor.cpus": 2}, "executor.cpus is set, and jobs run on this machine"),
    ],
)
def test_what_cannot_be(executor: str, sets: dict[str, Any], cause: str, data_root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape(cause)):
        ganzoo.bench("gan", kimg=0.1, executor=executor, sets=sets, data_root=data_root, out=tmp_path)
