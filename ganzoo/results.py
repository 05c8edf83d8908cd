"""What result.json must hold to become a row. Torch-free."""

from __future__ import annotations

from typing import Any

from ganzoo.errors import RunError
from ganzoo.runs import RESULT_SCHEMA, RunDirectory


def check_result(run: RunDirectory, result: dict[str, Any]) -> None:
    """Raises RunError where the record lacks what a row is made of."""
    needed = {"config": dict, "protocol": dict, "environment": dict, "dataset": str, "seed": int}
    damaged = [key for key, kind in needed.items() if not isinstance(result.get(key), kind)]
    if result.get("schema") != RESULT_SCHEMA:
        damaged = [f"schema {result.get('schema')} instead of {RESULT_SCHEMA}"]
    if not damaged:
        damaged += [] if "id" in result["protocol"] else ["protocol.id"]
        damaged += [] if _sound_environment(result["environment"]) else ["environment"]
        damaged += [name for name in ("last", "best") if not _sound_values(result.get(name))]
        floors = result.get("floors") or []
        sound = isinstance(floors, list) and all(
            isinstance(floor, dict) and {"name", "what", "images", "reference", "values"} <= floor.keys()
            and _sound_values(floor) for floor in floors
        )  # fmt: skip
        damaged += [] if sound else ["floors"]
    if damaged:
        raise RunError(
            f"{run.result_file} is no result of this version: {', '.join(damaged)}",
            "move the run elsewhere, or delete it and start again",
        )


def _sound_environment(environment: dict[str, Any]) -> bool:
    packages = environment.get("packages")
    return {"device", "precision", "python"} <= environment.keys() and isinstance(packages, dict)


def _sound_values(score: Any) -> bool:
    """Whether it is None or a score whose values are numbers."""
    if score is None:
        return True
    values = score.get("values") if isinstance(score, dict) else None
    return isinstance(values, dict) and all(
        value is None or isinstance(value, (int, float)) for value in values.values()
    )
