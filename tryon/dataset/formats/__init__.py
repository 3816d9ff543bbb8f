"""Readers: one module per annotation format or dataset layout, all behind `interface.Reader`.

A reader's module is imported only where its format is chosen, and only its code counts for what a stage made with it:
a mended reader of one format reruns nothing that was read in another.
"""

from __future__ import annotations

import importlib

from tryon.config import DatasetConfig
from tryon.dataset.formats.interface import Reader

CLASSES = {
    "isat": "tryon.dataset.formats.isat.IsatReader",
    "labelme": "tryon.dataset.formats.labelme.LabelmeReader",
    "coco": "tryon.dataset.formats.coco.CocoReader",
    "deepfashion2": "tryon.dataset.formats.deepfashion2.DeepFashion2Reader",
    "viton_hd": "tryon.dataset.formats.viton_hd.VitonHdReader",
    "dresscode": "tryon.dataset.formats.dresscode.DressCodeReader",
    "viton": "tryon.dataset.formats.viton.VitonReader",
    "tryondiffusion_folders": "tryon.dataset.formats.tryondiffusion_folders.TryOnDiffusionReader",
    "training_guide": "tryon.dataset.formats.training_guide.TrainingGuideReader",
    "image_folder": "tryon.dataset.formats.image_folder.ImageFolderReader",
}
"""Reader class by the name that `dataset.format` gives."""


def reader(cfg: DatasetConfig) -> Reader:
    """The reader that the settings choose."""
    module, _, name = CLASSES[cfg.format].rpartition(".")
    made: Reader = getattr(importlib.import_module(module), name)(cfg)
    return made


def module(cfg: DatasetConfig) -> str:
    """Dotted name of that reader's module, for `digests.code_digest`."""
    return CLASSES[cfg.format].rpartition(".")[0]
