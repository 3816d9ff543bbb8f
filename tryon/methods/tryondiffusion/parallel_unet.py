"""The Parallel-UNet of TryOnDiffusion (Zhu et al. 2023, arXiv 2306.08276, section 3.2, Figure 2, appendix A.1).

Two U-Nets side by side (`branches`). The person branch takes the noised picture with everything known about the
person; the garment branch takes the garment's cut-out, and its decoder stops at the finest level where the person
branch attends to it. Poses of both photos act twice: pooled into the vector that modulates every block (FiLM), and as
extra tokens in the self-attention.

A garment that is left out (for guidance) is left out here: its features are zeros. So nothing has to be computed for
it, and the cross-attention adds no more than its bias.

Differs from the paper, each by a setting: one skip per level, no convolution on a block's shortcut, a space-to-depth
stem, a garment branch that does not see the diffusion time (its features are then computed once per picture),
position codes in the attention, and further person channels, which are the stage's choice. Without a setting: both
poses share one linear layer, to whose output a vector per joint is added.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import nn

from tryon.config import NetworkConfig
from tryon.methods.tryondiffusion.branches import GarmentBranch, GarmentLevel, PersonBranch, PersonLevel
from tryon.methods.tryondiffusion.layers import AttentionPool, fourier_codes
from tryon.methods.tryondiffusion.places import garment_to_person
from tryon.ontology import KEYPOINT_NAMES


class ParallelUNet(nn.Module):
    """Denoiser of a person picture, conditioned on a garment and on both poses.

    Args:
        cfg: width, depth, attention, see `NetworkConfig`.
        person_channels: channels of the person branch's input.
    """

    def __init__(self, cfg: NetworkConfig, person_channels: int) -> None:
        super().__init__()
        self.sees_time = cfg.garment_sees_time
        self.is_pose_aligned = cfg.attention_positions == "pose"
        self.embedding = Embedding(cfg.embedding_channels, cfg.head_channels)
        self.garment = GarmentBranch(cfg)
        self.person = PersonBranch(cfg, person_channels)

    @property
    def stride(self) -> int:
        """Height and width of a picture have to be multiples of this."""
        return self.person.stride

    def set_checkpointing(self, is_on: bool) -> None:
        """Trade time for memory in training: keep only what goes into each block, compute the rest a second time."""
        for module in self.modules():
            if isinstance(module, GarmentLevel | PersonLevel):
                module.recomputes = is_on

    def garment_features(
        self,
        garment_B4HW: torch.Tensor,
        person_keypoints_BK3: torch.Tensor,
        garment_keypoints_BK3: torch.Tensor,
        t_B: torch.Tensor,
        level_B: torch.Tensor,
        num_garments: int | None = None,
    ) -> dict[int, torch.Tensor]:
        """Feature maps of the garment by level, for `forward`; the same at every t unless `sees_time`.

        Args: as those of `forward`.

        Returns:
            Maps [R, C, h, w] of the first R = num_garments samples (None: of all).
        """
        pose_BE, _ = self.embedding.pose(person_keypoints_BK3, garment_keypoints_BK3)
        embedding_BE = self.embedding(pose_BE, t_B if self.sees_time else None, level_B)
        return self.garment(garment_B4HW[:num_garments], embedding_BE)

    def forward(
        self,
        person_BCHW: torch.Tensor,
        garment_B4HW: torch.Tensor,
        person_keypoints_BK3: torch.Tensor,
        garment_keypoints_BK3: torch.Tensor,
        t_B: torch.Tensor,
        level_B: torch.Tensor,
        is_null_B: torch.Tensor | None = None,
        num_garments: int | None = None,
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
            is_null_B: true where the garment is left out; its branch is computed all the same, and dropped. For
                training: which samples these are changes no shape, and every weight gets a gradient.
            num_garments: only so many samples, the first, have a garment; nothing is computed of the others'. The
                output equals that under is_null_B.
            features: what `garment_features` gave for the first samples, the others have no garment; None: they are
                computed here.

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
            features = self.garment(garment_B4HW[:num_garments], garment_BE)
            if is_null_B is not None:
                features = {level: _nulled(map_BCHW, is_null_B) for level, map_BCHW in features.items()}
        garment_to_person_B23 = (
            garment_to_person(person_keypoints_BK3, garment_keypoints_BK3) if self.is_pose_aligned else None
        )
        return self.person(person_BCHW, embedding_BE, tokens_BKE, features, garment_to_person_B23).float()


def _nulled(map_BCHW: torch.Tensor, is_null_B: torch.Tensor) -> torch.Tensor:
    return map_BCHW * (~is_null_B).to(map_BCHW.dtype)[:, None, None, None]


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
