"""What a protocol declares. A number is comparable with another only where all of this is the same.

Objects here hold no code and import nothing heavy; `prepare`, `similarity`, `features` and `distances` follow them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Size = tuple[int, int]
Package = Literal["clean-fid", "pytorch-fid", "torch-fidelity"]
Weights = Literal["lpips_weights", "lpips_squeeze_weights", "inception_weights", "fid_inception_weights"]
"""Names of settings: `evaluate.NAME`, with its digest in the setting of the same name on `_sha256`."""


@dataclass(frozen=True)
class FileFormat:
    """What a picture loses on its way through a file.

    Attributes:
        name: of Pillow's format.
        quality: JPEG quality; None: lossless.
        subsampling: of chroma; None: lossless.
    """

    name: Literal["PNG", "JPEG"]
    quality: int | None = None
    subsampling: Literal["4:2:0"] | None = None


PNG = FileFormat("PNG")
PILLOW_JPEG = FileFormat("JPEG", 75, "4:2:0")
"""What `Image.save("x.jpg")` writes without further arguments (Pillow's documentation: quality 75)."""


@dataclass(frozen=True)
class Resize:
    """How a picture changes its size.

    Attributes:
        library: that does it.
        filter: its name there. Pillow's filters widen when they shrink, so they all antialias.
        antialias: whether shrinking averages what it drops.
        keeps_aspect: borders are added rather than the picture stretched.
    """

    library: Literal["Pillow", "OpenCV"]
    filter: Literal["lanczos", "bilinear", "area"]
    antialias: bool = True
    keeps_aspect: bool = False


@dataclass(frozen=True)
class Truth:
    """What is done to the true pictures before anything is compared.

    Attributes:
        resize: how they get to `size_hw`.
        size_hw: height and width; "result": those of the result; "result height": its height, the width follows from
            the truth's own aspect ratio and is cut to a whole number.
        resaved: a truth whose size was changed is written under its own name and read again: a .jpg then loses as
            `PILLOW_JPEG` does. False: it stays in memory.
        as_it_lies_in_sets: FID and KID see the file as it lies, not what was resized for the comparison.
    """

    resize: Resize
    size_hw: Size | Literal["result", "result height"]
    resaved: bool
    as_it_lies_in_sets: bool = False


@dataclass(frozen=True)
class Ssim:
    """Structural similarity (Wang et al. 2004): Gaussian window, population covariance."""

    package: Literal["torchmetrics", "scikit-image"]
    colour: Literal["RGB", "grey"]
    data_range: int
    window_px: int = 11
    sigma_px: float = 1.5


@dataclass(frozen=True)
class Lpips:
    """Learned perceptual distance (Zhang et al. 2018), version 0.1, on RGB in [-1, 1].

    Attributes:
        package: the `lpips` package, or torchmetrics' copy of it, which guards a division otherwise.
        backbone: network under the linear layers.
        weights: setting that names the backbone's weights.
        size_hw: both pictures are brought there first by `Resize("Pillow", "bilinear")`; None: they stay.
    """

    package: Literal["lpips", "torchmetrics"]
    backbone: Literal["alex", "squeeze"]
    weights: Weights
    size_hw: Size | None = None


@dataclass(frozen=True)
class Features:
    """The network under FID and KID, and how a picture gets to its 299 pixels.

    Attributes:
        package: whose code resizes and extracts.
        weights: setting that names the network's weights.
        resize: in words; the package decides.
        antialias: whether that resizing averages what it drops.
        num: features per picture.
    """

    package: Package
    weights: Weights
    resize: str
    antialias: bool
    num: int = 2048


@dataclass(frozen=True)
class Fid:
    """Fréchet distance (Heusel et al. 2017).

    Attributes:
        package: whose distance.
        min_pictures: fewer in either set give no number.
    """

    package: Package
    min_pictures: int


@dataclass(frozen=True)
class Kid:
    """Kernel distance (Bińkowski et al. 2018), cubic polynomial kernel, mean over random subsets.

    Attributes:
        package: whose distance.
        scale: what the printed number was multiplied by.
        num_subsets: random subsets.
        subset_size: pictures in each, at most.
        subset_share: at most this share of the pictures, so that subsets differ and their spread says something.
        min_pictures: fewer in either set give no number.
    """

    package: Package
    scale: int
    min_pictures: int
    num_subsets: int = 100
    subset_size: int = 1000
    subset_share: float = 1.0


Metric = Literal["psnr", "ssim", "lpips", "fid", "kid"]


@dataclass(frozen=True)
class Protocol:
    """One way to score pictures.

    Attributes:
        name: as in `evaluate.protocols` and `tryon score --protocol`.
        title: one line.
        systems: whose public code or word says that they score in this way.
        source: the public file that it follows.
        truth: what is done to true pictures.
        results: the file in which the system's own code leaves its pictures; `tryon evaluate` passes ours through it,
            `tryon score` reads files as they lie.
        pasted_back: what the systems compare holds the person's own pixels outside the repainted region.
        paired: metrics printed for lists whose truth is the person's photo.
        unpaired: metrics printed for lists with another garment.
        result_sizes: that the public code accepts; None: any.
        compared_hw: results are brought there by `Resize("Pillow", "bilinear")` before SSIM and LPIPS; None: not.
        names: which part of a file name says whose picture it is: all but the suffix ("stem"), eight characters from
            the first digit ("id8"), or what stands before the first underscore ("before_underscore").
        ssim: structural similarity, or None where the public code has none; likewise the others.
        lpips: perceptual distance.
        features: network under FID and KID.
        fid: Fréchet distance.
        kid: kernel distance.
        unknown: what the public code leaves open, and what is done here.
    """

    name: str
    title: str
    systems: tuple[str, ...]
    source: str
    truth: Truth
    results: FileFormat
    pasted_back: bool
    paired: tuple[Metric, ...]
    unpaired: tuple[Metric, ...]
    result_sizes: tuple[Size, ...] | None = None
    compared_hw: Size | None = None
    names: Literal["stem", "id8", "before_underscore"] = "stem"
    ssim: Ssim | None = None
    lpips: Lpips | None = None
    features: Features | None = None
    fid: Fid | None = None
    kid: Kid | None = None
    unknown: tuple[str, ...] = ()

    def metrics(self, *, is_paired: bool) -> tuple[Metric, ...]:
        """What is printed for a list."""
        return self.paired if is_paired else self.unpaired

    def needs(self) -> tuple[Weights, ...]:
        """Settings that name the weights it needs."""
        return tuple(part.weights for part in (self.lpips, self.features) if part is not None)

    def as_dict(self) -> dict[str, Any]:
        """Everything declared, as plain JSON values."""
        return asdict(self)
