"""`ganzoo bench --executor ray`: jobs on a Ray cluster. Ray is imported when it is used."""

from __future__ import annotations

from ganzoo import Executor, Setting, hookimpl

GANZOO_API = 2


@hookimpl
def register_executors() -> list[Executor]:
    return [
        Executor(
            name="ray",
            target="ganzoo_ray.cluster:RayCluster",
            summary="jobs on a Ray cluster; started again when their machine is lost (extra: ray)",
            paper="Moritz et al., Ray: A Distributed Framework for Emerging AI Applications, 2018, arXiv:1712.05889",
            settings=(
                Setting(
                    name="address",
                    default="auto",
                    doc="Of the cluster: auto for the one that this machine is part of, HOST:PORT of its head, "
                    "ray://HOST:10001 of one elsewhere, or local for one of this machine alone, begun here.",
                ),
                Setting(
                    name="cpus",
                    default=1.0,
                    minimum=0.01,
                    doc="Processors that a job takes, and threads of torch where it is 1 or more.",
                ),
                Setting(
                    name="gpus",
                    default=0.0,
                    minimum=0.0,
                    doc="GPUs that a job takes; 0.25: four jobs share one.",
                ),
                Setting(
                    name="memory_gb",
                    default=None,
                    type=float,
                    minimum=0.0,
                    doc="Memory that Ray sets aside for a job, in GB; None: not looked at.",
                ),
            ),
        )
    ]
