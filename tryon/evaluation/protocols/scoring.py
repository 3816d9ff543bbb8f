"""From pictures to the numbers of a protocol: one truth at a time, then means and distances.

`Scorer` runs in any number of processes and holds networks alone; what it returns per pair is small (numbers and
features), so memory does not grow with the size of the pictures and hardly with their number.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tryon import files
from tryon.errors import BadItem, UserError
from tryon.evaluation.protocols import distances
from tryon.evaluation.protocols.distances import Distance
from tryon.evaluation.protocols.features import Extractor, FeatureCache, identity, open_extractor
from tryon.evaluation.protocols.interface import Metric, Protocol, Weights
from tryon.evaluation.protocols.prepare import WHITE, Prepared, prepare
from tryon.evaluation.protocols.similarity import LpipsNetwork, similarities
from tryon.evaluation.statistics import estimate

SET_METRICS = ("fid", "kid")
BETTER = {"psnr": "higher", "ssim": "higher", "lpips": "lower", "fid": "lower", "kid": "lower"}


NOT_GIVEN = "not computed: weights not given"


def not_given(setting: Weights) -> str:
    """Why a number that needs weights is not there, with the setting that would give them."""
    return f"{NOT_GIVEN} (evaluate.{setting})"


@dataclass(frozen=True, eq=False)
class Seen:
    """What a protocol says of several results for one truth.

    Attributes:
        values: {metric: value} of each result.
        features: float32 [num results, num features] of the results; None where none are computed.
        true_features: float32 [num features] of the truth.
    """

    values: list[dict[str, float]]
    features: np.ndarray | None = None
    true_features: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Case:
    """Results for one truth.

    Attributes:
        results: uint8 RGB pictures of one size, as their files hold them.
        truth_HWC: the true picture at its own size.
        truth_suffix: of its file.
        name: for error messages.
    """

    results: Sequence[np.ndarray]
    truth_HWC: np.ndarray
    truth_suffix: str
    name: str


@dataclass
class Scorer:
    """Networks of one protocol, opened on first use.

    Attributes:
        protocol: what is done.
        weights: files by setting; a setting that is not there leaves its numbers out.
        cache: folder for features of truths; None: none are kept.
        fill: grey level of borders, where the protocol adds any.
    """

    protocol: Protocol
    weights: Mapping[Weights, Path]
    cache: Path | None = None
    fill: int = WHITE
    _lpips: LpipsNetwork | None = field(default=None, init=False, repr=False)
    _extractor: Extractor | None = field(default=None, init=False, repr=False)
    _remembered: FeatureCache | None = field(default=None, init=False, repr=False)

    def open(self) -> Scorer:
        """Load the networks now, so that a wrong file is told before any picture is read.

        Raises:
            UserError: a file of weights is not what it should be.
        """
        lpips, features = self.protocol.lpips, self.protocol.features
        if lpips is not None and lpips.weights in self.weights and self._lpips is None:
            self._lpips = LpipsNetwork(lpips, self.weights[lpips.weights])
        if features is not None and features.weights in self.weights and self._extractor is None:
            path = self.weights[features.weights]
            self._extractor = open_extractor(features, path)
            if self.cache is not None:
                self._remembered = FeatureCache(self.cache, identity(features, path))
        return self

    def look_all(self, cases: Sequence[Case], metrics: Sequence[str]) -> list[Seen]:
        """Judge results for several truths; all pictures share one call of the network under FID and KID.

        Args:
            cases: as many as fit into memory.
            metrics: of the protocol, those that are asked for.

        Raises:
            UserError: pictures cannot be compared in the protocol's way.
        """
        self.open()
        prepared = [self._prepared(case) for case in cases]
        wanted = [metric for metric in metrics if metric not in SET_METRICS]
        values = [[self._values(pair, wanted) for pair in pairs] for pairs in prepared]
        if self._extractor is None or not set(metrics) & set(SET_METRICS):
            return [Seen(rows) for rows in values]
        truths = [pairs[0].truth_in_set_HWC for pairs in prepared]
        known = [self._remembered.read(true_HWC) if self._remembered else None for true_HWC in truths]
        asked = [true_HWC for true_HWC, features in zip(truths, known, strict=True) if features is None]
        results = [pair.result_in_set_HWC for pairs in prepared for pair in pairs]
        found = iter(self._extractor([*results, *asked]))
        seen = [[next(found) for _ in pairs] for pairs in prepared]
        true_features = []
        for true_HWC, features in zip(truths, known, strict=True):
            if features is None:
                features = next(found)
                if self._remembered is not None:
                    self._remembered.keep(true_HWC, features)
            true_features.append(features)
        return [Seen(rows, np.stack(of), true) for rows, of, true in zip(values, seen, true_features, strict=True)]

    def _prepared(self, case: Case) -> list[Prepared]:
        try:
            return [
                prepare(self.protocol, result_HWC, case.truth_HWC, case.truth_suffix, self.fill)
                for result_HWC in case.results
            ]
        except BadItem as problem:
            raise UserError(f"{case.name}: {problem}") from None

    def _values(self, pair: Prepared, wanted: Sequence[str]) -> dict[str, float]:
        found = similarities(self.protocol, pair, self._lpips) if wanted else {}
        return {metric: found[metric] for metric in wanted if metric in found}

    def reason(self, metric: Metric, size_hw: tuple[int, ...]) -> str | None:
        """Why a metric of the protocol has no value for results of a size, or None."""
        part = self.protocol.lpips if metric == "lpips" else self.protocol.features if metric in SET_METRICS else None
        if part is not None and part.weights not in self.weights:
            return not_given(part.weights)
        if metric == "lpips":
            self.open()
            return self._lpips.too_small(self.protocol.compared_hw or size_hw) if self._lpips else None
        return None


def packages(protocol: Protocol) -> dict[str, str]:
    """Versions of the packages that compute a protocol's numbers."""
    parts = (protocol.ssim, protocol.lpips, protocol.features, protocol.fid, protocol.kid)
    names = {part.package for part in parts if part is not None} | {"pillow", "torch"}
    return {name: importlib.metadata.version(name) for name in sorted(names)}


def about(protocol: Protocol, weights: Mapping[Weights, Path]) -> dict[str, Any]:
    """What stands beside every number of a protocol, as plain JSON values."""
    return {
        "settings": protocol.as_dict(),
        "packages": packages(protocol),
        "weights_sha256": {
            name: files.sha256_file(weights[name]) if name in weights else None for name in protocol.needs()
        },
    }


def mean_score(values_N: np.ndarray, *, num_resamples: int, seed: int) -> dict[str, Any]:
    """A mean over pairs with its interval, as plain JSON values."""
    result = estimate(values_N, num_resamples=num_resamples, seed=seed)
    return {
        "value": result.mean,
        "low": result.low,
        "high": result.high,
        "spread": None,
        "num": result.num,
        "reason": None,
    }


def no_score(reason: str) -> dict[str, Any]:
    """A number that is not there, as plain JSON values."""
    return {"value": None, "low": None, "high": None, "spread": None, "num": 0, "reason": reason}


def set_score(
    protocol: Protocol, metric: Metric, features_ND: np.ndarray, true_features_ND: np.ndarray, seed: int
) -> dict[str, Any]:
    """FID or KID of two sets of features, as plain JSON values."""
    found: Distance
    if metric == "fid" and protocol.fid is not None:
        found = distances.fid(protocol.fid, features_ND, true_features_ND)
    elif metric == "kid" and protocol.kid is not None:
        found = distances.kid(protocol.kid, features_ND, true_features_ND, seed)
    else:
        raise ValueError(f"protocol {protocol.name} has no {metric}")
    if found.value is None:
        return no_score(str(found.reason))
    score = {"value": found.value, "low": None, "high": None, "spread": found.spread, "reason": None}
    return {**score, "num": min(len(features_ND), len(true_features_ND))}
