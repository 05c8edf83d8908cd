"""The house: which room may import which, who may print, how long a file may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
TOP = {"__init__", "__main__", "errors", "gan", "objectives"}
"""What may lie at the top of ganzoo/."""

ORDER = (
    *("errors", "files", "zoo", "config", "gan", "objectives", "data", "engine", "features", "metrics", "scoring"),
    *("runs", "callbacks", "leaderboard", "plots", "bench", "doctor", "report", "cli", "__main__"),
)
"""Each room imports only what stands before it."""

LINES = 350

Sources = Mapping[str, str]  # dotted name of a module -> its text


def sources() -> dict[str, str]:
    found = {}
    for file in sorted((REPOSITORY / "ganzoo").rglob("*.py")):
        parts = file.relative_to(REPOSITORY).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file.read_text(encoding="utf-8")
    return found


def imports(text: str, known: Sources) -> Iterator[str]:
    """Modules of ours that are imported: at the top, in functions, and for the types alone."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "ganzoo":
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                yield inner if inner in known else node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] == "ganzoo")


def room(module: str) -> str:
    return (*module.split("."), "__init__")[1]


def arrows_back_up(known: Sources) -> list[str]:
    found = []
    for module, text in known.items():
        for other in imports(text, known):
            here, there = room(module), room(other)
            if "__init__" in (here, there):  # the public names, which are lazy
                continue
            if ORDER.index(there) > ORDER.index(here):
                found.append(f"{module} -> {other}")
    return found


def circles(known: Sources) -> list[str]:
    """Modules that import each other, one after the other. Of a package's face only its own imports count."""
    reached: dict[str, set[str]] = {
        module: set(imports(text, known)) - {"ganzoo", module} for module, text in known.items()
    }
    changed = True
    while changed:
        changed = False
        for others in reached.values():
            more = set().union(*(reached.get(other, set()) for other in others)) - others
            others |= more
            changed |= bool(more)
    return sorted(module for module, others in reached.items() if module in others)


def loose(known: Sources) -> list[str]:
    packages = {module.rpartition(".")[0] for module in known}
    return [module for module in known if module.count(".") == 1 and module not in packages and room(module) not in TOP]


def printers(known: Sources) -> list[str]:
    """Modules outside cli/ that write to the terminal, or import what does."""
    found = []
    for module, text in known.items():
        if room(module) in ("cli", "__main__"):
            continue
        for node in ast.walk(ast.parse(text)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [name.name for name in node.names] if isinstance(node, ast.Import) else []
            prints = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
            if prints or any(name.split(".")[0] in ("rich", "click") for name in names):
                found.append(module)
            if isinstance(node, ast.Attribute) and node.attr == "write" and "sys.std" in ast.unparse(node.value):
                found.append(module)
    return found


def long(known: Sources) -> list[str]:
    return [module for module, text in known.items() if len(text.splitlines()) > LINES]


RULES = {rule.__name__: rule for rule in (arrows_back_up, circles, loose, printers, long)}


@pytest.mark.parametrize("rule", RULES)
def test_the_house_keeps(rule: str) -> None:
    assert RULES[rule](sources()) == []


@pytest.mark.parametrize(
    ("rule", "module", "text"),
    [
        ("arrows_back_up", "ganzoo.engine.step", "from ganzoo.runs.job import run_job"),
        ("arrows_back_up", "ganzoo.data.load", "def load():\n    from ganzoo.cli import display"),
        ("arrows_back_up", "ganzoo.zoo.specs", "if TYPE_CHECKING:\n    import ganzoo.config.layers"),
        ("circles", "ganzoo.files.text", "from ganzoo.files import reading"),
        ("loose", "ganzoo.job", ""),
        ("printers", "ganzoo.runs.job", "print('done')"),
        ("printers", "ganzoo.bench.jobs", "def show():\n    from rich.table import Table"),
        ("printers", "ganzoo.data.load", "import sys\nsys.stderr.write('x')"),
        ("long", "ganzoo.runs.job", "\n" * 351),
    ],
)  # fmt: skip
def test_each_rule_can_be_broken(rule: str, module: str, text: str) -> None:
    house = sources()
    house[module] = house.get(module, "") + "\n" + text
    assert any(module in line for line in RULES[rule](house))


def test_files_of_plugins_are_short() -> None:
    plugins = {str(file): file.read_text(encoding="utf-8") for file in (REPOSITORY / "plugins").rglob("*.py")}
    assert plugins
    assert long(plugins) == []


def test_tests_mirror_the_rooms() -> None:
    folders = {path.name for path in (REPOSITORY / "tests").iterdir() if path.is_dir() and path.name[0] not in "._"}
    assert folders - {"contract", "parity"} <= set(ORDER)
