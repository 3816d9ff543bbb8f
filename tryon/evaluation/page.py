"""Templates to one self-contained HTML page, in both languages at once.

The page holds its style, its script and its pictures, and forbids itself (Content-Security-Policy) to ask any server
for anything. Pictures that are not seen at once are stored once each, as text, and decoded when they come into view.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from tryon.evaluation import report_text
from tryon.evaluation.drawings import Figure
from tryon.evaluation.report_quality import list_title
from tryon.evaluation.report_text import Text

TEMPLATES = Path(__file__).parent / "templates"
KEY_LETTERS = 16


class PictureStore:
    """Pictures of one page by the digest of their bytes, so that a photo of many pairs is embedded once."""

    def __init__(self) -> None:
        self._pictures: dict[str, str] = {}

    def keep(self, figure: Figure) -> str:
        """The key of a picture."""
        data = figure.uri.partition(",")[2]
        key = hashlib.sha256(base64.b64decode(data)).hexdigest()[:KEY_LETTERS]
        self._pictures[key] = data
        return key

    def script(self) -> Markup:
        """All of them as a data block, {key: base64 JPEG}."""
        pictures = json.dumps(self._pictures)  # hexadecimal and base64: nothing that could end a script element
        return Markup('<script type="application/json" id="pictures">{}</script>').format(Markup(pictures))  # noqa: S704


def render(template: str, values: dict[str, Any], language: str) -> str:
    """A whole page.

    Args:
        template: file of templates/.
        values: everything that it prints.
        language: in which it opens, "en" or "zh".
    """
    return environment(language).get_template(template).render(values)


def environment(language: str) -> Environment:
    """The templates with all that they use."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pictures = PictureStore()
    made.filters["duration"] = duration
    made.filters["thousands"] = lambda number: f"{number:,}".replace(",", "\u202f")
    made.filters["size"] = lambda size: size.replace("x", " × ")
    made.globals.update(
        language=language,
        html_language=report_text.HTML_LANGUAGE,
        say=report_text.say,
        known=report_text.known,
        translated=report_text.translated,
        join=report_text.join,
        list_title=list_title,
        both=lambda name, text: both(name, text, language),
        keep=pictures.keep,
        stored_pictures=pictures.script,
        style=_own("report.css"),
        behaviour=_own("report.js"),
    )
    return made


def both(attribute: str, text: Text, language: str) -> Markup:
    """An attribute in the page's language, and beside it in the other, which the script exchanges.

    Args:
        attribute: such as ``"alt"``; ``"text"`` is for elements that can hold no marks, such as an option: their
            text in the other language.
        text: in both languages.
        language: in which the page opens.
    """
    other = "zh" if language == "en" else "en"
    first, second = escape(text.plain(language)), escape(text.plain(other))
    now = Markup("") if attribute == "text" else Markup('{}="{}"').format(attribute, first)
    if first == second:
        return now
    return Markup('{} data-other-{}="{}"').format(now, attribute, second)


def _own(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704 (our own file)


def duration(seconds: float) -> str:
    """``41 s``, ``3 min 05 s`` or ``2 h 10 min``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
