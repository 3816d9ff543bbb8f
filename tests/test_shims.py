"""The import shims: both libraries import offline, and what is really installed is left alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from tryon import shims


def run_python(code: str) -> str:
    """Run code in a fresh interpreter (imports cannot be undone in this one) and return its last line."""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_mmpose_imports_and_knows_its_top_down_models() -> None:
    mmpose = shims.import_mmpose()
    assert mmpose is shims.import_mmpose()
    from mmpose.registry import MODELS, TRANSFORMS

    assert all(MODELS.get(name) for name in ("TopdownPoseEstimator", "CSPNeXt", "HRNet", "RTMCCHead"))
    assert TRANSFORMS.get("TopdownAffine")


def test_a_stand_in_operator_raises_when_it_is_called() -> None:
    if shims._is_installed("mmcv", "_ext"):
        pytest.skip("mmcv has its compiled operators here")
    shims.import_mmpose()
    from mmcv.ops import RoIAlign
    from torch import zeros

    with pytest.raises(NotImplementedError, match="needs an mmcv built with compiled operators"):
        RoIAlign(2)(zeros(1, 1, 4, 4), zeros(1, 5))


def test_imagen_imports_without_a_network_and_t5_stays_as_it_was() -> None:
    code = """
import socket
from transformers import T5Config
before = T5Config.from_pretrained.__func__
def refuse(*a, **k): raise OSError("the import asked for a network")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
from tryon.shims import import_imagen
imagen = import_imagen()
assert imagen is import_imagen()
assert T5Config.from_pretrained.__func__ is before
print(imagen.Unet.__name__)
"""
    assert run_python(code) == "Unet"


def test_a_package_that_is_really_there_wins(tmp_path: Path) -> None:
    (tmp_path / "mmdet").mkdir()
    (tmp_path / "mmdet" / "__init__.py").write_text("")
    (tmp_path / "mmdet" / "utils.py").write_text("reduce_mean, ConfigType = 'the real one', dict\n")
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(tmp_path)!r})
from tryon.shims import _stand_in_for_mmdet
_stand_in_for_mmdet()
import mmdet.utils
print(mmdet.utils.reduce_mean)
"""
    assert run_python(code) == "the real one"
