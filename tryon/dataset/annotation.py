"""What an annotation of one photo says, whatever file format it came in, and the checks that hold for all of them.

A reader (tryon/dataset/formats) answers with an `Annotation`, shapes that are still to be drawn, or with a `LabelMap`
where the format stores pixels. Coordinates are pixels of the upright photo; whole numbers are pixel centres.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tryon.config import nearest
from tryon.errors import BadItem
from tryon.ontology import CATEGORIES, LABELS

BODY = ("person", "hair", "face", "left_arm", "right_arm")

if TYPE_CHECKING:
    import numpy as np

HOLE = "__background__"
"""Category of shapes that cut back to the background (ISAT's name for them)."""

KNOWN_CATEGORIES = (HOLE, *LABELS[1:])


@dataclass(frozen=True)
class Polygon:
    """One drawn outline; everything inside and the outline's own pixels belong to it.

    Attributes:
        category: a name of `ontology.LABELS` or `HOLE` where it is known.
        group: instance number; parts of one thing share it, holes have 0.
        layer: drawing order, low first.
        points_xy: vertices (x, y) in pixels; whole numbers are pixel centres.
    """

    category: str
    group: int
    layer: float
    points_xy: tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class Bitmap:
    """One shape that was stored as pixels (a LabelMe mask, a COCO run-length code).

    Attributes:
        category, group, layer: as in `Polygon`.
        left, top: where the mask's first column and row lie in the photo; may be negative.
        mask_HW: uint8 {0, 1}.
    """

    category: str
    group: int
    layer: float
    left: int
    top: int
    mask_HW: np.ndarray


Shape = Polygon | Bitmap


@dataclass(frozen=True)
class Annotation:
    """All shapes of one photo.

    Attributes:
        file: where it was read, for messages.
        width, height: size in pixels of the photo that was annotated.
        shapes: in drawing order (by layer; equal layers in the order of the file).
        repairs: what was mended without guessing, one sentence each; recorded beside the photo.
        made_groups: instances of shapes for which the file names none, so that two of them may be one thing.
    """

    file: str
    width: int
    height: int
    shapes: tuple[Shape, ...]
    repairs: tuple[str, ...] = ()
    made_groups: frozenset[int] = frozenset()

    @property
    def categories(self) -> tuple[str, ...]:
        """Distinct categories, sorted, without holes."""
        return tuple(sorted({shape.category for shape in self.shapes} - {HOLE}))


@dataclass(frozen=True, eq=False)
class LabelMap:
    """An annotation that is a picture of labels already.

    Attributes:
        file: where it was read, for messages.
        labels_HW: uint8 indices into `ontology.LABELS`.
        repairs: as in `Annotation`.
    """

    file: str
    labels_HW: np.ndarray = field(repr=False)
    repairs: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self.labels_HW.shape[1])

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.labels_HW.shape[0])

    @property
    def categories(self) -> tuple[str, ...]:
        """Distinct labels that have pixels, sorted, without the background."""
        import numpy as np

        return tuple(sorted(LABELS[index] for index in np.unique(self.labels_HW) if index > 0))


Annotated = Annotation | LabelMap


def check_labels(annotation: Annotated) -> None:
    """Refuse categories that the ontology does not have.

    Raises:
        BadItem: naming each unknown category and the nearest known one.
    """
    if unknown := _unknown_labels(annotation):
        raise BadItem(
            f"{Path(annotation.file).name}: unknown label {unknown}; rename it, translate it with dataset.labels, or "
            "set masks.unknown_label: ignore"
        )


def _unknown_labels(annotation: Annotated) -> str:
    """Categories that the ontology does not have, each with the nearest known one; empty where all are known."""
    by_hint: dict[str, list[str]] = {}  # so that the known ones are listed once for all that resemble none
    for category in sorted(set(annotation.categories) - set(KNOWN_CATEGORIES)):
        by_hint.setdefault(nearest(category.lower(), list(KNOWN_CATEGORIES)), []).append(repr(category))
    return ", ".join(f"{', '.join(categories)}{hint}" for hint, categories in by_hint.items())


def check_size(annotation: Annotated, size_hw: tuple[int, int]) -> None:
    """Refuse an annotation that was made for a picture of another size.

    Args:
        annotation: of a photo.
        size_hw: height and width in pixels of the photo.

    Raises:
        BadItem: naming both sizes.
    """
    if (annotation.height, annotation.width) != size_hw:
        swapped = (annotation.width, annotation.height) == size_hw
        hint = "; the sides are swapped, as by a tool that ignores the EXIF rotation of a photo" if swapped else ""
        raise BadItem(
            f"{Path(annotation.file).name}: annotated on a picture of {annotation.width}x{annotation.height}, but the "
            f"photo is {size_hw[1]}x{size_hw[0]} (width x height); put back the annotated photo or annotate this "
            f"one{hint}"
        )


def check_role(annotation: Annotated, role: str, *, needs_person: bool = True) -> None:
    """Refuse a person photo without a person and a garment photo without a garment.

    Args:
        annotation: of a photo.
        role: "person" or "garment".
        needs_person: whether a person photo needs the silhouette; where not, it needs a garment.

    Raises:
        BadItem: naming what is annotated instead.
    """
    name = Path(annotation.file).name
    shown = ", ".join([", ".join(annotation.categories) or "nothing", *annotation.repairs])
    # in a label map `person` is only what its parts leave over, so any part of the body shows the silhouette
    bodies = BODY if isinstance(annotation, LabelMap) else ("person",)
    if role == "person" and needs_person and not set(annotation.categories) & set(bodies):
        fix = _how_to_show(annotation, "`person` around the body", bodies)
        raise BadItem(f"{name}: no person is annotated (found {shown}); {fix}")
    if (role == "garment" or (role == "person" and not needs_person)) and not set(annotation.categories) & set(
        CATEGORIES
    ):
        fix = _how_to_show(annotation, f"one of {', '.join(CATEGORIES)}", CATEGORIES)
        raise BadItem(f"{name}: no garment is annotated (found {shown}); {fix}")


def _how_to_show(annotation: Annotated, drawing: str, labels: tuple[str, ...]) -> str:
    """What to do about an annotation that lacks what its role needs.

    Args:
        annotation: of a photo.
        drawing: what to draw where shapes are drawn.
        labels: any one of which would do in a label map.
    """
    if isinstance(annotation, LabelMap):
        return (
            f"no pixel shows one of {', '.join(labels)}, so take the photo's own file from the data set again, or "
            "remove the photo"
        )
    unknown = _unknown_labels(annotation)
    rename = f", or rename the unknown label {unknown} or translate it with dataset.labels" if unknown else ""
    return f"draw {drawing}{rename}"
