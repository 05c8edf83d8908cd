"""What Slurm says, and what is made of it: its commands are scripts here, which say what a test lets them say."""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ganzoo.bench.clusters import WANTED, Ended, Order
from ganzoo.bench.jobs import Job
from ganzoo.bench.worker import work
from ganzoo.errors import RunError
from ganzoo.files.progress import Event, Note, listening

pytest.importorskip("submitit", reason="needs the extra `slurm`")

from ganzoo_slurm import cluster as module
from ganzoo_slurm.cluster import _LENGTH, SlurmCluster, _carry_out

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Slurm's commands as shell scripts")

SETTINGS: dict[str, Any] = {
    "partition": None, "account": None, "cpus": 3, "gpus": 0, "memory_gb": 1.0, "minutes": 10, "at_once": 4,
    "cluster": "slurm",
}  # fmt: skip

SBATCH = """#!/bin/sh
cd {slurm}
if [ -e refuse ]; then cat refuse >&2; exit 1; fi
number=$(($(cat number) + 1)); echo $number > number; echo PENDING > state-$number
echo Submitted batch job $number
"""

SACCT = """#!/bin/sh
cd {slurm}
echo "JobID|State|NodeList"
for file in state-*; do echo "${{file#state-}}|$(cat "$file")|node1"; done
"""


class Slurm:
    """Jobs that never run: the files say how they are."""

    def __init__(self, folder: Path, first: int) -> None:
        self.folder, self.first = folder, first
        for name, text in {"sbatch": SBATCH, "sacct": SACCT, "srun": "#!/bin/sh\n", "scancel": "#!/bin/sh\n"}.items():
            (folder / name).write_text(text.format(slurm=folder))
            (folder / name).chmod(0o755)
        (folder / "number").write_text(f"{first}")

    def say(self, state: str, job: int = 1) -> None:
        (self.folder / f"state-{self.first + job}").write_text(state)

    def refuse(self, text: str) -> None:
        (self.folder / "refuse").write_text(text)

    def take(self) -> None:
        (self.folder / "refuse").unlink()


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    folder = tmp_path / "commands"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    for name in ("LAG_SECONDS", "ASK_SECONDS", "SACCT_SECONDS", "AGAIN_SECONDS"):
        monkeypatch.setattr(module, name, 0.0)
    first = int.from_bytes(os.urandom(4), "little") * 1000  # submitit remembers the jobs of a process
    return Slurm(folder, first)


@pytest.fixture
def cluster(slurm: Slurm, tmp_path: Path) -> SlurmCluster:
    return made(tmp_path)


def made(tmp_path: Path, **settings: Any) -> SlurmCluster:
    cluster = SlurmCluster({**SETTINGS, **settings}, tmp_path / "bench")
    cluster._pause = 0.01
    return cluster


ORDER = cast(Order, "an order")


def news_of(cluster: SlurmCluster, seconds: float = 0.1) -> list[Any]:
    return [what for _, what in cluster.news(seconds)]


def write(cluster: SlurmCluster, *news: object, zeros: int = 0) -> None:
    """Into the file of the newest job."""
    *_, newest = cluster._jobs.values()
    with newest.spool.open("ab") as file:
        file.write(b"".join(_LENGTH.pack(len(data)) + data for data in map(pickle.dumps, news)) + b"\0" * zeros)


def test_a_job_has_its_processors_and_is_started_again_by_the_bench_alone(
    slurm: Slurm, cluster: SlurmCluster, tmp_path: Path
) -> None:
    cluster.start(ORDER)
    batch = tmp_path / "bench" / "slurm" / "logs" / f"{slurm.first + 1}_submission.sh"
    lines = batch.read_text().splitlines()
    assert "#SBATCH --no-requeue" in lines
    assert "#SBATCH --cpus-per-task=3" in lines
    (srun,) = [line for line in lines if line.startswith("srun ")]
    assert "--cpus-per-task=3" in srun


@pytest.mark.parametrize("state", ["PREEMPTED", "NODE_FAIL", "CANCELLED by 1000", "TIMEOUT", "OUT_OF_MEMORY"])
def test_a_state_that_is_final_ends_a_job(state: str, slurm: Slurm, cluster: SlurmCluster) -> None:
    cluster.start(ORDER)
    assert news_of(cluster) == []
    slurm.say(state)
    assert news_of(cluster, 5) == [Ended(lost=f"Slurm says {state}")]


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "COMPLETING", "SUSPENDED", "RESIZING"])
def test_a_state_that_is_not_final_is_waited_out(state: str, slurm: Slurm, cluster: SlurmCluster) -> None:
    cluster.start(ORDER)
    slurm.say(state)
    assert news_of(cluster, 0.5) == []
    slurm.say("NODE_FAIL")  # submitit asks no more after a job that was suspended
    assert news_of(cluster, 5) == [Ended(lost="Slurm says NODE_FAIL")]


def test_a_first_job_that_is_refused_ends_the_bench(
    slurm: Slurm, cluster: SlurmCluster, capfd: pytest.CaptureFixture[str]
) -> None:
    slurm.refuse("sbatch: error: invalid partition specified: gpu\nsbatch: error: Batch job submission failed\n")
    with pytest.raises(RunError, match="Slurm takes no such job: sbatch: error: invalid partition") as caught:
        cluster.start(ORDER)
    assert caught.value.cure == "see its settings: ganzoo show slurm"
    assert capfd.readouterr().err == ""  # the error has it


@pytest.mark.parametrize(
    "said", ["Job violates accounting/QOS policy (job submit limit)", "Socket timed out on send/recv"]
)
def test_a_first_job_that_slurm_may_take_later_waits(said: str, slurm: Slurm, cluster: SlurmCluster) -> None:
    slurm.refuse(said)
    cluster.start(ORDER)
    slurm.take()
    slurm.say("RUNNING")
    assert news_of(cluster) == []
    slurm.say("FAILED")
    assert news_of(cluster, 5) == [Ended(lost="Slurm says FAILED")]


def test_what_sbatch_says_instead_of_a_number_is_told(slurm: Slurm, cluster: SlurmCluster) -> None:
    (slurm.folder / "sbatch").write_text("#!/bin/sh\necho hello\n")
    with pytest.raises(RunError, match="Slurm takes no such job"):
        cluster.start(ORDER)


def test_nothing_is_submitted_once_the_bench_stops(slurm: Slurm, cluster: SlurmCluster) -> None:
    cluster.start(ORDER)
    slurm.refuse("job submit limit")
    with listening(lambda event: None):
        cluster.start(ORDER)
    slurm.take()
    slurm.say("CANCELLED")
    cluster.stop(5)
    assert cluster.news(0.0) == [(1, Ended(lost="Slurm says CANCELLED"))]
    assert (slurm.folder / "number").read_text().strip() == str(slurm.first + 1)


def test_a_preempted_job_is_not_waited_for_at_the_end(slurm: Slurm, cluster: SlurmCluster, tmp_path: Path) -> None:
    cluster.start(ORDER)
    slurm.say("RUNNING")
    write(cluster, Ended(exitcode=WANTED))
    assert news_of(cluster, 5) == [Ended(exitcode=WANTED)]
    slurm.say("PREEMPTED")
    began = time.monotonic()
    cluster.stop(20)
    assert time.monotonic() - began < 10


def test_a_cluster_without_accounting_is_noted(slurm: Slurm, tmp_path: Path) -> None:
    (slurm.folder / "sacct").write_text("#!/bin/sh\necho Slurm accounting storage is disabled >&2\nexit 1\n")
    told: list[Event] = []
    with listening(told.append):
        made(tmp_path)
    assert [str(one) for one in told] == [
        "sacct does not answer (Slurm accounting storage is disabled): a job that ends without a word, as with its "
        "node, is waited for"
    ]


def test_jobs_beyond_a_limit_are_submitted_when_slurm_takes_them(slurm: Slurm, cluster: SlurmCluster) -> None:
    told: list[Event] = []
    first = cluster.start(ORDER)
    slurm.refuse("Job violates accounting/QOS policy (job submit limit)")
    with listening(told.append):
        later = [cluster.start(ORDER), cluster.start(ORDER)]
    assert [str(one) for one in told] == [
        "Slurm takes no more jobs for now: Job violates accounting/QOS policy (job submit limit); the others are "
        "submitted as it takes them"
    ]
    assert news_of(cluster) == []
    slurm.take()
    assert news_of(cluster) == []
    assert len({first, *later}) == 3
    for number in (1, 2, 3):
        slurm.say("NODE_FAIL", number)
    ended = {name for _ in range(3) for name, _ in cluster.news(10)}
    assert ended == {first, *later}  # in whichever order Slurm is asked


def test_slurm_that_takes_nothing_for_long_ends_the_bench(
    slurm: Slurm, cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)
    cluster.start(ORDER)
    slurm.refuse("Unable to contact slurm controller")
    cluster.start(ORDER)
    assert news_of(cluster) == []  # the first may be what it has no room beside
    slurm.say("FAILED")
    assert news_of(cluster, 5) == [Ended(lost="Slurm says FAILED")]
    with pytest.raises(RunError, match="takes no more jobs: Unable to contact slurm controller"):
        cluster.news(0.1)


def test_a_job_that_breaks_before_it_says_anything_is_told_with_its_cause(
    slurm: Slurm, cluster: SlurmCluster, tmp_path: Path
) -> None:
    trace = "Traceback (most recent call last):\n  File ...\nModuleNotFoundError: No module named 'ganzoo'\n"
    logs = tmp_path / "bench" / "slurm" / "logs"
    cluster.start(ORDER)
    (logs / f"{slurm.first + 1}_0_result.pkl").write_bytes(pickle.dumps(("error", trace)))
    (end,) = news_of(cluster, 5)
    cause = "ModuleNotFoundError: No module named 'ganzoo'"
    assert end.refused == f"a machine of the cluster cannot run ganzoo's jobs: {cause}"
    assert end.cure == f"see {logs}/{slurm.first + 1}_0_log.err"
    cluster.start(ORDER)
    write(cluster, Note(text="working"))
    assert news_of(cluster, 5) == [Note(text="working")]
    (logs / f"{slurm.first + 2}_0_result.pkl").write_bytes(pickle.dumps(("error", trace)))
    (end,) = news_of(cluster, 5)  # another machine may do better
    assert end.lost.startswith(f"{cause}; see ")


def test_bytes_that_a_file_system_does_not_show_yet_are_waited_for(cluster: SlurmCluster, tmp_path: Path) -> None:
    cluster.start(ORDER)
    write(cluster, Note(text="one"), zeros=30)
    assert news_of(cluster, 5) == [Note(text="one")]
    assert news_of(cluster) == []
    (spool,) = (tmp_path / "bench" / "slurm" / "news").iterdir()
    whole = pickle.dumps(Note(text="two"))
    before = spool.read_bytes().rstrip(b"\0")
    half = before + _LENGTH.pack(len(whole)) + whole[:20]
    spool.write_bytes(half.ljust(len(before) + _LENGTH.size + len(whole), b"\0"))
    assert news_of(cluster) == []
    spool.write_bytes(before + _LENGTH.pack(len(whole)) + whole)
    assert news_of(cluster, 5) == [Note(text="two")]


@pytest.mark.parametrize(
    ("number", "end"),
    [("SIGTERM", Ended(exitcode=WANTED)), ("SIGUSR2", Ended(lost="its time was over")), ("SIGINT", None)],
)
def test_a_job_that_is_ended_says_so(
    number: str, end: Ended | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    which = getattr(signal, number)
    saved: list[str] = []

    def work(order: object, threads: int) -> Iterator[Note]:
        try:
            yield Note(text="begun")
            os.kill(os.getpid(), which)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # said twice, while the state is saved
            saved.append("state")

    monkeypatch.setattr(module, "carry_out", work)
    names = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)
    before = [signal.getsignal(one) for one in names]
    try:
        with pytest.raises(SystemExit) as caught:
            _carry_out(ORDER, str(tmp_path / "news"), 1)
    finally:
        for one, handler in zip(names, before, strict=True):
            signal.signal(one, handler)
    assert caught.value.code == 128 + which
    assert saved == ["state"]
    data, found = (tmp_path / "news").read_bytes(), []
    while data:
        (length,) = _LENGTH.unpack_from(data)
        found.append(pickle.loads(data[_LENGTH.size : _LENGTH.size + length]))
        data = data[_LENGTH.size + length :]
    assert found == [Note(text="begun"), *([end] if end else [])]


def test_a_worker_does_not_end_by_the_signal_that_is_for_who_began_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some clusters give SIGUSR2 to every process of a job, and its default is to end without saving."""
    found: list[object] = []
    monkeypatch.setattr("ganzoo.bench.worker._work", lambda *arguments: found.append(signal.getsignal(signal.SIGUSR2)))
    before = signal.getsignal(signal.SIGUSR2)
    try:
        work(cast(Job, SimpleNamespace(title="gan seed 0")))
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert found == [signal.SIG_IGN]
