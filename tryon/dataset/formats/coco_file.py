"""COCO JSON files: many photos in one file, read once per process and found by picture.

A COCO file is a JSON object ``{"images": [{"id", "file_name", "width", "height"}], "annotations": [{"id", "image_id",
"category_id", "segmentation", "iscrowd", "keypoints", …}], "categories": [{"id", "name"}]}``.
"""

from __future__ import annotations

import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tryon.dataset.formats.folder_reader import guess_format
from tryon.errors import UserError

Entry = dict[str, Any]
LISTS = ("images", "annotations", "categories")
BLANKS = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, eq=False)
class CocoFile:
    """One file. Its annotations stay text until they are asked for: as objects they would fill some 8 times the memory.

    Attributes:
        images: entries by id, which is written as text.
        categories: names by category id.
        posed: ids of pictures of which an annotation has keypoints.
    """

    images: dict[str, Entry]
    categories: dict[int, str]
    posed: frozenset[str]
    _text: str
    _places: dict[str, list[tuple[int, int]]]

    def annotations(self, image: str) -> list[Entry]:
        """The entries of one picture, in the order of the file."""
        return [json.loads(self._text[start:end]) for start, end in self._places.get(image, [])]


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


def read_once(path: Path) -> CocoFile:
    """As `load`, of a file that is one photo's own and not worth remembering."""
    return _parse(_read(path), path)


def divide(reference: str) -> tuple[str, str | None]:
    """The file of a reference ``FILE#IMAGE_ID`` and the picture's id; None where it names a file alone.

    Names of files and ids that are text may hold a # too, so it counts behind .json alone.
    """
    file, mark, image = reference.partition(".json#")
    return (f"{file}.json", image) if mark else (reference, None)


def has_keypoints(entry: Entry) -> bool:
    """Whether an annotation has keypoints of one person, of which at least one is set."""
    return bool(entry.get("keypoints")) and entry.get("num_keypoints") != 0 and not entry.get("iscrowd")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); restore it or check its permissions") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 JSON ({error}); export it again as COCO") from None


def _parse(text: str, path: Path) -> CocoFile:
    images: dict[str, Entry] = {}
    categories: dict[int, str] = {}
    owners: list[tuple[str, int, int]] = []
    posed: set[str] = set()
    seen: dict[str, bool] = {}  # whether the value of a key is one of the lists
    try:
        for key, index, item, start, end in _elements(text):
            place = f"{path}: {key}[{index}]"
            if index is None:
                seen[key] = item is not None
                continue
            if not isinstance(item, dict):
                raise UserError(f"{place} is {type(item).__name__}, expected an object; export it again")
            if key == "images":
                _add_image(images, item, place)
            elif key == "categories":
                _add_category(categories, item, place)
            else:
                owners.append((str(item.get("image_id")), start, end))
                if has_keypoints(item):
                    posed.add(owners[-1][0])
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not UTF-8 JSON ({error}); export it again as COCO") from None
    if not {"images", "annotations"} <= {key for key, is_list in seen.items() if is_list}:
        is_object = text.lstrip().startswith("{")
        shown = guess_format(dict.fromkeys(seen) if is_object else json.loads(text))
        raise UserError(
            f"{path}: not COCO but {shown}; COCO JSON has the lists `images`, `annotations` and `categories`: export "
            "as COCO, or set dataset.format"
        )
    places: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for index, (image, start, end) in enumerate(owners):
        if image not in images:
            raise UserError(
                f"{path}: annotations[{index}] is of picture {image}, which `images` lacks; add or delete it"
            )
        places[image].append((start, end))
    return CocoFile(images, categories, frozenset(posed), text, dict(places))


def _elements(text: str) -> Iterator[tuple[str, int | None, object, int, int]]:
    """Key, index, value and place of the elements of the three lists; of anything else key, None and None.

    A list is begun by an element whose index is None and whose value is not.
    """
    decoder = json.JSONDecoder()
    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        decoder.decode(text)  # JSON of another kind, or an error
        return
    at = _skip(text, at + 1)
    while text[at : at + 1] != "}":
        key, at = decoder.raw_decode(text, at)
        if not isinstance(key, str):
            raise json.JSONDecodeError("Expecting a name", text, at)
        at = _skip(text, _expect(text, at, ":"))
        if key in LISTS and text[at : at + 1] == "[":
            yield key, None, [], at, at
            at = _skip(text, at + 1)
            index = 0
            while text[at : at + 1] != "]":
                value, end = decoder.raw_decode(text, at)
                yield key, index, value, at, end
                index += 1
                at = _next(text, end, "]")
            at += 1
        else:
            _, at = decoder.raw_decode(text, at)
            yield key, None, None, at, at
        at = _next(text, at, "}")
    if _skip(text, at + 1) != len(text):
        raise json.JSONDecodeError("Extra data", text, at + 1)


def _skip(text: str, at: int) -> int:
    found = BLANKS.match(text, at)
    return found.end() if found else at


def _expect(text: str, at: int, mark: str) -> int:
    at = _skip(text, at)
    if text[at : at + 1] != mark:
        raise json.JSONDecodeError(f"Expecting {mark!r}", text, at)
    return at + 1


def _next(text: str, at: int, last: str) -> int:
    """The place of the next element, or of the mark that ends the list."""
    at = _skip(text, at)
    if text[at : at + 1] == last:
        return at
    at = _skip(text, _expect(text, at, ","))
    if text[at : at + 1] == last:
        raise json.JSONDecodeError("Illegal trailing comma", text, at)
    return at


def _add_image(images: dict[str, Entry], item: Entry, place: str) -> None:
    if not isinstance(item.get("file_name"), str) or not isinstance(item.get("id"), (int, str)):
        raise UserError(f"{place} lacks `id` or `file_name`; export the file again as COCO")
    if str(item["id"]) in images:
        raise UserError(f"{place} has the id {item['id']} of an earlier picture; give each picture its own id")
    images[str(item["id"])] = {key: item.get(key) for key in ("file_name", "width", "height")}


def _add_category(categories: dict[int, str], item: Entry, place: str) -> None:
    if not isinstance(item.get("id"), int) or not isinstance(item.get("name"), str):
        raise UserError(f"{place} has id {item.get('id')!r} and name {item.get('name')!r}; expected 1 and 'person'")
    categories[item["id"]] = item["name"]
