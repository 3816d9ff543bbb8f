"""The Parallel-UNet of TryOnDiffusion (Zhu et al. 2023, arXiv 2306.08276, section 3.2 and Figure 3).

Two U-Nets side by side. The person branch takes the noised picture with everything known about the person; the
garment branch takes the garment's cut-out, and its decoder stops at the finest level where the person branch
attends to it. Poses of both photos act twice: pooled into the vector that modulates every block (FiLM), and as
extra tokens in the self-attention.

Differs from the paper, each by a setting: a space-to-depth stem, a garment branch that does not see the
diffusion time (its features are then computed once per picture), position codes in the attention, and further
person channels, which are the stage's choice.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import nn

from tryon.config import NetworkConfig
from tryon.methods.tryondiffusion.layers import (
    Attention,
    AttentionPool,
    Downsample,
    ResBlock,
    Upsample,
    fourier_codes,
    group_norm,
    zeroed,
)
from tryon.ontology import KEYPOINT_NAMES

GARMENT_CHANNELS = 4  # RGB and mask of the cut-out


class ParallelUNet(nn.Module):
    """Denoiser of a person picture, conditioned on a garment and on both poses.

    Args:
        cfg: width, depth, attention, see `NetworkConfig`.
        person_channels: channels of the person branch's input.
    """

    def __init__(self, cfg: NetworkConfig, person_channels: int) -> None:
        super().__init__()
        self.sees_time = cfg.garment_sees_time
        self.embedding = Embedding(cfg.embedding_channels, cfg.head_channels)
        self.garment = GarmentBranch(cfg)
        self.person = PersonBranch(cfg, person_channels)

    @property
    def stride(self) -> int:
        """Height and width of a picture have to be multiples of this."""
        return self.person.stride

    def garment_features(
        self,
        garment_B4HW: torch.Tensor,
        person_keypoints_BK3: torch.Tensor,
        garment_keypoints_BK3: torch.Tensor,
        t_B: torch.Tensor,
        level_B: torch.Tensor,
    ) -> dict[int, torch.Tensor]:
        """Feature maps of the garment by level, for `forward`; the same at every t unless `sees_time`."""
        pose_BE, _ = self.embedding.pose(person_keypoints_BK3, garment_keypoints_BK3)
        embedding_BE = self.embedding(pose_BE, t_B if self.sees_time else None, level_B)
        return self.garment(garment_B4HW, embedding_BE)

    def forward(
        self,
        person_BCHW: torch.Tensor,
        garment_B4HW: torch.Tensor,
        person_keypoints_BK3: torch.Tensor,
        garment_keypoints_BK3: torch.Tensor,
        t_B: torch.Tensor,
        level_B: torch.Tensor,
        features: dict[int, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Predict.

        Args:
            person_BCHW: noised picture and what is known of the person, stacked by the stage.
            garment_B4HW: RGB in [-1, 1] (0 outside) and mask of the garment's cut-out.
            person_keypoints_BK3: x, y in [0, 1] and visibility.
            garment_keypoints_BK3: the same for the garment photo.
            t_B: diffusion time in [0, 1].
            level_B: noise level of the low-resolution condition in [0, 1]; 0 where there is none.
            features: what `garment_features` gave for these garments; None: they are computed here.

        Returns:
            float32 [B, 3, H, W]: the stage's target.
        """
        height, width = person_BCHW.shape[-2:]
        if height % self.stride or width % self.stride:
            raise ValueError(f"{height}x{width} is not a multiple of {self.stride}, the network's total stride")
        pose_BE, tokens_BKE = self.embedding.pose(person_keypoints_BK3, garment_keypoints_BK3)
        embedding_BE = self.embedding(pose_BE, t_B, level_B)
        if features is None:
            garment_BE = embedding_BE if self.sees_time else self.embedding(pose_BE, None, level_B)
            features = self.garment(garment_B4HW, garment_BE)
        return self.person(person_BCHW, embedding_BE, tokens_BKE, features).float()


class Embedding(nn.Module):
    """Time, noise level and poses as one vector, and the poses as tokens."""

    def __init__(self, channels: int, head_channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.time = nn.Sequential(nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, channels))
        self.level = nn.Linear(channels, channels)
        self.point = nn.Linear(3, channels)
        self.joints = nn.Parameter(torch.randn(2 * len(KEYPOINT_NAMES), channels) * channels**-0.5)
        self.pool = AttentionPool(channels, head_channels)

    def pose(
        self, person_keypoints_BK3: torch.Tensor, garment_keypoints_BK3: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Both poses pooled into [B, E], and as tokens [B, 2K, E] (person first)."""
        points_BK3 = torch.cat([person_keypoints_BK3, garment_keypoints_BK3], dim=1)
        tokens_BKE = self.point(points_BK3) + self.joints
        return self.pool(tokens_BKE), tokens_BKE

    def forward(self, pose_BE: torch.Tensor, t_B: torch.Tensor | None, level_B: torch.Tensor) -> torch.Tensor:
        """The vector that modulates the blocks; t_B None leaves the time out."""
        total_BE = pose_BE + self.level(fourier_codes(level_B, self.channels))
        if t_B is not None:
            total_BE = total_BE + self.time(fourier_codes(t_B, self.channels))
        return F.silu(total_BE)


class ResBlocks(nn.ModuleList):
    """Residual blocks one after the other."""

    def forward(self, h_BCHW: torch.Tensor, embedding_BE: torch.Tensor) -> torch.Tensor:
        """Returns the last block's output."""
        for block in self:
            h_BCHW = block(h_BCHW, embedding_BE)
        return h_BCHW


class GarmentBranch(nn.Module):
    """U-Net over the garment's cut-out, without the decoder levels that nobody attends to."""

    def __init__(self, cfg: NetworkConfig) -> None:
        super().__init__()
        width, levels = cfg.channels, len(cfg.channels)
        attended = [level for level in range(levels) if cfg.cross_attention[level]]
        self.stops_at = min(attended, default=levels)
        self.stem_stride = cfg.stem_stride
        blocks = cfg.garment_blocks or cfg.blocks
        embedding = cfg.embedding_channels
        self.down = nn.ModuleList()
        self.shrink = nn.ModuleList()
        self.grow = nn.ModuleDict()
        self.up = nn.ModuleDict()
        if not attended:
            return
        self.stem = nn.Conv2d(GARMENT_CHANNELS * cfg.stem_stride**2, width[0], 3, padding=1)
        for level in range(levels):
            self.down.append(ResBlocks(ResBlock(width[level], width[level], embedding) for _ in range(blocks[level])))
            if level + 1 < levels:
                self.shrink.append(Downsample(width[level], width[level + 1]))
        for level in reversed(range(self.stops_at, levels)):
            doubled = level + 1 < levels
            self.up[str(level)] = ResBlocks(
                ResBlock(width[level] * (2 if doubled and index == 0 else 1), width[level], embedding)
                for index in range(blocks[level])
            )
            if doubled:
                self.grow[str(level)] = Upsample(width[level + 1], width[level])

    def forward(self, garment_B4HW: torch.Tensor, embedding_BE: torch.Tensor) -> dict[int, torch.Tensor]:
        """Feature maps by level, coarsest first."""
        features: dict[int, torch.Tensor] = {}
        if not self.up:
            return features
        h = self.stem(_space_to_depth(garment_B4HW, self.stem_stride))
        skips = []
        for level, blocks in enumerate(self.down):
            h = blocks(h, embedding_BE)
            skips.append(h)
            if level < len(self.shrink):
                h = self.shrink[level](h)
        for level in reversed(range(self.stops_at, len(skips))):
            if str(level) in self.grow:
                h = torch.cat([self.grow[str(level)](h), skips[level]], dim=1)
            features[level] = h = self.up[str(level)](h, embedding_BE)
        return features


class PersonBranch(nn.Module):
    """U-Net over the person, attending to itself, to the poses and to the garment."""

    def __init__(self, cfg: NetworkConfig, in_channels: int) -> None:
        super().__init__()
        width, levels, embedding = cfg.channels, len(cfg.channels), cfg.embedding_channels
        self.stem_stride = cfg.stem_stride
        self.stride = cfg.stem_stride * 2 ** (levels - 1)
        self.stem = nn.Conv2d(in_channels * cfg.stem_stride**2, width[0], 3, padding=1)
        self.down = nn.ModuleList(PersonLevel(cfg, level, width[level]) for level in range(levels))
        self.shrink = nn.ModuleList(Downsample(width[i], width[i + 1]) for i in range(levels - 1))
        self.grow = nn.ModuleList(Upsample(width[i + 1], width[i]) for i in range(levels - 1))
        self.up = nn.ModuleList(
            PersonLevel(cfg, level, width[level] * (2 if level + 1 < levels else 1)) for level in range(levels)
        )
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
    ) -> torch.Tensor:
        """Returns [B, 3, H, W]."""
        height, width = person_BCHW.shape[-2:]
        if height % self.stride or width % self.stride:
            raise ValueError(f"{height}x{width} is not a multiple of {self.stride}, the network's total stride")
        tokens = {int(level): project(tokens_BKE) for level, project in self.tokens.items()}
        h = self.stem(_space_to_depth(person_BCHW, self.stem_stride))
        skips = []
        for level, blocks in enumerate(self.down):
            h = blocks(h, embedding_BE, tokens.get(level), features.get(level))
            skips.append(h)
            if level < len(self.shrink):
                h = self.shrink[level](h)
        for level in reversed(range(len(self.up))):
            if level < len(self.grow):
                h = torch.cat([self.grow[level](h), skips[level]], dim=1)
            h = self.up[level](h, embedding_BE, tokens.get(level), features.get(level))
        out = self.head(F.silu(self.norm(h)))
        return F.pixel_shuffle(out, self.stem_stride) if self.stem_stride > 1 else out


class PersonLevel(nn.Module):
    """The blocks of one level on one side; each is followed by self- and cross-attention where configured."""

    def __init__(self, cfg: NetworkConfig, level: int, in_channels: int) -> None:
        super().__init__()
        channels, num_blocks = cfg.channels[level], cfg.blocks[level]
        self.blocks = nn.ModuleList(
            ResBlock(in_channels if index == 0 else channels, channels, cfg.embedding_channels)
            for index in range(num_blocks)
        )

        def attention(is_used: bool) -> nn.ModuleList:
            count = num_blocks if is_used else 0
            return nn.ModuleList(
                Attention(channels, channels, cfg.head_channels, positions=cfg.attention_positions)
                for _ in range(count)
            )

        self.to_self = attention(cfg.self_attention[level])
        self.to_garment = attention(cfg.cross_attention[level])

    def forward(
        self,
        h_BCHW: torch.Tensor,
        embedding_BE: torch.Tensor,
        tokens_BKC: torch.Tensor | None,
        feature_BCHW: torch.Tensor | None,
    ) -> torch.Tensor:
        """Returns [B, C, H, W]."""
        for index, block in enumerate(self.blocks):
            h_BCHW = block(h_BCHW, embedding_BE)
            if self.to_self:
                h_BCHW = self.to_self[index](h_BCHW, None, tokens_BKC)
            if self.to_garment:
                h_BCHW = self.to_garment[index](h_BCHW, feature_BCHW, None)
        return h_BCHW


def _space_to_depth(x_BCHW: torch.Tensor, factor: int) -> torch.Tensor:
    return F.pixel_unshuffle(x_BCHW, factor) if factor > 1 else x_BCHW
