"""Which process of a run this is, by the environment that torchrun gives. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ganzoo.errors import SettingError, UserError

TORCHRUN = "torchrun --nproc-per-node N -m ganzoo train ..."


@dataclass(frozen=True, kw_only=True)
class Place:
    """Process `rank` of `size`, and number `local` of those on its machine, which is the number of its GPU."""

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def leads(self) -> bool:
        """Whether it is the one that decides, writes and tells."""
        return self.rank == 0


def place_of(environment: Mapping[str, str]) -> Place:
    """What RANK, WORLD_SIZE and LOCAL_RANK say; one process of its own where they are missing.

    Raises:
        UserError: they are no numbers that go together.
    """
    if "RANK" not in environment or "WORLD_SIZE" not in environment:
        return Place()
    texts = [environment["RANK"], environment["WORLD_SIZE"], environment.get("LOCAL_RANK", environment["RANK"])]
    try:
        rank, size, local = map(int, texts)
    except ValueError:
        rank, size, local = -1, 0, 0
    if not 0 <= rank < size or local < 0:
        raise UserError(
            f"RANK={texts[0]}, WORLD_SIZE={texts[1]}, LOCAL_RANK={texts[2]} name no process of several",
            f"start with {TORCHRUN}, or unset them",
        )
    return Place(rank=rank, size=size, local=local)


def check_divides(batch_size: int, size: int) -> None:
    """
    Raises:
        SettingError: a batch of `batch_size` images cannot be cut into `size` equal parts of two images or more.
    """
    if size > 1 and (batch_size % size or batch_size < 2 * size):
        near = max(2, round(batch_size / size)) * size
        raise SettingError(
            f"train.batch_size={batch_size} is the batch of all {size} processes together, and cannot be cut into "
            f"{size} equal parts of at least 2 images",
            f"--set train.batch_size={near}, or another --nproc-per-node",
        )


def refuse_several(environment: Mapping[str, str], command: str) -> None:
    """
    Raises:
        UserError: torchrun has started several of `command`, which is not trained in parts.
    """
    size = place_of(environment).size
    if size > 1:
        raise UserError(
            f"torchrun has started {size} processes of `ganzoo {command}`, each of which would do all of it",
            f"start it without torchrun; one run in several processes is {TORCHRUN}",
        )
