"""Streaming moments: exact, and the same however the stream is cut."""

import numpy as np
import pytest
import torch

from ganzoo.errors import UserError
from ganzoo.metrics.statistics import RunningMoments, moments


def test_moments_match_numpy():
    x = torch.randn(300, 7, generator=torch.Generator().manual_seed(0)) * 3 + 5
    found = moments(x, batch_size=64)
    np.testing.assert_allclose(found.mean, x.double().numpy().mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(x.double().numpy(), rowvar=False), rtol=1e-10, atol=1e-13)
    assert found.count == 300
    assert found.mean.dtype == found.covariance.dtype == torch.float64


def test_batches_and_order_do_not_matter():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(200, 5, generator=generator) + torch.linspace(0, 3, 200)[:, None]
    whole = moments(x)
    for sizes in ([1] * 200, [1, 199], [150, 0, 50], [64, 64, 64, 8]):
        running = RunningMoments()
        for batch in x[torch.randperm(200, generator=generator)].split(sizes):
            running.update(batch)
        found = running.compute()
        torch.testing.assert_close(found.mean, whole.mean, rtol=1e-13, atol=1e-14)
        torch.testing.assert_close(found.covariance, whole.covariance, rtol=1e-12, atol=1e-14)


def test_a_large_offset_loses_no_digits():
    x = torch.randn(500, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    shifted = moments(x + 1e7, batch_size=50).covariance
    torch.testing.assert_close(shifted, moments(x).covariance, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused(bad):
    x = torch.ones(10, 2)
    x[3, 1] = bad
    with pytest.raises(UserError, match="NaN"):
        moments(x)


def test_one_image_has_no_covariance():
    with pytest.raises(UserError, match="at least 2"):
        moments(torch.ones(1, 2))
