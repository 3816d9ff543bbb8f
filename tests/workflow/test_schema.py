"""The JSON schema that the workflow catalog renders is generated, current, and accepts what is shipped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from chain import ROOT
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from tryon.config import json_schema, load

SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.json"
SHIPPED = sorted([ROOT / "config.yaml", *(ROOT / "config" / "presets").glob("*.yaml")])


def test_the_schema_is_current() -> None:
    assert json.loads(SCHEMA.read_text()) == json_schema(), "run make schema"


def test_the_catalog_can_render_it() -> None:
    text = SCHEMA.read_text()
    assert json.loads(text)["$schema"].startswith("https://json-schema.org/")
    assert '"$ref"' not in text
    assert '"$defs"' not in text


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_settings_are_valid_both_ways(path: Path) -> None:
    load(path)
    validate(yaml.safe_load(path.read_text()), SCHEMA, set_default=False)


def test_the_schema_refuses_a_typo() -> None:
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    values["studio"]["num_peple"] = 3
    with pytest.raises(WorkflowError, match="num_peple"):
        validate(values, SCHEMA, set_default=False)
