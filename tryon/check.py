"""`tryon check`: find mistakes in settings, data and weights before anything runs, and list all of them.

    tryon check --config config.yaml

Mistakes that would stop a run end with exit code 2; photos that a run would quarantine are listed as warnings. Up to
NUM_OPENED photos, spread over the folder, are decoded and their annotations read; of more, the names alone are asked.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tryon import config
from tryon.dataset import formats, list_checks, lists
from tryon.dataset.folder import Listing, PhotoFiles
from tryon.dataset.formats.interface import Reader
from tryon.errors import BadItem, UserError
from tryon.weights import find_config, resolve

NUM_OPENED = 1000
NUM_THREADS = 4


def problems(cfg: config.Config, *, num_opened: int = 0) -> tuple[list[str], list[str]]:
    """Mistakes that stop a run, and warnings about photos that it would quarantine.

    Args:
        cfg: the configuration.
        num_opened: photos that are decoded, with their annotations; 0 asks names and lists alone, as a run does.
    """
    mistakes: list[str] = []
    warnings: list[str] = []
    if Path(cfg.results).exists() and not Path(cfg.results).is_dir():
        mistakes.append(f"results: {cfg.results}: not a folder; choose another name")
    if cfg.data is None and cfg.dataset.format != "isat":
        mistakes.append(f"data: dataset.format {cfg.dataset.format} reads a folder, and none is given; set data to it")
    if cfg.data is not None:
        _check_data(cfg, Path(cfg.data), num_opened, mistakes, warnings)
    if cfg.keypoints.source != "given":
        _check_weights(cfg.keypoints.checkpoint, cfg.keypoints.sha256, "keypoints.checkpoint", mistakes)
        _try(lambda: find_config(cfg.keypoints.config), mistakes)
    if cfg.cutouts.source == "sam":
        _check_weights(cfg.cutouts.checkpoint, cfg.cutouts.sha256, "cutouts.checkpoint", mistakes)
    for name, sha256 in cfg.evaluate.weights_sha256.items():
        where = getattr(cfg.evaluate, name)
        if where is None:
            continue
        if not name.endswith("_weights"):
            if not Path(where).is_dir():
                mistakes.append(f"evaluate.{name}: {where}: no such folder; correct the path, or null to leave it out")
        else:
            _check_weights(where, sha256, f"evaluate.{name}", mistakes)
    return mistakes, warnings


T = TypeVar("T")


def _try(ask: Callable[[], T], mistakes: list[str]) -> T | None:
    """The answer to one question; where there is none, one mistake more, so that the next question is still asked."""
    try:
        return ask()
    except UserError as error:
        mistakes.append(str(error))
        return None


def _check_data(cfg: config.Config, root: Path, num_opened: int, mistakes: list[str], warnings: list[str]) -> None:
    reader = formats.reader(cfg.dataset)
    listing = _try(lambda: reader.scan(root), mistakes)
    if listing is None:
        return
    known = len(mistakes)
    facts = _try(lambda: reader.facts(root, listing), mistakes)
    has_facts = len(mistakes) == known
    strategies = {cfg.pairs.train_strategy, cfg.pairs.unpaired_strategy}
    if "given" in strategies or ("given_else_random" in strategies and reader.has_pairs(root)):
        pairs = _try(lambda: reader.given_pairs(root, listing), mistakes)
        if pairs is not None:
            given, wrong = pairs
            mistakes += [f"{root / reader.pairs_file}: {mistake}" for mistake in wrong]
            if cfg.pairs.train_strategy != "given" and has_facts:  # else a worn garment there is what is learned from
                warnings += _paired_rows(given, facts)
    warnings += [f"{id_}: {reason}" for id_, reason in listing.problems]
    warnings += _facts_without_photos(listing, facts)
    opened = set()
    if num_opened:
        chosen = listing.photos[:: max(1, -(-len(listing.photos) // num_opened))]
        opened = {photo.id for photo in chosen}
        refused = _open(cfg, root, reader, chosen)
        warnings += refused
        if len(refused) > cfg.max_quarantined * len(chosen):
            mistakes.append(
                f"{len(refused)} of {len(chosen)} photos that were opened cannot be used (see the warnings), more than "
                f"max_quarantined {cfg.max_quarantined:g} allows; mend them, set dataset.format, or raise the setting"
            )
    for photo in listing.photos:
        if photo.annotation is None and photo.id not in opened:
            warnings.append(f"{photo.file}: no annotation annotations/{photo.id}.json")
        if photo.role == "person" and facts is not None and photo.id not in facts:
            warnings.append(f"{photo.file}: {lists.PHOTOS_FILE} has no line for it")


def _facts_without_photos(listing: Listing, facts: dict[str, lists.PhotoFacts] | None) -> list[str]:
    """Lines of photos.csv about photos that are not there, and garments that no picture but one shows."""
    if facts is None:
        return []
    known = {photo.id for photo in listing.photos} | {id_ for id_, _ in listing.problems}
    wearers = Counter(fact.garment for id_, fact in facts.items() if fact.garment and id_.startswith("person/"))
    found = []
    for id_, fact in facts.items():
        line = f"{lists.PHOTOS_FILE} line {fact.line}" if fact.line else id_
        if id_ not in known:
            found.append(f"{line} names {id_}, but there is no such photo; restore it or delete the line")
        elif (
            id_.startswith("person/")
            and fact.garment
            and wearers[fact.garment] == 1
            and f"garment/{fact.garment}" not in known
        ):
            found.append(
                f"{line}: nobody else wears {fact.garment!r} and there is no garment/{fact.garment}; add its photo, or "
                "correct the name"
            )
    return found


def _open(cfg: config.Config, root: Path, reader: Reader, photos: Sequence[PhotoFiles]) -> list[str]:
    """What the stages `dataset` and `masks` would say of photos."""
    from tryon.dataset.annotation import check_labels
    from tryon.dataset.dataset import verify  # decodes pictures, which the Snakefile need not import

    def look(photo: PhotoFiles) -> str | None:
        reason: str | None = verify(root, reader, photo).get("reason")
        if reason is None and cfg.masks.unknown_label == "quarantine" and photo.annotation is not None:
            try:
                check_labels(reader.annotate(root, photo.annotation, photo.role))
            except BadItem as problem:
                reason = str(problem)
        return None if reason is None else f"{photo.id}: {reason}"

    with ThreadPoolExecutor(NUM_THREADS) as pool:  # decoding releases the interpreter's lock
        return [said for said in pool.map(look, photos) if said is not None]


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
    mistakes, warnings = problems(cfg, num_opened=NUM_OPENED)
    for warning in warnings:
        print(f"warning: {warning}")
    if mistakes:
        count = len(mistakes)
        lines = "\n".join(f"  {mistake}" for mistake in mistakes)
        raise UserError(f"{args.config}: {count} mistake{'s' if count > 1 else ''} would stop the run\n{lines}")
    print(f"{args.config}: no mistakes found, {len(warnings)} photos or files to look at")
    if cfg.data is None:
        print(f"note: no data is given, so the studio renders {cfg.studio.num_people} people to learn from")
