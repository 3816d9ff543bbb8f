"""`tryon try`: a garment photo put on a person photo, with the weights of a finished run; neither has to be annotated.

    tryon try --person p.jpg --garment g.jpg --out o.png --config config.yaml
    tryon try --pairs wishes.csv --out FOLDER --config config.yaml     (columns person, garment, and perhaps category)
    python -m tryon.launch --gpus 4 -- try --pairs …                   (several GPUs share the list)

Both photos go through the very functions of the stages `keypoints`, `cutouts` and `pack`. These start from a label map:
the one of an annotation that is given, else a drafted one (tryon/prepare/draft.py), which is the only difference to a
photo of the data set. A pair's noise has the seed that it has in `tryon sample`.

The result has the person photo's own size, and its own pixels wherever nothing is repainted.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from tryon import config as configuration
from tryon import files, images
from tryon.config import CASCADE, Config, DatasetConfig, nearest
from tryon.dataset import formats
from tryon.dataset.manifest import Photo
from tryon.errors import BadItem, UserError
from tryon.evaluation.crew import Crew
from tryon.evaluation.sample import sample_batch, stages_of
from tryon.evaluation.trained import Trained, read_trained
from tryon.geometry import Letterbox
from tryon.items import Done
from tryon.methods.conditions import condition_arrays
from tryon.methods.interface import Stage
from tryon.ontology import CATEGORIES, CATEGORY_BIT
from tryon.prepare import cutouts, draft, keypoints, masks, pack
from tryon.prepare.pack import Original, on_canvas

if TYPE_CHECKING:
    from tryon.prepare.cutter import SamCutter
    from tryon.prepare.pose_model import PoseModel

SHEET_PX = 512  # height of each picture of --show
GAP_PX = 8
TINT = (239, 68, 68)  # of the region on --show


@dataclass(frozen=True)
class Wish:
    """One garment for one person.

    Attributes:
        person, garment: photos.
        category: which garment of both is meant.
        out: the picture to write.
        person_annotation, garment_annotation: their label maps, where there are any.
    """

    person: Path
    garment: Path
    category: str
    out: Path
    person_annotation: Path | None = None
    garment_annotation: Path | None = None

    @property
    def pair_id(self) -> str:
        """As the stage `pairs` names the pair of two photos."""
        return f"{self.person.stem}__{self.garment.stem}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `tryon try`."""
    parser.add_argument("--config", required=True, help="configuration that the weights were trained with")
    parser.add_argument("--results", type=Path, help="results folder with train/STAGE/weights.safetensors")
    parser.add_argument("--person", type=Path, help="photo of one person")
    parser.add_argument("--garment", type=Path, help="photo of one garment, alone on a ground of another colour")
    parser.add_argument("--pairs", type=Path, help="CSV with columns person and garment, perhaps category: a list")
    parser.add_argument("--category", choices=CATEGORIES, help="what the garment is (default: dataset.category)")
    parser.add_argument("--out", type=Path, required=True, help="picture to write; with --pairs, folder of pictures")
    parser.add_argument("--show", type=Path, help="also write: person | cut-out | region | result, side by side")
    parser.add_argument("--canvas", action="store_true", help="write the network's canvas, not the photo's framing")
    parser.add_argument("--system", default=CASCADE, help="'cascade', or the name of one stage in references")
    for role in ("person", "garment"):
        parser.add_argument(f"--{role}-annotation", type=Path, help=f"ISAT or LabelMe file of the {role} photo")


def run(args: argparse.Namespace) -> int:
    """Make the pictures; exit code 2 if one of a list could not be made."""
    config = configuration.load(args.config)
    wishes = wishes_of(args, config)
    results = args.results or Path(config.results)
    if args.system not in (CASCADE, *config.references):
        known = ", ".join([CASCADE, *config.references])
        raise UserError(f"--system {args.system}: no such system for two bare photos; there are: {known}")
    names = stages_of(config, args.system)
    weights = [results / "train" / name / "weights.safetensors" for name in names]
    refuse_missing(weights, results)
    trained = read_trained(config, names, weights, config.cutouts.agnostic)
    if config.keypoints.source == "given":
        say("note: this run was trained on given keypoints; here keypoints.checkpoint finds them, by its own habits")
    torch.set_num_threads(config.sample.threads)
    crew = Crew.assemble()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="tryon-try-") as folder:
        dresser = Dresser(config, trained, Path(folder), crew.device)
        size = config.sample.batch_size
        for chunk in crew.share([wishes[at : at + size] for at in range(0, len(wishes), size)]):
            failed += dresser.dress(chunk, args)
    crew.wait()  # the launcher ends them all as soon as one has left with an error
    crew.part()
    return 2 if failed else 0


def wishes_of(args: argparse.Namespace, config: Config) -> list[Wish]:
    """What is asked for.

    Raises:
        UserError: neither a pair nor a list, both, or a list with mistakes.
    """
    default = args.category or config.dataset.category
    if args.pairs is None:
        if args.person is None or args.garment is None:
            raise UserError("give --person and --garment, or a list with --pairs")
        return [Wish(args.person, args.garment, default, args.out, args.person_annotation, args.garment_annotation)]
    if args.person or args.garment or args.person_annotation or args.garment_annotation or args.show:
        raise UserError("--pairs names the photos; leave out --person, --garment, their annotations and --show")
    try:
        with args.pairs.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{args.pairs}: cannot be read as CSV ({error})") from None
    wishes, mistakes = [], []
    for line, row in enumerate(rows, start=2):
        category = row.get("category") or default
        if not row.get("person") or not row.get("garment"):
            mistakes.append(f"line {line}: no person or no garment; expected columns person and garment")
        elif category not in CATEGORIES:
            mistakes.append(f"line {line}: category {category!r}{nearest(category, list(CATEGORIES))}")
        else:
            person, garment = (args.pairs.parent / row[role] for role in ("person", "garment"))
            wishes.append(Wish(person, garment, category, args.out / f"{person.stem}__{garment.stem}.png"))
    doubled = sorted({wish.out.name for wish in wishes if [other.out for other in wishes].count(wish.out) > 1})
    mistakes += [f"{name} would be written twice: rename one of the photos" for name in doubled]
    if mistakes or not wishes:
        shown = "\n".join(f"  {mistake}" for mistake in mistakes or ["no lines below the header"])
        raise UserError(f"{args.pairs}:\n{shown}")
    return wishes


def refuse_missing(weights: Sequence[Path], results: Path) -> None:
    """Stop where a run is not finished.

    Raises:
        UserError: naming the stages without weights.
    """
    missing = [path for path in weights if not path.is_file()]
    if missing:
        raise UserError(
            f"{results} has no weights of {', '.join(path.parent.name for path in missing)} ({missing[0]}: no such "
            "file); finish the run with this configuration, or name the results folder of a finished one with --results"
        )


class Dresser:
    """Prepares photos and chains the stages over batches of them.

    Args:
        config: of the run that the weights are from.
        trained: its stages, coarse to fine.
        folder: for files between the stages of preparation.
        device: of the networks.
    """

    def __init__(self, config: Config, trained: list[Trained], folder: Path, device: torch.device) -> None:
        self.config, self.trained, self.folder, self.device = config, trained, folder, device
        self._networks: dict[str, torch.nn.Module] = {}

    def dress(self, chunk: Sequence[Wish], args: argparse.Namespace) -> int:
        """Make and write the pictures of some wishes; how many of a list had to be left out."""
        ready: list[tuple[Wish, Original, Original]] = []
        for wish in chunk:
            try:
                ready.append((wish, *self.prepare(wish)))
            except BadItem as problem:
                if args.pairs is None:
                    raise UserError(str(problem)) from None
                say(f"error: {wish.pair_id}: {problem}")
        pictures = self.sample(ready) if ready else []
        for (wish, person, garment), canvas_HWC in zip(ready, pictures, strict=True):
            picture_HWC = canvas_HWC if args.canvas else framed(canvas_HWC, person, wish.category)
            files.write_bytes(wish.out, images.encode_png(picture_HWC))
            if args.show:
                files.write_bytes(args.show, images.encode_png(sheet(person, garment, wish.category, picture_HWC)))
            say(f"{wish.out}: {picture_HWC.shape[1]}x{picture_HWC.shape[0]}")
        return len(chunk) - len(ready)

    def prepare(self, wish: Wish) -> tuple[Original, Original]:
        """Both photos as the stage `pack` reads them.

        Raises:
            BadItem: naming the photo and what is wrong with it.
        """
        person = self._original(wish.person, "person", wish.category, wish.person_annotation)
        garment = self._original(wish.garment, "garment", wish.category, wish.garment_annotation)
        bit, size_hw = CATEGORY_BIT[wish.category], self.trained[0].stage.size_hw
        fill = self.config.pack.fill
        if not (on_canvas(garment, size_hw, fill).garments_HW & bit).any():
            raise BadItem(f"{wish.garment}: shows no garment of category {wish.category}; give another --category")
        if not (on_canvas(person, size_hw, fill).regions_HW & bit).any():
            raise BadItem(f"{wish.person}: there is nowhere to put a garment of category {wish.category}")
        return person, garment

    def conditions(self, person: Original, garment: Original, category: str, stage: Stage) -> dict[str, np.ndarray]:
        """What a stage sees, as `condition_arrays`."""
        fill, size_hw = self.config.pack.fill, stage.size_hw
        photos = on_canvas(person, size_hw, fill), on_canvas(garment, size_hw, fill)
        return condition_arrays(*photos, category, size_hw, large=on_canvas(garment, stage.garment_hw, fill))

    def sample(self, ready: Sequence[tuple[Wish, Original, Original]]) -> list[np.ndarray]:
        """Pictures of the last stage, uint8 RGB."""
        lows: list[np.ndarray] | None = None
        for link in self.trained:
            name = link.stage.name
            if name not in self._networks:
                self._networks[name] = link.network(self.device)
            arrays = [self.conditions(person, garment, wish.category, link.stage) for wish, person, garment in ready]
            pair_ids = [wish.pair_id for wish, _, _ in ready]
            network = self._networks[name]
            lows = sample_batch(link, network, arrays, lows, pair_ids, self.config.sample, self.device)
        assert lows is not None
        return lows

    def _original(self, path: Path, role: str, category: str, annotation: Path | None) -> Original:
        try:
            image_HWC = images.read_rgb(path)
            height, width = image_HWC.shape[:2]
            photo = Photo(
                id=f"{role}/{path.stem}", role=role, file=path.name, sha256="", width=width, height=height,
                annotation="" if annotation is None else annotation.name, annotation_sha256="", keypoints=None,
                keypoints_sha256=None, identity=path.stem, garment=None, categories=category,
            )  # fmt: skip
            if annotation is None:
                labels_HW = self._drafted(image_HWC, role, category)
                kept = self._write(role, Done({masks.LABELS_FILE: images.encode_labels(labels_HW)}))
            else:
                kept = self._write(role, self._annotated(photo, annotation))
            labels_HW = images.read_labels(kept[masks.LABELS_FILE])
            kept |= self._write(role, self._found(photo, path.parent, kept))
            keypoints_K3 = cutouts.read_keypoints(kept[keypoints.KEYPOINTS_FILE], self.config.keypoints.min_score)
            cutter = self._cutter if self.config.cutouts.source == "sam" else None
            cut = cutouts.cut_photo(
                image_HWC, labels_HW, keypoints_K3, role=role, cfg=self.config.cutouts, cutter=cutter
            )
            if cut.facts.get("doubts"):
                say(f"note: {path}: doubtful cut-out ({cut.facts['doubts']}); look at it with --show")
            kept |= self._write(role, cut)
            paths = {name: str(file.relative_to(self.folder)) for name, file in kept.items()}
            return pack.load(photo, paths, path.parent, self.folder, self.config.keypoints.min_score)
        except BadItem as problem:
            raise BadItem(f"{path}: {str(problem).removeprefix(f'{path.name}: ')}") from None

    def _drafted(self, image_HWC: np.ndarray, role: str, category: str) -> np.ndarray:
        if role == "garment":
            return draft.draft_garment(image_HWC, category, self._cutter)
        min_score = self.config.keypoints.min_score
        labels_HW = draft.draft_person(
            image_HWC, draft.find_person(image_HWC, self._pose_model, min_score), self._cutter
        )
        if draft.others(image_HWC, labels_HW, self._pose_model, min_score):
            raise BadItem("more than one person; cut the photo down to one, or give --person-annotation")
        return labels_HW

    def _annotated(self, photo: Photo, annotation: Path) -> Done:
        """The label map that the stage `masks` draws."""
        dataset = self.config.dataset
        if dataset.format not in ("isat", "labelme"):
            dataset = DatasetConfig(format="isat", labels=dataset.labels)
        return masks.make_mask(photo, annotation.parent, formats.reader(dataset), self.config.masks)

    def _found(self, photo: Photo, data: Path, kept: dict[str, Path]) -> Done:
        """The keypoints that the stage `keypoints` finds."""
        cfg = self.config.keypoints.model_copy(update={"source": "mmpose"})
        stage = keypoints.Keypoints(
            cfg, formats.reader(self.config.dataset), data, self.folder, lambda: self._pose_model
        )
        labels = kept[masks.LABELS_FILE].relative_to(self.folder)
        (outcome,) = stage.process([_Row(photo, str(labels))])
        if isinstance(outcome, BadItem):
            raise outcome
        return outcome

    def _write(self, role: str, done: Done) -> dict[str, Path]:
        paths = {name: self.folder / role / name for name in done.files}
        for name, content in done.files.items():
            files.write_bytes(paths[name], content)
        return paths

    @cached_property
    def _pose_model(self) -> PoseModel:
        return keypoints.load_model(self.config.keypoints)

    @cached_property
    def _cutter(self) -> SamCutter:
        return cutouts.load_cutter(self.config.cutouts)


class _Row:
    """A photo with its label map, as the stage `keypoints` joins them."""

    labels_status = "ok"

    def __init__(self, photo: Photo, labels_path: str) -> None:
        self.id, self.role, self.file = photo.id, photo.role, photo.file
        self.width, self.height, self.keypoints, self.categories = photo.width, photo.height, None, photo.categories
        self.labels_path = labels_path


def framed(canvas_HWC: np.ndarray, person: Original, category: str) -> np.ndarray:
    """A picture on the canvas → the person photo with the region replaced; every other pixel is the photo's own."""
    box = Letterbox(person.image_HWC.shape[:2], canvas_HWC.shape[:2])
    region_HW1 = ((person.regions_HW & CATEGORY_BIT[category]) > 0)[..., None]
    return np.where(region_HW1, box.undo_image(canvas_HWC), person.image_HWC)


def sheet(person: Original, garment: Original, category: str, result_HWC: np.ndarray) -> np.ndarray:
    """Person | cut-out | region | result, side by side on white."""
    bit = CATEGORY_BIT[category]
    cut_HWC = np.where(((garment.garments_HW & bit) > 0)[..., None], garment.image_HWC, 255).astype(np.uint8)
    tinted_HWC = (person.image_HWC * 0.5 + np.array(TINT) * 0.5).astype(np.uint8)
    region_HWC = np.where(((person.regions_HW & bit) > 0)[..., None], tinted_HWC, person.image_HWC)
    columns = []
    for picture_HWC in (person.image_HWC, cut_HWC, region_HWC, result_HWC):
        width = max(1, round(picture_HWC.shape[1] * SHEET_PX / picture_HWC.shape[0]))
        shrinks = picture_HWC.shape[0] > SHEET_PX
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        resized = cv2.resize(picture_HWC, (width, SHEET_PX), interpolation=how)
        columns += [resized, np.full((SHEET_PX, GAP_PX, 3), 255, np.uint8)]
    return np.concatenate(columns[:-1], axis=1)


def say(text: str) -> None:
    """To stderr."""
    print(text, file=sys.stderr, flush=True)
