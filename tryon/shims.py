"""Import mmpose and imagen_pytorch where their import alone asks for more than this project uses.

Two libraries do work at import time that has nothing to do with what they are used for here:

* mmpose 1.3.2 imports compiled mmcv operators, mmdet and xtcocotools at module level, for heads that no
  top-down keypoint model contains. Where one of the three is absent (or, for xtcocotools, built for
  another numpy), a stand-in takes its name. A stand-in operator raises when it is *called*.
* imagen_pytorch 2.1.0 asks huggingface.co for the T5 text encoder's configuration to compute the default
  value of an argument (the width of a text embedding, which nothing here uses).

A package that is really installed and works is always used: call the function, use what it returns.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

T5_BASE_WIDTH = 768  # d_model of google/t5-v1_1-base, the only value imagen_pytorch reads from the hub


def import_mmpose() -> types.ModuleType:
    """Import mmpose with `mmpose.apis`, `.datasets` and `.models`, so that its registries are filled.

    Returns:
        The mmpose package. Calling it again costs nothing.

    Raises:
        ImportError: mmpose itself, mmengine or mmcv's Python part is not installed.
    """
    _stand_in_for_mmcv_operators()
    _stand_in_for_mmdet()
    _stand_in_for_xtcocotools()
    for name in ("mmpose.apis", "mmpose.datasets", "mmpose.models"):
        importlib.import_module(name)
    return sys.modules["mmpose"]


def import_imagen() -> types.ModuleType:
    """Import imagen_pytorch without a request to huggingface.co.

    Returns:
        The imagen_pytorch package. Calling it again costs nothing.
    """
    if "imagen_pytorch" in sys.modules:
        return sys.modules["imagen_pytorch"]
    with _t5_configuration_from_memory():
        return importlib.import_module("imagen_pytorch")


@contextmanager
def _t5_configuration_from_memory() -> Iterator[None]:
    """Answer `T5Config.from_pretrained` with the one value that is read, for the time of an import."""
    from transformers import T5Config

    inherited = "from_pretrained" not in vars(T5Config)
    original = vars(T5Config).get("from_pretrained")

    def from_memory(cls: type[T5Config], /, *_args: object, **_kwargs: object) -> T5Config:
        return cls(d_model=T5_BASE_WIDTH)

    T5Config.from_pretrained = classmethod(from_memory)  # type: ignore[assignment]
    try:
        yield
    finally:
        if inherited:
            del T5Config.from_pretrained
        else:
            T5Config.from_pretrained = original  # type: ignore[assignment]


def _stand_in_for_mmcv_operators() -> None:
    """Give `mmcv._ext` (the compiled operators) a stand-in whose operators raise when called."""
    if "mmcv._ext" in sys.modules or _is_installed("mmcv", "_ext"):
        return

    def missing_operator(name: str) -> Callable[..., None]:
        if name.startswith("__"):
            raise AttributeError(name)

        def operator(*_args: object, **_kwargs: object) -> None:
            raise NotImplementedError(f"mmcv operator {name!r} needs an mmcv built with compiled operators")

        return operator

    _register("mmcv._ext", {"__getattr__": missing_operator})


def _stand_in_for_mmdet() -> None:
    """Give `mmdet.utils` (two names, read by one detection-pose head) a stand-in."""
    if "mmdet" in sys.modules or _is_installed("mmdet"):
        return

    def reduce_mean(_tensor: object) -> None:
        raise NotImplementedError("training an RTMO head needs the package mmdet")

    _register("mmdet", {"__path__": []})
    _register("mmdet.utils", {"ConfigType": dict, "reduce_mean": reduce_mean})


def _stand_in_for_xtcocotools() -> None:
    """Let pycocotools answer for xtcocotools where that is absent or built for another numpy.

    The two agree on reading COCO files and on 17-keypoint evaluation; COCO-WholeBody scores need the real one.
    """
    try:
        importlib.import_module("xtcocotools.mask")
    except (ImportError, ValueError):  # ValueError: "numpy.dtype size changed, may indicate binary …"
        for name in [name for name in sys.modules if name.split(".")[0] == "xtcocotools"]:
            del sys.modules[name]
        for part in ("", ".coco", ".cocoeval", ".mask"):
            sys.modules["xtcocotools" + part] = importlib.import_module("pycocotools" + part)


def _is_installed(package: str, submodule: str | None = None) -> bool:
    """Tell whether a package (or a module in it) can be found, without running any of its code."""
    spec = importlib.util.find_spec(package)
    if spec is None or submodule is None:
        return spec is not None
    name = f"{package}.{submodule}"
    return importlib.machinery.PathFinder.find_spec(name, spec.submodule_search_locations) is not None


def _register(name: str, members: dict[str, Any]) -> None:
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    vars(module).update(members)
    sys.modules[name] = module
