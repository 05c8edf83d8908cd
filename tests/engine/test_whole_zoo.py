"""Every variant of the zoo with every objective, every regularizer and every augmentation that fit, grey and in colour:
steps, and the same weights bit for bit when it is taken up again. Pairs, not products: each case is a step of one
variant under an objective, a regularizer and an augmentation, and each pair with the variant occurs.
"""

from __future__ import annotations

from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest
import torch
from combined import REGISTRY, REGULARIZERS, assert_equal, everything, step_of
from pretended import advance

from ganzoo.engine.step import Step
from ganzoo.errors import UserError
from ganzoo.runs.directory import RunDirectory

VARIANTS = [spec.name for spec in REGISTRY.variants()]
OBJECTIVES = [spec.name for spec in REGISTRY.all("objectives")]
AUGMENTATIONS = [spec.name for spec in REGISTRY.all("augmentations")]
CASES = max(len(OBJECTIVES), len(REGULARIZERS))


def test_the_zoo_is_as_wide_as_its_field() -> None:
    assert len(VARIANTS) >= 28
    assert len(OBJECTIVES) >= 8
    assert len(REGULARIZERS) >= 13
    assert len(AUGMENTATIONS) >= 4
    for kind in ("variants", "objectives", "regularizers", "augmentations"):
        for spec in REGISTRY.all(kind):
            assert any(char.isdigit() for char in spec.paper), f"{spec.name} names no paper and year"


def chosen(**options: Any) -> Step | None:
    """None: refused, before a step."""
    try:
        return step_of(**options)
    except UserError:
        return None


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_trains_with_all_that_fits(variant: str) -> None:
    trained: set[str] = set()
    rows = zip(islice(cycle(OBJECTIVES), CASES), islice(cycle(REGULARIZERS), CASES), cycle(AUGMENTATIONS), strict=False)
    for index, (objective, regularizer, augmentation) in enumerate(rows):
        options = {"variant": variant, "colors": 1 + 2 * (index % 2)}
        with_regularizer = {"regularize": regularizer, "augment": augmentation}
        # lecam and ada, for two, refuse what some variants are trained with by default, so they are tried without.
        alone = {"objective": objective, "regularize": "none", "augment": "none"}
        apart = [alone, with_regularizer, {"objective": "hinge", **with_regularizer}]
        tries = [{"objective": objective, **with_regularizer}, *apart]
        step = chosen(**options, **tries[0])
        steps = [(step, tries[0])] if step is not None else [(chosen(**options, **one), one) for one in tries[1:]]
        for one, choice in steps:
            if one is not None:
                advance(one, one.config.d_steps)
                assert all(value.isfinite().all() for value in everything(one).values()), choice
                trained.update(choice.values())
    left_out = {*OBJECTIVES, *REGULARIZERS, *AUGMENTATIONS} - trained
    assert left_out == refused_with(variant)


def refused_with(variant: str) -> set[str]:
    """What a variant's spec rules out."""
    spec = REGISTRY.variant(variant)
    has = {*spec.gives, "augmentation"} | ({"images"} if spec.judges_images else set())
    has |= {"labels"} if spec.conditional else set()
    found = set()
    for one in (*REGISTRY.all("objectives"), *REGISTRY.all("regularizers")):
        asks_alone = one.per_sample_gradients and not spec.per_sample_critic  # type: ignore[attr-defined]
        if set(one.needs) - has or asks_alone:  # type: ignore[attr-defined]
            found.add(one.name)
    return found | EXCEPTIONS.get(variant, set())


EXCEPTIONS: dict[str, set[str]] = {
    "bigan": {"least-squares"},  # its encoder's loss is of objectives that treat both sides alike
    "unrolled": {"wgan-gp"},  # a penalty is not among the losses that its steps of D are taken by
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_is_taken_up_bit_for_bit(variant: str, tmp_path: Path) -> None:
    colors = 1 + 2 * (VARIANTS.index(variant) % 2)
    whole = step_of(variant=variant, colors=colors)
    length = 3 * whole.config.d_steps + 2
    advance(whole, length)
    half = step_of(variant=variant, colors=colors)
    advance(half, whole.config.d_steps + 1)
    half.state.save(RunDirectory(tmp_path))
    again = step_of(variant=variant, colors=colors)
    torch.manual_seed(999)
    assert again.state.load(RunDirectory(tmp_path))
    advance(again, length)
    assert_equal(everything(again), everything(whole))
