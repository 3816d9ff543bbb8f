"""Templates to one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, values: dict[str, Any]) -> str:
    """A whole page.

    Args:
        template: file of templates/.
        values: everything that it prints.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    environment.filters["thousands"] = lambda number: f"{number:,}".replace(",", "\u202f")
    style = Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))  # noqa: S704 (our own file)
    return environment.get_template(template).render(style=style, **values)


def duration(seconds: float) -> str:
    """``41 s``, ``3 min 05 s`` or ``2 h 10 min``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
