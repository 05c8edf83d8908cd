"""A config as a file that `--config` takes back. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganzoo.config.run_config import RunConfig


def to_toml(config: RunConfig) -> str:
    """Every setting; "none" where there is no value, which TOML has no word for."""
    import tomli_w

    return tomli_w.dumps(_with_none(config.to_dict()))


def _with_none(document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _with_none(value) if isinstance(value, Mapping) else "none" if value is None else value
        for key, value in document.items()
    }
