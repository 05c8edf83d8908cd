"""The group of commands: what people type by the habit of another tool gets an answer."""

from __future__ import annotations

from typing import Any

import click

from ganzoo.cli.groups import write_commands
from ganzoo.config.habits import cure_of
from ganzoo.errors import SettingError


class Zoo(click.Group):
    """The commands. What people type by the habit of another tool gets an answer, whichever command they type it to."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_commands(ctx, self, formatter)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """
        Raises:
            SettingError: text that no path or name can be made of.
        """
        for text in args:
            if "\0" in text:
                raise SettingError(f"{text!a} has a zero byte in it", "no path or name can have one: type it anew")
            try:
                text.encode()
            except UnicodeEncodeError:  # bytes that the shell passed on as they were
                raise SettingError(f"{text!a} is not valid UTF-8", "rename the file or folder") from None
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """
        Raises:
            SettingError: an option that the command does not have, and that another tool has.
        """
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            cure = cure_of(error.option_name)
            if cure is None:
                raise
            raise SettingError(f"there is no option {error.option_name}", cure) from None
