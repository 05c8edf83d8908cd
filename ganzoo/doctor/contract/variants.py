"""All that is checked of a variant."""

from __future__ import annotations

from collections.abc import Iterator

from ganzoo.doctor.contract.case import Case, make_case
from ganzoo.doctor.contract.findings import FAILED, Finding, Findings, guarded, ok
from ganzoo.doctor.contract.gradients import check_gradients
from ganzoo.doctor.contract.networks import check_networks
from ganzoo.doctor.contract.training import check_training
from ganzoo.zoo.registry import Registry


def check_variant(registry: Registry, name: str) -> Iterator[Finding]:
    made: list[Case] = []

    def defaults() -> Findings:
        made.append(make_case(registry, name))
        objective = made[0].config.objective.name
        yield ok("defaults", f"objective {objective}, {made[0].config.train.d_steps} D steps per G step")

    yield from guarded("defaults", defaults, "mend the spec's defaults, presets, objective or regularizers")
    if not made:
        return
    networks = list(check_networks(made[0]))
    yield from networks
    if any(finding.check == "shapes" and finding.status == FAILED for finding in networks):
        return
    yield from check_gradients(made[0])
    yield from check_training(made[0])
