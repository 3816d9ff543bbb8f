"""A data folder with one photo of every bad kind among good ones, and the chain that has to come through with it.

python tests/bad_folder.py CONFIG DATA RESULTS KEY    # the stages of one shard, as a job would run them
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import struct
import sys
import unicodedata
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CONFIG = {
    "max_quarantined": 0.8,
    "pairs": {"num_shards": 3},
    # the shipped small model gives four torso points to a bare wall
    "keypoints": {"min_visible": 5, "batch_size": 2, "device": "cpu"},
    "cutouts": {"source": "annotations"},
    "stages": {"base": {"kind": "regression", "size": [32, 24]}},
    "cascade": ["base"],
}
SHARD_STAGES = ("masks", "keypoints", "cutouts", "pack")


@dataclass
class BadFolder:
    """A folder in the making, and what is to become of each photo.

    Attributes:
        root: the data folder.
        source: name of the good person that others are made from; all of them are photos of that person.
        good: ids that go through without a word.
        mended: kind of the repair by id.
        refused: (stage, part of the reason) by id.
    """

    root: Path
    source: str
    good: set[str] = field(default_factory=set)
    mended: dict[str, str] = field(default_factory=dict)
    refused: dict[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with Image.open(self.root / f"person/{self.source}.jpg") as picture:
            self.image_HWC = np.asarray(picture)
        with (self.root / "photos.csv").open(encoding="utf-8") as stream:
            lines = list(csv.DictReader(stream))
        self.line = next(line for line in lines if line["photo"] == f"person/{self.source}.jpg")

    @property
    def annotation(self) -> dict[str, Any]:
        """A fresh copy of the source's annotation."""
        found: dict[str, Any] = json.loads((self.root / f"annotations/person/{self.source}.json").read_text())
        return found

    def add(self, name: str, content: bytes | None = None, annotation: dict[str, Any] | str | None = None) -> str:
        """A photo of the source's person: its file (default: the source's own), annotation and line in photos.csv."""
        path = self.root / f"person/{name}"
        path.write_bytes((self.root / f"person/{self.source}.jpg").read_bytes() if content is None else content)
        return self.describe(name, annotation)

    def describe(self, name: str, annotation: dict[str, Any] | str | None = None) -> str:
        stem = Path(name).stem
        text = annotation if isinstance(annotation, str) else json.dumps(annotation or self.annotation)
        (self.root / f"annotations/person/{stem}.json").write_text(text, encoding="utf-8")
        line = {**self.line, "photo": f"person/{unicodedata.normalize('NFC', name)}"}
        with (self.root / "photos.csv").open("a", encoding="utf-8", newline="") as stream:
            csv.DictWriter(stream, list(line), lineterminator="\n").writerow(line)
        return f"person/{unicodedata.normalize('NFC', stem)}"

    def save(self, picture: Image.Image, format_: str, **options: Any) -> bytes:  # noqa: ANN401 (Pillow's options)
        path = self.root / "scratch"
        picture.save(path, format_, **options)
        content = path.read_bytes()
        path.unlink()
        return content

    def redraw(self, category: str, points: list[tuple[float, float]], layer: float = 99.0) -> dict[str, Any]:
        """The source's annotation with one more polygon."""
        found = self.annotation
        found["objects"].append({**found["objects"][0], "category": category, "layer": layer, "segmentation": points})
        return found


def make(rendered: Path, root: Path) -> BadFolder:
    """A copy of a rendered folder with all of it added."""
    shutil.copytree(rendered, root)
    shutil.rmtree(root / "truth", ignore_errors=True)
    (root / "studio.json").unlink(missing_ok=True)
    # a photo of the training split, so that its many copies cross no split
    with (root / "photos.csv").open(encoding="utf-8") as stream:
        lines = csv.DictReader(stream)
        source = next(
            line["photo"] for line in lines if line["split"] == "train" and line["photo"].startswith("person")
        )
    folder = BadFolder(root, Path(source).stem)
    folder.good = {f"{role}/{path.stem}" for role in ("person", "garment") for path in (root / role).iterdir()}
    _names(folder)
    _pixels(folder)
    _files(folder)
    _annotations(folder)
    return folder


def png_of_16_bits(image_HWC: np.ndarray, size_hw: tuple[int, int] | None = None) -> bytes:
    """A PNG of 16-bit colours by hand, as Pillow writes none; `size_hw` puts another size into its header."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = size_hw or image_HWC.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in image_HWC.astype(np.uint16) * 257)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _names(folder: BadFolder) -> None:
    names = [
        "two  words.jpg",
        "张伟 的照片.jpg",
        'it\'s, "quoted".jpg',
        "-rf.jpg",
        "#1.jpg",
        "a.b.JPG",
        "NA.jpg",
        "007.jpg",
    ]
    names += [
        "Case.jpg",
        "case.jpg",
        "x" * 100 + ".jpg",
        unicodedata.normalize("NFD", "zoë") + ".jpg",
        "$(x) {y} %s.jpg",
    ]
    folder.good |= {folder.add(name) for name in names}
    long = folder.add("y" * 101 + ".jpg")
    folder.refused[long] = ("dataset", "its name is 101 bytes long")
    twins = [folder.root / f"person/{unicodedata.normalize(form, 'été')}.jpg" for form in ("NFC", "NFD")]
    for twin in twins:
        shutil.copy(folder.root / f"person/{folder.source}.jpg", twin)
    folder.refused[folder.describe("été.jpg")] = ("dataset", "have one name")
    shutil.copy(twins[0], folder.root / "person/newline\nname.jpg")
    folder.refused[r"person/newline\nname.jpg"] = ("dataset", "control character")
    shutil.copy(twins[0], os.fsdecode(os.fsencode(folder.root) + b"/person/\xff\xfe.jpg"))
    folder.refused[r"person/\udcff\udcfe.jpg"] = ("dataset", "not UTF-8")


def _pixels(folder: BadFolder) -> None:
    """Pictures whose pixels are stored unusually."""
    picture = Image.fromarray(folder.image_HWC)
    turned, exif = picture.transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[0x0112] = 6
    rgba = picture.convert("RGBA")
    rgba.paste((0, 0, 0, 0), (0, 0, 20, 20))
    cmyk = folder.save(picture.convert("CMYK"), "JPEG", quality=95)
    marker = cmyk.index(b"\xff\xee")
    bare = cmyk[:marker] + cmyk[marker + 2 + struct.unpack(">H", cmyk[marker + 2 : marker + 4])[0] :]
    sideways = folder.annotation
    sideways["info"] |= {"width": turned.width, "height": turned.height}
    folder.mended |= {
        folder.add("turned.jpg", folder.save(turned, "JPEG", exif=exif)): "EXIF rotation",
        folder.add("grey.jpg", folder.save(picture.convert("L"), "JPEG")): "grey",
        folder.add("palette.png", folder.save(picture.convert("P"), "PNG")): "palette",
        folder.add("alpha.png", folder.save(rgba, "PNG")): "transparency",
        folder.add("deep.png", png_of_16_bits(folder.image_HWC)): "16 bits",
        folder.add("ink.jpg", cmyk): "CMYK",
        folder.add("really a jpeg.png", folder.save(picture, "JPEG")): "wrong suffix",
    }
    folder.refused |= {
        folder.add("bare ink.jpg", bare): ("dataset", "CMYK without Adobe's marker"),
        folder.add("float.tif", folder.save(picture.convert("F"), "TIFF")): ("dataset", "do not say what is white"),
        folder.add("sideways.jpg", folder.save(turned, "JPEG", exif=exif), sideways): ("dataset", "sides are swapped"),
        folder.add("small.jpg", folder.save(picture.resize((96, 128)), "JPEG")): ("dataset", "but the photo is 96x128"),
        folder.add("bomb.png", png_of_16_bits(folder.image_HWC, (60_000, 60_000))): ("dataset", "100000000 pixels"),
        folder.add("wall.jpg", folder.save(Image.new("RGB", picture.size, (128,) * 3), "JPEG")): (
            "keypoints",
            "nobody found: 4 of 17",
        ),
    }


def _files(folder: BadFolder) -> None:
    """Files that are no pictures, or lie elsewhere, or lack a partner."""
    root, whole = folder.root, (folder.root / f"person/{folder.source}.jpg").read_bytes()
    folder.refused |= {
        folder.add("truncated.jpg", whole[: len(whole) // 2]): ("dataset", "truncated"),
        folder.add("text.jpg", b"Dear all, here is the photo"): ("dataset", "not a picture that can be decoded"),
        folder.add("empty.jpg", b""): ("dataset", "0 bytes"),
        folder.add("noise.jpg", b"\xff\xd8\xff\xe0" + bytes(range(256)) * 9): ("dataset", "decoded"),
        folder.add("photo.heic", whole): ("dataset", "not a photo by its name"),
    }
    folder.refused["person/photo.heic"] = folder.refused.pop("person/photo")
    folder.refused["annotations/person/photo.json"] = ("dataset", "its photo person/photo is missing")
    folder.add("partnerless.jpg")
    (root / "annotations/person/partnerless.json").unlink()
    folder.refused["person/partnerless"] = ("dataset", "no annotation annotations/person/partnerless.json")
    (root / "annotations/garment/gone.json").write_text("{}")
    folder.refused["annotations/garment/gone.json"] = ("dataset", "its photo garment/gone is missing")
    shutil.copy(root / f"person/{folder.source}.jpg", root / "person/unlisted.jpg")
    shutil.copy(root / f"annotations/person/{folder.source}.json", root / "annotations/person/unlisted.json")
    folder.refused["person/unlisted"] = ("dataset", "photos.csv has no line for it")
    (root / "person/album.jpg").mkdir()
    folder.refused["person/album.jpg"] = ("dataset", "not a file")
    outside = root.parent / "outside.jpg"
    outside.write_bytes(whole)
    (root / "person/out.jpg").symlink_to(outside)
    folder.refused[folder.describe("out.jpg")] = ("dataset", "a link out of the data folder")
    (root / "person/dangling.jpg").symlink_to(root / "nowhere.jpg")
    folder.refused[folder.describe("dangling.jpg")] = ("dataset", "leads nowhere")
    (root / "person/inside.jpg").symlink_to(f"{folder.source}.jpg")
    folder.good.add(folder.describe("inside.jpg"))


def _annotations(folder: BadFolder) -> None:
    """Annotations that are not clean."""
    height, width = folder.image_HWC.shape[:2]
    objects = folder.annotation["objects"]
    parts = [part for part in objects if part["category"] != "person"]
    nothing = {**folder.annotation, "objects": []}
    nobody = {**folder.annotation, "objects": parts}
    cover = [(0.0, 0.0), (width - 1.0, 0.0), (width - 1.0, height - 1.0), (0.0, height - 1.0)]
    wide = np.concatenate([folder.image_HWC, folder.image_HWC], axis=1)
    couple = folder.annotation
    couple["info"]["width"] = 2 * width
    other = [{**part, "group": part["group"] + 50} for part in folder.annotation["objects"]]
    for part in other:
        # a little smaller, and in the right half
        part["segmentation"] = [[width + 0.9 * x, 0.9 * y] for x, y in part["segmentation"]]
    couple["objects"] += other
    shared = json.loads(json.dumps(couple))
    arm = [(width * 0.4, 90.0), (width * 1.5, 90.0), (width * 1.5, 100.0), (width * 0.4, 100.0)]
    shared["objects"].append({**parts[0], "segmentation": arm})
    group = folder.save(Image.fromarray(wide), "PNG")
    folder.mended |= {
        folder.add("over the edge.jpg", None, folder.redraw("hair", [(60, 5), (90, -9), (99, 20)])): "over the edge",
        folder.add("no area.jpg", None, folder.redraw("hair", [(60, 5), (61, 6)])): "no area",
        folder.add("couple.png", group, couple): "several people",
    }
    folder.refused |= {
        folder.add("bow tie.jpg", None, folder.redraw("hair", [(60, 5), (90, 5), (60, 30), (90, 30)])): (
            "dataset",
            "crosses itself",
        ),
        folder.add("outside.jpg", None, folder.redraw("hair", [(600, 5), (690, 5), (660, 30)])): (
            "dataset",
            "lies outside the photo",
        ),
        folder.add("nothing.jpg", None, nothing): ("dataset", "no person is annotated (found nothing"),
        folder.add("nobody.jpg", None, nobody): ("dataset", "no person is annotated (found"),
        folder.add("arm in arm.png", group, shared): ("dataset", "may belong to either"),
        folder.add("broken.jpg", None, "{"): ("dataset", "not JSON"),
        folder.add("labelme.jpg", None, '{"shapes": []}'): ("dataset", "not ISAT but LabelMe JSON"),
        folder.add("typo.jpg", None, folder.redraw("hiar", [(60, 5), (90, 5), (60, 30)])): ("masks", "unknown label"),
        folder.add("hole.jpg", None, folder.redraw("__background__", cover)): ("masks", "leave no pixel of a person"),
    }


def commands(config: Path, data: Path, results: Path, jobs: int) -> list[list[str]]:
    """What is run before the shards are known."""
    manifest = results / "dataset" / "manifest.parquet"
    common = ["--config", str(config), "--data", str(data)]
    quarantine = manifest.with_name("quarantine.csv")
    first = ["dataset", *common, "--out", str(manifest), "--quarantine", str(quarantine), "--jobs", str(jobs)]
    return [first, ["pairs", *common, "--manifest", str(manifest), "--out-dir", str(results / "pairs")]]


def run(*arguments: str) -> None:
    """One command in this process; a failure is an exception."""
    from tryon import cli

    code = cli.main(list(arguments))
    assert code == 0, f"tryon {arguments[0]}: exit code {code}"


def run_shard(config: Path, data: Path, results: Path, key: str) -> None:
    """The stages of one shard, one after the other, in this process."""
    common = ["--config", str(config), "--data", str(data), "--results", str(results)]
    common += ["--shard", str(results / "pairs" / "shards" / f"{key}.tsv")]
    tables = {stage: str(results / stage / f"{key}.parquet") for stage in SHARD_STAGES}
    upstream: list[str] = []
    for stage in SHARD_STAGES[:-1]:
        run(stage, *common, *upstream, "--out", tables[stage])
        upstream += [f"--{stage}", tables[stage]]
    packed = str(results / "pack" / f"{key}.safetensors")
    run("pack", *common, *upstream, "--out", packed, "--table", tables["pack"])


if __name__ == "__main__":
    run_shard(*map(Path, sys.argv[1:4]), sys.argv[4])
