"""Which process of several this is, and what is refused of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ganzoo.engine.ranks.place import Place, check_divides, place_of, refuse_several
from ganzoo.errors import UserError


def environment(rank: str, size: str, **more: str) -> dict[str, str]:
    return {"RANK": rank, "WORLD_SIZE": size, **more}


def test_the_environment_of_torchrun_is_read() -> None:
    assert place_of({}) == place_of({"RANK": "3"}) == Place(rank=0, size=1, local=0)
    assert place_of(environment("5", "8", LOCAL_RANK="1")) == Place(rank=5, size=8, local=1)
    assert place_of(environment("0", "2")).leads
    assert not place_of(environment("1", "2")).leads


@pytest.mark.parametrize(("rank", "size"), [("2", "2"), ("-1", "2"), ("one", "2"), ("0", "0")])
def test_what_names_no_process_is_refused(rank: str, size: str) -> None:
    with pytest.raises(UserError, match="name no process") as caught:
        place_of(environment(rank, size))
    assert "torchrun" in caught.value.cure


@pytest.mark.parametrize(("batch", "size", "cure"), [(64, 3, "63"), (2, 2, "4"), (30, 4, "32")])
def test_a_batch_that_cannot_be_cut_is_refused(batch: int, size: int, cure: str) -> None:
    with pytest.raises(UserError, match=f"train.batch_size={batch} is the batch of all {size}") as caught:
        check_divides(batch, size)
    assert f"train.batch_size={cure}," in caught.value.cure
    check_divides(int(cure), size)
    check_divides(batch, 1)


def test_a_bench_is_not_done_by_several() -> None:
    with pytest.raises(UserError, match="torchrun has started 2 processes of `ganzoo bench`"):
        refuse_several(environment("0", "2"), "bench")
    refuse_several({}, "bench")


@pytest.mark.parametrize(("rank", "lines"), [("0", 2), ("1", 0)])
def test_what_all_processes_find_is_told_by_one(rank: str, lines: int) -> None:
    """A mistake in the command: before the processes meet."""
    code = (
        "import os, sys; sys.argv = ['ganzoo', 'train', 'dcgan', '--kimg', 'x']; import ganzoo.__main__ as m; m.main()"
    )
    variables = environment(rank, "2", PATH="")
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == lines, done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("parted", "ends", "code", "said"),
    [(False, "sys.exit(143)", 143, ""), (True, "sys.exit(143)", 143, ""), (False, "1 / 0", 1, "ZeroDivisionError")],
)
def test_a_process_that_the_others_still_know_takes_no_interpreter_down(
    parted: bool, ends: str, code: int, said: str
) -> None:
    """Beside the threads of its group that may abort it; what others have it do at its end is done."""
    program = f"""
import atexit, sys
import torch.distributed as dist
import ganzoo.__main__ as program

class Object:
    def __del__(self):
        print("taken down")

def run():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    if {parted}:
        dist.destroy_process_group()
    print("worked")
    {ends}

kept = Object()
atexit.register(print, "at exit")
program._main = run
program.main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert done.stdout.split("\n") == ["worked", "at exit", *["taken down"] * parted, ""]
    assert said in done.stderr.splitlines()[-1] if said else done.stderr == ""
