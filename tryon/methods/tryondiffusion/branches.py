"""The two U-Nets of the Parallel-UNet, which differ in what they attend to and in where they end.

Letters: B sample, R samples with a garment (the first ones of the batch), C channels, H/W feature map, K pose
token, E width of the embedding. Level 0 is the finest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import nn
from torch.utils.checkpoint import checkpoint

from tryon.config import NetworkConfig
from tryon.methods.tryondiffusion.layers import Attention, Downsample, ResBlock, Upsample, group_norm, zeroed
from tryon.methods.tryondiffusion.places import cell_places, moved

GARMENT_CHANNELS = 4  # RGB and mask of the cut-out

Block = Callable[..., torch.Tensor]


class GarmentLevel(nn.ModuleList):
    """Residual blocks one after the other.

    Attributes:
        recomputes: see `run_blocks`.
    """

    recomputes = False

    def __init__(self, cfg: NetworkConfig, level: int, num_blocks: int, num_skips: int) -> None:
        super().__init__(_res_block(cfg, level, index < num_skips) for index in range(num_blocks))

    def forward(
        self, h_BCHW: torch.Tensor, skips: Sequence[torch.Tensor], embedding_BE: torch.Tensor
    ) -> list[torch.Tensor]:
        """Outputs of all blocks, the last one last; skips: see `run_blocks`."""
        return run_blocks(list(self), h_BCHW, skips, (embedding_BE,), recomputes=self.recomputes)


class PersonLevel(nn.Module):
    """The blocks of one level on one side; each is followed by self- and cross-attention where configured.

    Attributes:
        recomputes: see `run_blocks`.
    """

    recomputes = False

    def __init__(self, cfg: NetworkConfig, level: int, num_skips: int) -> None:
        super().__init__()
        channels, num_blocks = cfg.channels[level], cfg.blocks[level]
        self.blocks = nn.ModuleList(_res_block(cfg, level, index < num_skips) for index in range(num_blocks))

        def attention(is_used: bool) -> nn.ModuleList:
            count = num_blocks if is_used else 0
            return nn.ModuleList(
                Attention(channels, channels, cfg.head_channels, positions=cfg.attention_positions != "none")
                for _ in range(count)
            )

        self.to_self = attention(cfg.self_attention[level])
        self.to_garment = attention(cfg.cross_attention[level])

    def forward(
        self,
        h_BCHW: torch.Tensor,
        skips: Sequence[torch.Tensor],
        embedding_BE: torch.Tensor,
        tokens_BKC: torch.Tensor | None,
        feature_RCHW: torch.Tensor | None,
        garment_to_person_B23: torch.Tensor | None,
    ) -> list[torch.Tensor]:
        """Outputs of all blocks, the last one last; skips: see `run_blocks`."""
        blocks = [self._block(index) for index in range(len(self.blocks))]
        places_BN2 = None
        if feature_RCHW is not None and garment_to_person_B23 is not None:
            places_BN2 = moved(cell_places(feature_RCHW.shape[-2:], h_BCHW.device), garment_to_person_B23)
        given = embedding_BE, tokens_BKC, feature_RCHW, places_BN2
        return run_blocks(blocks, h_BCHW, skips, given, recomputes=self.recomputes)

    def _block(self, index: int) -> Block:
        def block(
            h_BCHW: torch.Tensor,
            embedding_BE: torch.Tensor,
            tokens_BKC: torch.Tensor | None,
            feature_RCHW: torch.Tensor | None,
            places_BN2: torch.Tensor | None,
        ) -> torch.Tensor:
            h_BCHW = self.blocks[index](h_BCHW, embedding_BE)
            if self.to_self:
                h_BCHW = self.to_self[index](h_BCHW, None, tokens_BKC)
            if self.to_garment:
                h_BCHW = self.to_garment[index](h_BCHW, feature_RCHW, None, places_BN2)
            return h_BCHW

        return block


def run_blocks(
    blocks: Sequence[Block],
    h_BCHW: torch.Tensor,
    skips: Sequence[torch.Tensor],
    given: tuple[torch.Tensor | None, ...],
    *,
    recomputes: bool,
) -> list[torch.Tensor]:
    """Outputs of all blocks.

    Args:
        blocks: each maps a feature map and `given` to a feature map.
        h_BCHW: what comes from the level before.
        skips: maps of the encoder, its last one last; the first block gets the last one, and so on while there are any.
        given: what every block is given besides.
        recomputes: keep only what goes into a block for the backward pass, and compute the rest a second time.
    """

    def with_skip(block: Block, h_BCHW: torch.Tensor, skip_BCHW: torch.Tensor | None) -> torch.Tensor:
        return block(h_BCHW if skip_BCHW is None else torch.cat([h_BCHW, skip_BCHW], dim=1), *given)

    outputs, left = [], list(skips)
    for block in blocks:
        skip_BCHW = left.pop() if left else None
        if recomputes and torch.is_grad_enabled():
            # no block draws random numbers, so no generator's state is kept
            h_BCHW = checkpoint(with_skip, block, h_BCHW, skip_BCHW, use_reentrant=False, preserve_rng_state=False)
        else:
            h_BCHW = with_skip(block, h_BCHW, skip_BCHW)
        outputs.append(h_BCHW)
    return outputs


class GarmentBranch(nn.Module):
    """U-Net over the garment's cut-out, without the decoder levels that nobody attends to."""

    def __init__(self, cfg: NetworkConfig) -> None:
        super().__init__()
        width, levels = cfg.channels, len(cfg.channels)
        attended = [level for level in range(levels) if cfg.cross_attention[level]]
        self.stops_at = min(attended, default=levels)
        self.stem_stride = cfg.stem_stride
        blocks = cfg.garment_blocks or cfg.blocks
        self.num_skips = [_num_skips(cfg, level, blocks[level]) for level in range(levels)]
        self.down = nn.ModuleList()
        self.shrink = nn.ModuleList()
        self.grow = nn.ModuleDict()
        self.up = nn.ModuleDict()
        if not attended:
            return
        self.stem = nn.Conv2d(GARMENT_CHANNELS * cfg.stem_stride**2, width[0], 3, padding=1)
        for level in range(levels):
            self.down.append(GarmentLevel(cfg, level, blocks[level], num_skips=0))
            if level + 1 < levels:
                self.shrink.append(Downsample(width[level], width[level + 1]))
        for level in reversed(range(self.stops_at, levels)):
            self.up[str(level)] = GarmentLevel(cfg, level, blocks[level], self.num_skips[level])
            if level + 1 < levels:
                self.grow[str(level)] = Upsample(width[level + 1], width[level])

    def forward(self, garment_R4HW: torch.Tensor, embedding_BE: torch.Tensor) -> dict[int, torch.Tensor]:
        """Feature maps [R, C, h, w] by level, coarsest first."""
        features: dict[int, torch.Tensor] = {}
        if not self.up:
            return features
        h = self.stem(space_to_depth(garment_R4HW, self.stem_stride))
        outputs = []
        for level, blocks in enumerate(self.down):
            outputs.append(blocks(h, [], embedding_BE))
            h = outputs[level][-1]
            if level < len(self.shrink):
                h = self.shrink[level](h)
        for level in reversed(range(self.stops_at, len(self.down))):
            if str(level) in self.grow:
                h = self.grow[str(level)](h)
            skips = _last(outputs[level], self.num_skips[level])
            features[level] = h = self.up[str(level)](h, skips, embedding_BE)[-1]
        return features


class PersonBranch(nn.Module):
    """U-Net over the person, attending to itself, to the poses and to the garment."""

    def __init__(self, cfg: NetworkConfig, in_channels: int) -> None:
        super().__init__()
        width, levels, embedding = cfg.channels, len(cfg.channels), cfg.embedding_channels
        self.stem_stride = cfg.stem_stride
        self.stride = cfg.stem_stride * 2 ** (levels - 1)
        self.num_skips = [_num_skips(cfg, level, cfg.blocks[level]) for level in range(levels)]
        self.stem = nn.Conv2d(in_channels * cfg.stem_stride**2, width[0], 3, padding=1)
        self.down = nn.ModuleList(PersonLevel(cfg, level, num_skips=0) for level in range(levels))
        self.shrink = nn.ModuleList(Downsample(width[i], width[i + 1]) for i in range(levels - 1))
        self.grow = nn.ModuleList(Upsample(width[i + 1], width[i]) for i in range(levels - 1))
        self.up = nn.ModuleList(PersonLevel(cfg, level, self.num_skips[level]) for level in range(levels))
        self.tokens = nn.ModuleDict(
            {str(i): nn.Linear(embedding, width[i]) for i in range(levels) if cfg.self_attention[i]}
        )
        self.norm = group_norm(width[0])
        self.head = zeroed(nn.Conv2d(width[0], 3 * cfg.stem_stride**2, 3, padding=1))

    def forward(
        self,
        person_BCHW: torch.Tensor,
        embedding_BE: torch.Tensor,
        tokens_BKE: torch.Tensor,
        features: dict[int, torch.Tensor],
        garment_to_person_B23: torch.Tensor | None,
    ) -> torch.Tensor:
        """Returns [B, 3, H, W].

        Args:
            person_BCHW: input planes.
            embedding_BE: time, level and poses.
            tokens_BKE: poses, joint by joint.
            features: of the first samples, the others have no garment.
            garment_to_person_B23: moves the places of the garment's cells; None leaves them.
        """
        height, width = person_BCHW.shape[-2:]
        if height % self.stride or width % self.stride:
            raise ValueError(f"{height}x{width} is not a multiple of {self.stride}, the network's total stride")
        tokens = {int(level): project(tokens_BKE) for level, project in self.tokens.items()}
        h = self.stem(space_to_depth(person_BCHW, self.stem_stride))
        outputs = []
        for level, blocks in enumerate(self.down):
            given = embedding_BE, tokens.get(level), features.get(level), garment_to_person_B23
            outputs.append(blocks(h, [], *given))
            h = outputs[level][-1]
            if level < len(self.shrink):
                h = self.shrink[level](h)
        for level in reversed(range(len(self.up))):
            if level < len(self.grow):
                h = self.grow[level](h)
            skips = _last(outputs[level], self.num_skips[level])
            given = embedding_BE, tokens.get(level), features.get(level), garment_to_person_B23
            h = self.up[level](h, skips, *given)[-1]
        out = self.head(F.silu(self.norm(h)))
        return F.pixel_shuffle(out, self.stem_stride) if self.stem_stride > 1 else out


def space_to_depth(x_BCHW: torch.Tensor, factor: int) -> torch.Tensor:
    """Returns [B, factor² C, H / factor, W / factor]."""
    return F.pixel_unshuffle(x_BCHW, factor) if factor > 1 else x_BCHW


def _res_block(cfg: NetworkConfig, level: int, has_skip: bool) -> ResBlock:
    channels = cfg.channels[level]
    in_channels = 2 * channels if has_skip else channels
    return ResBlock(in_channels, channels, cfg.embedding_channels, convolves_shortcut=cfg.shortcut_conv)


def _num_skips(cfg: NetworkConfig, level: int, num_blocks: int) -> int:
    """How many maps of its encoder a decoder's level is given."""
    if cfg.skips == "block":
        return num_blocks
    # the coarsest level's decoder follows its encoder directly
    return int(level + 1 < len(cfg.channels))


def _last(outputs: list[torch.Tensor], num: int) -> list[torch.Tensor]:
    return outputs[len(outputs) - num :]
