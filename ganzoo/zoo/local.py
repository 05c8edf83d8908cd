"""Plugins given by path: one file and the modules that lie beside it, or a folder with an `__init__.py`.

Such a plugin is a package of its own, under a name that its path gives. What it imports from beside it is a module of
that package, so that helpers of two plugins may have the same name, and nothing is put on `sys.path`.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from ganzoo.errors import UserError

PREFIX = "ganzoo_local_"


def local_file(path: Path) -> Path:
    """The Python file that `--plugin path` means.

    Raises:
        UserError: there is none.
    """
    if path.is_dir():
        path = path / "__init__.py"
        if not path.is_file():
            raise UserError(f"--plugin {path.parent}: there is no __init__.py in this folder", "give the plugin's file")
    if not path.is_file():
        raise UserError(f"--plugin {path}: there is no such file", "give the path of a Python file")
    return path.resolve()


def module_name(file: Path) -> str:
    """The package that a local plugin is, by where it is."""
    digest = hashlib.sha256(str(file).encode()).hexdigest()[:8]
    return f"{PREFIX}{re.sub(r'[^0-9a-zA-Z_]', '_', own_name(file))}_{digest}"


def own_name(file: Path) -> str:
    """What its author calls it: the file's name, or the folder's."""
    return file.parent.name if file.name == "__init__.py" else file.stem


def load_local(file: Path) -> ModuleType:
    """Import the plugin, anew where it has been imported before."""
    if file.suffix != ".py":
        raise ImportError("not a Python file (its name must end in .py)")
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())  # the usual one would find them too, and leave their imports alone
    name = module_name(file)
    _forget(name)
    spec = _spec(name, file, file, package=True)
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # so that targets given as "module:attribute" and dataclasses resolve
    try:
        spec.loader.exec_module(module)
    except BaseException:
        _forget(name)
        raise
    return module


def local_sources(module: str) -> list[Path]:
    """The files that the local plugin of `module` consists of: its own, and those beside it that these import, whenever
    they do. Empty where it is no local plugin.
    """
    root = sys.modules.get(module.partition(".")[0])
    if not module.startswith(PREFIX) or root is None or root.__file__ is None:
        return []
    main = Path(root.__file__)
    found, waiting = [main], [main]
    while waiting:
        file = waiting.pop()
        for other in _imported(file, main):
            if other not in found:
                found.append(other)
                waiting.append(other)
    return [main, *sorted(found[1:])]


def _forget(name: str) -> None:
    for one in [one for one in sys.modules if one == name or one.startswith(f"{name}.")]:
        del sys.modules[one]


def _spec(name: str, file: Path, main: Path, package: bool) -> importlib.machinery.ModuleSpec:
    folders = [str(file.parent)] if package else None
    loader = _Loader(name, str(file), main)
    spec = importlib.util.spec_from_file_location(name, file, loader=loader, submodule_search_locations=folders)
    assert spec is not None
    return spec


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules beside a local plugin, for that plugin alone."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        root = sys.modules.get(name.partition(".")[0])
        if not name.startswith(PREFIX) or path is None or root is None or root.__file__ is None:
            return None
        file = _module_file(Path(path[0]), name.rpartition(".")[2])
        return None if file is None else _spec(name, file, Path(root.__file__), package=file.name == "__init__.py")


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles a file of a local plugin with its imports from beside it made relative."""

    def __init__(self, name: str, path: str, main: Path) -> None:
        super().__init__(name, path)
        self._main = main

    def get_code(self, fullname: str) -> CodeType:
        """Never from a cache, nor into one: other programs may import the same file."""
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path), path)
        return compile(_Relative(Path(path), self._main).visit(tree), path, "exec", dont_inherit=True)


class _Relative(ast.NodeTransformer):
    """`from helpers import x` -> `from .helpers import x`, where there is such a file beside the plugin."""

    def __init__(self, file: Path, main: Path) -> None:
        self._main = main
        depth = len(file.parent.relative_to(main.parent).parts)
        self._level = 1 + depth

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        inside = None if node.level or node.module is None else _inside(node.module, self._main)
        if inside is not None:
            node.module, node.level = inside or None, self._level
        return node

    def visit_Import(self, node: ast.Import) -> Any:
        made: list[ast.stmt] = []
        for alias in node.names:
            inside = _inside(alias.name, self._main)
            if inside is None:
                made.append(ast.Import([alias]))
                continue
            first, _, rest = alias.name.partition(".")
            own = not inside or inside != alias.name  # `import my_gan` within the plugin my_gan
            parent, _, last = inside.rpartition(".")
            if alias.asname:  # import a.b as c -> from .a import b as c
                made.append(self._get(parent, last, alias.asname) if last else self._itself(alias.asname))
                continue
            made += [self._get(parent, last, "_")] if rest and last else []  # import a.b: it is loaded, and a is bound
            made.append(self._itself(first) if own else self._get("", first, first))
        return [ast.copy_location(one, node) for one in map(ast.fix_missing_locations, made)]

    def _get(self, module: str, name: str, bound: str) -> ast.stmt:
        return ast.ImportFrom(module or None, [ast.alias(name, bound)], self._level)

    def _itself(self, bound: str) -> ast.stmt:
        return ast.Import([ast.alias(module_name(self._main), bound)])


def _inside(module: str, main: Path) -> str | None:
    """An absolute import as one within the plugin: "" is the plugin itself. None: it is of something else."""
    first, _, rest = module.partition(".")
    if first in sys.stdlib_module_names or first in ("ganzoo", "torch", "numpy"):
        return None  # whatever a file in the same folder happens to be called
    if (first == own_name(main) or first.startswith("ganzoo_")) and _is_installed(first, main):
        return None
    if first == own_name(main):
        return rest
    return None if _module_file(main.parent, first) is None else module


def _is_installed(package: str, main: Path) -> bool:
    found = importlib.util.find_spec(package)
    return found is not None and not str(found.origin).startswith(str(main.parent))


def _module_file(folder: Path, name: str) -> Path | None:
    return next((file for file in (folder / name / "__init__.py", folder / f"{name}.py") if file.is_file()), None)


def _imported(file: Path, main: Path) -> Iterator[Path]:
    """Files of the plugin that this one imports, anywhere in it."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # whoever imports it says so
        return
    for node in ast.walk(tree):
        modules: list[str | None] = []
        base = main.parent
        if isinstance(node, ast.Import):
            modules += [_inside(alias.name, main) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            inside = node.module or "" if node.level else _inside(node.module or "", main)
            base = [file.parent, *file.parent.parents][node.level - 1] if node.level else base
            modules += [] if inside is None else [f"{inside}.{alias.name}".strip(".") for alias in node.names]
        for module in modules:
            yield from _files_of(module or "", base)


def _files_of(module: str, folder: Path) -> Iterator[Path]:
    """The file of a module in `folder`, and of the packages that it is in."""
    for part in module.split(".") if module else ():
        found = _module_file(folder, part)
        if found is None:
            return
        yield found.resolve()
        folder = folder / part
