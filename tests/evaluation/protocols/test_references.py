"""Every protocol's numbers beside those of the reference packages, called as the protocol's public code calls them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import references
import torch
from PIL import Image
from stand_ins import InceptionStandIn, draw, write_pairs

from tryon.evaluation import score
from tryon.evaluation.folders import couples
from tryon.evaluation.protocols import catalogue
from tryon.evaluation.protocols.interface import Protocol, Weights
from tryon.evaluation.protocols.scoring import Scorer

Reference = Callable[[Path, Path, Path], dict[str, float]]


class Case(NamedTuple):
    """One protocol on 16 pairs."""

    protocol: Protocol
    reference: Reference
    result_hw: tuple[int, int]
    truth_hw: tuple[int, int]
    result_name: str


CASES = {
    "catvton": Case(catalogue.CATVTON, references.catvton, (256, 192), (400, 300), "{stem}.jpg"),
    "catvton, truths of that size": Case(catalogue.CATVTON, references.catvton, (256, 192), (256, 192), "{stem}.jpg"),
    "ladi": Case(catalogue.LADI, references.ladi, (256, 192), (400, 300), "{stem}.jpg"),
    "hrviton": Case(catalogue.HRVITON, references.hrviton, (256, 192), (400, 300), "{stem}_00077_00.png"),
    "dci": Case(catalogue.DCI, references.dci, (256, 192), (400, 300), "{stem}.png"),
    "tpd": Case(catalogue.TPD, references.tpd, (512, 384), (640, 480), "{stem}.jpg"),
}


def for_few(protocol: Protocol) -> Protocol:
    """The same for 16 pictures, and with the features of the stand-ins: the one thing the tests bend."""
    features = protocol.features
    if features is not None and features.package != "clean-fid":
        features = replace(features, num=references.FIRST_BLOCK)
    fid = replace(protocol.fid, min_pictures=2) if protocol.fid else None
    kid = replace(protocol.kid, min_pictures=2) if protocol.kid else None
    if kid is not None and kid.package == "torch-fidelity":
        kid = replace(kid, subset_size=10)
    return replace(protocol, features=features, fid=fid, kid=kid)


def ours(protocol: Protocol, weights: dict[Weights, Path], results: Path, truths: Path) -> dict[str, float]:
    """Every number of a protocol: those of its paired list, and those of its unpaired one."""
    found: dict[str, float] = {}
    for is_paired in (True, False):
        pairs = couples(protocol, results, truths)
        scorer = Scorer(protocol, weights)
        report = score.score(scorer, pairs, is_paired=is_paired, jobs=1, num_resamples=100, seed=0)
        numbers = {metric: row["value"] for metric, row in report["scores"].items()}
        assert all(found.get(metric, value) == value for metric, value in numbers.items())
        found |= numbers
    return found


@pytest.fixture
def served(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    backbones: dict[str, dict[str, torch.Tensor]],
    weights: dict[Weights, Path],
) -> None:
    stand_in = InceptionStandIn()
    references.served_from(monkeypatch, backbones, lambda batch: stand_in.layers((batch - 128) / 128), tmp_path)
    monkeypatch.setattr(references.dci, "weights", weights["fid_inception_weights"], raising=False)


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("name", CASES)
def test_our_numbers_are_those_of_the_reference_packages(
    name: str, tmp_path: Path, weights: dict[Weights, Path]
) -> None:
    case = CASES[name]
    results, truths = write_pairs(tmp_path / "pairs", case.result_hw, case.truth_hw, case.result_name)
    np.random.seed(0)  # clean-fid draws the subsets of KID from numpy's global generator; ours seeds it with 0
    expected = case.reference(results, truths, tmp_path / "work")
    found = ours(for_few(case.protocol), weights, results, truths)
    print(name, {metric: (found.get(metric), value) for metric, value in expected.items()})
    assert found == pytest.approx(expected, abs=1e-4)
    assert all(abs(value) > 1e-3 for value in expected.values()), "numbers so small that 1e-4 would prove nothing"


@pytest.mark.usefixtures("served")
def test_our_own_protocol_is_the_packages_on_equal_sizes(tmp_path: Path, weights: dict[Weights, Path]) -> None:
    results, truths = tmp_path / "results", tmp_path / "truths"
    for folder in (results, truths):
        folder.mkdir()
    for index in range(16):
        draw((96, 72), index).save(truths / f"{index}.png")
        draw((96, 72), index, tint=index - 4, noise=4.0).save(results / f"{index}.png")
    expected = references.tryon(results, truths, tmp_path / "work")
    assert ours(for_few(catalogue.TRYON), weights, results, truths) == pytest.approx(expected, abs=1e-4)


def test_the_cases_cover_every_protocol_but_our_own() -> None:
    assert {case.protocol.name for case in CASES.values()} | {"tryon"} == set(catalogue.PROTOCOLS)


def test_protocols_disagree_about_the_same_pictures(tmp_path: Path, weights: dict[Weights, Path]) -> None:
    """Else one would do: the SSIM and LPIPS of one folder of results differ from protocol to protocol."""
    results, truths = write_pairs(tmp_path, (512, 384), (640, 480), "{stem}.jpg", num=3)
    found = {}
    for protocol in (catalogue.CATVTON, catalogue.LADI, catalogue.HRVITON, catalogue.TPD, catalogue.TRYON):
        pairs = couples(protocol, results, truths)
        report = score.score(Scorer(protocol, weights), pairs, is_paired=True, jobs=1, num_resamples=100, seed=0)
        found[protocol.name] = (report["scores"]["ssim"]["value"], report["scores"]["lpips"]["value"])
    for part in (0, 1):
        values = sorted(pair[part] for pair in found.values())
        assert min(b - a for a, b in zip(values, values[1:], strict=False)) > 1e-5, found
    assert Image.open(next(results.iterdir())).size == (384, 512)
