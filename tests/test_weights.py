"""Weights are checked before anything reads them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tryon.errors import UserError
from tryon.weights import resolve, weights_digest

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "a.pth"
    path.write_bytes(CONTENT)
    return path


def test_a_path_with_the_right_sha256_is_used(weights: Path) -> None:
    assert resolve(str(weights), SHA256, setting="x.checkpoint") == weights


def test_another_file_is_refused_with_both_digests(weights: Path) -> None:
    with pytest.raises(UserError, match=f"x.checkpoint: .*a.pth has sha256 {SHA256}, expected {'0' * 64}"):
        resolve(str(weights), "0" * 64, setting="x.checkpoint")


def test_an_absent_file_and_a_url_without_sha256_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="x.checkpoint: .*gone.pth: no such file"):
        resolve(str(tmp_path / "gone.pth"), None, setting="x.checkpoint")
    with pytest.raises(UserError, match="give its sha256"):
        resolve("https://example.org/a.pth", None, setting="x.checkpoint")


def test_a_url_is_downloaded_once(weights: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    path = resolve(weights.as_uri(), SHA256, setting="x.checkpoint", cache=cache)
    assert path.read_bytes() == CONTENT
    weights.unlink()
    assert resolve(weights.as_uri(), SHA256, setting="x.checkpoint", cache=cache) == path


def test_a_touch_does_not_change_the_digest_and_an_edit_does(weights: Path) -> None:
    before = weights_digest(str(weights), None)
    weights.touch()
    assert weights_digest(str(weights), None) == before
    weights.write_bytes(b"Weights")
    assert weights_digest(str(weights), None) != before
