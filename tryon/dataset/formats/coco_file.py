"""COCO JSON files: many photos in one file, read once per process and found by picture.

A COCO file is a JSON object ``{"images": [{"id", "file_name", "width", "height"}], "annotations": [{"id", "image_id",
"category_id", "segmentation", "iscrowd", "keypoints", …}], "categories": [{"id", "name"}]}``.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tryon.dataset.formats.folder_reader import guess_format
from tryon.errors import UserError

Entry = dict[str, Any]


@dataclass(frozen=True, eq=False)
class CocoFile:
    """One parsed file.

    Attributes:
        images: entries by id, which is written as text.
        annotations: entries of each picture, by that id.
        categories: names by category id.
    """

    images: dict[str, Entry]
    annotations: dict[str, list[Entry]]
    categories: dict[int, str]


_Stamp = tuple[int, int, int]
_parsed: dict[Path, tuple[_Stamp, CocoFile]] = {}
_lock = threading.Lock()


def load(path: Path) -> CocoFile:
    """The file's content; parsed again only where its size, change time or inode is new.

    Raises:
        UserError: it cannot be read or is not COCO; names the file, the cause and the fix.
    """
    with _lock:  # photos are verified in threads, and the first one parses for all
        try:
            status = path.stat()
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}); restore it or check its permissions") from None
        stamp = status.st_size, status.st_mtime_ns, status.st_ino
        if path not in _parsed or _parsed[path][0] != stamp:
            _parsed[path] = stamp, _parse(_read(path), path)
        return _parsed[path][1]


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not UTF-8 JSON ({error}); export it again as COCO") from None


def _parse(value: object, path: Path) -> CocoFile:
    if not isinstance(value, dict) or not all(isinstance(value.get(key), list) for key in ("images", "annotations")):
        raise UserError(
            f"{path}: not COCO but {guess_format(value)}; COCO JSON has the lists `images`, `annotations` and "
            "`categories`: export as COCO, or set dataset.format"
        )
    categories: dict[int, str] = {}
    for place, item in _objects(value.get("categories") or [], path, "categories"):
        if not isinstance(item.get("id"), int) or not isinstance(item.get("name"), str):
            raise UserError(f"{place} has id {item.get('id')!r} and name {item.get('name')!r}; expected 1 and 'person'")
        categories[item["id"]] = item["name"]
    images: dict[str, Entry] = {}
    for place, item in _objects(value["images"], path, "images"):
        if not isinstance(item.get("file_name"), str) or not isinstance(item.get("id"), (int, str)):
            raise UserError(f"{place} lacks `id` or `file_name`; export the file again as COCO")
        if str(item["id"]) in images:
            raise UserError(f"{place} has the id {item['id']} of an earlier picture; give each picture its own id")
        images[str(item["id"])] = item
    annotations: dict[str, list[Entry]] = defaultdict(list)
    for place, item in _objects(value["annotations"], path, "annotations"):
        if str(item.get("image_id")) not in images:
            raise UserError(f"{place} is of picture {item.get('image_id')!r}, which `images` lacks; add or delete it")
        annotations[str(item["image_id"])].append(item)
    return CocoFile(images, dict(annotations), categories)


def _objects(items: list[Any], path: Path, key: str) -> list[tuple[str, Entry]]:
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise UserError(f"{path}: {key}[{index}] is {type(item).__name__}, expected an object; export it again")
    return [(f"{path}: {key}[{index}]", item) for index, item in enumerate(items)]
