"""`tryon compare RUN1 RUN2`: what differs between two results folders in settings, data, weights, code and scores.

    tryon compare results/a results/b                     # what differs, and who is better
    tryon compare results/a results/b --html a-b.html     # the same as a page
    tryon compare results/a results/b --json a-b.json     # everything, for programs

Scores are compared pair by pair, over the pairs that both runs judged, with 95 % intervals; numbers that mean
something else in the two runs are named and left out. The first run is what one has, the second what one asks about:
"better" is said of the second.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from tryon import files
from tryon.errors import UserError
from tryon.evaluation import compare_facts as facts
from tryon.evaluation import compare_page, compare_text
from tryon.evaluation.compare_result import Comparison
from tryon.evaluation.compare_runs import Run, open_run
from tryon.evaluation.compare_scores import common_pairs, protocol_differences, score_differences, set_scores


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `tryon compare`."""
    parser.add_argument("first", type=Path, metavar="RUN1", help="results folder of a finished run")
    parser.add_argument("second", type=Path, metavar="RUN2", help="results folder that is judged against it")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page, self-contained, English and Chinese")
    parser.add_argument("--language", choices=("en", "zh"), default="en", help="in which the page opens (default: en)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON")
    parser.add_argument("--all", action="store_true", help="print every stage, size, region and metric")


def run(args: argparse.Namespace) -> None:
    """Compare, print and write.

    Raises:
        UserError: a folder is no finished run, or no number of the two runs means the same.
    """
    found = compare(open_run(args.first), open_run(args.second))
    print(compare_text.text(found, everything=args.all))
    if args.json is not None:
        files.write_json(args.json, asdict(found))
    if args.html is not None:
        files.write_text(args.html, compare_page.page_of(found, args.language))
    if not found.scores:
        raise UserError(
            f"no score of {args.first} and {args.second} can be compared; the reasons stand above. Score both runs "
            "alike: same `evaluate` settings and weights, then let `evaluate` run again in both"
        )


def compare(first: Run, second: Run) -> Comparison:
    """Everything that differs between two runs.

    Raises:
        UserError: they have no judged pair in common.
    """
    common = common_pairs(first, second)
    refused = protocol_differences(first, second)
    scores, skipped = score_differences(first, second, common, refused)
    return Comparison(
        (_about(first), _about(second)),
        facts.settings(first, second),
        facts.data(first, second),
        facts.made(first, second),
        common,
        refused,
        scores,
        set_scores(first, second, common, refused),
        skipped,
    )


def _about(one: Run) -> dict[str, str]:
    origin = one.origins.get("evaluate", {})
    return {
        "folder": str(one.root),
        "final_size": one.summary["final_size"],
        "commit": str(origin.get("commit", facts.ABSENT)),
        "finished": str(origin.get("finished", facts.ABSENT)),
    }
