"""Reader of packed photos: random access by id into the safetensors files that the stage `pack` writes.

Training, sampling, baselines and evaluation read pictures, masks and keypoints through this module alone, so
nobody decodes a JPEG or resizes a mask twice.

Layout of a file: for each size ``HxW`` the tensors ``HxW/image`` uint8 [N, H, W, 3], ``HxW/labels``,
``HxW/garments``, ``HxW/regions`` uint8 [N, H, W] and ``HxW/keypoints`` float32 [N, 17, 3]; the metadata key
``tryon`` holds JSON: ids, roles, sizes, agnostic, fill.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from tryon.errors import UserError

METADATA_KEY = "tryon"


@dataclass(frozen=True)
class PackedPhoto:
    """One photo on one canvas; every plane went through the same geometry.

    Attributes:
        id: "person/NAME" or "garment/NAME".
        image_HWC: uint8 RGB.
        labels_HW: uint8 indices into `ontology.LABELS`.
        garments_HW: uint8 bits of `ontology.CATEGORY_BIT`: where the garment's cut-out is.
        regions_HW: uint8 bits of `ontology.CATEGORY_BIT`: what is repainted when a garment of that category is
            put on; zero in garment photos.
        keypoints_K3: float32 [17, 3]: x and y in [0, 1] of the canvas, visibility 0 or 1.
    """

    id: str
    image_HWC: np.ndarray
    labels_HW: np.ndarray
    garments_HW: np.ndarray
    regions_HW: np.ndarray
    keypoints_K3: np.ndarray

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the canvas in pixels."""
        return self.image_HWC.shape[0], self.image_HWC.shape[1]


PLANES = ("image", "labels", "garments", "regions", "keypoints")


def tensor_name(size_hw: tuple[int, int], plane: str) -> str:
    """Name of a tensor inside a packed file, such as ``128x96/labels``."""
    return f"{size_hw[0]}x{size_hw[1]}/{plane}"


class PackedPhotos:
    """Random access to packed photos over any number of files.

    Cheap to send to worker processes: files are opened again there, on first use.

    Args:
        paths: the safetensors files of one pack run.

    Raises:
        UserError: a file is missing or foreign, or files disagree on sizes or on the agnostic rule.
    """

    def __init__(self, paths: Iterable[Path | str]) -> None:
        self._paths = [Path(path) for path in paths]
        self._place: dict[str, tuple[int, int]] = {}
        self._roles: dict[str, str] = {}
        self._open: dict[int, Any] = {}
        headers = [_read_header(path) for path in self._paths]
        if not headers:
            raise UserError("no packed files were given; run the stage `pack` first and pass its pack/*.safetensors")
        self.sizes: list[tuple[int, int]] = [(int(height), int(width)) for height, width in headers[0]["sizes"]]
        self.agnostic: str = headers[0]["agnostic"]
        for file_index, header in enumerate(headers):
            self._check_agreement(file_index, header, headers[0])
            for row, (id_, role) in enumerate(zip(header["ids"], header["roles"], strict=True)):
                if id_ in self._place:
                    first = self._paths[self._place[id_][0]]
                    raise UserError(
                        f"photo {id_} is in {first} and in {self._paths[file_index]}; pass one pack run only"
                    )
                self._place[id_] = (file_index, row)
                self._roles[id_] = role

    def __contains__(self, id_: object) -> bool:
        return id_ in self._place

    def __len__(self) -> int:
        return len(self._place)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}

    @property
    def ids(self) -> list[str]:
        """All photo ids, sorted."""
        return sorted(self._place)

    def refuse_other_rule(self, agnostic: str) -> None:
        """Stop before regions of one agnostic rule are taken for those of another.

        Args:
            agnostic: the setting `cutouts.agnostic`.

        Raises:
            UserError: the files hold regions of another rule.
        """
        if self.agnostic != agnostic:
            raise UserError(
                f"{self._paths[0]}: packed with regions of the rule {self.agnostic!r}, but cutouts.agnostic is "
                f"{agnostic!r}; run the stages `cutouts` and `pack` again, or set cutouts.agnostic back"
            )

    def role(self, id_: str) -> str:
        """``person`` or ``garment``."""
        self._find(id_)
        return self._roles[id_]

    def read(self, id_: str, size_hw: Sequence[int]) -> PackedPhoto:
        """Copy one photo out of its file.

        Args:
            id_: photo id, such as "person/anna".
            size_hw: height and width of one of `sizes`.

        Raises:
            UserError: no such photo or size; the message names it and the fix.
        """
        file_index, row = self._find(id_)
        size = (int(size_hw[0]), int(size_hw[1]))
        if size not in self.sizes:
            known = ", ".join(f"{height}x{width}" for height, width in self.sizes)
            raise UserError(
                f"{self._paths[file_index]}: packed at {known}, asked for {size[0]}x{size[1]}; "
                "add a stage of that size to the configuration and run the stage `pack` again"
            )
        file = self._file(file_index)
        planes = [file.get_slice(tensor_name(size, plane))[row : row + 1][0] for plane in PLANES]
        return PackedPhoto(id_, *planes)

    def _find(self, id_: str) -> tuple[int, int]:
        if id_ not in self._place:
            raise UserError(
                f"photo {id_!r} is not in the {len(self._paths)} packed files ({len(self._place)} photos); "
                "it may be in a quarantine table: see pack/*.parquet beside them"
            )
        return self._place[id_]

    def _file(self, file_index: int) -> Any:  # noqa: ANN401 (safetensors exports no type)
        if file_index not in self._open:
            self._open[file_index] = safe_open(self._paths[file_index], framework="numpy")
        return self._open[file_index]

    def _check_agreement(self, file_index: int, header: dict[str, Any], first: dict[str, Any]) -> None:
        for key in ("sizes", "agnostic", "fill"):
            if header[key] != first[key]:
                raise UserError(
                    f"{self._paths[file_index]}: packed with {key} {header[key]}, but {self._paths[0]} has "
                    f"{first[key]}; files of two pack runs are mixed: run the stage `pack` again"
                )


def _read_header(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError:
        raise UserError(f"{path}: no such packed file; run the stage `pack` first") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a packed file ({error}); delete it and run the stage `pack` again") from None
    if METADATA_KEY not in metadata:
        raise UserError(f"{path}: a safetensors file, but not one that the stage `pack` wrote")
    header: dict[str, Any] = json.loads(metadata[METADATA_KEY])
    return header


def tables_beside(packs: Iterable[Path | str]) -> list[Path]:
    """The table that the stage `pack` wrote beside each packed file."""
    tables = [Path(path).with_suffix(".parquet") for path in packs]
    for table in tables:
        if not table.is_file():
            raise UserError(f"{table}: no such table; `pack` writes it beside its .safetensors, run it again")
    return tables


def check_quarantined(tables: Iterable[Path | str], max_share: float) -> None:
    """Refuse to go on when too many photos of the whole data set could not be used.

    Args:
        tables: every pack/*.parquet of the run (all shards: one bad photo in a small shard is no reason to stop).
        max_share: largest allowed share of photos that are not `ok` (the setting `max_quarantined`).

    Raises:
        UserError: listing every photo that was quarantined, with its stage and reason.
    """
    import pandas as pd

    table = pd.concat([pd.read_parquet(path) for path in tables], ignore_index=True)
    bad = table[table["status"] != "ok"].sort_values("id")
    if len(bad) <= max_share * len(table):
        return
    lines = "\n".join(f"  {row.id}: {row.stage}: {row.reason}" for row in bad.itertuples())
    raise UserError(
        f"{len(bad)} of {len(table)} photos cannot be used, more than max_quarantined {max_share:g} allows; "
        f"mend them or raise the setting\n{lines}"
    )
