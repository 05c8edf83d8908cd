"""Plugins are found, loaded each behind a guard, and reported when they are broken."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from ganzoo.errors import DuplicateName, UserError
from ganzoo.zoo.plugins import Plugin, load_plugins

Distribution = Callable[..., Path]
GanZoo = Callable[..., subprocess.CompletedProcess[str]]

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
HEAD = "from ganzoo import Variant, hookimpl\nGANZOO_API = 1\n"
GOOD = HEAD + "@hookimpl\ndef register_variants():\n    return [Variant(name='NAME', target='nowhere:build')]\n"


def load(name: str, **environ: str) -> Plugin:
    """The plugin of this name, after all were loaded."""
    return next(plugin for plugin in load_plugins(environ=environ) if plugin.name == name)


def good(name: str = "fine") -> str:
    return GOOD.replace("NAME", name)


def hook(body: str, name: str = "register_variants") -> str:
    return f"{HEAD}@hookimpl\ndef {name}():\n    {body}\n"


def test_the_built_in_plugins_come_through_entry_points_with_core_first() -> None:
    plugins = load_plugins(environ={})
    declared = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["entry-points"]["ganzoo"]
    built_in = ["core", *sorted(declared.keys() - {"core"})]
    assert [plugin.name for plugin in plugins if plugin.origin.startswith("ganzoo ")] == built_in
    folders = {path.name for path in (PROJECT.parent / "plugins").iterdir() if (path / "__init__.py").is_file()}
    assert folders - {"ganzoo_blocks"} == set(declared.values()) - {"ganzoo.zoo.builtin"}
    assert {plugin.status for plugin in plugins} == {"loaded"}


def test_a_plugin_of_another_distribution_is_loaded(distribution: Distribution) -> None:
    distribution("ganzoo-extra", {"extra": good()}, version="2.3")
    plugin = load("extra")
    assert plugin.status == "loaded"
    assert plugin.origin == "ganzoo-extra 2.3"
    assert [spec.name for spec in plugin.specs["variants"]] == ["fine"]
    assert plugin.seconds > 0


def variant(name: str) -> str:
    return f"return [Variant(name={name!r}, target='a:b')]"


BROKEN = {
    "import": ("import there_is_no_such_module", "ModuleNotFoundError: No module named 'there_is_no_such_module'"),
    "syntax": ("def f(:", r"SyntaxError: invalid syntax \(line 1\)"),
    "exit": ("raise SystemExit(3)", "SystemExit: 3"),
    "silent": ("raise RuntimeError", "RuntimeError: no message"),
    "no-api": (good().replace("GANZOO_API = 1", ""), "GANZOO_API is None, this ganzoo speaks 1"),
    "other-api": (good().replace("GANZOO_API = 1", "GANZOO_API = 99"), "GANZOO_API is 99, this ganzoo speaks 1"),
    "misspelt": (hook("return []", "register_variant"), "unknown hook 'register_variant'"),
    "arguments": (hook("return []").replace("register_variants()", "register_variants(zoo)"), "zoo"),
    "raises": (hook("raise ZeroDivisionError('boom')"), "ZeroDivisionError: boom"),
    "no-list": (hook(variant("a").replace("[", "").replace("]", "")), "must return a list, not Variant"),
    "string": (hook("return 'abc'"), "must return a list, not str"),
    "wrong-kind": (hook(variant("a"), "register_objectives"), "returned Variant, not Objective"),
    "upper-case": (hook(variant("My GAN")), "'My GAN' is not lower case"),
    "underscore": (hook(variant("my_gan")), "'my_gan' is not lower case"),
    "empty-name": (hook(variant("")), "'' is not lower case"),
    "twice": (hook("v = Variant(name='a', target='a:b'); return [v, v]"), "the name 'a' twice"),
    "yes": (hook("return [Variant(name='a', target='a:b', batch_dependent='yes')]"), "batch_dependent is 'yes'"),
    "nothing": (HEAD, "it registers nothing"),
    "empty": (hook("return []"), "it registers nothing"),
    "undecorated": (good() + "def register_objectives():\n    return []\n", "register_objectives is not decorated"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_named_and_left_out(case: str, distribution: Distribution) -> None:
    source, message = BROKEN[case]
    distribution("ganzoo-bad", {"bad": source}, version="0.9")
    distribution("ganzoo-extra", {"extra": good()})
    plugin = load("bad")
    assert plugin.status == "failed"
    assert plugin.origin == "ganzoo-bad 0.9"
    assert plugin.specs == {}
    assert plugin.error is not None
    assert re.search(message, plugin.error)
    assert "\n" not in plugin.error
    assert plugin.details is not None
    assert "Traceback" in plugin.details
    assert load("extra").status == "loaded"
    assert load("gan").status == "loaded"


def test_ctrl_c_while_a_plugin_loads_is_not_swallowed(distribution: Distribution) -> None:
    distribution("ganzoo-slow", {"slow": "raise KeyboardInterrupt"})
    with pytest.raises(KeyboardInterrupt):
        load_plugins(environ={})


def test_an_entry_point_whose_module_is_gone(distribution: Distribution) -> None:
    site = distribution("ganzoo-bad", {"bad": good()})
    (site / "fake_ganzoo_bad_bad.py").unlink()
    assert load("bad").error == "ModuleNotFoundError: No module named 'fake_ganzoo_bad_bad'"


def test_two_distributions_with_one_entry_point_name(distribution: Distribution) -> None:
    distribution("ganzoo-one", {"same": good("one")}, version="1.1")
    distribution("ganzoo-two", {"same": good("two")}, version="2.2")
    with pytest.raises(DuplicateName, match="'same'") as caught:
        load_plugins(environ={})
    assert "ganzoo-one 1.1" in caught.value.cause
    assert "ganzoo-two 2.2" in caught.value.cause


def test_a_second_copy_of_a_distribution_is_shadowed(distribution: Distribution, tmp_path: Path) -> None:
    site = distribution("ganzoo-extra", {"extra": good("new")}, version="2.0")
    front = tmp_path / "front"
    info = front / "ganzoo_extra-1.0.dist-info"
    info.mkdir(parents=True)
    for file in (site / "ganzoo_extra-2.0.dist-info").iterdir():
        (info / file.name).write_text(file.read_text().replace("2.0", "1.0"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(front)
        assert load("extra").origin == "ganzoo-extra 1.0"  # the first on sys.path


def test_ganzoo_disable_leaves_plugins_out_without_importing_them(distribution: Distribution) -> None:
    distribution("ganzoo-bad", {"bad": "raise RuntimeError('imported')"})
    plugins = {plugin.name: plugin for plugin in load_plugins(environ={"GANZOO_DISABLE": "bad, dcgan"})}
    assert plugins["bad"].status == plugins["dcgan"].status == "disabled"
    assert plugins["bad"].error is None
    assert plugins["dcgan"].specs == {}
    assert plugins["gan"].status == "loaded"


def test_ganzoo_strict_makes_a_broken_plugin_an_error(distribution: Distribution) -> None:
    distribution("ganzoo-bad", {"bad": "1 / 0"}, version="0.9")
    for value in ("", "0"):
        assert load("bad", GANZOO_STRICT=value).status == "failed"
    with pytest.raises(UserError, match=r"ganzoo-bad 0\.9.*ZeroDivisionError"):
        load_plugins(environ={"GANZOO_STRICT": "1"})
    assert load("bad", GANZOO_STRICT="1", GANZOO_DISABLE="bad").status == "disabled"


def test_without_ganzoo_s_own_entry_points_nothing_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.distributions", list)
    with pytest.raises(UserError, match="not installed"):
        load_plugins(environ={})


def test_the_command_line_reports_a_broken_plugin_and_goes_on(distribution: Distribution, ganzoo: GanZoo) -> None:
    site = distribution("ganzoo-bad", {"bad": "raise SystemExit"}, version="0.9")
    done = ganzoo("list", "variants", path=(site,))
    assert "dcgan" in done.stdout
    assert done.stderr == "plugin 'bad' (ganzoo-bad 0.9) is left out: SystemExit: no message\n"


def test_the_plugins_command(distribution: Distribution, ganzoo: GanZoo) -> None:
    site = distribution("ganzoo-mixed", {"bad": "1 / 0", "extra": good()})
    done = ganzoo("plugins", path=(site,))
    assert re.search(
        r"^bad  failed  ganzoo-mixed 1.0  \d+ ms\n  ZeroDivisionError: division by zero", done.stdout, re.M
    )
    assert re.search(r"^extra  loaded  ganzoo-mixed 1.0  \d+ ms\n  variants: fine", done.stdout, re.M)
    assert "Traceback" not in done.stdout
    assert "Traceback" in ganzoo("plugins", "bad", path=(site,)).stdout


@pytest.mark.parametrize("strict", ["1", "yes"])
def test_strict_on_the_command_line_is_a_user_error(distribution: Distribution, ganzoo: GanZoo, strict: str) -> None:
    site = distribution("ganzoo-bad", {"bad": "1 / 0"})
    done = ganzoo("list", path=(site,), code=2, GANZOO_STRICT=strict)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert re.match(r"error: .*'bad' \(ganzoo-bad 1.0\).*\n  try: .*GANZOO_STRICT", done.stderr)
