"""`ganzoo bench --executor slurm`: jobs of a Slurm cluster, by submitit, which is imported when it is used."""

from __future__ import annotations

from ganzoo import Executor, Setting, hookimpl

GANZOO_API = 2


@hookimpl
def register_executors() -> list[Executor]:
    return [
        Executor(
            name="slurm",
            target="ganzoo_slurm.cluster:SlurmCluster",
            summary="each job a job of Slurm; submitted again when it is preempted or its node fails (extra: slurm)",
            paper="Yoo et al., SLURM: Simple Linux Utility for Resource Management, 2003, "
            "doi:10.1007/10968987_3; by submitit",
            settings=(
                Setting(
                    name="partition", default=None, type=str, doc="Of the cluster; None: the one that Slurm takes."
                ),
                Setting(name="account", default=None, type=str, doc="That is charged; None: the user's own."),
                Setting(name="cpus", default=1, minimum=1, doc="Processors, and threads of torch, of a job."),
                Setting(name="gpus", default=0, minimum=0, doc="GPUs of a job."),
                Setting(name="memory_gb", default=8.0, minimum=0.1, doc="Memory of a job, in GB."),
                Setting(
                    name="minutes",
                    default=240,
                    minimum=5,
                    doc="After which Slurm ends a job; one that was not done by then is submitted again, and goes on.",
                ),
                Setting(name="at_once", default=64, minimum=1, doc="Jobs that are submitted and not done, at a time."),
                Setting(
                    name="cluster",
                    default="slurm",
                    choices=("slurm", "local"),
                    doc="local: processes of this machine in place of Slurm, to try it.",
                ),
            ),
        )
    ]
