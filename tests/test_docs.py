"""Every command in README and docs is run, in the order of its page, with budgets cut to a few steps."""

from __future__ import annotations

import gzip
import re
import shlex
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganzoo.bench.jobs import Job
from ganzoo.cli.main import cli
from ganzoo.config.layers import from_dict
from ganzoo.runs.directory import RunDirectory
from ganzoo.runs.find import find_runs
from ganzoo.zoo.registry import Registry

REPOSITORY = Path(__file__).parent.parent
PAGES = ["README.md", *sorted(str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "docs").glob("*.md"))]
PREFIXES = ("ganzoo ", "python -m ganzoo ", "uv run python -m ganzoo ", "pip install uv && uv run python -m ganzoo ")
NARROW = [f"variant.{name}.channels=8" for name in ("dcgan", "cdcgan")]  # said to every variant, heard by its own
SETS = ["train.snapshots=1", "train.batch_size=16", "eval.num_images=60", "eval.metrics=kid,conditional", *NARROW]
CUT = {
    "train": [*(word for setting in SETS for word in ("--set", setting)), "--kimg", "0.05"],
    "eval": ["--num-images", "60", "--metrics", "kid"],
    "doctor": ["--data-root", "elsewhere"],  # not among the stand-ins of real data, which it finds out
}
CUT["bench"] = [*CUT["train"], "--rounds", "1"]
ONCE = {"doctor"}
"""Commands that take seconds and see nothing of the page's runs: run for the first page alone."""
JOBS = 3
"""Of a bench, these are run, the first ones."""


def commands_of(page: str) -> list[list[str]]:
    """Arguments of every ganzoo command on a page, in fenced sh blocks and in indented ones."""
    found = []
    for line in (REPOSITORY / page).read_text().splitlines():
        text = line.strip().removeprefix("$ ")
        prefix = next((prefix for prefix in PREFIXES if text.startswith(prefix)), None)
        indented = line.startswith("    ") or _in_fence(page, line)
        if prefix is not None and indented:
            found.append(shlex.split(text.removeprefix(prefix), comments=True))
    return found


def _in_fence(page: str, line: str) -> bool:
    fences = re.findall(r"```(?:sh|console)\n(.*?)```", (REPOSITORY / page).read_text(), flags=re.DOTALL)
    return any(line in fence.splitlines() for fence in fences)


def cut(arguments: list[str]) -> list[str]:
    """The same command with a budget of a few steps, on this machine."""
    arguments = list(arguments)
    while (at := next((i for i, word in enumerate(arguments) if word.startswith("executor.")), None)) is not None:
        del arguments[at - 1 : at + 1]
    if "--executor" in arguments:
        arguments[arguments.index("--executor") + 1] = "local"
    if "--kimg" in arguments:
        del arguments[arguments.index("--kimg") : arguments.index("--kimg") + 2]
    arguments = [argument.replace("fid=", "kid=") for argument in arguments]  # the one score of a few images
    if "--reference" in arguments:  # FID alone, of more images than features
        return [*arguments, "--num-images", "70"]
    enough = ["--set", "eval.num_images=70"] if "--search" in arguments else []  # its trials are compared by FID
    return [*arguments, *CUT.get(arguments[0], []), *enough]


def make_archives(place: Path, images: Sequence[Path]) -> None:
    """The files that docs/datasets.md reads, with the given images in them."""
    import h5py
    import pyarrow as pa
    import pyarrow.parquet as pq

    (place / "shards").mkdir()
    for shard in range(10):
        with tarfile.open(place / "shards" / f"train-{shard:04d}.tar", "w") as archive:
            for image in images[shard::10]:
                archive.add(image, image.name)
    (place / "cifar10" / "plain_text").mkdir(parents=True)
    rows = pa.table({"img": [{"bytes": image.read_bytes(), "path": image.name} for image in images]})
    pq.write_table(rows, place / "cifar10" / "plain_text" / "train-00000-of-00001.parquet")
    with h5py.File(place / "faces.h5", "w") as file:
        file["images"] = np.stack([np.asarray(Image.open(image)) for image in images])


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as after cloning, with stand-ins for Fashion-MNIST, MNIST and a folder of faces; jobs in process."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "data"
    monkeypatch.setenv("GANZOO_DATA", str(root))
    (tmp_path / "docs").symlink_to(REPOSITORY / "docs")
    random = np.random.default_rng(0)
    (root / "fashion-mnist").mkdir(parents=True)
    for split, n in (("train", 120), ("t10k", 60)):
        images = random.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        labels = (np.arange(n) % 10).astype(np.uint8)
        for name, magic, array in (("images-idx3", 2051, images), ("labels-idx1", 2049, labels)):
            header = np.array([magic, *array.shape], dtype=">i4").tobytes()
            path = root / "fashion-mnist" / f"{split}-{name}-ubyte.gz"
            path.write_bytes(gzip.compress(header + array.tobytes(), 1))
    shutil.copytree(root / "fashion-mnist", root / "mnist")
    (tmp_path / "faces").mkdir()
    for index in range(40):
        Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "faces" / f"{index}.png")
    make_archives(tmp_path, sorted((tmp_path / "faces").iterdir()))
    (tmp_path / "DATA").mkdir()  # of docs/results.md
    for name in ("faces-1000", "celeba64_a", "cifar10_jpeg/cat", "cifar10_jpeg/dog"):  # the last has classes
        shutil.copytree(tmp_path / "faces", tmp_path / "DATA" / name)
    for name in ("fashion-1000", "fashion-100"):
        np.savez(tmp_path / "DATA" / f"{name}.npz", images=images, labels=labels)

    def run_jobs(jobs: Sequence[Job], *others: Any, **more: Any) -> list[RunDirectory]:
        from ganzoo.runs.job import run_job

        for job in jobs[:JOBS]:
            registry = Registry.load([Path(file) for file in job.plugin_files])
            run_job(registry, from_dict(registry, job.config), Path(job.out), root=Path(job.root))
        return [RunDirectory(Path(job.out)) for job in jobs[:JOBS]]

    monkeypatch.setattr("ganzoo.bench.plan.run_jobs", run_jobs)
    return tmp_path


def first_page_with(arguments: list[str]) -> str:
    return next(page for page in PAGES if arguments in commands_of(page))


@pytest.mark.parametrize("page", PAGES)
def test_commands_run(page: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in commands_of(page):
        if arguments[0] in ONCE and page != first_page_with(arguments):
            continue
        runs = find_runs([workplace])
        arguments = [str(runs[-1].path) if argument == "RUN" and runs else argument for argument in arguments]
        cli.main(cut(arguments), standalone_mode=False)
        assert capsys.readouterr().out, f"{page}: ganzoo {' '.join(arguments)} prints nothing"


def test_pages_with_commands_are_found() -> None:
    assert len(commands_of("README.md")) >= 8
    assert sum(len(commands_of(page)) for page in PAGES) >= 15


def test_readme_shows_the_example_as_it_is() -> None:
    example = (REPOSITORY / "docs" / "examples" / "my_gan.py").read_text().strip()
    assert example in (REPOSITORY / "README.md").read_text()


def test_every_command_is_documented() -> None:
    text = "\n".join((REPOSITORY / page).read_text() for page in PAGES)
    for command in cli.commands:
        assert f"ganzoo {command}" in text, command


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", (REPOSITORY / page).read_text()):
            if not target.startswith("http"):
                assert ((REPOSITORY / page).parent / target).exists(), f"{page}: {target}"
