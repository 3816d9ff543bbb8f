"""Dynamic thresholding: an overshot picture is scaled, a good one is left alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tryon.diffusion.clipping import scaled_into_range
from tryon.methods.seeds import normal_B

EVERYWHERE = torch.ones(2, 1, 8, 6)


@pytest.mark.parametrize("percentile", [0.5, 0.9, 0.995, 1.0])
def test_a_picture_is_divided_by_its_own_percentile(percentile: float) -> None:
    x0 = normal_B(torch.arange(2), (3, 8, 6), "x0") * torch.tensor([3.0, 5.0])[:, None, None, None]
    found = scaled_into_range(x0, EVERYWHERE, percentile)
    for row, expected in zip(found, x0, strict=True):
        limit = max(1.0, float(np.percentile(expected.abs().numpy(), 100 * percentile, method="inverted_cdf")))
        torch.testing.assert_close(row, (expected / limit).clamp(-1, 1))
        assert row.abs().max() == 1


def test_a_picture_in_range_stays_as_it_is() -> None:
    x0 = normal_B(torch.arange(2), (3, 8, 6), "x0").clamp(-0.9, 0.9)
    assert torch.equal(scaled_into_range(x0, EVERYWHERE, 0.995), x0)


def test_only_the_repainted_pixels_count() -> None:
    x0 = torch.full((2, 3, 8, 6), 4.0)
    x0[..., :3] = 2.0
    where = EVERYWHERE.clone()
    where[0, :, :, 3:] = 0
    where[1] = 0
    found = scaled_into_range(x0, where, 1.0)
    assert torch.equal(found[0], torch.ones(3, 8, 6))
    assert torch.equal(found[1], torch.ones(3, 8, 6)), "nothing to repaint: cut off only"
    assert torch.equal(scaled_into_range(x0 / 4, EVERYWHERE, 1.0), x0 / 4)
