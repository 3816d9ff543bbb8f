"""The whole chain at tiny sizes in a copy of this clone, so that tests may edit code, photos and settings there.

Networks, photos and steps are as small as they go; every stage and both small real models run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CLONED = ("Snakefile", "workflow", "profiles", "envs", "config", "tryon", "config.yaml", "pyproject.toml")

NETWORK = {
    "channels": [8, 16],
    "blocks": [1, 1],
    "self_attention": [False, True],
    "cross_attention": [False, True],
    "head_channels": 8,
    "stem_stride": 1,
    "embedding_channels": 16,
}
TRAIN = {"num_steps": 10, "batch_size": 2, "warmup_steps": 1, "checkpoint_every": 2, "val_every": 10, "val_pairs": 2}
SETTINGS = {
    "data": "photos",
    "results": "results",
    "max_quarantined": 0.5,  # tiny photos: the small models see too little
    "studio": {"num_people": 10, "num_val": 2, "num_test": 2, "size_hw": [256, 192], "jobs": 1},
    "pairs": {"unpaired_strategy": "given", "num_shards": 2},
    "keypoints": {"source": "given_else_mmpose"},
    "stages": {
        "base": {"kind": "parallel_unet", "size": [32, 24], "network": NETWORK, "train": TRAIN},
        "sr64": {
            "kind": "parallel_unet_sr",
            "size": [64, 48],
            "low_size": [32, 24],
            "network": NETWORK,
            "train": TRAIN,
        },
        "direct": {"kind": "regression", "size": [32, 24], "network": NETWORK, "train": TRAIN},
    },
    "cascade": ["base", "sr64"],
    "references": ["direct"],
    "sample": {"num_steps": 2, "batch_size": 4},
    "evaluate": {"num_bootstrap": 100},
}


# Everything else below results/ must be the same bytes: these tell when, where and how fast.
TELLING_TIME = ("logs/", "journal/", "runs/", "cache/", "report/")


@dataclass(frozen=True)
class Ran:
    """What a Snakemake call printed and did."""

    status: int
    text: str

    @property
    def jobs(self) -> Counter[str]:
        """Jobs by rule, planned in a dry run or started in a real one, without the target rule."""
        names = re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):$", self.text, re.MULTILINE)
        return Counter(name for name in names if name != "all")

    def check(self) -> Ran:
        """Itself, or a failure that shows the end of the text."""
        assert self.status == 0, self.text[-4000:]
        return self


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", *arguments]


def environment(given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Without what a surrounding pytest or Snakemake set."""
    dropped = {"PYTHONPATH", "SNAKEMAKE_PROFILE"}
    return {name: value for name, value in given.items() if name not in dropped}


def snakemake(tree: Path, *arguments: str, given: Mapping[str, str] = os.environ) -> Ran:
    """Run Snakemake in a tree to its end, in a given environment."""
    done = subprocess.run(
        command(*arguments),
        cwd=tree,
        env=environment(given),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    return Ran(done.returncode, done.stdout)


def plan(tree: Path, *arguments: str) -> Counter[str]:
    """Jobs that would run."""
    return snakemake(tree, "-n", *arguments).check().jobs


def make(tree: Path, *arguments: str) -> Counter[str]:
    """Jobs that ran."""
    return snakemake(tree, "--cores", "2", *arguments).check().jobs


def digests(tree: Path) -> dict[str, str]:
    """SHA-256 of each result file by path; what a killed write left beside its target (`.NAME.tmp`) is none."""
    results = tree / "results"
    found = {}
    for path in sorted(results.rglob("*")):
        name = path.relative_to(results).as_posix()
        is_result = path.is_file() and not path.name.startswith(".") and not name.endswith(".provenance.json")
        if is_result and not name.startswith(TELLING_TIME):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def clone(tree: Path) -> Path:
    """A copy of this clone's workflow and package, with links to the shipped models."""
    tree.mkdir(parents=True)
    for name in CLONED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, tree / name)
    (tree / "resources").symlink_to(ROOT / "resources")
    return tree


def write_settings(tree: Path, settings: dict[str, object]) -> None:
    plain = json.loads(json.dumps(settings))  # no shared parts, which YAML would write as anchors
    (tree / "config.yaml").write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")


def edit(path: Path, old: str, new: str) -> None:
    """Replace one occurrence in a file; the text must be there."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
    path.write_text(text.replace(old, new), encoding="utf-8")
