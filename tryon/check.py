"""`tryon check`: find mistakes in settings, data and weights before anything runs, and list all of them.

    tryon check --config config.yaml

Mistakes that would stop a run end with exit code 2; photos that a run would quarantine are listed as warnings.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tryon import config
from tryon.dataset import formats, list_checks, lists
from tryon.errors import UserError
from tryon.weights import resolve


def problems(cfg: config.Config) -> tuple[list[str], list[str]]:
    """Mistakes that stop a run, and warnings about photos that it would quarantine."""
    mistakes: list[str] = []
    warnings: list[str] = []
    if cfg.data is not None:
        _check_data(cfg, Path(cfg.data), mistakes, warnings)
    if cfg.keypoints.source != "given":
        _check_weights(cfg.keypoints.checkpoint, cfg.keypoints.sha256, "keypoints.checkpoint", mistakes)
        if not Path(cfg.keypoints.config).is_file():
            mistakes.append(f"keypoints.config: {cfg.keypoints.config}: no such file; give an mmpose configuration")
    if cfg.cutouts.source == "sam":
        _check_weights(cfg.cutouts.checkpoint, cfg.cutouts.sha256, "cutouts.checkpoint", mistakes)
    for name in ("lpips_weights", "inception_weights"):
        path = getattr(cfg.evaluate, name)
        if path is not None and not Path(path).is_file():
            mistakes.append(f"evaluate.{name}: {path}: no such file; correct the path, or null to leave it out")
    return mistakes, warnings


def _check_data(cfg: config.Config, root: Path, mistakes: list[str], warnings: list[str]) -> None:
    try:
        reader = formats.reader(cfg.dataset)
        listing = reader.scan(root)
        facts = reader.facts(root, listing)
        if "given" in (cfg.pairs.train_strategy, cfg.pairs.unpaired_strategy):
            given, wrong = reader.given_pairs(root, listing)
            mistakes += [f"{root / reader.pairs_file}: {mistake}" for mistake in wrong]
            if cfg.pairs.train_strategy != "given":  # else a worn garment in the list is what is learned from
                warnings += _paired_rows(given, facts)
    except UserError as error:
        mistakes.append(str(error))
        return
    warnings += [f"{id_}: {reason}" for id_, reason in listing.problems]
    for photo in listing.photos:
        if photo.annotation is None:
            warnings.append(f"{photo.file}: no annotation annotations/{photo.id}.json")
        if photo.role == "person" and facts is not None and photo.id not in facts:
            warnings.append(f"{photo.file}: {lists.PHOTOS_FILE} has no line for it")


def _paired_rows(given: list[lists.GivenPair], facts: dict[str, lists.PhotoFacts] | None) -> list[str]:
    """Lines of an unpaired list that ask for the garment that is worn; a run quarantines them."""

    def worn(person: str) -> str | None:
        if facts is None:
            return list_checks.worn_by_name(person)
        fact = facts.get(f"person/{person}")
        return None if fact is None else fact.garment

    unpaired = [pair for pair in given if not pair.is_paired]
    return [
        f"{file} line {mistake.line}: {mistake.reason}"
        for file in dict.fromkeys(pair.file for pair in unpaired)
        for mistake in list_checks.check_pairs(
            [pair for pair in unpaired if pair.file == file], unpaired=True, worn=worn
        )
    ]


def _check_weights(where: str, sha256: str | None, setting: str, mistakes: list[str]) -> None:
    if where.startswith(("http://", "https://")):
        if sha256 is None:
            mistakes.append(f"{setting}: {where} is a URL; give its sha256 beside it")
        return  # a check before a run does not download gigabytes
    try:
        resolve(where, sha256, setting=setting)
    except UserError as error:
        mistakes.append(str(error))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this command's options."""
    parser.add_argument("--config", required=True, help="configuration file (YAML or JSON)")
    parser.add_argument("--data", help="data folder, instead of the one that the configuration names")


def run(args: argparse.Namespace) -> None:
    """List every mistake and warning."""
    cfg = config.load(args.config)
    if args.data is not None:
        cfg = cfg.model_copy(update={"data": args.data})
    mistakes, warnings = problems(cfg)
    for warning in warnings:
        print(f"warning: {warning}")
    if mistakes:
        count = len(mistakes)
        lines = "\n".join(f"  {mistake}" for mistake in mistakes)
        raise UserError(f"{args.config}: {count} mistake{'s' if count > 1 else ''} would stop the run\n{lines}")
    print(f"{args.config}: no mistakes found, {len(warnings)} photos or files to look at")
