"""Jobs on a real Ray cluster of two machines that are processes of this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from same_rows import rows

import ganzoo
from ganzoo.errors import RunError, UserError
from ganzoo.files.progress import Event

pytestmark = pytest.mark.slow

OPTIONS: dict[str, Any] = {"variants": ["gan", "dcgan"], "seeds": 2, "kimg": 2, "num_images": 500, "device": "cpu"}
FAST = {"eval.metrics": "fid", "train.snapshots": 2, "train.tick_kimg": 0.128}


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head that runs no job, and two machines of a processor each."""
    pytest.importorskip("ray", reason="needs the extra `ray`")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    made.machines = [made.add_node(num_cpus=1) for _ in range(2)]
    try:
        yield made
    finally:
        import ray

        ray.shutdown()
        made.shutdown()


def test_a_machine_that_is_killed_in_the_middle_of_a_bench_costs_no_row(
    cluster: Any, data_root: Path, tmp_path: Path
) -> None:
    told: list[Event] = []
    sets = {**FAST, "executor.address": cluster.address}

    def listen(event: Event) -> None:
        told.append(event)
        at_work = {one.job for one in told if one.kind == "tick"} - {one.job for one in told if one.kind == "finished"}
        if event.kind == "tick" and len(at_work) == 2 and len(cluster.machines) == 2:
            cluster.remove_node(cluster.machines.pop(), allow_graceful=False)

    board = ganzoo.bench(
        executor="ray", sets=sets, data_root=data_root, out=tmp_path / "there", listen=listen, **OPTIONS
    )
    assert not board.failed
    assert len(cluster.machines) == 1
    assert sum("its machine is lost" in str(event) for event in told) == 1
    finished = Counter(event.job for event in told if event.kind == "finished")
    assert sorted(finished.values()) == [1, 1, 1, 1]
    ganzoo.bench(sets=FAST, data_root=data_root, out=tmp_path / "here", **OPTIONS)
    here, there = rows(tmp_path / "here"), rows(tmp_path / "there")
    assert len(here) == 4
    assert there == here


def test_a_cluster_without_machines_is_waited_for(
    cluster: Any, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All go while a run is at work, and one comes when that is told."""
    monkeypatch.setattr("ganzoo_ray.cluster.LOOK_SECONDS", 1.0)
    told: list[str] = []

    def listen(event: Event) -> None:
        told.append(str(event))
        if event.kind == "tick" and len(cluster.machines) == 2:
            while cluster.machines:
                cluster.remove_node(cluster.machines.pop(), allow_graceful=False)
            cluster.machines.append(None)
        if "no machine of the cluster is left" in str(event):
            cluster.add_node(num_cpus=1)

    sets = {**FAST, "executor.address": cluster.address}
    options = OPTIONS | {"variants": ["gan"], "seeds": 1}
    board = ganzoo.bench(executor="ray", sets=sets, data_root=data_root, out=tmp_path, listen=listen, **options)
    assert not board.failed
    assert sum("no machine of the cluster is left that could do a job" in line for line in told) == 1


def test_what_the_cluster_does_not_have(cluster: Any, data_root: Path, tmp_path: Path) -> None:
    where = {"executor": "ray", "data_root": data_root, "out": tmp_path}
    with pytest.raises(RunError, match="a job takes 1 GPUs, and no machine of the cluster has more than 0"):
        ganzoo.bench("gan", kimg=0.1, sets={"executor.address": cluster.address, "executor.gpus": 1}, **where)


def test_no_cluster(data_root: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra `ray`")
    with pytest.raises(UserError, match=r"there is no Ray cluster at 127\.0\.0\.1:9"):
        ganzoo.bench(
            "gan", kimg=0.1, executor="ray", sets={"executor.address": "127.0.0.1:9"}, data_root=data_root, out=tmp_path
        )


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_ctrl_c_saves_the_states_of_all(cluster: Any, data_root: Path, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "ganzoo", "bench", "--variants", "gan,dcgan", "--kimg", "3000", "--device", "cpu"),
        *("--executor", "ray", "--set", f"executor.address={cluster.address}", "--data-root", str(data_root)),
        *("--set", "train.scores=none", "--out", str(tmp_path / "bench")),
    ]

    def prepare() -> None:  # a suite in the background of a shell has it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=prepare) as bench:
        assert bench.stderr is not None
        for line in bench.stderr:
            if "img/s" in line and "dcgan" in line:
                bench.send_signal(signal.SIGINT)
                break
        said = bench.stderr.read()
        assert bench.wait() == 130
    states = {file.relative_to(tmp_path / "bench").parts[1] for file in (tmp_path / "bench").rglob("*state*")}
    assert len(states) == 2, said
    told = [line for line in said.splitlines() if "kimg, state saved; the same command continues" in line]
    assert sorted(line.split(" seed")[0] for line in told) == ["dcgan", "gan"], said
