"""Settings: typos are named with the nearest key, all at once, without a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tryon import config
from tryon.errors import UserError

BASE: dict[str, Any] = {
    "stages": {
        "base": {"kind": "parallel_unet", "size": [64, 48]},
        "up": {"kind": "parallel_unet_sr", "size": [128, 96], "low_size": [64, 48]},
    },
    "cascade": ["base", "up"],
}


def mistakes(**changes: Any) -> str:
    with pytest.raises(UserError) as caught:
        config.parse({**BASE, **changes}, source="my.yaml")
    return str(caught.value)


def imagen(**changes: Any) -> dict[str, Any]:
    return {
        "stages": {
            **BASE["stages"],
            "up": {**BASE["stages"]["up"], "kind": "imagen_sr", "network": {"channels": [16, 32, 64]}, **changes},
        }
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"studoi": {}}, "studoi: no such setting (did you mean 'studio'?)"),
        ({"studio": {"num_peple": 5}}, "studio.num_peple: no such setting (did you mean 'num_people'?)"),
        (
            {"stages": {**BASE["stages"], "base": {"kind": "parallel_unet", "size": [64, 48], "train": {"lrr": 1}}}},
            "stages.base.train.lrr: no such setting (did you mean 'lr'?)",
        ),
        ({"cascade": ["bass", "up"]}, "cascade names 'bass', which is not in stages (did you mean 'base'?)"),
        ({"cascade": ["up"]}, "stages.up.low_size is 64x48, but the stage before it in cascade makes nothing"),
        ({"cascade": ["base"], "references": ["base"]}, "base: a stage stands once"),
        ({"cutouts": {"sha256": "abc"}}, "cutouts.sha256: a sha256 has 64 hex digits (found 'abc')"),
        ({"pairs": {"split": {"train": 0.9}}}, "pairs.split: split.train + split.val + split.test must be 1"),
        ({"stages": {"base": {"kind": "imagen_sr", "size": [64, 48]}}}, "kind imagen_sr needs low_size"),
        ({"stages": {"base": {"kind": "parallel_unet", "size": [64, 52]}}}, "size [64, 52]: this network needs a"),
        (imagen(network={"channels": [16, 32, 40]}), "channels [16, 32, 40]: an imagen U-Net needs multiples"),
        (imagen(train={"crop": [36, 32]}), "train.crop [36, 32]: this network needs"),
        (imagen(train={"crop": [256, 96]}), "train.crop [256, 96] is larger than size [128, 96]"),
    ],
)
def test_a_mistake_is_named(changes: dict[str, Any], said: str) -> None:
    assert said in mistakes(**changes)


def test_all_mistakes_come_at_once() -> None:
    said = mistakes(studoi={}, seeds=1)
    assert said.startswith("my.yaml: 2 mistakes")


def test_sizes_of_another_aspect_ratio_are_refused() -> None:
    stages = {"base": {"kind": "parallel_unet", "size": [64, 48]}, "ref": {"kind": "regression", "size": [64, 64]}}
    assert "one aspect ratio: 64x48, 64x64" in mistakes(stages=stages, cascade=["base"], references=["ref"])


def test_yaml_exponents_without_a_dot_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "cascade: [base]\nstages: {base: {kind: parallel_unet, size: [64, 48], train: {lr: 1e-4}}}\n"
    )
    assert config.load(tmp_path / "c.yaml").stages["base"].train.lr == 1e-4


def test_an_absent_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gone.yaml: no such configuration file"):
        config.load(tmp_path / "gone.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(UserError, match="bad.yaml: not readable as YAML"):
        config.load(tmp_path / "bad.yaml")


def test_a_configuration_survives_json() -> None:
    parsed = config.parse(BASE)
    assert config.parse(json.loads(parsed.model_dump_json())) == parsed


def test_every_field_of_the_schema_is_described() -> None:
    def fields(section: type[config.Section], place: str) -> list[str]:
        found = []
        for name, info in section.model_fields.items():
            inner = info.annotation
            if isinstance(inner, type) and issubclass(inner, config.Section):
                found += fields(inner, f"{place}{name}.")
            elif not info.description:
                found.append(place + name)
        return found

    assert [name for section in (config.Config, config.StageConfig) for name in fields(section, "")] == []
