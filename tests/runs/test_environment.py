"""What a result says about where it was made."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch

from ganzoo.runs.environment import describe_environment

ROOT = Path(__file__).parents[2]


def test_the_commit_of_a_checkout(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("the tests lie in no checkout")
    head = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    found = describe_environment(torch.device("cpu"), "fp32", [], tmp_path)["git"]
    assert found["commit"] == head.stdout.strip()
    assert isinstance(found["dirty"], bool)
