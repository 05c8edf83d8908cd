"""ganzoo: a plugin-based GAN model zoo with a benchmark. Importing it does not import torch.

What an author of plugins or a user of the library needs is here, by name; where a name needs torch, torch is imported
when the name is first used. What the commands do is `train`, `bench`, `speed`, `evaluate`, `load`,
`leaderboard`, `film` and `compare`: see their help, and docs/python.md.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from ganzoo.errors import DataError, DuplicateName, RunError, SettingError, UnknownName, UserError
from ganzoo.zoo import specs
from ganzoo.zoo.found import found_recipes
from ganzoo.zoo.hookspecs import GANZOO_API, hookimpl
from ganzoo.zoo.specs import (
    Augmentation,
    Callback,
    Dataset,
    Executor,
    Features,
    Metric,
    Model,
    Objective,
    Regularizer,
    Setting,
    Value,
    Variant,
)

if TYPE_CHECKING:
    from ganzoo.bench.api import Speed, bench, speed
    from ganzoo.cli.progress import show_progress
    from ganzoo.doctor.contract import Verdict, check
    from ganzoo.gan import (
        GAN,
        Batch,
        Codes,
        Normal,
        Outputs,
        Part,
        Phase,
        Prior,
        Term,
        TruncatedNormal,
        Uniform,
        VariantConfig,
    )
    from ganzoo.leaderboard.api import Leaderboard, leaderboard
    from ganzoo.leaderboard.beside import SideBySide, compare
    from ganzoo.objectives import Losses, gradient_penalty
    from ganzoo.runs.evaluation import Evaluation, evaluate
    from ganzoo.runs.filming import Film, film
    from ganzoo.runs.generator import Generator, load
    from ganzoo.runs.real import features_of, images
    from ganzoo.runs.run import Run
    from ganzoo.runs.training import train
    from ganzoo.zoo.models import models_in

__version__ = "0.1.0"

sys.modules.setdefault("ganzoo.specs", specs)  # where plugins of contract 1 found them

_LAZY = {
    **dict.fromkeys(
        (
            "GAN",
            "Batch",
            "Codes",
            "Normal",
            "Outputs",
            "Part",
            "Phase",
            "Prior",
            "Term",
            "TruncatedNormal",
            "Uniform",
            "VariantConfig",
        ),
        "ganzoo.gan",
    ),
    **dict.fromkeys(("Losses", "gradient_penalty"), "ganzoo.objectives"),
    **dict.fromkeys(("Verdict", "check"), "ganzoo.doctor.contract"),
    **dict.fromkeys(("Evaluation", "evaluate"), "ganzoo.runs.evaluation"),
    **dict.fromkeys(("Generator", "load"), "ganzoo.runs.generator"),
    **dict.fromkeys(("features_of", "images"), "ganzoo.runs.real"),
    **dict.fromkeys(("Speed", "speed"), "ganzoo.bench.api"),
    **dict.fromkeys(("SideBySide", "compare"), "ganzoo.leaderboard.beside"),
    **dict.fromkeys(("Film", "film"), "ganzoo.runs.filming"),
    "Leaderboard": "ganzoo.leaderboard.api",
    "Run": "ganzoo.runs.run",
    "models_in": "ganzoo.zoo.models",
    "show_progress": "ganzoo.cli.progress",
    "train": "ganzoo.runs.training",
}
"""Name -> the module that has it."""

__all__ = [
    "GAN",
    "GANZOO_API",
    "Augmentation",
    "Batch",
    "Callback",
    "Codes",
    "DataError",
    "Dataset",
    "DuplicateName",
    "Evaluation",
    "Executor",
    "Features",
    "Film",
    "Generator",
    "Leaderboard",
    "Losses",
    "Metric",
    "Model",
    "Normal",
    "Objective",
    "Outputs",
    "Part",
    "Phase",
    "Prior",
    "Regularizer",
    "Run",
    "RunError",
    "Setting",
    "SettingError",
    "SideBySide",
    "Speed",
    "Term",
    "TruncatedNormal",
    "Uniform",
    "UnknownName",
    "UserError",
    "Value",
    "Variant",
    "VariantConfig",
    "Verdict",
    "__version__",
    "bench",
    "check",
    "compare",
    "evaluate",
    "features_of",
    "film",
    "found_recipes",
    "gradient_penalty",
    "hookimpl",
    "images",
    "leaderboard",
    "load",
    "models_in",
    "show_progress",
    "speed",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in ("bench", "leaderboard"):  # rooms that can be called
        return importlib.import_module(f"ganzoo.{name}")
    if name not in _LAZY:
        raise AttributeError(f"module 'ganzoo' has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
