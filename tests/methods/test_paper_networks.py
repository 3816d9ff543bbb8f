"""The networks of config/presets/paper.yaml: structure and size as in the paper's Figures 2 and 8 and appendix A.1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tryon import shims
from tryon.config import Config, load
from tryon.methods import make_stage
from tryon.methods.interface import num_params
from tryon.methods.tryondiffusion.branches import GarmentLevel, PersonLevel
from tryon.methods.tryondiffusion.layers import ResBlock
from tryon.methods.tryondiffusion.parallel_unet import ParallelUNet
from tryon.methods.tryondiffusion.stages import ParallelUNetStage

PRESET = Path(__file__).resolve().parents[2] / "config" / "presets" / "paper.yaml"

# Appendix A.1: 1.13 and 1.06 billion. fashn-AI's reproduction (commit 124c053) has 1 295 563 365 and 1 218 280 641,
# with perceivers for the poses, a gate of global context in each block, and attention over patches of 2048 channels.
NUM_PARAMS = {"base": 1_131_554_435, "sr256": 1_070_456_323, "sr1024": 689_571_365}

# What each choice is worth: the number of parameters without it. The paper says that every residual block has a
# convolution on its shortcut; that skips join blocks, and the width of the embedding, are what the counts say.
LESS: list[tuple[str, dict[str, Any], int]] = [
    ("base", {"embedding_channels": 512}, 1_078_970_499),
    ("base", {"embedding_channels": 512, "shortcut_conv": False}, 1_060_498_819),
    ("base", {"embedding_channels": 512, "shortcut_conv": False, "skips": "level"}, 867_597_699),
    ("sr256", {"embedding_channels": 512}, 1_019_445_251),
    ("sr256", {"embedding_channels": 512, "shortcut_conv": False}, 1_000_644_867),
    ("sr256", {"embedding_channels": 512, "shortcut_conv": False, "skips": "level"}, 819_103_619),
]


@pytest.fixture(scope="module")
def paper() -> Config:
    return load(PRESET)


def parallel_unet(paper: Config, name: str, **settings: object) -> ParallelUNet:
    """A stage's network, without memory for its weights."""
    stage = make_stage(name, paper)
    assert isinstance(stage, ParallelUNetStage)
    with torch.device("meta"):
        return ParallelUNet(paper.stages[name].network.model_copy(update=settings), stage.person_channels)


@pytest.mark.parametrize("preset", sorted(path.name for path in PRESET.parent.glob("*.yaml")))
def test_every_stage_of_every_preset_accepts_its_settings(preset: str) -> None:
    config = load(PRESET.with_name(preset))
    for name in config.used_stages:
        make_stage(name, config)


@pytest.mark.parametrize("preset", ["viton_hd.yaml", "dresscode.yaml"])
def test_presets_at_the_papers_sizes_have_its_networks(paper: Config, preset: str) -> None:
    other = load(PRESET.with_name(preset))
    assert {name: other.stages[name].network for name in other.cascade} == {
        name: paper.stages[name].network for name in paper.cascade
    }


@pytest.mark.parametrize("name", NUM_PARAMS)
def test_the_papers_stages_have_these_numbers_of_parameters(paper: Config, name: str) -> None:
    with torch.device("meta"):
        network = make_stage(name, paper).build()
    assert num_params(network) == NUM_PARAMS[name]


@pytest.mark.parametrize(("name", "settings", "expected"), LESS)
def test_parameters_without_a_choice(paper: Config, name: str, settings: dict[str, Any], expected: int) -> None:
    assert num_params(parallel_unet(paper, name, **settings)) == expected


@pytest.mark.parametrize(("name", "channels", "blocks", "garment_blocks", "attends_at_px"), [
    ("base", [128, 256, 512, 1024], [3, 4, 6, 7], [3, 4, 6, 7], {32, 16}),
    ("sr256", [128, 128, 256, 512, 1024], [2, 3, 4, 7, 7], [2, 3, 4, 6, 7], {16}),
])  # fmt: skip
def test_levels_are_those_of_the_papers_figures(
    paper: Config, name: str, channels: list[int], blocks: list[int], garment_blocks: list[int], attends_at_px: set[int]
) -> None:
    network, longest_px = parallel_unet(paper, name), max(paper.stages[name].size)
    sides_px = [longest_px // 2**level for level in range(len(channels))]
    for side in (network.person.down, network.person.up):
        for level, part in enumerate(side):
            assert isinstance(part, PersonLevel)
            assert [block.conv_out.out_channels for block in part.blocks] == [channels[level]] * blocks[level]
            expected = blocks[level] if sides_px[level] in attends_at_px else 0
            assert len(part.to_self) == len(part.to_garment) == expected
    for level, part in enumerate(network.garment.down):
        assert isinstance(part, GarmentLevel)
        assert len(part) == garment_blocks[level]
    assert {sides_px[int(level)] for level in network.garment.up} == attends_at_px
    assert {sides_px[int(level)] for level in network.person.tokens} == attends_at_px


@pytest.mark.parametrize("name", ["base", "sr256"])
def test_every_block_is_modulated_joined_to_its_encoder_and_convolved_on_its_shortcut(paper: Config, name: str) -> None:
    network = parallel_unet(paper, name)
    for part in network.modules():
        if isinstance(part, ResBlock):
            assert part.film.out_features == 2 * part.conv_out.out_channels
            assert isinstance(part.skip, nn.Conv2d)
            assert part.norm_in.num_groups == min(32, part.norm_in.num_channels // 4)
    decoder = [block for level in network.person.up for block in level.blocks]
    decoder += [block for level in network.garment.up.values() for block in level]
    assert all(block.conv_in.in_channels == 2 * block.conv_in.out_channels for block in decoder)


@pytest.mark.parametrize("name", ["base", "sr256"])
@torch.no_grad()
def test_the_papers_networks_work_on_canvases_that_are_not_square(paper: Config, name: str) -> None:
    network = parallel_unet(paper, name)
    height, width = paper.stages[name].size
    assert height != width
    with torch.device("meta"):
        pictures = torch.zeros(1, network.person.stem.in_channels, height, width), torch.zeros(1, 4, height, width)
        out = network(*pictures, torch.zeros(1, 17, 3), torch.zeros(1, 17, 3), torch.zeros(1), torch.zeros(1))
    assert out.shape == (1, 3, height, width)


def test_the_superres_network_has_no_attention_between_places(paper: Config) -> None:
    """It is trained on crops and sampled on whole pictures (section 3.1)."""
    unet = shims.import_imagen().imagen_pytorch
    with torch.device("meta"):
        network = make_stage("sr1024", paper).build()
    kinds = unet.Attention, unet.TransformerBlock, unet.LinearAttention, unet.LinearAttentionTransformerBlock
    assert any(isinstance(module, unet.ResnetBlock) for module in network.modules())
    # what is left: at the coarsest level each place asks the tokens of the time, as many as there are at any size
    assert not any(isinstance(module, kinds) for module in network.modules())
