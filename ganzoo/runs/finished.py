"""What a finished run is taken up again for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganzoo.config.run_config import RunConfig, score_interval
from ganzoo.scoring.protocol import is_unscored


def asks_for_more(config: RunConfig, result: Mapping[str, Any]) -> str | None:
    """What the config asks for that the result of its run has not, in words; None: nothing that can be told without
    images and weights.
    """
    then = {"train.scores": "every"} | {f"train.{k}": v for k, v in result["config"]["train"].items()}
    if any(then.get(f"train.{key}") != getattr(config.train, key) for key in ("kimg", "minutes", "until")):
        return "continued with another budget"
    if score_interval(config.train.scores, config.eval.every) is not None and is_unscored(result["protocol"]["id"]):
        return "finished without scores, which are made now"
    return None
