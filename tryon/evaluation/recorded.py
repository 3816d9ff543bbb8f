"""Settings written down beside the scores that they led to, so that two results folders can be compared later.

evaluate/settings.json holds the whole configuration, defaults included, in two parts: what shapes a number, and what
does not (fields marked as machine settings, places, and sections of pages).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tryon import files
from tryon.config import Config
from tryon.digests import science

FILE = "settings.json"
SCIENCE, MACHINE = "science", "machine"
NO_NUMBER = ("data", "results", "inspect", "report", "cluster")
"""Parts of the configuration that say where things lie and what pages show."""


def record_settings(config: Config, folder: Path) -> None:
    """Write FOLDER/settings.json.

    Args:
        config: the whole configuration.
        folder: of the scores.
    """
    whole = flat(config.model_dump(mode="json"))
    shaping = {name for name in flat(science(config)) if name.partition(".")[0] not in NO_NUMBER}
    parts = {
        SCIENCE: {name: value for name, value in whole.items() if name in shaping},
        MACHINE: {name: value for name, value in whole.items() if name not in shaping},
    }
    files.write_json(folder / FILE, parts)


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted name, such as ``"stages.base.train.lr"``; an empty section stands as it is."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found
