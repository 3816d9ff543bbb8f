"""A run's pictures judged by named protocols, each seeing them as the systems that it was made for leave theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tryon import images
from tryon.config import ORACLE, Config
from tryon.errors import UserError
from tryon.evaluation.judge import Entry, Judge, Size, View, shown
from tryon.evaluation.pair_lists import Pair
from tryon.evaluation.protocols import scoring
from tryon.evaluation.protocols.catalogue import PROTOCOLS, TRYON
from tryon.evaluation.protocols.interface import Protocol, Weights
from tryon.evaluation.protocols.prepare import WHITE, refusal, through_file
from tryon.evaluation.protocols.scoring import BETTER, SET_METRICS, Case, Scorer, Seen
from tryon.evaluation.truths import Truth

PROTOCOL_ROW = ("protocol", "system", "stage", "list", "pair_id", "metric", "value")
NO_PHOTO = "not computed: no paired list names the photo of {num} persons, {first} first"


def is_paired(list_name: str) -> bool:
    """Whether the truths of a list are the persons' own photos."""
    return list_name.endswith("_paired")


def on_own_canvas(image_HWC: np.ndarray, size_hw: Size, fill: int = WHITE) -> np.ndarray:
    """A photo with the borders that give it the aspect ratio of `size_hw`, and no pixel of it changed.

    Protocols resize truths themselves; the pictures of a run show the whole photo with such borders.
    """
    height, width = image_HWC.shape[:2]
    unit = int(np.gcd(*size_hw))
    rows, columns = size_hw[0] // unit, size_hw[1] // unit
    times = max(-(-height // rows), -(-width // columns))
    canvas_HWC = np.full((times * rows, times * columns, 3), fill, np.uint8)
    top, left = (canvas_HWC.shape[0] - height) // 2, (canvas_HWC.shape[1] - width) // 2
    canvas_HWC[top : top + height, left : left + width] = image_HWC
    return canvas_HWC


def person_photos(pairs_table: Path) -> dict[str, str]:
    """Photo file by person, as the paired rows of pairs.parquet tell it."""
    table = pd.read_parquet(pairs_table, columns=["person", "kind", "truth"])
    paired = table[(table["kind"] == "paired") & table["truth"].notna()]
    return dict(zip(paired["person"], paired["truth"], strict=True))


@dataclass(frozen=True)
class ByProtocol:
    """The protocols of a run. Cheap to send to worker processes, which open the networks.

    Attributes:
        scorers: one per protocol.
        photos: photo file by person, relative to the data folder.
        with_truth: lists of which every pair has a true picture.
    """

    scorers: tuple[Scorer, ...]
    photos: Mapping[str, str]
    with_truth: frozenset[str]

    def open(self) -> ByProtocol:
        """Load every network, so that a wrong file is told before any picture is read."""
        for scorer in self.scorers:
            scorer.open()
        return self

    def asked(self, scorer: Scorer, list_name: str) -> tuple[str, ...]:
        """Metrics of a protocol that are computed here; our own counts SSIM and LPIPS in the regions' pass."""
        metrics = scorer.protocol.metrics(is_paired=is_paired(list_name))
        return tuple(m for m in metrics if m in SET_METRICS) if scorer.protocol.name == TRYON.name else metrics

    def look(self, judge: Judge, pair: Pair, truth: Truth | None, view: View) -> dict[str, Seen]:
        """What each protocol says of a pair at the final size; one that says nothing is left out."""
        found = {}
        for scorer in self.scorers:
            protocol, size_hw = scorer.protocol, judge.final_hw
            metrics = self.asked(scorer, pair.list)
            if not metrics or refusal(protocol, size_hw) or self._reason(protocol, [pair]):
                continue
            true_HWC, suffix = self._truth(protocol, judge, pair, truth, view)
            results = []
            for entry, picture_HWC in view.pictures.items():
                if entry.kind == ORACLE:
                    continue
                if protocol.pasted_back:
                    picture_HWC = np.where(view.region_HW[..., None], picture_HWC, view.person.image_HWC)
                results.append(through_file(picture_HWC, protocol.results))
            case = Case(results, true_HWC, suffix, f"pair {pair.pair_id}")
            found[protocol.name] = scorer.look_all([case], metrics)[0]
        return found

    def _truth(
        self, protocol: Protocol, judge: Judge, pair: Pair, truth: Truth | None, view: View
    ) -> tuple[np.ndarray, str]:
        if (
            protocol.name == TRYON.name
        ):  # it adds its borders itself; without true pictures, sets are compared with the persons
            known = truth is not None and pair.list in self.with_truth
            return (truth.image_HWC if truth is not None and known else view.person.image_HWC), ".png"
        file = pair.truth if is_paired(pair.list) else self.photos[pair.person]
        if file is None:
            raise UserError(f"pair {pair.pair_id}: a paired pair without its true picture; run the stage `pairs` again")
        paired = truth is not None and is_paired(pair.list)
        image_HWC = truth.image_HWC if truth is not None and paired else images.read_rgb(judge.data / file)
        return on_own_canvas(image_HWC, judge.final_hw, judge.fill), Path(file).suffix

    def _reason(self, protocol: Protocol, pairs: Sequence[Pair]) -> str | None:
        """Why the truths of unpaired pairs are not known to a protocol, or None."""
        lost = [p.person for p in pairs if not is_paired(p.list) and p.person not in self.photos]
        return NO_PHOTO.format(num=len(lost), first=lost[0]) if lost and protocol.name != TRYON.name else None

    def against(self, protocol: Protocol, list_name: str) -> str:
        """What FID and KID compare a list with."""
        known = is_paired(list_name) or (protocol.name == TRYON.name and list_name in self.with_truth)
        return "truth" if known else "person photos"


def open_protocols(
    config: Config, given: Mapping[Weights, Path], pairs: Sequence[Pair], pairs_table: Path, cache: Path
) -> ByProtocol:
    """The protocols that the settings name.

    Args:
        config: the whole configuration.
        given: files of weights.
        pairs: what is judged.
        pairs_table: pairs.parquet.
        cache: folder for features of truths.
    """
    scorers = tuple(Scorer(PROTOCOLS[name], given, cache, config.pack.fill) for name in config.evaluate.protocols)
    lists = {pair.list for pair in pairs}
    lacking = {pair.list for pair in pairs if pair.truth is None}
    return ByProtocol(scorers, person_photos(pairs_table), frozenset(lists - lacking))


def protocol_rows(pair: Pair, lines: Sequence[Entry], found: Mapping[str, Seen]) -> list[tuple[Any, ...]]:
    """Numbers of one pair, as tuples of the columns `PROTOCOL_ROW`."""
    return [
        (name, entry.system, entry.stage, pair.list, pair.pair_id, metric, value)
        for name, seen in found.items()
        for entry, values in zip(lines, seen.values, strict=True)
        for metric, value in values.items()
    ]


def scores(
    by: ByProtocol,
    judge: Judge,
    pairs: Sequence[Pair],
    metrics: pd.DataFrame,
    rows: pd.DataFrame,
    found: Sequence[Mapping[str, Seen]],
    *,
    num_resamples: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Every protocol with everything that decides its numbers, and the numbers of each list and line.

    Args:
        by: the protocols.
        judge: the judge of the run.
        pairs: judged pairs.
        metrics: numbers of regions, of which those of whole final pictures are our own protocol's.
        rows: numbers of the other protocols (columns `PROTOCOL_ROW`).
        found: what the protocols saw, per pair.
        num_resamples: bootstrap resamples behind each interval.
        seed: of intervals and subsets.
    """
    lines = [entry for entry in judge.table if entry.judged_hw == judge.final_hw and entry.kind != ORACLE]
    lists = list(dict.fromkeys(pair.list for pair in pairs))
    own = metrics[(metrics["region"] == "whole") & (metrics["size"] == shown(judge.final_hw))]
    report = []
    for scorer in by.scorers:
        protocol = scorer.protocol
        values = own if protocol.name == TRYON.name else rows[rows["protocol"] == protocol.name]
        grouped = {
            key: group.sort_values("pair_id")["value"].to_numpy()
            for key, group in values.groupby(["list", "system", "stage", "metric"])
        }
        numbers: list[dict[str, Any]] = []
        for list_name in lists:
            listed = [index for index, pair in enumerate(pairs) if pair.list == list_name]
            sets = [found[index][protocol.name] for index in listed if protocol.name in found[index]]
            for metric in protocol.metrics(is_paired=is_paired(list_name)):
                reason = refusal(protocol, judge.final_hw) or scorer.reason(metric, judge.final_hw)
                reason = reason or by._reason(protocol, [pairs[index] for index in listed])
                for position, entry in enumerate(lines):
                    about = {
                        "list": list_name,
                        "system": entry.system,
                        "stage": entry.stage,
                        "size": shown(judge.final_hw),
                        "metric": metric,
                        "better": BETTER[metric],
                        "scale": protocol.kid.scale if metric == "kid" and protocol.kid else 1,
                        "against": by.against(protocol, list_name) if metric in SET_METRICS else "truth",
                    }
                    key = (list_name, entry.system, entry.stage, metric)
                    if reason is not None:
                        number = scoring.no_score(reason)
                    elif metric in SET_METRICS:
                        number = _set_score(protocol, metric, sets, position, seed)
                    elif key in grouped:
                        number = scoring.mean_score(grouped[key], num_resamples=num_resamples, seed=seed)
                    else:
                        number = scoring.no_score("not computed: no true picture is known")
                    numbers.append({"protocol": protocol.name, **about, **number})
        about_all = {"name": protocol.name, "title": protocol.title, "source": protocol.source}
        report.append({**about_all, **scoring.about(protocol, scorer.weights), "scores": numbers})
    return report


def _set_score(protocol: Protocol, metric: Any, sets: Sequence[Seen], position: int, seed: int) -> dict[str, Any]:  # noqa: ANN401
    features = [seen.features[position] for seen in sets if seen.features is not None]
    truths = [seen.true_features for seen in sets if seen.true_features is not None]
    return scoring.set_score(protocol, metric, np.stack(features), np.stack(truths), seed)
