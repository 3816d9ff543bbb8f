"""FID and KID of two sets of features, by the package that a protocol declares."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from tryon.evaluation.protocols.interface import Fid, Kid


@dataclass(frozen=True)
class Distance:
    """A distance of two sets, or why there is none.

    Attributes:
        value: None where it was not computed.
        spread: standard deviation over random subsets, where there are several different ones.
        reason: "not computed: …" where it was not.
    """

    value: float | None
    spread: float | None = None
    reason: str | None = None


def too_few(num: int, least: int, name: str) -> Distance:
    """A distance that would say nothing."""
    return Distance(None, reason=f"not computed: {num} pictures, {name} needs {least}")


def fid(declared: Fid, results_ND: np.ndarray, truths_ND: np.ndarray) -> Distance:
    """Fréchet distance between features of results and of truths."""
    num = min(len(results_ND), len(truths_ND))
    if num < declared.min_pictures:
        return too_few(num, declared.min_pictures, "FID")
    if declared.package == "torch-fidelity":
        from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

        statistics = [fid_features_to_statistics(torch.from_numpy(rows)) for rows in (results_ND, truths_ND)]
        return Distance(float(fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]))
    if declared.package == "pytorch-fid":
        from pytorch_fid.fid_score import calculate_frechet_distance as frechet

        sets = [rows.astype(np.float64) for rows in (truths_ND, results_ND)]  # as its array of activations
    else:
        from cleanfid.fid import frechet_distance as frechet

        sets = [truths_ND, results_ND]
    moments = [part for rows in sets for part in (rows.mean(axis=0), np.cov(rows, rowvar=False))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # both pass scipy an argument of its day
        return Distance(float(frechet(*moments)))


def kid(declared: Kid, results_ND: np.ndarray, truths_ND: np.ndarray, seed: int) -> Distance:
    """Kernel distance between features of results and of truths, times the protocol's scale."""
    num = min(len(results_ND), len(truths_ND))
    if num < declared.min_pictures:
        return too_few(num, declared.min_pictures, "KID")
    if declared.package == "torch-fidelity":
        from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric

        if num < declared.subset_size:  # the package takes no smaller subsets by itself
            return too_few(num, declared.subset_size, "KID")
        found = kid_features_to_metric(
            torch.from_numpy(results_ND),
            torch.from_numpy(truths_ND),
            kid_subsets=declared.num_subsets,
            kid_subset_size=declared.subset_size,
            verbose=False,
        )
        return Distance(declared.scale * found[KEY_METRIC_KID_MEAN], declared.scale * found[KEY_METRIC_KID_STD])
    from cleanfid.fid import kernel_distance

    size = min(declared.subset_size, max(2, int(num * declared.subset_share)))
    with numpy_seed(seed):  # clean-fid draws its subsets from numpy's global generator
        values = [kernel_distance(truths_ND, results_ND, 1, size) for _ in range(declared.num_subsets)]
    # where a subset is everything, all are the same and their spread says nothing
    spread = float(np.std(values)) * declared.scale if size < num else None
    return Distance(float(np.mean(values)) * declared.scale, spread)


@contextlib.contextmanager
def numpy_seed(seed: int) -> Iterator[None]:
    """Seed numpy's global generator, and leave it as it was."""
    state = np.random.get_state()
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        np.random.set_state(state)
