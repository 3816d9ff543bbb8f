"""What `tryon compare` prints to a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tryon.config import CASCADE, ORACLE
from tryon.evaluation.compare_facts import ABSENT, Change
from tryon.evaluation.compare_result import Comparison
from tryon.evaluation.compare_runs import shown
from tryon.evaluation.compare_scores import Difference
from tryon.evaluation.report_quality import metric_of
from tryon.evaluation.statistics import LEVEL

MOST = 12
"""Lines of one kind before the rest is counted."""
MARKS = {"better": "▲ better", "worse": "▼ worse", "undecided": "≈ no difference shown"}
HEADLINE = ("psnr", "ssim", "lpips", "gms", "delta_e", "garment_delta_e", "oks", "clip_i", "dino")
"""Metrics of the short table; all others by --all."""


def text(found: Comparison, *, everything: bool) -> str:
    """The whole answer.

    Args:
        found: the comparison.
        everything: every stage, size, region and metric, not only final pictures and the metrics of `HEADLINE`.
    """
    lines = []
    for place, about in zip(("first", "second"), found.runs, strict=True):
        size, commit = about["final_size"], about["commit"]
        lines.append(f"{place:6}  {about['folder']}  ({size}, scored {about['finished']}, commit {commit})")
    settings = found.settings
    if settings.not_recorded:
        lines += [
            "",
            "settings: not known, scores of an older version do not record them; let `evaluate` run again. No",
        ]
        lines += ["  such file: " + ", ".join(settings.not_recorded)]
    else:
        lines += _changes("settings that shape numbers", settings.science)
        lines += _changes("settings of machine, places and pages (no number depends on them)", settings.machine)
    lines += ["", *_data(found)]
    for title, changes in (
        ("trained stages", found.made.trainings),
        ("code behind results", found.made.code),
        ("versions of the scores", found.made.versions),
        ("machine of the scores", found.made.machine),
    ):
        lines += _changes(title, changes)
    lines += _changes("protocol", [Change(_field(row), row["first"], row["second"]) for row in found.protocols])
    lines += ["", *_scores(found, everything=everything)]
    if found.not_compared:
        lines += ["", "not compared:"]
        lines += _cut([f"  {row['what']}: {row['reason']}" for row in found.not_compared], everything=everything)
    return "\n".join(lines)


def _field(row: dict[str, Any]) -> str:
    return f"{row['protocol']}: {row['field']}" + ("" if row["refuses"] else " (a remark; numbers are compared)")


def _changes(title: str, changes: Sequence[Change]) -> list[str]:
    if not changes:
        return ["", f"{title}: the same"]
    width = min(44, max(len(change.name) for change in changes))
    rows = [f"  {change.name:{width}}  {value_of(change.first)} → {value_of(change.second)}" for change in changes]
    return ["", f"{title}: {len(changes)} differ", *_cut(rows, everything=False)]


def value_of(value: object) -> str:
    """A value as it is printed: digests by their first letters, nothing for what a run lacks."""
    if value == ABSENT:
        return ABSENT
    if isinstance(value, str) and len(value) == 64 and not set(value) - set("0123456789abcdef"):
        return value[:12]
    return value if isinstance(value, str) else shown(value)


def _cut(rows: Sequence[str], *, everything: bool) -> list[str]:
    if everything or len(rows) <= MOST + 1:
        return list(rows)
    return [*rows[:MOST], f"  … and {len(rows) - MOST} more (--html or --json has all)"]


def _data(found: Comparison) -> list[str]:
    data = found.data
    one, other = data.photos
    lines = [f"photos: {one} and {other}, {data.same_photos} the same"]
    for title, photos in (
        ("pixels differ", data.changed_photos),
        ("only in the first", data.only_first),
        ("only in the second", data.only_second),
    ):
        if photos:
            more = " …" if len(photos) > 5 else ""
            lines.append(f"  {title}: {len(photos)} ({', '.join(photos[:5])}{more})")
    for of in data.lists:
        lines.append(f"  {of.name}: {of.first} and {of.second} pairs, {of.both} in both")
    lines += _changes("tables of photos and pairs (sha256)", data.tables)
    lines += _changes("what packs were made from", data.packs)
    lines += _changes("refused photos and pairs", data.refused)
    return lines


def _scores(found: Comparison, *, everything: bool) -> list[str]:
    final = found.runs[0]["final_size"]
    chosen = [row for row in found.scores if everything or is_headline(row, final)]
    lines = ["scores: second minus first, mean over pairs, 95 % interval"]
    for name, about in found.pairs.items():
        left = ", ".join(f"{num} left out: {why}" for why, num in about["left_out"].items())
        lines.append(f"  {name}: {len(about['pairs'])} pairs compared" + (f"; {left}" if left else ""))
    if not found.scores:
        return [*lines, "  no number of both runs means the same"]
    titles = [f"{system_of(row)} {row.list} {row.size} {row.metric}, {region_of(row)}" for row in chosen]
    width = max(map(len, titles), default=0)
    for row, title in zip(chosen, titles, strict=True):
        digits = metric_of(row.metric).digits
        interval = "one pair only" if row.low is None else f"[{row.low:+.{digits}f}, {row.high:+.{digits}f}]"
        means = f"{row.first:.{digits}f} → {row.second:.{digits}f}"
        lines.append(f"  {title:{width}}  {means:>17}  {row.mean:+.{digits}f} {interval}  {MARKS[row.verdict]}")
    for one in found.sets:
        title = " ".join(one[name] for name in ("system", "stage", "list", "size", "metric"))
        values = f"{one['first']:.4f} → {one['second']:.4f} (one number per set: no interval over pairs)"
        lines.append(f"  {title}, protocol {one['protocol']}: {values}")
    return [*lines, *chance(found.scores)]


def is_headline(row: Difference, final: str) -> bool:
    """Whether a number belongs to the short table: final pictures of whole systems, the metrics of most weight."""
    is_whole_system = row.system != ORACLE and (row.system != CASCADE or not row.stage)
    return (
        is_whole_system and row.size == final and row.metric in HEADLINE and row.region in ("garment", "expected", "")
    )


def system_of(row: Difference) -> str:
    """A system as the tables call it."""
    return row.system if row.stage in ("", row.system) else f"{row.system} {row.stage}"


def region_of(row: Difference) -> str:
    """Where a number was taken, or by which protocol."""
    return row.region or f"protocol {row.protocol}"


def chance(scores: Sequence[Difference]) -> list[str]:
    """What intervals over pairs do not cover."""
    return [
        f"  {len(scores)} numbers compared; about {num_by_chance(scores)} intervals would exclude zero by chance.",
        "  Intervals cover the choice of pairs, not that of the training seed: train twice before calling a small gain",
        "  real.",
    ]


def num_by_chance(scores: Sequence[Difference]) -> int:
    """Intervals of 95 % that would exclude zero though nothing differed."""
    return round((1 - LEVEL) * len(scores))


def by_system(scores: Iterable[Difference]) -> list[tuple[tuple[str, str, str], list[Difference]]]:
    """Numbers by (list, size, protocol)."""
    groups: dict[tuple[str, str, str], list[Difference]] = {}
    for row in scores:
        groups.setdefault((row.list, row.size, row.protocol), []).append(row)
    return sorted(groups.items())
