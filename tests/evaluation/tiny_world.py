"""A tiny world for the evaluation tests: rendered people prepared by the real stages, and untrained weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

SETTINGS = {
    "pairs": {"train_strategy": "same_garment", "unpaired_strategy": "given", "num_shards": 2},
    "keypoints": {"source": "given"},
    "cutouts": {"source": "annotations"},
    "stages": {
        "base": {"kind": "parallel_unet", "size": [32, 24], "garment_size": [64, 48]},
        "sr64": {"kind": "parallel_unet_sr", "size": [64, 48], "low_size": [32, 24]},
        "regression": {"kind": "regression", "size": [32, 24]},
    },
    "cascade": ["base", "sr64"],
    "references": ["regression"],
    "sample": {"num_steps": 2, "batch_size": 3, "threads": 1},
    "evaluate": {"jobs": 1, "num_bootstrap": 100},
}
NETWORK = {
    "channels": [8, 16],
    "blocks": [1, 1],
    "self_attention": [False, True],
    "cross_attention": [False, True],
    "head_channels": 8,
    "embedding_channels": 16,
}
for _stage in SETTINGS["stages"].values():
    _stage["network"] = NETWORK


@dataclass(frozen=True)
class World:
    """Where a test finds its files."""

    data: Path
    results: Path
    config: Path

    def tryon(self, *arguments: str | Path) -> int:
        """Run a command as the command line does; its exit code."""
        from tryon import cli

        return cli.main([arguments[0], "--config", str(self.config), *map(str, arguments[1:])])

    def train(self, stage: str) -> int:
        folder = self.results / "train" / stage
        return self.tryon(
            "train", "--stage", stage, "--pairs", self.pairs, "--pack", *self.packs, "--results", self.results,
            "--weights", folder / "weights.safetensors", "--summary", folder / "summary.json",
        )  # fmt: skip

    @property
    def packs(self) -> list[Path]:
        return sorted((self.results / "pack").glob("*.safetensors"))

    @property
    def pairs(self) -> Path:
        return self.results / "pairs" / "pairs.parquet"

    def sample(self, system: str, *stages: str) -> int:
        weights = [self.results / "train" / stage / "weights.safetensors" for stage in stages]
        out = self.results / "sample" / system / "index.parquet"
        return self.tryon(
            "sample", "--system", system, "--pairs", self.pairs, "--packs", *self.packs, "--weights", *weights,
            "--results", self.results, "--data", self.data, "--out", out,
        )  # fmt: skip

    def evaluate(self) -> int:
        indices = sorted((self.results / "sample").glob("*/index.parquet"))
        folder = self.results / "evaluate"
        return self.tryon(
            "evaluate", "--data", self.data, "--results", self.results, "--pairs", self.pairs, "--packs", *self.packs,
            "--samples", *indices, "--out", folder / "metrics.parquet", "--protocols", folder / "protocols.parquet",
            "--summary", folder / "summary.json",
        )  # fmt: skip

    def configure(self, **changes: dict[str, object]) -> None:
        """Lay settings over the tiny ones, section by section."""
        values = {name: {**section, **changes.get(name, {})} if isinstance(section, dict) else section
                  for name, section in SETTINGS.items()}  # fmt: skip
        values.update({name: section for name, section in changes.items() if name not in values})
        self.config.write_text(json.dumps(values))


def prepare(world: World) -> None:
    """Every stage up to pack, and untrained weights with the journal of a short run."""
    pack(world)
    for stage in SETTINGS["stages"]:
        write_training(world, stage)


def pack(world: World) -> None:
    """Every stage up to pack."""
    results = world.results
    folders = {name: results / name for name in ("dataset", "pairs", "masks", "keypoints", "cutouts", "pack")}
    dataset = folders["dataset"]
    manifest = dataset / "manifest.parquet"
    common = ("--data", world.data, "--results", results)
    steps = [
        ("dataset", "--data", world.data, "--out", manifest, "--quarantine", dataset / "quarantine.csv"),
        ("pairs", "--manifest", manifest, "--data", world.data, "--out-dir", folders["pairs"]),
    ]
    for step in steps:
        assert world.tryon(*step) == 0
    for key in (folders["pairs"] / "shards.txt").read_text().split():
        shard = ("--shard", folders["pairs"] / "shards" / f"{key}.tsv", *common)
        masks, keypoints, cutouts, table = (
            folders[name] / f"{key}.parquet" for name in ("masks", "keypoints", "cutouts", "pack")
        )
        upstream = ("--masks", masks, "--keypoints", keypoints)
        packed = table.with_suffix(".safetensors")
        assert world.tryon("masks", *shard, "--out", masks) == 0
        assert world.tryon("keypoints", *shard, "--masks", masks, "--out", keypoints) == 0
        assert world.tryon("cutouts", *shard, *upstream, "--out", cutouts) == 0
        assert world.tryon("pack", *shard, *upstream, "--cutouts", cutouts, "--out", packed, "--table", table) == 0


def write_training(world: World, name: str, seed: int = 0) -> None:
    """What `tryon train` leaves behind, without the training."""
    import torch
    from safetensors.torch import save_file

    from tryon.config import load
    from tryon.digests import config_digest
    from tryon.files import sha256_file
    from tryon.keypoints import CONVENTION
    from tryon.methods import make_stage

    config = load(world.config)
    torch.manual_seed(seed)
    network = make_stage(name, config).build()
    for parameter in network.parameters():  # zero-initialised outputs would hide what a stage was given
        parameter.data += 0.02 * torch.randn_like(parameter)
    folder, run = world.results / "train" / name, world.results / "runs" / f"{name}-0123456789ab"
    folder.mkdir(parents=True, exist_ok=True)
    run.mkdir(parents=True, exist_ok=True)
    metadata = {
        "stage": name,
        "settings_digest": config_digest(name, config.stages[name]),
        "agnostic": "limbs",
        "keypoints": CONVENTION,
    }
    save_file(network.state_dict(), folder / "weights.safetensors", metadata=metadata)
    summary = {
        "stage": name, "kind": config.stages[name].kind, "step": 40, "num_params": 1234, "val_loss": 0.125,
        "run_dir": f"runs/{run.name}", "weights_sha256": sha256_file(folder / "weights.safetensors"),
        "num_train_pairs": 4, "num_val_pairs": 2, "skipped_pairs": [], "size_hw": list(config.stages[name].size),
        **metadata,
    }  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(summary))
    lines = [{"kind": "train", "step": step, "loss": 1 / step, "lr": 1e-3} for step in range(1, 41)]
    lines += [{"kind": "val", "step": step, "loss": 1.2 / step} for step in (10, 20, 30, 40)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
