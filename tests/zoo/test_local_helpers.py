"""A local plugin of several files: helpers beside it, a folder, their sources in its digest."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ganzoo.errors import UserError
from ganzoo.zoo.registry import Registry
from ganzoo.zoo.source import source_sha256

GanZoo = Callable[..., subprocess.CompletedProcess[str]]
MAIN = """
from ganzoo import Variant, hookimpl
IMPORT
GANZOO_API = 1
@hookimpl
def register_variants():
    return [Variant(name="NAME", target=build)]
def build(*_):
    return RETURN
"""


def write(folder: Path, main: str, helpers: dict[str, str]) -> Path:
    """`main`: "import line | what build returns"; helpers: module -> text. The plugin is `folder/my_gan.py`."""
    folder.mkdir(parents=True, exist_ok=True)
    line, _, returned = main.partition(" | ")
    text = MAIN.replace("IMPORT", line).replace("RETURN", returned).replace("NAME", folder.name)
    (folder / "my_gan.py").write_text(text)
    for module, source in helpers.items():
        file = folder / f"{module}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(source)
    return folder / "my_gan.py"


def built(file: Path) -> object:
    """What the target of the one variant makes, and that the import left nothing behind for others."""
    paths, before = list(sys.path), set(sys.modules)
    zoo = Registry.load([file], environ={})
    assert zoo.plugins[-1].error is None, zoo.plugins[-1].details
    result = zoo.variants()[-1].load()()
    assert sys.path == paths
    assert {
        name for name in set(sys.modules) - before if name.partition(".")[0] in ("helpers", "layers", "my_gan")
    } == set()
    return result


X = {"helpers": "x = 3"}
LATE = " | late()\ndef late():\n    from helpers import x\n    return x"
CIRCLE = {
    "helpers": "import layers\ny = 3\ndef x():\n    return layers.z()",
    "layers": "import helpers\nz = lambda: helpers.y",
}
PACKAGE = {"layers/__init__": "", "layers/conv": "from helpers import x", "helpers": "x = 3"}
DOTTED = {"layers/__init__": "", "layers/conv": "from .more import x", "layers/more": "x = 3"}
WITHIN = "def x():\n    import my_gan\n    return my_gan.X"
NAMES = "def x():\n    from my_gan import X\n    return X"
STRANGERS = {"json": "raise RuntimeError", "torch": "raise RuntimeError"}
IMPORTS = {
    "from": ("from helpers import x | x", X),
    "import": ("import helpers | helpers.x", X),
    "as": ("import helpers as h, math | h.x + int(math.cos(0)) - 1", X),
    "relative": ("from .helpers import x | x", X),
    "star": ("from helpers import * | x", X),
    "late": (LATE, X),
    "each other": ("from helpers import x | x", {"helpers": "from layers import y\nx = y", "layers": "y = 3"}),
    "in a circle": ("from helpers import x | x()", CIRCLE),
    "the plugin": ("import helpers\nX = 3 | helpers.x()", {"helpers": WITHIN}),
    "its names": ("import helpers\nX = 3 | helpers.x()", {"helpers": NAMES}),
    "package": ("from layers.conv import x | x", PACKAGE),
    "a module of one": ("from layers import conv | conv.x", PACKAGE),
    "dotted": ("import layers.conv | layers.conv.x", DOTTED),
    "dotted as": ("import layers.conv as c | c.x", DOTTED),
    "no helper": ("import json, types | len(json.loads('[1, 2, 3]'))", STRANGERS),
}


@pytest.mark.parametrize("case", IMPORTS)
def test_what_lies_beside_a_plugin_can_be_imported(case: str, tmp_path: Path) -> None:
    main, helpers = IMPORTS[case]
    file = write(tmp_path / "mine", main, helpers)
    assert built(file) == 3
    assert not list(tmp_path.rglob("*.pyc"))  # which would be another program's, too


def test_helpers_of_the_same_name(tmp_path: Path) -> None:
    one = write(tmp_path / "one", "import helpers | helpers.x", {"helpers": "x = 1"})
    two = write(tmp_path / "two", "import helpers | helpers.x", {"helpers": "x = 2"})
    zoo = Registry.load([one, two], environ={})
    assert [zoo.variant(name).load()() for name in ("one", "two")] == [1, 2]


def test_a_helper_that_is_not_there_or_broken_leaves_the_plugin_out(tmp_path: Path) -> None:
    plugin = Registry.load([write(tmp_path / "one", "import helpers | 1", {})], environ={}).plugins[-1]
    assert plugin.error == "ModuleNotFoundError: No module named 'helpers'"
    plugin = Registry.load([write(tmp_path / "two", "import helpers | 1", {"helpers": "1 / 0"})], environ={}).plugins[
        -1
    ]
    assert plugin.error == "ZeroDivisionError: division by zero"
    assert f'{tmp_path}/two/helpers.py", line 1' in str(plugin.details)
    assert not [name for name in sys.modules if name.startswith(plugin.module)]


@pytest.mark.parametrize("case", [name for name in IMPORTS if name != "no helper"])
def test_helpers_are_part_of_the_source(case: str, tmp_path: Path) -> None:
    def digest() -> str:
        return source_sha256(Registry.load([file], environ={}).variants()[-1])

    main, helpers = IMPORTS[case]
    file = write(tmp_path / "mine", main, helpers)
    (tmp_path / "mine" / "other.py").write_text("")  # which the plugin has nothing to do with
    before = digest()
    (tmp_path / "mine" / "other.py").write_text("# of another program")
    assert digest() == before
    for helper in (tmp_path / "mine").rglob("*.py"):
        if helper.name != "other.py":
            text = helper.read_text()
            helper.write_text(f"{text}\n# edited")
            assert digest() != before, helper
            helper.write_text(text)
    assert digest() == before


def test_an_edited_helper_is_imported_anew(tmp_path: Path) -> None:
    file = write(tmp_path / "mine", "import helpers | helpers.x", {"helpers": "x = 1"})
    assert built(file) == 1
    (tmp_path / "mine" / "helpers.py").write_text("x = 2")
    assert built(file) == 2


FOLDER = {
    "relative": "from .networks import x",
    "by its name": "from mine.networks import x",
    "beside it": "from networks import x",
}


@pytest.mark.parametrize("case", FOLDER)
def test_a_folder_is_a_plugin(case: str, tmp_path: Path, ganzoo: GanZoo) -> None:
    folder = tmp_path / "mine"
    write(folder, f"{FOLDER[case]} | x", {"networks": "x = 4"}).rename(folder / "__init__.py")
    assert built(folder) == 4
    plugin = Registry.load([folder], environ={}).plugins[-1]
    assert (plugin.name, plugin.origin) == ("mine", str(folder))
    assert "  mine" in ganzoo("list", "variants", "--plugin", "mine").stdout


def test_a_folder_without_a_plugin(tmp_path: Path, ganzoo: GanZoo) -> None:
    with pytest.raises(UserError, match=r"there is no __init__\.py in this folder"):
        Registry.load([tmp_path], environ={})
    assert "error: --plugin" in ganzoo("list", "--plugin", tmp_path, code=2).stderr


def test_partial_functions_and_objects_have_a_source(tmp_path: Path) -> None:
    def digest(target: str) -> str:
        text = MAIN.replace("IMPORT", "import functools").replace("NAME", "a").replace("=build)", f"={target})")
        file.write_text(f"{text}class Build:\n    def __call__(self, *_): ...\n")
        return source_sha256(Registry.load([file], environ={}).variants()[-1])

    file = tmp_path / "mine.py"
    assert digest("functools.partial(build, 1)") != ""
    assert digest("Build()") != ""


def test_workers_of_a_bench_and_a_continued_run_find_helpers(ganzoo: GanZoo, tmp_path: Path, data_root: Path) -> None:
    example = (Path(__file__).parents[2] / "docs" / "examples" / "my_gan.py").read_text()
    networks, _, plugin = example.partition("def build(")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "networks.py").write_text(networks)
    head = "from ganzoo import Setting, Variant, hookimpl\nfrom ganzoo.gan import GAN\nGANZOO_API = 1\n"
    late = "def build(config, shape, num_classes):\n    from networks import Discriminator, Generator\n"
    (tmp_path / "plugins" / "my_gan.py").write_text(head + late + plugin.partition("\n")[2])
    options = ["--plugin", "plugins/my_gan.py", "--set", "train.scores=none", "--data-root", data_root]
    ganzoo("bench", *options, "--variants", "my-gan", "--kimg", "0.1", "--out", "bench")
    (file,) = (tmp_path / "bench" / "digits").glob("my-gan-s0-*/result.json")
    assert json.loads(file.read_text())["status"] == "done"
    ganzoo("train", "my-gan", *options, "--kimg", "0.1", "--out", "one")
    ganzoo("train", "my-gan", *options, "--kimg", "0.2", "--out", "one")
    assert json.loads((tmp_path / "one" / "result.json").read_text())["kimg"] == pytest.approx(0.2, abs=0.1)
