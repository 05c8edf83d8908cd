"""docs/zoo.md names every variant, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from ganzoo.zoo.registry import Registry

PAGE = (Path(__file__).parents[2] / "docs" / "zoo.md").read_text(encoding="utf-8")


def test_the_table_has_every_variant_once() -> None:
    rows = [line.split("|")[2] for line in PAGE.splitlines() if line.startswith("|") and "`" in line]
    named = [name for row in rows for name in re.findall(r"`([a-z0-9-]+)`", row)]
    assert sorted(named) == sorted(spec.name for spec in Registry.load(environ={}).variants())
