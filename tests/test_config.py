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


def base(**changes: Any) -> dict[str, Any]:
    return {"stages": {**BASE["stages"], "base": {**BASE["stages"]["base"], **changes}}}


def imagen(**changes: Any) -> dict[str, Any]:
    return {
        "stages": {
            **BASE["stages"],
            "up": {**BASE["stages"]["up"], "kind": "imagen_sr", "network": {"channels": [16, 32, 64]}, **changes},
        }
    }


def warping(name: str, **network: bool) -> dict[str, Any]:
    """The stages of BASE, one of which is given a large garment photo."""
    return {"stages": {name: {**BASE["stages"][name], "garment_size": [256, 192], "network": network}}}


def without_null(name: str) -> dict[str, Any]:
    """The stages of BASE, one of which is never trained without its garment."""
    return {**BASE["stages"], name: {**BASE["stages"][name], "diffusion": {"condition_dropout": 0}}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"studoi": {}}, "studoi: no such setting (did you mean 'studio'?)"),
        ({"results": "runs/{date}"}, "results: needs the name of a folder, without { and }, which Snakemake reads"),
        ({"results": ""}, "results: needs the name of a folder"),
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
        (
            {"stages": {"base": {"kind": "parallel_unet", "size": [64, 48], "garment_size": [32, 24]}}},
            "garment_size [32, 24] is smaller than size [64, 48]; leave it out, or raise it",
        ),
        (
            warping("base", prealigned=False, residual=False),
            "garment_size [256, 192] is the size of the photo that is warped, and no warped garment is looked at here; "
            "leave it out, or set network.prealigned to true",
        ),
        (
            warping("up", prealigned=False),
            "garment_size [256, 192] is the size of the photo that is warped, and no warped garment is looked at here",
        ),
        (base(kind="regression", network={"residual": False}, diffusion={"target": "v"}), "set diffusion.target to x0"),
        (
            base(diffusion={"target": "v"}),
            "network.residual is true, which needs diffusion.target x0, not v; set network.residual to false",
        ),
        (
            base(network={"channels": [48, 96, 100]}),
            "network.channels[2] 100: attention needs a multiple of 4 and of network.head_channels, 32",
        ),
        (base(network={"embedding_channels": 33}), "network.embedding_channels 33: attention needs a multiple of 4"),
        (base(train={"betas": [0.9, 1.0]}), "stages.base.train.betas.1: Input should be less than 1"),
        (base(train={"lr": float("inf")}), "stages.base.train.lr: Input should be a finite number"),
        (
            base(train={"batch_size": 6, "gpus": 4}),
            "stages.base.train: batch_size 6 cannot be shared by 4 processes; choose a multiple",
        ),
        (
            base(train={"batch_size": 3, "accumulation": 4}),
            "by 1 process in 4 parts each; choose a multiple of the processes, at least 4",
        ),
        (base(train={"budget_s": -5}), "stages.base.train.budget_s: Input should be greater than or equal to 0"),
        (
            imagen(diffusion={"low_noise_max": 0.1, "low_noise_sample": 0.9}),
            "diffusion.low_noise_sample 0.9 is a level that training with low_noise_max 0.1 never sees",
        ),
        (
            imagen(network={"channels": [16, 32, 64], "cross_attention": [False, False, True], "skips": "block"}),
            "does not read network.skips, network.cross_attention: leave out what is of the Parallel-UNet",
        ),
        ({"references": ["up"], "cascade": ["base"]}, "references names up, which enlarges pictures"),
        ({"sample": {"lists": []}}, "sample.lists: List should have at least 1 item"),
        ({"keypoints": {"device": "gpu"}}, "keypoints.device: String should match pattern"),
        (
            {"cascade": ["base", "upp"], "ablations": {"guidance": {"vary": {"sample.guidance": [1, 2]}}}},
            "(whole file): cascade names 'upp', which is not in stages (did you mean 'up'?)",
        ),
        ({"stages": {"base": {"kind": "parallel_unet", "size": [64, 52]}}}, "size [64, 52]: this network needs a"),
        (imagen(network={"channels": [16, 32, 40]}), "channels [16, 32, 40]: an imagen U-Net needs multiples"),
        (imagen(train={"crop": [36, 32]}), "train.crop [36, 32]: this network needs"),
        (imagen(train={"crop": [256, 96]}), "train.crop [256, 96] is larger than size [128, 96]"),
        ({"sample": {"stages": {"bas": {}}}}, "sample.stages names 'bas', not in stages (did you mean 'base'?)"),
        (
            {"sample": {"stages": {"base": {"num_stpes": 3}}}},
            "sample.stages.base.num_stpes: no such setting (did you mean 'num_steps'?)",
        ),
        (
            {"sample": {"stages": {"base": {"sampler": "plms"}}}},
            "sample.stages.base.sampler: Input should be 'ddim', 'ddpm', 'dpmpp' or 'unipc' (found 'plms')",
        ),
        ({"sample": {"guidance_interval": [0.8, 0.2]}}, "runs from a smaller to a larger time, not from 0.8 to 0.2"),
        (
            {"sample": {"stages": {"up": {"num_steps": 1001}}}},
            "sample.stages.up.num_steps 1001 is more than stages.up.diffusion.num_timesteps 1000",
        ),
        (
            {"sample": {"guidance": 2}, "stages": without_null("up")},
            "sample.guidance 2 needs pictures without a garment, which stage up never learns: raise "
            "stages.up.diffusion.condition_dropout",
        ),
    ],
)
def test_a_mistake_is_named(changes: dict[str, Any], said: str) -> None:
    assert said in mistakes(**changes)


def test_a_stage_is_sampled_as_all_are_but_for_what_it_says_itself() -> None:
    sample = {"num_steps": 7, "guidance": 2, "stages": {"up": {"num_steps": 3, "sampler": "unipc"}}}
    for cfg in (config.parse({**BASE, "sample": sample}), config.SampleConfig.model_validate(sample)):
        parsed = cfg.sample if isinstance(cfg, config.Config) else cfg
        base, up = parsed.of_stage("base"), parsed.of_stage("up")
        assert (base.sampler, base.num_steps, base.guidance) == ("ddim", 7, 2)
        assert (up.sampler, up.num_steps, up.guidance) == ("unipc", 3, 2)
    again = config.parse(json.loads(config.parse({**BASE, "sample": sample}).model_dump_json()))
    assert again.sample.of_stage("up") == up, "as the commands of the jobs read it"


def test_a_mistake_for_all_stages_is_not_said_again_for_each() -> None:
    said = mistakes(sample={"num_steps": 0, "stages": {"up": {"sampler": "unipc"}, "base": {}}})
    assert said.startswith("my.yaml: 1 mistake\n  sample.num_steps:")


def test_guidance_without_a_null_branch_is_fine_where_nothing_is_guided() -> None:
    config.parse({**BASE, "stages": without_null("up"), "sample": {"guidance": 2, "stages": {"up": {"guidance": 1}}}})
    independent = {**BASE["stages"]["up"], "diffusion": {"condition_dropout": 0, "independent_dropout": 0.1}}
    config.parse({**BASE, "stages": {**BASE["stages"], "up": independent}, "sample": {"guidance": 2}})


def test_the_papers_preset_samples_as_the_paper_does() -> None:
    """256 and 128 steps of DDPM, 32 of DDIM, guidance 2."""
    sample = config.load(Path(__file__).resolve().parents[1] / "config/presets/paper.yaml").sample
    found = {name: (cfg.sampler, cfg.num_steps, cfg.guidance) for name, cfg in sample.stages.items()}
    assert found == {"base": ("ddpm", 256, 2), "sr256": ("ddpm", 128, 2), "sr1024": ("ddim", 32, 2)}


def test_all_mistakes_come_at_once() -> None:
    said = mistakes(studoi={}, seeds=1)
    assert said.startswith("my.yaml: 2 mistakes")


def test_the_garments_size_is_packed_and_given_to_all_that_make_pictures_of_a_size() -> None:
    base = {"kind": "parallel_unet", "size": [64, 48]}
    stages = {
        "base": base,
        "other": {**base, "garment_size": [256, 192]},
        "unused": {**base, "garment_size": [512, 384]},
    }
    cfg = config.parse({"stages": stages, "cascade": ["base"], "references": ["other"]})
    assert cfg.sizes == [(64, 48), (256, 192)]
    assert cfg.garment_size_at((64, 48)) == (256, 192)
    assert cfg.garment_size_at((256, 192)) == (256, 192)


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
    with pytest.raises(UserError, match=r"cannot be read as a configuration file \(Is a directory\)"):
        config.load(tmp_path)


def test_a_key_that_stands_twice_is_told_with_both_lines(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("cascade: [base]\nsample: {num_steps: 2}\nstages: {base: {}}\nsample: {guidance: 2}\n")
    with pytest.raises(UserError, match=r"(?s)'sample' stands in line 2 already; leave one of them out.*line 4"):
        config.load(path)


def test_a_merged_mapping_may_say_otherwise(tmp_path: Path) -> None:
    """Also one that lies deeper than the next that it is merged into, and so is constructed after it."""
    path = tmp_path / "merged.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {c: {d: &d {<<: *a, x: 3}}}\ne: {<<: *d, y: 4}\n")
    assert config.read(path) == {"a": {"x": 1, "y": 2}, "b": {"c": {"d": {"x": 3, "y": 2}}}, "e": {"x": 3, "y": 4}}


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
