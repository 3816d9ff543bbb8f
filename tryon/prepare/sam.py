"""segment-anything models by name: Meta's three, and the reduced one that ships with the project.

`tryon_small` is built from the same classes (Kirillov et al. 2023, "Segment Anything", §3 and appendix A) with a
smaller encoder and decoder. Its patches are 8 px and not 16: the decoder makes masks at a quarter of the patch
size, and 2 px of a 256 px picture is what a garment's outline needs. It answers with one mask per prompt, since box,
points and a mask together leave nothing ambiguous. `tryon fit-segmenter` trains it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import nn

from tryon.errors import UserError

SMALL = "tryon_small"
MODEL_TYPES = ("vit_h", "vit_l", "vit_b", SMALL)
SHOWN_KEYS = 2  # of a mismatched state dict in an error message


@dataclass(frozen=True)
class Architecture:
    """Sizes of a reduced Sam."""

    image_px: int = 256  # the encoder's square input
    patch_px: int = 8
    encoder_dim: int = 128
    encoder_depth: int = 4
    encoder_heads: int = 2
    window: int = 8  # patches per side of an attention window
    global_layers: tuple[int, ...] = (2,)  # encoder blocks that attend to the whole picture
    prompt_dim: int = 64  # of picture and prompt embeddings in the decoder
    mask_channels: int = 16  # hidden channels of the mask prompt's encoder
    decoder_depth: int = 2
    decoder_heads: int = 4
    mlp_ratio: int = 4


def build_small(arch: Architecture | None = None) -> Sam:
    """A reduced Sam with random weights, in evaluation mode."""
    arch = arch or Architecture()
    grid = arch.image_px // arch.patch_px
    return Sam(
        image_encoder=ImageEncoderViT(
            img_size=arch.image_px,
            patch_size=arch.patch_px,
            embed_dim=arch.encoder_dim,
            depth=arch.encoder_depth,
            num_heads=arch.encoder_heads,
            mlp_ratio=arch.mlp_ratio,
            out_chans=arch.prompt_dim,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            window_size=arch.window,
            global_attn_indexes=arch.global_layers,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=arch.prompt_dim,
            image_embedding_size=(grid, grid),
            input_image_size=(arch.image_px, arch.image_px),
            mask_in_chans=arch.mask_channels,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=0,
            transformer=TwoWayTransformer(
                depth=arch.decoder_depth,
                embedding_dim=arch.prompt_dim,
                num_heads=arch.decoder_heads,
                mlp_dim=arch.mlp_ratio * arch.prompt_dim,
            ),
            transformer_dim=arch.prompt_dim,
            iou_head_depth=2,
            iou_head_hidden_dim=arch.prompt_dim,
        ),
    ).eval()


def load(model_type: str, path: Path, device: str = "cpu") -> Sam:
    """A model with the weights of a file.

    Args:
        model_type: one of `MODEL_TYPES`.
        path: state dict as Meta publishes it or as `tryon fit-segmenter` writes it (tensors only, any float type).
        device: torch device.

    Returns:
        The model in evaluation mode with float32 weights.

    Raises:
        UserError: the file holds no state dict, or one of another architecture.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the unpickler fail in any way, KeyError included
        raise UserError(
            f"cutouts.checkpoint: {path} is damaged or not a file of weights ({type(error).__name__}); expected "
            "a state dict, Meta's sam_vit_b_01ec64.pth or the output of `tryon fit-segmenter`: fetch or make it again"
        ) from None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise UserError(
            f"cutouts.checkpoint: {path} holds {type(state).__name__}, not a state dict of tensors; save "
            "`model.state_dict()` alone"
        )
    _check_architecture(state, model_type, path)
    sam = _build(model_type)
    sam.load_state_dict(state)  # casts fp16 on disk to the model's float32
    return sam.to(device).eval()


def _build(model_type: str) -> Sam:
    return build_small() if model_type == SMALL else sam_model_registry[model_type]()


def _check_architecture(state: dict[str, torch.Tensor], model_type: str, path: Path) -> None:
    with torch.device("meta"):  # names and shapes without the gigabytes behind them
        wanted = {key: tuple(value.shape) for key, value in _build(model_type).state_dict().items()}
    found = {key: tuple(value.shape) for key, value in state.items()}
    if wanted == found:
        return
    differing = [
        f"{key}: {found.get(key, 'absent')} instead of {wanted.get(key, 'absent')}"
        for key in sorted(wanted.keys() | found.keys())
        if wanted.get(key) != found.get(key)
    ]
    shown = "; ".join(differing[:SHOWN_KEYS])
    raise UserError(
        f"cutouts.checkpoint: {path} does not fit cutouts.model_type {model_type} ({len(differing)} of {len(wanted)} "
        f"tensors differ: {shown}); set the model_type that the file was made for ({', '.join(MODEL_TYPES)}), or "
        "give that type's file"
    )
