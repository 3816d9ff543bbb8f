"""Where a result comes from: a small JSON file beside it, never part of what decides a rerun."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

from tryon import __version__, files

PACKAGES = ("torch", "mmpose", "segment-anything", "imagen-pytorch", "diffusers", "accelerate", "numpy", "snakemake")


def machine() -> dict[str, Any]:
    """The machine's name, processor, cores and GPUs, as a reader of a number wants to know them."""
    model = ""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else ""
    return {"cpu": model or platform.processor(), "cores": len(os.sched_getaffinity(0)), "system": platform.platform()}


def commit() -> str:
    """The git commit of the package's source, with `+` where files differ from it; `unknown` outside git."""
    root = Path(__file__).resolve().parent.parent
    try:
        head = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return head.stdout.strip()


def write_provenance(
    out: Path | str, *, stage: str, config: str, code: str, inputs: dict[str, str], seconds: float
) -> Path:
    """Write OUT.provenance.json.

    Args:
        out: the result.
        stage: name of the stage that made it.
        config: digest of the settings.
        code: digest of the stage's code.
        inputs: digests of inputs and weights by name.
        seconds: wall time.
    """
    path = Path(f"{out}.provenance.json")
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # an env of one job family holds only what its stages import
    files.write_json(
        path,
        {
            "result": Path(out).name,
            "stage": stage,
            "config_digest": config,
            "code_digest": code,
            "inputs": inputs,
            "seconds": round(seconds, 3),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "tryon": __version__,
            "commit": commit(),
            "versions": versions,
            "machine": machine(),
        },
    )
    return path
