"""A plugin in one file, given with --plugin: the example of the docs, and what can go wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganzoo.bench.jobs import plan_jobs
from ganzoo.config.layers import build_config
from ganzoo.errors import DuplicateName, UserError
from ganzoo.zoo.plugins import load_plugins
from ganzoo.zoo.registry import Registry

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = DOCS / "examples" / "my_gan.py"
GanZoo = Callable[..., subprocess.CompletedProcess[str]]
GOOD = """
from ganzoo import Variant, hookimpl
GANZOO_API = 1
@hookimpl
def register_variants():
    return [Variant(name="NAME", target=f"{__name__}:build")]
def build(config, shape, num_classes):
    return "built"
"""


def write(path: Path, name: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(GOOD.replace("NAME", name))
    return path


def test_the_page_shows_the_file_as_it_is() -> None:
    assert f"```python\n{EXAMPLE.read_text()}```" in (DOCS / "plugins.md").read_text()


def test_bench_with_the_example_and_a_broken_file(
    ganzoo: GanZoo, tmp_path: Path, data_root: Path, write_run: Callable[..., dict[str, Any]]
) -> None:
    (tmp_path / "broken.py").write_text("def build(:\n")
    done = ganzoo(
        "bench", "--plugin", "broken.py", "--plugin", EXAMPLE, "--variants", "my-gan", "--kimg", "0.2", "--num-images",
        "200", "--set", "train.snapshots=1", "--set", "variant.width=8", "--data-root", data_root, "--out", "bench",
    )  # fmt: skip
    assert f"plugin 'broken' ({tmp_path}/broken.py) is left out: SyntaxError: invalid syntax (line 1)" in done.stderr
    assert "my-gan" in done.stdout
    (file,) = (tmp_path / "bench" / "digits").glob("my-gan-s0-*/result.json")
    result = json.loads(file.read_text())
    assert result["status"] == "done"
    assert result["config"]["variant"] == {"name": "my-gan", "width": 8}
    assert result["last"]["values"]["fid"] > 0
    # the results that other tests make up are of the same form
    made_up = write_run(tmp_path / "made-up")
    assert made_up.keys() == result.keys()
    assert made_up["last"].keys() == result["last"].keys()
    assert set(result["floors"][0]) == {"name", "what", "images", "reference", "values", "left_out"}
    assert made_up["environment"].keys() == result["environment"].keys()


def test_a_file_s_specs_and_its_objects_by_name(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.py", "mine")
    zoo = Registry.load([file], environ={})
    owner = zoo.owner("variants", "mine")
    assert (owner.name, owner.origin, owner.local) == ("mine", str(file), True)
    assert zoo.variant("mine").load()(None, (1, 8, 8), 0) == "built"


def test_files_of_the_same_name_and_a_file_given_twice(tmp_path: Path) -> None:
    one, two = write(tmp_path / "a" / "mine.py", "one"), write(tmp_path / "b" / "mine.py", "two")
    zoo = Registry.load([one, two, one], environ={})
    assert zoo.variant("one").load() is not zoo.variant("two").load()


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("syntax.py", "x = (\n", "SyntaxError: '(' was never closed (line 1)"),
        ("imports.py", "import there_is_no_such_module\n", "ModuleNotFoundError"),
        ("notes.txt", "GANZOO_API = 1\n", "ImportError: not a Python file"),
        ("bytes.py", "x = '\0'\n", "source code string cannot contain null bytes"),
    ],
)
def test_a_broken_file_is_left_out(name: str, text: str, error: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    before = set(sys.modules)
    plugin = load_plugins([tmp_path / name], environ={})[-1]
    assert plugin.status == "failed"
    assert error in str(plugin.error)
    assert not [module for module in set(sys.modules) - before if module.startswith("ganzoo_local")]
    with pytest.raises(UserError, match="is broken"):
        load_plugins([tmp_path / name], environ={"GANZOO_STRICT": "1"})


def test_a_name_that_is_taken(tmp_path: Path, ganzoo: GanZoo) -> None:
    file = write(tmp_path / "mine.py", "dcgan")
    with pytest.raises(DuplicateName, match="'dcgan'") as caught:
        Registry.load([file], environ={})
    assert str(file) in caught.value.cause
    assert "'dcgan' (ganzoo " in caught.value.cause
    done = ganzoo("list", "--plugin", file, code=2)
    assert done.stderr == f"error: {caught.value.cause}\n  try: leave one out with GANZOO_DISABLE=dcgan\n"
    assert "mine" in ganzoo("plugins", "--plugin", file, GANZOO_DISABLE="dcgan").stdout


@pytest.mark.parametrize("command", [["list"], ["plugins"], ["train", "gan"], ["bench"]])
def test_a_file_that_is_not_there_is_a_user_error(command: list[str], ganzoo: GanZoo, tmp_path: Path) -> None:
    done = ganzoo(*command, "--plugin", "nowhere.py", code=2)
    assert "nowhere.py: there is no such file" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_edited_file_is_not_taken_for_the_one_that_was_measured(tmp_path: Path) -> None:
    def folder() -> str:
        zoo = Registry.load([file], environ={})
        (job,) = plan_jobs(zoo, [build_config(zoo, variant="mine")], 1, tmp_path, tmp_path, [file], data="")
        return job.out

    file = write(tmp_path / "mine.py", "mine")
    before = folder()
    assert folder() == before
    file.write_text(file.read_text() + "# better\n")
    assert folder() != before
