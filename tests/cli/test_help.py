"""Help is in groups, and nothing in it is cut."""

from __future__ import annotations

from collections.abc import Iterator

import click

from ganzoo.cli.groups import COMMANDS, MANY, OPTIONS, OTHER, in_groups
from ganzoo.cli.main import cli


def help_of(*path: str, width: int = 80) -> str:
    command: click.Command = cli
    context = click.Context(cli, info_name="ganzoo", terminal_width=width)
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
        context = click.Context(command, info_name=name, parent=context, terminal_width=width)
    return command.get_help(context)


def large() -> Iterator[str]:
    for name, command in cli.commands.items():
        if sum(not isinstance(param, click.Argument) for param in command.params) >= MANY:
            yield name


def test_each_command_has_a_line_that_is_not_cut() -> None:
    text = help_of()
    lines = text.splitlines()
    assert "..." not in text.replace("models, ... by name", "").replace("[ARGS]...", "")
    assert max(map(len, lines)) <= 80
    for name in cli.commands:
        (line,) = (line for line in lines if line.split()[:1] == [name])
        assert line.endswith("."), line  # all of the sentence, in one line
        assert cli.commands[name].short_help, name
    for heading in COMMANDS:
        assert f"{heading}:" in lines
    assert f"{OTHER}:" not in lines  # a new command belongs somewhere


def test_options_of_large_commands_are_in_groups() -> None:
    assert set(large()) >= {"train", "bench"}
    for name in ("train", "bench"):
        text = help_of(name)
        assert f"{OTHER}:" not in text.splitlines()  # a new option belongs somewhere
        assert max(map(len, text.splitlines())) <= 80
        for param in cli.commands[name].params:
            if isinstance(param, click.Option):
                assert text.count(f"  {max(param.opts, key=len)} ") == 1, param.name
    lines = help_of("bench").splitlines()
    assert lines.index("What:") < lines.index("How long, how often:") < lines.index("What is printed:")


def test_groups_name_nothing_twice() -> None:
    for groups in (COMMANDS, OPTIONS):
        names = [name for members in groups.values() for name in members]
        assert len(names) == len(set(names))
    assert in_groups({"A": ("x", "y"), "B": ("z",)}, ["y", "new", "x"]) == [("A", ["x", "y"]), (OTHER, ["new"])]


def test_small_commands_have_their_options_in_one_list() -> None:
    assert "\nOptions:\n" in help_of("plugins")
