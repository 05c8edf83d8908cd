"""Every row of `python benchmarks/parity.py`: our metrics beside implementations that no one here wrote."""

import json
import math

import parity
import parity_references
import pytest


@pytest.mark.parametrize("comparison", parity.COMPARISONS, ids=lambda comparison: comparison.name)
def test_parity(comparison):
    row = comparison.measure()
    if row.difference is None:
        pytest.skip(row.note)
    # Agreement on nothing shows nothing.
    assert math.isfinite(row.theirs)
    assert row.ours > 0
    assert row.holds, f"ours {row.ours}, theirs {row.theirs}: relative difference {row.difference}, {row.tolerance}"


def test_every_metric_is_held_against_some_library():
    same = {(row.metric, row.library) for row in parity.COMPARISONS if not row.differs and row.tolerance <= 1e-4}
    for metric in ("FID", "IS", "KID", "precision", "recall"):
        assert (metric, "torch-fidelity") in same
    for metric in ("FID", "IS", "KID"):
        assert (metric, "torchmetrics") in same
    for metric in ("precision", "recall", "density", "coverage"):
        assert (metric, "prdc") in same
    assert ("FID", "pytorch-fid") in same


def test_a_scipy_without_disp_is_the_one_reason_for_not_running(monkeypatch):
    from pytorch_fid import fid_score

    message = "sqrtm() got an unexpected keyword argument 'disp'"

    def sqrtm(*args, **kwargs):
        raise TypeError(message)

    monkeypatch.setattr(fid_score.linalg, "sqrtm", sqrtm)
    comparison = parity.Comparison(
        metric="FID", library="pytorch-fid", pair=parity_references.pytorch_fid.__wrapped__, key="fid", note=""
    )
    row = comparison.measure()
    assert row.note.startswith("does not run: scipy ")
    assert (row.ours, row.theirs, row.difference) == (None, None, None)
    message = "something else"
    with pytest.raises(TypeError, match="something else"):
        comparison.measure()


def made_up(ours, theirs, **settings):
    def pair():
        return {"x": ours}, {"x": theirs}

    return parity.Comparison(metric="X", library="torch", pair=pair, key="x", note="made up", **settings)


@pytest.mark.parametrize(
    ("ours", "theirs", "same", "differs"),
    [
        (1.0, 1.00009, True, False),
        (1.0, 1.0002, False, True),
        (0.0, 0.0, True, False),
        (0.0, 1e-9, False, True),
        (float("nan"), 1.0, False, False),
        (float("nan"), float("nan"), False, False),
    ],
)
def test_what_holds(ours, theirs, same, differs):
    assert made_up(ours, theirs).measure().holds == same
    assert made_up(ours, theirs, differs=True).measure().holds == differs


def test_the_command_prints_the_rows_and_fails_when_one_does_not_hold(monkeypatch, capsys):
    monkeypatch.setattr(parity, "COMPARISONS", (made_up(1.0, 1.0), made_up(1.0, 2.0, differs=True)))
    assert parity.main([]) == 0
    printed = capsys.readouterr().out
    assert "| X | torch " in printed
    assert "| 1 | 2 | 5.0e-01 | more than 1e-04 | yes | made up |" in printed
    monkeypatch.setattr(parity, "COMPARISONS", (made_up(1.0, 2.0),))
    assert parity.main(["--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["ours"], row["theirs"], row["difference"], row["holds"]) == (1.0, 2.0, 0.5, False)
