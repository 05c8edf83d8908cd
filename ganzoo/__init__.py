"""ganzoo: a plugin-based GAN model zoo with a benchmark. Importing it does not import torch."""

from __future__ import annotations

import pluggy

from ganzoo.errors import DataError, DuplicateName, RunError, SettingError, UnknownName, UserError
from ganzoo.specs import Callback, Dataset, Features, Metric, Objective, Setting, Variant

__version__ = "0.1.0"

GANZOO_API = 1
"""Version of the plugin contract. A plugin module sets `GANZOO_API = 1`; another number is refused."""

hookimpl = pluggy.HookimplMarker("ganzoo")

__all__ = [
    "GANZOO_API",
    "Callback",
    "DataError",
    "Dataset",
    "DuplicateName",
    "Features",
    "Metric",
    "Objective",
    "RunError",
    "Setting",
    "SettingError",
    "UnknownName",
    "UserError",
    "Variant",
    "__version__",
    "hookimpl",
]
