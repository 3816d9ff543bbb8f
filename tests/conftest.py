"""Fixtures that several test folders share: a small rendered data folder, and real photos where they lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def photos() -> Path:
    """Real photos with ISAT annotations: $TRYON_PHOTOS, or shared/photos beside the checkout."""
    folder = Path(os.environ.get("TRYON_PHOTOS", ROOT.parent / "shared" / "photos"))
    if not (folder / "person").is_dir():
        pytest.skip(f"needs real photos: {folder} is absent (set TRYON_PHOTOS)")
    return folder


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """Real annotation files of several formats: $TRYON_FIXTURES, or shared/fixtures beside the checkout."""
    folder = Path(os.environ.get("TRYON_FIXTURES", ROOT.parent / "shared" / "fixtures"))
    if not folder.is_dir():
        pytest.skip(f"needs real annotation files: {folder} is absent (set TRYON_FIXTURES)")
    return folder


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of 8 rendered people (and their garments) at 256x192; read it, do not write to it."""
    from tryon.config import StudioConfig
    from tryon.studio.studio import render_folder

    folder = tmp_path_factory.mktemp("rendered") / "data"
    render_folder(StudioConfig(num_people=8, num_val=2, num_test=2, size_hw=(256, 192), jobs=1), folder)
    return folder
