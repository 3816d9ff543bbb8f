"""Building blocks of the Parallel-UNet: FiLM residual block, attention, attention pooling, resampling.

Letters: B sample, C/D channels, H/W feature map, N tokens, E width of the embedding.
"""

from __future__ import annotations

import math
from typing import TypeVar

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import nn

from tryon.methods.tryondiffusion.places import cell_places

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)

MAX_GROUPS = 32
MIN_GROUP_CHANNELS = 4
MIN_SAMPLES = 16  # see `dense`


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation in at most 32 groups of at least 4 channels."""
    groups = min(MAX_GROUPS, channels // MIN_GROUP_CHANNELS)
    while channels % groups:
        groups -= 1
    return nn.GroupNorm(groups, channels)


def zeroed(module: Layer) -> Layer:
    """The module with zero weights: a residual branch that starts as nothing (Ho et al. 2020, their code)."""
    nn.init.zeros_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return module


class Pointwise(nn.Conv2d):
    """A 1x1 convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Returns [B, out_channels, H, W]."""
        if not _is_channels_last_on_cpu(x_BCHW):
            return super().forward(x_BCHW)
        return dense(x_BCHW.permute(0, 2, 3, 1), self.weight, self.bias).permute(0, 3, 1, 2)


def dense(rows_MC: torch.Tensor, weight_DC11: torch.Tensor, bias_D: torch.Tensor | None) -> torch.Tensor:
    """A matrix product [..., C] -> [..., D], computed as a convolution of many small pictures.

    On AMD's processors oneDNN's convolutions run at twice the rate of MKL's products (measured: torch 2.13, AVX-512),
    but PyTorch gives oneDNN a 1x1 convolution on one thread only where it has 16 samples or more.
    """
    num = rows_MC.numel() // rows_MC.shape[-1]
    width = next((width for width in range(32, 1, -1) if num % width == 0 and num // width >= MIN_SAMPLES), 1)
    pictures_BC1W = rows_MC.reshape(-1, 1, width, rows_MC.shape[-1]).permute(0, 3, 1, 2)
    out_BD1W = F.conv2d(pictures_BC1W, weight_DC11, bias_D)
    return out_BD1W.permute(0, 2, 3, 1).reshape(*rows_MC.shape[:-1], len(weight_DC11))


def _densely(layer: nn.Linear, rows_MC: torch.Tensor) -> torch.Tensor:
    return dense(rows_MC, layer.weight[:, :, None, None], layer.bias)


def _is_channels_last_on_cpu(x_BCHW: torch.Tensor) -> bool:
    is_channels_last = x_BCHW.is_contiguous(memory_format=torch.channels_last) and not x_BCHW.is_contiguous()
    return is_channels_last and x_BCHW.device.type == "cpu"


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
        self.skip = nn.Identity() if is_plain else Pointwise(in_channels, out_channels)

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
        self,
        x_BCHW: torch.Tensor,
        map_RDHW: torch.Tensor | None,
        tokens_BMC: torch.Tensor | None,
        places_BN2: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Attend.

        Args:
            x_BCHW: the features that ask.
            map_RDHW: the features that answer; None: x_BCHW itself. Samples beyond the R-th get what a map of zeros
                would answer: the values are zeros, so all that remains is the bias.
            tokens_BMC: further tokens that answer, of the map's width; not with fewer maps than samples.
            places_BN2: where each cell of the map counts as lying; None: where it lies on its canvas.
        """
        if map_RDHW is not None and len(map_RDHW) < len(x_BCHW):
            num = len(map_RDHW)
            nothing_1C11 = self.to_out(x_BCHW.new_zeros(1, x_BCHW.shape[1]))[:, :, None, None]
            places_RN2 = None if places_BN2 is None else places_BN2[:num]
            return torch.cat([self(x_BCHW[:num], map_RDHW, None, places_RN2), x_BCHW[num:] + nothing_1C11])
        size_hw = x_BCHW.shape[-2:]
        normed_BNC = self.norm(x_BCHW).flatten(2).transpose(1, 2)
        queries_BNC = normed_BNC
        values_BND = normed_BNC if map_RDHW is None else map_RDHW.flatten(2).transpose(1, 2)
        keys_BND = values_BND
        if self.positions:
            queries_BNC = queries_BNC + position_codes(cell_places(size_hw, x_BCHW.device), queries_BNC)
            if places_BN2 is None:
                places_BN2 = cell_places(size_hw if map_RDHW is None else map_RDHW.shape[-2:], x_BCHW.device)
            keys_BND = keys_BND + position_codes(places_BN2, keys_BND)
        if tokens_BMC is not None:
            keys_BND = torch.cat([keys_BND, tokens_BMC.to(keys_BND.dtype)], dim=1)
            values_BND = torch.cat([values_BND, tokens_BMC.to(values_BND.dtype)], dim=1)
        apply = _densely if _is_channels_last_on_cpu(x_BCHW) else nn.Linear.__call__
        q, k, v = apply(self.to_q, queries_BNC), apply(self.to_k, keys_BND), apply(self.to_v, values_BND)
        attended = attend(self._split(q), self._split(k), self._split(v))
        attended_BNC = attended.transpose(1, 2).flatten(2)
        return x_BCHW + apply(self.to_out, attended_BNC).transpose(1, 2).unflatten(2, size_hw)

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
        return self.to_out(attend(q[:, :, :1], k, v).transpose(1, 2).flatten(1))


def attend(q_BHNC: torch.Tensor, k_BHMC: torch.Tensor, v_BHMC: torch.Tensor) -> torch.Tensor:
    """Scaled dot-product attention, [B, heads H, N, C] of the queries' type; on a CPU computed in float32.

    There it is 4 times slower in bf16 (forward and backward of [16, 6, 48, 32] to 82 tokens: 13.7 against 3.3 ms on one
    thread of an AMD EPYC with AVX-512, torch 2.13).
    """
    if q_BHNC.device.type != "cpu" or q_BHNC.dtype not in (torch.bfloat16, torch.float16):
        return F.scaled_dot_product_attention(q_BHNC, k_BHMC, v_BHMC)
    with torch.autocast("cpu", enabled=False):
        attended_BHNC = F.scaled_dot_product_attention(q_BHNC.float(), k_BHMC.float(), v_BHMC.float())
    return attended_BHNC.to(q_BHNC.dtype)


class Downsample(nn.Module):
    """Half the height and width: space to depth, then a 1x1 convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4 * in_channels, out_channels, 1)

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Returns [B, out_channels, H / 2, W / 2]."""
        if not _is_channels_last_on_cpu(x_BCHW):
            return self.conv(F.pixel_unshuffle(x_BCHW, 2))
        # the same as one convolution, without the copy
        weight_DC22 = self.conv.weight.view(len(self.conv.weight), x_BCHW.shape[1], 2, 2)
        return F.conv2d(x_BCHW, weight_DC22, self.conv.bias, stride=2)


class Upsample(nn.Module):
    """Twice the height and width: a 1x1 convolution, then depth to space."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = Pointwise(in_channels, 4 * out_channels)

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Returns [B, out_channels, 2H, 2W]."""
        return F.pixel_shuffle(self.conv(x_BCHW), 2)


def fourier_codes(values: torch.Tensor, channels: int, max_frequency: float = 1000.0) -> torch.Tensor:
    """Sines and cosines of values in [0, 1] at geometric frequencies, [..., channels] (Vaswani et al. 2017)."""
    half = channels // 2
    exponents = torch.arange(half, dtype=torch.float32, device=values.device) / max(1, half - 1)
    angles = values.float()[..., None] * torch.exp(math.log(max_frequency) * exponents)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def position_codes(places: torch.Tensor, like_BNC: torch.Tensor) -> torch.Tensor:
    """Codes of places (y, x), [..., N, 2] in shares of the canvas, as wide and of the type of the tokens `like_BNC`."""
    channels = like_BNC.shape[-1]
    ys, xs = places.float().unbind(dim=-1)
    codes = torch.cat([fourier_codes(axis, channels // 2, max_frequency=4 * math.pi) for axis in (ys, xs)], dim=-1)
    return F.pad(codes, (0, channels - codes.shape[-1])).to(like_BNC.dtype)
