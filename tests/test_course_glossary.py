"""docs/glossary.md: its formulas are what the code computes, and the words that lessons send readers to are there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import relu, softplus

from ganzoo.runs.losses import make_losses
from ganzoo.zoo.registry import Registry

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "glossary.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([\w-]+)` \| `([^|]+)` \| `([^|]+)` \|", re.MULTILINE)
FORMULAS = {name: (of_d, of_g) for name, of_d, of_g in ROW.findall(PAGE)}
WORDS = (
    "Mode collapse", "Label smoothing", "Non-saturating loss", "Minimax loss", "kimg", "EMA", "Truncation", "FID",
    "FID∞", "IS", "KID", "Precision and recall", "Gradient penalty", "Lipschitz", "Spectral norm", "Batch norm", "Seed",
    "Floor",
)  # fmt: skip


def test_every_objective_has_its_formula(registry: Registry) -> None:
    assert set(FORMULAS) == {spec.name for spec in registry.all("objectives")}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_is_what_is_computed(name: str, registry: Registry) -> None:
    spec = registry.objective(name)
    settings = {setting.name: setting.default for setting in spec.settings}
    losses = make_losses(registry, spec, settings)
    r, f = torch.linspace(-3, 4, 64), torch.linspace(2, -5, 64).roll(7)
    known: dict[str, Any] = {
        "r": r,
        "f": f,
        "softplus": softplus,
        "relu": relu,
        "mean": torch.mean,
        "k": 0.0,
        **settings,
    }
    if losses.memory is not None:  # began's weight, which moves after each loss
        losses.memory.k.fill_(0.3)
        known["k"] = 0.3
    d_formula, g_formula = FORMULAS[name]
    torch.testing.assert_close(losses.d_loss(r, f), eval(d_formula, known), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(losses.g_loss(f, r), eval(g_formula, known), rtol=1e-5, atol=1e-6)


def test_the_words_are_explained() -> None:
    for word in WORDS:
        found = re.search(rf"^### {re.escape(word)}\n\n(.+?)(?=\n\n#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
        assert found is not None, word
        assert len(found[1].split()) >= 15, word


def test_anchors_are_headings() -> None:
    headings = {
        re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-") for line in re.findall(r"^#+ (.+)$", PAGE, re.M)
    }
    for target in re.findall(r"\]\(#([^)]+)\)", PAGE):
        assert target in headings
