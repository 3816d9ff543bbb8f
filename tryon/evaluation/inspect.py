"""Stage `inspect`: one page of the data, before anything is trained: what was used, what was refused and why.

    tryon inspect --config F --data DIR --results R --out inspect/data.html

`snakemake inspect` prepares a data folder up to the packed shards and ends with this page. The report shows the same
sections beside what was learned from the data.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from tryon import files
from tryon.config import Config, load
from tryon.dataset.manifest import read_manifest
from tryon.evaluation import page, report_gallery, report_leaks, report_refused, report_repairs, report_variants
from tryon.evaluation import report_facts as facts
from tryon.evaluation.report_review import review
from tryon.ontology import LABELS, PALETTE
from tryon.packed import check_quarantined


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this command's options."""
    parser.add_argument("--config", type=Path, required=True, help="configuration file (YAML or JSON)")
    parser.add_argument("--data", type=Path, required=True, help="data folder")
    parser.add_argument("--results", type=Path, required=True, help="results folder")
    parser.add_argument("--out", type=Path, required=True, help="HTML page to write: inspect/data.html")


def run(args: argparse.Namespace) -> None:
    """Gather, draw and write the page; refuse data of which too much is quarantined."""
    config = load(args.config)
    results = facts.Results.open(args.results)
    check_quarantined([args.results / "pack" / f"{key}.parquet" for key in results.keys], config.max_quarantined)
    values = {
        **gather(config, args.data, args.results),
        "place": args.results.name,
        "folder": args.data.name,
        "unfolded": True,
    }
    files.write_text(args.out, page.render("inspect.html", values, config.report.language))
    print(f"inspect: {args.out} ({args.out.stat().st_size / 1e6:.1f} MB)")


def gather(config: Config, data: Path, root: Path) -> dict[str, Any]:
    """Everything that templates/data.html prints.

    Args:
        config: the whole configuration.
        data: the data folder.
        root: the results folder.
    """
    results = facts.Results.open(root)
    manifest = read_manifest(root / "dataset" / "manifest.parquet")
    pairs = pd.read_parquet(root / "pairs" / "pairs.parquet")
    bad = facts.quarantined(results)
    bad_photos = [row for row in bad if row["stage"] != "pairs"]  # that stage refuses pairs
    return {
        "config": config,
        "photo_counts": facts.photo_counts(manifest, pairs),
        "pair_counts": facts.pair_counts(pairs),
        "num_photos": len(manifest) + sum(row["id"] not in set(manifest["id"]) for row in bad_photos),
        "leaks": report_leaks.gather(root, manifest, data),
        "quarantined": bad,
        "reasons": report_refused.reasons(bad),
        "mended": report_repairs.mended(results),
        "doubtful": report_repairs.doubtful(results),
        "review": review(results, manifest, data, config),
        "cards": report_gallery.gallery(results, manifest, bad_photos, data, config),
        "variants": report_variants.variants(results, manifest, data, config),
        "labels": [(name, "#" + "".join(f"{part:02x}" for part in PALETTE[i])) for i, name in enumerate(LABELS)][1:],
    }
