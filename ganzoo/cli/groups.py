"""Help in groups: which commands belong together, and which options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import click

COMMANDS: Mapping[str, Sequence[str]] = {
    "See what there is": ("list", "show", "plugins", "doctor", "fetch"),
    "Train and compare": ("bench", "train", "leaderboard", "report", "plot", "eval"),
    "Make images": ("sample", "film", "compare"),
    "Share and extend": ("export", "stats", "check"),
}
"""Heading -> commands, in order; one that is in none comes last, under OTHER."""

OPTIONS: Mapping[str, Sequence[str]] = {
    "What": ("variants", "dataset", "size", "objective", "regularize", "augment", "init"),
    "How long, how often": ("kimg", "minutes", "until", "seeds", "seed", "grid", "search", "name"),
    "Settings": ("preset", "config_file", "sets", "print_config", "dry_run"),
    "Where and how fast": ("device", "precision", "concurrent", "executor", "out", "data_root", "plugin_files"),
    "Scores and logs": ("features", "metrics", "num_images", "protocol", "fail_on", "log", "quiet", "log_format"),
    "Speed instead of training": ("speed_only", "rounds", "compare"),
    "What is printed": ("sort", "columns", "form", "as_json", "help"),
}
"""Heading -> names of parameters, in order, of commands that have many."""

OTHER = "Other"
MANY = 14
"""Options from which on they are grouped."""


class Grouped(click.Command):
    """A command whose options stand in groups, where there are many."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [param for param in self.get_params(ctx) if not isinstance(param, click.Argument)]
        if len(options) < MANY:
            super().format_options(ctx, formatter)
            return
        by_name = {"help" if "--help" in param.opts else param.name or "": param for param in options}
        records = {name: record for name, param in by_name.items() if (record := param.get_help_record(ctx))}
        for heading, names in in_groups(OPTIONS, records):
            with formatter.section(heading):
                formatter.write_dl([records[name] for name in names])


def in_groups(groups: Mapping[str, Sequence[str]], names: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Those of `names` that there are under each heading, and at the end, under OTHER, those that are in no group."""
    there = list(names)
    found = [(heading, [name for name in members if name in there]) for heading, members in groups.items()]
    known = {name for members in groups.values() for name in members}
    found.append((OTHER, [name for name in there if name not in known]))
    return [(heading, members) for heading, members in found if members]


def write_commands(ctx: click.Context, group: click.Group, formatter: click.HelpFormatter) -> None:
    """A line for each command, which is not cut: its `short_help`, or the first sentence of its help."""
    commands = {name: group.get_command(ctx, name) for name in group.list_commands(ctx)}
    shown = {name: command for name, command in commands.items() if command is not None and not command.hidden}
    widest = max(map(len, shown), default=0)
    for heading, names in in_groups(COMMANDS, shown):
        with formatter.section(heading):
            rows = [(name.ljust(widest), shown[name].get_short_help_str(limit=200)) for name in names]
            formatter.write_dl(rows)
