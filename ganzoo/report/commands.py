"""How the runs of a page are trained: commands from their configs, not from what somebody typed, which names folders of
theirs. Torch-free.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganzoo.config.layers import from_dict
from ganzoo.errors import UserError
from ganzoo.report.runs import Command
from ganzoo.runs.command import Plain, command_of
from ganzoo.zoo.registry import Registry


def commands(registry: Registry) -> Command:
    """Tells them by the variants of `registry`."""

    plain: Plain = {}

    def command(config: Mapping[str, Any]) -> str:
        if config.get("init"):  # weights that lie in some folder
            return ""
        try:
            return command_of(registry, from_dict(registry, config), plain)
        except UserError:  # of a plugin that is not there, or of an earlier version of it
            return ""

    return command
