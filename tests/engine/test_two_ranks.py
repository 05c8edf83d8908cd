"""A run in two processes is the run of one: the same images, random numbers, weights and statistics, to rounding.

Left out are variants whose losses or layers compare the samples of a batch, of which each rank sees its own:
`contragan` and `reacgan` (contrast), `ebgan` (pulling-away), `ragan` (relativistic average), `dragan` (the batch's
deviation), `stylegan2` (deviation of the batch; path lengths of half of it), `unrolled` (D's steps ahead, by the
rank's own images). `fastgan` draws its crops in another order than by image. docs/scaling.md names them for users.
`diversity` is of a rank's own images, too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from combined import step_of
from several import ended, start
from two_ranks import CASES, trained

HERE = Path(__file__).parent
QUICK = ("gan", "dcgan", "wgan-gp", "wgan", "began")
APART = "apart"
SLOW = [name for name in CASES if name not in (*QUICK, APART)]
CLOSE = 1e-5  # of a tensor's largest number, plus 1

Found = dict[str, tuple[dict[str, Any], dict[str, Any]]]  # of both ranks, by case


def pair(folder: Path, names: list[str]) -> Callable[[], Found]:
    processes = start(str(HERE / "two_ranks.py"), str(folder), *names)

    def found() -> Found:
        for code, _, errors in ended(*processes, seconds=540):
            assert code == 0, errors
        files = {name: [folder / f"{name}.{rank}.pt" for rank in (0, 1)] for name in names}
        return {name: tuple(torch.load(file, weights_only=True) for file in both) for name, both in files.items()}  # type: ignore[misc]

    return found


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Found:
    return pair(tmp_path_factory.mktemp("quick"), [*QUICK, APART])()


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Found:
    return pair(tmp_path_factory.mktemp("slow"), SLOW)()


def distance(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> dict[str, float]:
    """By name, the largest difference in units of the tensor's largest number plus 1."""
    assert ours.keys() == theirs.keys()
    floats = [name for name, value in ours.items() if value.is_floating_point() and value.numel()]
    return {n: float((ours[n] - theirs[n]).abs().max() / (1 + theirs[n].abs().max())) for n in floats}


def compare(name: str, leader: dict[str, Any], follower: dict[str, Any]) -> None:
    one = trained(step_of(**CASES[name], batch_size=8))
    moved = distance(one["weights"], one["begun"])
    apart = distance(leader["weights"], one["weights"])
    assert max(moved.values()) > 100 * CLOSE, "nothing has been trained"
    assert {key: value for key, value in apart.items() if value > CLOSE} == {}
    # Every rank has the state: the leader's is saved for all.
    assert distance(follower["weights"], leader["weights"]) == dict.fromkeys(apart, 0.0)
    assert torch.equal(leader["random"], one["random"])
    assert torch.equal(follower["random"], one["random"])
    told, expected = leader["statistics"], one["statistics"]
    assert told.keys() == expected.keys()
    # An accuracy counts: a logit next to 0 may fall to either side.
    off = {key: abs(told[key] - value) / (1 + abs(value)) for key, value in expected.items() if key != "diversity"}
    assert {key: value for key, value in off.items() if value > (0.02 if key == "d_accuracy" else CLOSE)} == {}


@pytest.mark.parametrize("name", QUICK)
def test_two_processes_train_as_one(name: str, quick: Found) -> None:
    compare(name, *quick[name])


def test_batch_norm_apart_is_another_computation_with_the_same_weights_on_all(quick: Found) -> None:
    together, (leader, follower) = quick["dcgan"][0], quick[APART]
    assert max(distance(leader["weights"], together["weights"]).values()) > 10 * CLOSE  # the rate is small
    assert set(distance(follower["weights"], leader["weights"]).values()) == {0.0}
    assert torch.equal(follower["random"], leader["random"])


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_two_processes_train_the_rest_of_the_zoo_as_one(name: str, slow: Found) -> None:
    compare(name, *slow[name])
