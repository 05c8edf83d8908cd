"""What recipes (`defaults`, `presets` of specs) may set beside the settings of specs: plugins are held to it."""

from __future__ import annotations

from ganzoo.config.families import FAMILIES
from ganzoo.config.presets import PRESETS
from ganzoo.config.run_config import ENGINES, PRECISIONS, Eval, Train
from ganzoo.config.settings import settings_of
from ganzoo.zoo.specs import Setting
from ganzoo.zoo.validation import Known


def known_settings() -> Known:
    """Those of training and scoring, number format and engine, and the presets: for `Registry.load`."""
    settings = {f"train.{setting.name}": setting for setting in settings_of(Train)}
    settings |= {f"eval.{setting.name}": setting for setting in settings_of(Eval)}
    settings["precision"] = Setting(name="precision", default="auto", choices=PRECISIONS, doc="number format")
    settings["engine"] = Setting(name="engine", default="fast", choices=ENGINES, doc="fast paths or none")
    names = [name for preset in PRESETS for name in (preset, *(f"{preset}@{family}" for family in FAMILIES))]
    return Known(settings=settings, presets=PRESETS, recipes=names, families=FAMILIES)
