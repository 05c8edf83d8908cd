"""Fixtures that several test files share: the zoo, made-up distributions and runs, the command line."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from commands import GanZoo, ganzoo_in

from ganzoo.config.layers import build_config
from ganzoo.zoo.registry import Registry

os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")  # so that "auto" is fp32 on all machines

WORKER = "PYTEST_XDIST_WORKER" in os.environ
if WORKER:
    # Before torch is imported: workers have a core each. Tests of more threads ask for them, and must not spin then.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """The whole suite has a worker on each of up to four cores. Named tests have none, because workers take seconds to
    start. Here and not in addopts, which benchmarks obey, too. `worksteal` leaves neighbours together, which share
    trained runs.
    """
    if WORKER or not config.pluginmanager.hasplugin("xdist"):  # workers are asked, too
        return
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS and config.option.numprocesses is None:
        config.option.numprocesses = "auto"
        config.option.maxprocesses = config.option.maxprocesses or 4
        config.option.dist = "worksteal" if config.option.dist == "no" else config.option.dist


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The zoo as installed."""
    return Registry.load(environ={})


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of datasets and feature caches, shared by all tests that train."""
    return tmp_path_factory.mktemp("data-root")


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """`distribution(name, {entry point: source}, version="1.0")` makes an installed distribution, one module for each
    entry point, visible to this process; returns its folder, for the PYTHONPATH of another.
    """
    modules: list[str] = []

    def make(name: str, plugins: Mapping[str, str], version: str = "1.0") -> Path:
        site = tmp_path / f"site-{name}"
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        points = []
        for point, source in plugins.items():
            module = f"fake_{name}_{point}".replace("-", "_")
            (site / f"{module}.py").write_text(source)
            points.append(f"{point} = {module}\n")
            modules.append(module)
        (info / "entry_points.txt").write_text("[ganzoo]\n" + "".join(points))
        monkeypatch.syspath_prepend(site)
        importlib.invalidate_caches()
        return site

    yield make
    for module in modules:
        sys.modules.pop(module, None)


@pytest.fixture
def ganzoo(tmp_path: Path) -> GanZoo:
    """The command line in a folder of its own, see `ganzoo_in`."""
    return ganzoo_in(tmp_path)


@pytest.fixture(scope="session")
def write_run(registry: Registry) -> Callable[..., dict[str, Any]]:
    """`write_run(folder, "gan", seed=0, fid=12.5)` writes the config.json and result.json of a finished run."""

    def write(
        folder: Path,
        variant: str = "gan",
        *,
        seed: int = 0,
        fid: float | None = 10.0,
        protocol: str = "digits-a",
        sets: tuple[str, ...] = (),
        changes: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        config = build_config(registry, variant=variant, sets=[*sets, f"seed={seed}"]).to_dict()
        score = {
            "images": 1000, "kimg": 1.0, "values": {"fid": fid, "is": 2.0, "kid": 0.01}, "seconds": 1.0,
            "sample_img_per_s": 500.0, "peak_memory": 2**21, "left_out": {}, "protocol": protocol,
        }  # fmt: skip
        result: dict[str, Any] = {
            "schema": 2, "status": "done", "diverged": None, "variant": variant,
            "objective": config["objective"]["name"], "dataset": "digits", "seed": seed, "config": config,
            "protocol": {"id": protocol}, "label_law": "none", "kimg": 1.0, "last": score, "best": score,
            "untrained": score,
            "floors": [], "left_out": {}, "until": None, "joules": None,
            "train_img_per_s": 1000.0, "sample_img_per_s": 500.0,
            "parameters": {"generator": 1500, "discriminator": 1000}, "peak_memory": 2**20,
            "score_peak_memory": 2**21,
            "seconds": {"train": 1.0, "score": 1.0, "wall": 3.0},
            "environment": {
                "device": "some CPU", "precision": "fp32", "python": "3.11.0",
                "packages": {"ganzoo": "0.1.0", "torch": "2.11.0"}, "git": None,
                "execution": "eager", "train_threads": 1, "concurrent": 1, "beside": 0,
            },
            "source": "0123456789abcdef", "higher_is_better": {"fid": False, "is": True, "kid": False},
            "data": {
                "train": {"sha256": "ab" * 32, "images": 1437, "shape": [1, 32, 32], "num_classes": 10, "facts": None},
                "test": None,
            },
            "budgets": [{"kimg": 1.0, "minutes": None, "snapshots": 8}], "init": None, "snapshots": {},
            "diagnostics": [], "provenance": {},
        }  # fmt: skip
        result |= changes or {}
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "result.json").write_text(json.dumps(result))
        return result

    return write
