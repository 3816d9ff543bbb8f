"""What the tests of --use-conda share: settings of a tiny chain, and Snakemake with a conda on its PATH."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import chain

HERE = Path(__file__).resolve().parent
UV = Path(sys.executable).with_name("uv")

# Both kinds of training environment: one stage more than in tests/workflow, of the kind that imagen-pytorch makes.
SETTINGS = {
    **chain.SETTINGS,
    "data": None,
    "stages": {
        **chain.SETTINGS["stages"],
        "sr128": {
            "kind": "imagen_sr",
            "size": [128, 96],
            "low_size": [64, 48],
            "network": {
                "channels": [8, 16],
                "blocks": [1, 1],
                "self_attention": [False, False],
                "cross_attention": [False, False],
            },
            "train": {**chain.TRAIN, "num_steps": 4, "val_every": 4, "crop": [64, 48]},
        },
    },
    "cascade": ["base", "sr64", "sr128"],
}


def generator() -> ModuleType:
    """envs/generate.py as a module."""
    spec = importlib.util.spec_from_file_location("generate", chain.ROOT / "envs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Conda:
    """Snakemake in an environment of its own, with conda on the PATH and nothing of this project's venv.

    Attributes:
        python: the interpreter that runs Snakemake.
        path: value of $PATH.
        alias: value of $CONDA_CHANNEL_ALIAS; None with a real conda, which has its own channels.
    """

    python: Path
    path: str
    alias: str | None

    @property
    def environment(self) -> dict[str, str]:
        variables = {name: value for name, value in chain.environment().items() if name != "VIRTUAL_ENV"}
        variables["PATH"] = self.path
        if self.alias is not None:
            variables["CONDA_CHANNEL_ALIAS"] = self.alias
        return variables

    def snakemake(self, tree: Path, *arguments: str) -> chain.Ran:
        """Run Snakemake with --use-conda in a tree to its end."""
        done = subprocess.run(
            [self.python, "-m", "snakemake", "--use-conda", *arguments],
            cwd=tree,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return chain.Ran(done.returncode, done.stdout)

    def plan(self, tree: Path, *arguments: str) -> Counter[str]:
        return self.snakemake(tree, "-n", *arguments).check().jobs

    def make(self, tree: Path, *arguments: str) -> Counter[str]:
        return self.snakemake(tree, "--cores", "2", *arguments).check().jobs


def uv(*arguments: str | Path) -> None:
    subprocess.run([UV, *arguments[:1], "--quiet", *arguments[1:]], check=True)


@dataclass(frozen=True)
class Finished:
    """A tree in which the chain has run, and the jobs that ran."""

    tree: Path
    jobs: Counter[str]
