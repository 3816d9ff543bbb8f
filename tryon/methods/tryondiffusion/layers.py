"""Building blocks of the Parallel-UNet: FiLM residual block, attention, attention pooling, resampling.

Letters: B sample, C/D channels, H/W feature map, N tokens, E width of the embedding.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import nn

MAX_GROUPS = 32
MIN_GROUP_CHANNELS = 4


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation in at most 32 groups of at least 4 channels."""
    groups = min(MAX_GROUPS, channels // MIN_GROUP_CHANNELS)
    while channels % groups:
        groups -= 1
    return nn.GroupNorm(groups, channels)


def zeroed(module: nn.Conv2d | nn.Linear) -> nn.Conv2d | nn.Linear:
    """The module with zero weights: a residual branch that starts as nothing (Ho et al. 2020, their code)."""
    nn.init.zeros_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return module


class ResBlock(nn.Module):
    """Two 3x3 convolutions around FiLM: h (1 + gamma) + beta, one gamma and one beta per channel.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        embedding_channels: of the vector that gamma and beta are made from.
        convolves_shortcut: 1x1 convolution on the shortcut, as in the paper's appendix A.1; it is there in any case
            where the numbers of channels differ.
    """

    def __init__(
        self, in_channels: int, out_channels: int, embedding_channels: int, *, convolves_shortcut: bool = False
    ) -> None:
        super().__init__()
        self.norm_in = group_norm(in_channels)
        self.conv_in = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.film = nn.Linear(embedding_channels, 2 * out_channels)
        self.norm_out = group_norm(out_channels)
        self.conv_out = zeroed(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        is_plain = in_channels == out_channels and not convolves_shortcut
        self.skip = nn.Identity() if is_plain else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x_BCHW: torch.Tensor, embedding_BE: torch.Tensor) -> torch.Tensor:
        """Returns [B, out_channels, H, W]; the embedding may go on with samples that x leaves out."""
        h = self.conv_in(F.silu(self.norm_in(x_BCHW)))
        # all rows, then a part: a product of few rows rounds by how many they are, and no bit may depend on that
        film_BD = self.film(embedding_BE)[: len(x_BCHW)]
        gamma_BD11, beta_BD11 = film_BD[:, :, None, None].chunk(2, dim=1)
        h = torch.addcmul(beta_BD11, self.norm_out(h), 1 + gamma_BD11)
        return self.skip(x_BCHW) + self.conv_out(F.silu(h))


class Attention(nn.Module):
    """Multi-head attention from a feature map to tokens, added to the un-normalised map."""

    def __init__(self, channels: int, context_channels: int, head_channels: int, *, positions: bool) -> None:
        super().__init__()
        self.num_heads = max(1, channels // head_channels)
        self.positions = positions
        self.norm = group_norm(channels)
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context_channels, channels, bias=False)
        self.to_v = nn.Linear(context_channels, channels, bias=False)
        self.to_out = zeroed(nn.Linear(channels, channels))

    def forward(
        self, x_BCHW: torch.Tensor, map_RDHW: torch.Tensor | None, tokens_BMC: torch.Tensor | None
    ) -> torch.Tensor:
        """Attend.

        Args:
            x_BCHW: the features that ask.
            map_RDHW: the features that answer; None: x_BCHW itself. Samples beyond the R-th get what a map of zeros
                would answer: the values are zeros, so all that remains is the bias.
            tokens_BMC: further tokens that answer, of the map's width; not with fewer maps than samples.
        """
        if map_RDHW is not None and len(map_RDHW) < len(x_BCHW):
            num = len(map_RDHW)
            nothing_1C11 = self.to_out(x_BCHW.new_zeros(1, x_BCHW.shape[1]))[:, :, None, None]
            return torch.cat([self(x_BCHW[:num], map_RDHW, None), x_BCHW[num:] + nothing_1C11])
        size_hw = x_BCHW.shape[-2:]
        normed_BNC = self.norm(x_BCHW).flatten(2).transpose(1, 2)
        queries_BNC = normed_BNC
        values_BND = normed_BNC if map_RDHW is None else map_RDHW.flatten(2).transpose(1, 2)
        keys_BND = values_BND
        if self.positions:
            queries_BNC = queries_BNC + position_codes(size_hw, x_BCHW.shape[1], x_BCHW)
            key_hw = size_hw if map_RDHW is None else map_RDHW.shape[-2:]
            keys_BND = keys_BND + position_codes(key_hw, values_BND.shape[-1], x_BCHW)
        if tokens_BMC is not None:
            keys_BND = torch.cat([keys_BND, tokens_BMC.to(keys_BND.dtype)], dim=1)
            values_BND = torch.cat([values_BND, tokens_BMC.to(values_BND.dtype)], dim=1)
        q, k, v = self.to_q(queries_BNC), self.to_k(keys_BND), self.to_v(values_BND)
        attended = F.scaled_dot_product_attention(self._split(q), self._split(k), self._split(v))
        attended_BNC = attended.transpose(1, 2).flatten(2)
        return x_BCHW + self.to_out(attended_BNC).transpose(1, 2).unflatten(2, size_hw)

    def _split(self, tokens_BNC: torch.Tensor) -> torch.Tensor:
        return tokens_BNC.reshape(*tokens_BNC.shape[:2], self.num_heads, -1).transpose(1, 2)


class AttentionPool(nn.Module):
    """Tokens to one vector: the mean token asks all of them (Radford et al. 2021, CLIP, section 2.4)."""

    def __init__(self, channels: int, head_channels: int) -> None:
        super().__init__()
        self.num_heads = max(1, channels // head_channels)
        self.norm = nn.LayerNorm(channels)
        self.to_qkv = nn.Linear(channels, 3 * channels)
        self.to_out = nn.Linear(channels, channels)

    def forward(self, tokens_BNE: torch.Tensor) -> torch.Tensor:
        """Returns [B, E]."""
        tokens = self.norm(tokens_BNE)
        tokens = torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)
        q, k, v = (
            part.unflatten(2, (self.num_heads, -1)).transpose(1, 2) for part in self.to_qkv(tokens).chunk(3, dim=2)
        )
        return self.to_out(F.scaled_dot_product_attention(q[:, :, :1], k, v).transpose(1, 2).flatten(1))


class Downsample(nn.Module):
    """Half the height and width: space to depth, then a 1x1 convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4 * in_channels, out_channels, 1)

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Returns [B, out_channels, H / 2, W / 2]."""
        return self.conv(F.pixel_unshuffle(x_BCHW, 2))


class Upsample(nn.Module):
    """Twice the height and width: a 1x1 convolution, then depth to space."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4 * out_channels, 1)

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Returns [B, out_channels, 2H, 2W]."""
        return F.pixel_shuffle(self.conv(x_BCHW), 2)


def fourier_codes(values: torch.Tensor, channels: int, max_frequency: float = 1000.0) -> torch.Tensor:
    """Sines and cosines of values in [0, 1] at geometric frequencies, [..., channels] (Vaswani et al. 2017)."""
    half = channels // 2
    exponents = torch.arange(half, dtype=torch.float32, device=values.device) / max(1, half - 1)
    angles = values.float()[..., None] * torch.exp(math.log(max_frequency) * exponents)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def position_codes(size_hw: tuple[int, int] | torch.Size, channels: int, like: torch.Tensor) -> torch.Tensor:
    """Codes [H * W, channels] of each cell's place, the same for person and garment canvas."""
    height, width = size_hw
    ys = (torch.arange(height, device=like.device) + 0.5) / height
    xs = (torch.arange(width, device=like.device) + 0.5) / width
    half = channels // 2
    rows_HC = fourier_codes(ys, half, max_frequency=4 * math.pi)
    columns_WC = fourier_codes(xs, half, max_frequency=4 * math.pi)
    codes_HWC = torch.cat([rows_HC[:, None].expand(-1, width, -1), columns_WC[None].expand(height, -1, -1)], dim=-1)
    codes_HWC = F.pad(codes_HWC, (0, channels - codes_HWC.shape[-1]))
    return codes_HWC.flatten(0, 1).to(like.dtype)
