"""GPUs that a plan can be made for: memory, and peak rates of dense arithmetic as their makers state them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """One kind of GPU.

    Attributes:
        memory_gib: as torch reports it, a little less than is printed on the box.
        half_tflops: 10^12 operations per second of bf16 (fp16) tensor cores, without sparsity.
        single_tflops: the same for float32 as torch runs convolutions by default: TF32 where the GPU has it.
        has_bf16: whether it has bf16 tensor cores.
        source: where the rates are from.
    """

    memory_gib: float
    half_tflops: float
    single_tflops: float
    has_bf16: bool
    source: str


GPUS = {
    "b200": Gpu(178, 2250, 1125, True, "NVIDIA DGX B200 datasheet: an eighth of the system, half of the sparse rate"),
    "h200": Gpu(139, 989, 494, True, "NVIDIA H200 datasheet (SXM), half of the sparse rate"),
    "h100": Gpu(79, 989, 494, True, "NVIDIA H100 datasheet (SXM), half of the sparse rate"),
    "h100_pcie": Gpu(79, 756, 378, True, "NVIDIA H100 datasheet (PCIe), half of the sparse rate"),
    "a100": Gpu(79, 312, 156, True, "NVIDIA A100 80GB datasheet"),
    "a100_40": Gpu(39, 312, 156, True, "NVIDIA A100 40GB datasheet"),
    "l40s": Gpu(44, 362, 183, True, "NVIDIA L40S datasheet, half of the sparse rate"),
    "a10": Gpu(22, 125, 62, True, "NVIDIA A10 datasheet"),
    "rtx4090": Gpu(23, 165, 83, True, "NVIDIA Ada GPU architecture whitepaper, appendix A (float32 accumulation)"),
    "v100": Gpu(31, 125, 15.7, False, "NVIDIA V100 datasheet (SXM2 32GB)"),
}
"""By the name that `tryon plan --gpu` and `cluster.gpu_model` give."""
