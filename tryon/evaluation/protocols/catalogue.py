"""The protocols by name: five of public code bases, and our own.

Facts are read from the files named in `source` at the commits given there; where those files are silent, `unknown`
says so. Nothing is copied from them.
"""

from __future__ import annotations

from tryon.evaluation.protocols.interface import (
    PILLOW_JPEG,
    PNG,
    Features,
    Fid,
    FileFormat,
    Kid,
    Lpips,
    Protocol,
    Resize,
    Ssim,
    Truth,
)

BILINEAR = Resize("Pillow", "bilinear")
MIN_PUBLISHED = 1000
"""The shortest public test lists have 1 500 to 2 032 pairs: a distance of far fewer pictures is none of theirs."""

CLEAN = Features("clean-fid", "inception_weights", "Pillow, bicubic, each channel as float", antialias=True)
CLEAN_FID = Fid("clean-fid", MIN_PUBLISHED)

TRYON = Protocol(
    name="tryon",
    title="Our own: PNG, area-averaged truths, colour SSIM, LPIPS-Alex at the results' size, KID with its spread",
    systems=("tryon",),
    source="docs/evaluation.md",
    truth=Truth(Resize("OpenCV", "area", keeps_aspect=True), "result", resaved=False),
    results=PNG,
    pasted_back=False,
    paired=("psnr", "ssim", "lpips", "fid", "kid"),
    unpaired=("psnr", "ssim", "lpips", "fid", "kid"),
    ssim=Ssim("scikit-image", "RGB", data_range=1),
    lpips=Lpips("lpips", "alex", "lpips_weights"),
    features=CLEAN,
    # of 2 048 features the covariance has no full rank below as many pictures
    fid=Fid("clean-fid", 2000),
    # unbiased at any number, but below 50 its spread is larger than the gaps between published methods
    kid=Kid("clean-fid", scale=1, min_pictures=50, subset_share=0.5),
    unknown=(
        "unpaired lists are compared with the true picture in the other garment where there is one, as the studio's",
    ),
)

CATVTON = Protocol(
    name="catvton",
    title="CatVTON's eval.py: LPIPS of SqueezeNet, clean-fid, truths re-saved as JPEG",
    systems=("CatVTON", "Leffa", "FastFit", "RefTon"),
    source="https://github.com/Zheng-Chong/CatVTON/blob/3d8b4d6452050600eeedc8eb3b0fb498dcaa1d70/eval.py",
    truth=Truth(Resize("Pillow", "lanczos"), "result height", resaved=True),
    results=PILLOW_JPEG,
    pasted_back=True,
    paired=("ssim", "lpips", "fid", "kid"),
    unpaired=("fid", "kid"),
    names="id8",
    ssim=Ssim("torchmetrics", "RGB", data_range=1),
    lpips=Lpips("torchmetrics", "squeeze", "lpips_squeeze_weights"),
    features=CLEAN,
    fid=CLEAN_FID,
    kid=Kid("clean-fid", scale=1000, min_pictures=MIN_PUBLISHED),
    unknown=(
        "whether truths are resized is decided there by one file of each folder, here by each file",
        "random subsets of KID are not seeded there",
    ),
)

LADI = Protocol(
    name="ladi",
    title="LaDI-VTON's val_metrics.py: everything at 512x384, FID and KID against the files as they lie",
    systems=("LaDI-VTON", "OOTDiffusion"),
    source="https://github.com/miccunifi/ladi-vton/blob/78aa9c024b844ee7f85d35ef878f28b72bea0729/src/utils/val_metrics.py",
    truth=Truth(BILINEAR, (512, 384), resaved=False, as_it_lies_in_sets=True),
    results=FileFormat("JPEG", 95, "4:2:0"),
    pasted_back=False,
    paired=("ssim", "lpips", "fid", "kid"),
    unpaired=("fid", "kid"),
    compared_hw=(512, 384),
    ssim=Ssim("torchmetrics", "RGB", data_range=1),
    lpips=Lpips("torchmetrics", "alex", "lpips_weights"),
    features=CLEAN,
    fid=CLEAN_FID,
    kid=Kid("clean-fid", scale=1, min_pictures=MIN_PUBLISHED),
    unknown=(
        "written for torchmetrics 0.11; computed by the version named beside the number",
        "random subsets of KID are not seeded there",
    ),
)

HRVITON = Protocol(
    name="hrviton",
    title="HR-VITON's evaluate.py: grey SSIM, LPIPS-Alex at 128x128; no FID or KID in the public code",
    systems=("HR-VITON", "StableVITON"),
    source="https://github.com/sangyun884/HR-VITON/blob/9cee841777c60db83d8c6735eb03682907c00db4/evaluate.py",
    truth=Truth(BILINEAR, "result", resaved=False),
    results=PNG,
    pasted_back=False,
    paired=("ssim", "lpips"),
    unpaired=(),
    result_sizes=((1024, 768), (512, 384), (256, 192)),
    names="before_underscore",
    ssim=Ssim("scikit-image", "grey", data_range=255),
    lpips=Lpips("lpips", "alex", "lpips_weights", size_hw=(128, 128)),
    unknown=("how the FID and KID of the papers were computed is not public (HR-VITON issue 23)",),
)

DCI = Protocol(
    name="dci",
    title="DCI-VTON: SSIM and LPIPS as HR-VITON, FID and KID by torch-fidelity",
    systems=("DCI-VTON",),
    source="https://github.com/bcmi/DCI-VTON-Virtual-Try-On/issues/37",
    truth=HRVITON.truth,
    results=PNG,
    pasted_back=True,
    paired=("ssim", "lpips"),
    unpaired=("fid", "kid"),
    result_sizes=HRVITON.result_sizes,
    names="before_underscore",
    ssim=HRVITON.ssim,
    lpips=HRVITON.lpips,
    features=Features(
        "torch-fidelity", "fid_inception_weights", "bilinear as in TensorFlow 1, in the network", antialias=False
    ),
    fid=Fid("torch-fidelity", MIN_PUBLISHED),
    kid=Kid("torch-fidelity", scale=1, min_pictures=1000),
    unknown=(
        "only an answer of the authors is public, no code; the package's defaults are used",
        "whether FID saw resized truths is not said; here it sees those that SSIM sees",
    ),
)

TPD = Protocol(
    name="tpd",
    title="TPD's calculate_metrics: truths re-saved at 512x384, pytorch-fid on the unpaired list",
    systems=("TPD",),
    source="https://github.com/Gal4way/TPD/tree/de892ba4af454f1e084dbb1020aa2581c31917d7/calculate_metrics",
    truth=Truth(BILINEAR, (512, 384), resaved=True),
    results=PILLOW_JPEG,
    pasted_back=True,
    paired=("ssim", "lpips"),
    unpaired=("fid",),
    result_sizes=((512, 384),),
    ssim=Ssim("scikit-image", "grey", data_range=255),
    lpips=Lpips("lpips", "alex", "lpips_weights"),
    features=Features(
        "pytorch-fid", "fid_inception_weights", "torch.nn.functional.interpolate, bilinear", antialias=False
    ),
    fid=Fid("pytorch-fid", MIN_PUBLISHED),
    unknown=("it has no KID",),
)

PROTOCOLS = {protocol.name: protocol for protocol in (TRYON, CATVTON, LADI, HRVITON, DCI, TPD)}
