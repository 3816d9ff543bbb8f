"""Each protocol's numbers once more, by calling the reference packages themselves as the public code does.

Written against the files named in each docstring, without anything of `tryon`. Where those read a GPU or fetch
weights, the tests put the CPU and seeded stand-ins (`served_from`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cleanfid.fid
import lpips
import numpy as np
import pytest
import pytorch_fid.fid_score
import pytorch_fid.inception
import torch
import torch_fidelity
import torchvision
from PIL import Image
from skimage.metrics import structural_similarity
from torchmetrics.image import StructuralSimilarityIndexMeasure
from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
from torchvision import transforms

CPU = torch.device("cpu")
FIRST_BLOCK = 64  # features of Inception's first block: the whole network's 2 048 would cost minutes per distance
QUIET = {"num_workers": 0, "device": CPU, "verbose": False, "use_dataparallel": False}


def served_from(
    monkeypatch: pytest.MonkeyPatch,
    backbones: dict[str, dict[str, torch.Tensor]],
    inception: Callable[[torch.Tensor], torch.Tensor],
    home: Path,
) -> None:
    """Let the packages "download" the stand-ins, and clean-fid keep its statistics in a folder of the test."""

    def fetch(url: str, *_args: object, **_kwargs: object) -> dict[str, torch.Tensor]:
        return next(state for name, state in backbones.items() if name in url)

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", fetch)
    monkeypatch.setattr(pytorch_fid.inception, "load_state_dict_from_url", fetch)
    monkeypatch.setattr(cleanfid.fid, "build_feature_extractor", lambda *_args, **_kwargs: inception)
    monkeypatch.setattr(cleanfid, "__file__", str(home / "cleanfid.py"))


def catvton(results: Path, truths: Path, work: Path) -> dict[str, float]:
    """Zheng-Chong/CatVTON eval.py @3d8b4d6: truths of another height are written anew under their own names."""
    height = Image.open(min(results.iterdir())).height
    if Image.open(min(truths.iterdir())).height != height:
        work.mkdir()
        for path in truths.iterdir():
            picture = Image.open(path)
            width = int(picture.width * height / picture.height)
            picture.resize((width, height), Image.Resampling.LANCZOS).save(work / path.name)
        truths = work
    ssim = StructuralSimilarityIndexMeasure(data_range=1.0)
    distance = LearnedPerceptualImagePatchSimilarity(net_type="squeeze")
    as_tensor = transforms.ToTensor()
    pairs = [
        tuple(as_tensor(Image.open(folder / path.name)) for folder in (truths, results))
        for path in sorted(results.iterdir())
    ]
    found: dict[str, list[float]] = {"ssim": [], "lpips": []}
    with torch.no_grad():
        for start in range(0, len(pairs), 8):
            true_B3HW, made_B3HW = (torch.stack(side) for side in zip(*pairs[start : start + 8], strict=True))
            found["ssim"].append(ssim(made_B3HW, true_B3HW).item())
            found["lpips"].append(distance(2 * true_B3HW - 1, 2 * made_B3HW - 1).item())
    return {
        **{name: float(np.mean(values)) for name, values in found.items()},
        "fid": cleanfid.fid.compute_fid(str(truths), str(results), **QUIET),
        "kid": 1000 * cleanfid.fid.compute_kid(str(truths), str(results), **QUIET),
    }


def ladi(results: Path, truths: Path, work: Path) -> dict[str, float]:
    """miccunifi/ladi-vton src/utils/{val_metrics,generate_fid_stats}.py @78aa9c0: all at 512x384, sets as they lie."""
    work.mkdir()
    cleanfid.fid.make_custom_stats("vitonhd_all", str(truths), mode="clean", device=CPU, verbose=False)
    custom = {"dataset_name": "vitonhd_all", "dataset_split": "custom", "mode": "clean"}
    as_tensor = transforms.Compose([transforms.Resize((512, 384)), transforms.ToTensor()])
    ssim = StructuralSimilarityIndexMeasure(data_range=1.0)
    distance = LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True)
    with torch.no_grad():
        for path in sorted(results.iterdir()):
            sides = [as_tensor(Image.open(folder / path.name).convert("RGB"))[None] for folder in (results, truths)]
            ssim.update(*sides)
            distance.update(*sides)
        return {
            "ssim": ssim.compute().item(),
            "lpips": distance.compute().item(),
            "fid": cleanfid.fid.compute_fid(str(results), **custom, **QUIET),
            "kid": cleanfid.fid.compute_kid(str(results), **custom, **QUIET),
        }


def hrviton(results: Path, truths: Path, work: Path) -> dict[str, float]:
    """sangyun884/HR-VITON evaluate.py @9cee841 at 256: truth in memory, grey SSIM, LPIPS of 128x128."""
    small = transforms.Compose(
        [transforms.Resize((128, 128)), transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)]
    )
    network = lpips.LPIPS(net="alex", verbose=False)
    values, distances = [], []
    for path in sorted(results.iterdir()):
        made = Image.open(path)
        true = Image.open(truths / (path.name.split("_")[0] + "_00.jpg")).resize((192, 256), Image.Resampling.BILINEAR)
        greys = [np.asarray(picture.convert("L")) for picture in (true, made)]
        values.append(structural_similarity(*greys, data_range=255, gaussian_weights=True, use_sample_covariance=False))
        with torch.no_grad():
            distances.append(network(small(true)[None], small(made)[None]).item())
    return {"ssim": float(np.mean(values)), "lpips": float(np.mean(distances))}


def dci(results: Path, truths: Path, work: Path) -> dict[str, float]:
    """bcmi/DCI-VTON issue 37: HR-VITON's file for SSIM and LPIPS, torch-fidelity for FID and KID."""
    work.mkdir()
    for path in truths.iterdir():  # as the same file resizes them; lossless, since it keeps them in memory
        resized = Image.open(path).resize((192, 256), Image.Resampling.BILINEAR)
        resized.save(work / f"{path.stem}.png")
    found = torch_fidelity.calculate_metrics(
        input1=str(results), input2=str(work), cuda=False, fid=True, kid=True, kid_subset_size=10, verbose=False,
        cache=False, feature_layer_fid=str(FIRST_BLOCK), feature_layer_kid=str(FIRST_BLOCK),
        feature_extractor_weights_path=str(dci.weights), save_cpu_ram=True,  # type: ignore[attr-defined]
    )  # fmt: skip
    sets = {"fid": found["frechet_inception_distance"], "kid": found["kernel_inception_distance_mean"]}
    return {**hrviton(results, truths, work), **sets}


def tpd(results: Path, truths: Path, work: Path) -> dict[str, float]:
    """Gal4way/TPD utils/generate_GT.py and calculate_metrics @de892ba: truths written anew at 512x384, pytorch-fid.

    LPIPS as PerceptualSimilarity's lpips_2dirs.py, which reads files with OpenCV.
    """
    work.mkdir()
    for path in truths.iterdir():
        Image.open(path).convert("RGB").resize((384, 512), Image.Resampling.BILINEAR).save(work / path.name)
    network = lpips.LPIPS(net="alex", version="0.1", verbose=False)
    values, distances = [], []
    for path in sorted(results.iterdir()):
        files = [work / path.name, path]
        greys = [np.asarray(Image.open(file).convert("L")) for file in files]
        values.append(structural_similarity(*greys, data_range=255, gaussian_weights=True, use_sample_covariance=False))
        with torch.no_grad():
            distances.append(network(*(lpips.im2tensor(lpips.load_image(str(file))) for file in files)).item())
    fid = pytorch_fid.fid_score.calculate_fid_given_paths([str(results), str(work)], 50, "cpu", FIRST_BLOCK, 0)
    return {"ssim": float(np.mean(values)), "lpips": float(np.mean(distances)), "fid": float(fid)}


def tryon(results: Path, truths: Path, work: Path) -> dict[str, float]:
    """Our own: scikit-image, lpips and clean-fid on PNG files of one size (nothing is resized or written anew)."""
    network = lpips.LPIPS(net="alex", verbose=False)
    found: dict[str, list[float]] = {"psnr": [], "ssim": [], "lpips": []}
    for path in sorted(results.iterdir()):
        made, true = (np.asarray(Image.open(folder / path.name).convert("RGB")) for folder in (results, truths))
        found["psnr"].append(10 * np.log10(255**2 / np.mean((made.astype(float) - true) ** 2)))
        found["ssim"].append(
            structural_similarity(
                true / 255, made / 255, channel_axis=-1, data_range=1, gaussian_weights=True, sigma=1.5,
                use_sample_covariance=False,
            )
        )  # fmt: skip
        with torch.no_grad():
            found["lpips"].append(network(lpips.im2tensor(made), lpips.im2tensor(true)).item())
    features = [
        cleanfid.fid.get_folder_features(
            str(folder), cleanfid.fid.build_feature_extractor("clean"), num_workers=0, device=CPU, verbose=False
        )
        for folder in (truths, results)
    ]
    np.random.seed(0)
    return {
        **{name: float(np.mean(values)) for name, values in found.items()},
        "fid": cleanfid.fid.compute_fid(str(truths), str(results), **QUIET),
        "kid": cleanfid.fid.kernel_distance(*features, num_subsets=100, max_subset_size=len(features[0]) // 2),
    }
