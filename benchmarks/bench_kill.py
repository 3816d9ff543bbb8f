"""What a training run survives: kill -9, flipped bits, a full disk, a second run on its directory (about 20 minutes).

    make bench-kill        or   python benchmarks/bench_kill.py [--kills N] [--damages N] [--races N]

Trains the small network of the tests (tests/training/rig.py) on pictures of noise, on one CPU core, and

* kills it at random moments while it saves after every step, most of them after its first save, and starts it again;
  a kill is proven to have been inside a save where it left the save's temporary folder. In the end weights, average
  and optimizer must be those of a run that nobody disturbed, bit for bit;
* flips a bit of a checkpoint's file or cuts the file short: the damage must be noticed and said, the checkpoint
  before be used;
* fills a disk (a small tmpfs, which needs root) so that each tenth of a save is the last that fits: the run must
  end with a sentence, leave no temporary file and its last checkpoint whole, and go on once there is space;
* starts two runs on one directory at once: exactly one must proceed.

Ends with one JSON object and exit code 0 if every count of failures is 0. `peer` cites what was measured of fashn-AI's
trainer, which saves and loads as imagen-pytorch does (commit 124c053, 2026-11-20).
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "training"))

import rig  # noqa: E402 (found by the line above)
import torch  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from torch import nn  # noqa: E402

from tryon.config import Config  # noqa: E402
from tryon.methods.interface import Stage  # noqa: E402
from tryon.provenance import commit, machine  # noqa: E402
from tryon.training.checkpoints import Checkpoints, damage  # noqa: E402

GROUPS = ("weights", "average", "optimizer")
PEER = {
    "kills": "newest checkpoint unloadable after 6 of 24; 8 of 12 on a disk of 60 MB/s",
    "restarts_after_such_a_kill": "14 of 14 crashed; no fallback to the checkpoint before",
    "flipped_bits": "noticed by neither torch.load nor safetensors",
    "full_disk": "checkpoint truncated under its final name; the restart crashes, too",
    "resume": "the same batches and noise again: neither generators nor the order of the data are saved",
}
SAVED_BYTES = 12_000_000  # beside the network's own few: a save must take its time
STEADY = {"decay_from": 1.0, "warmup_steps": 0, "val_every": 10**6}  # weights do not depend on the run's length


class HeavyStage(rig.DroppingStage):
    """The small network with dropout, and something to save."""

    def build(self) -> nn.Module:
        """The network and its ballast."""
        network = super().build()
        network.register_buffer("ballast", torch.randn(SAVED_BYTES // 8))  # once in weights, once in the average
        return network


def heavy_stage(name: str, config: Config) -> Stage:
    """Makes a `HeavyStage` of a configuration."""
    return HeavyStage(name, config.stages[name])


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="kills at random moments")
    parser.add_argument("--damages", type=int, default=200, help="flipped bits and truncations")
    parser.add_argument("--races", type=int, default=20, help="pairs of runs on one directory")
    parser.add_argument("--seed", type=int, default=0, help="of moments and damages")
    args = parser.parse_args()
    started = time.monotonic()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        rig.write_data(work / "data")
        parts = {
            "kills": kill(work, args.kills, rng),
            "damages": damage_files(work, args.damages, rng),
            "full_disk": fill_disk(work),
            "races": race(work, args.races),
        }
    result = {
        "benchmark": "kill",
        **parts,
        "num_failures": sum(
            count for part in parts.values() for name, count in part.items() if name.startswith("bad_")
        ),
        "peer": PEER,
        "wall_s": round(time.monotonic() - started, 1),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit(),
        "machine": machine(),
    }
    print(json.dumps(result, sort_keys=True))
    return int(result["num_failures"] > 0)


def kill(work: Path, num: int, rng: random.Random) -> dict[str, Any]:
    """Kill a run that saves after every step, again and again.

    Returns:
        Counts. `bad_…` ones are failures: newest checkpoints that do not verify, saves that were announced and are
        gone, starts that ended otherwise than by the kill, tensors that differ from those of an undisturbed run.
    """
    args = rig.arguments(work / "data", work / "killed", num_steps=10**6, checkpoint_every=1, **STEADY)
    folder = args.run_dir / "checkpoints"
    counts = {"bad_unusable": 0, "bad_lost": 0, "bad_restarts": 0}
    inside_save = inside_rotation = 0
    startup_s = 1.0
    for number in range(num):
        begun, seen = time.monotonic(), len(saves(args.run_dir))
        child = rig.start(args, heavy_stage, setup=functools.partial(quietly, work / "killed.txt"))
        if number % 5:  # most moments lie in the steady state, the rest anywhere
            while child.is_alive() and len(saves(args.run_dir)) == seen:
                time.sleep(0.005)
            startup_s = time.monotonic() - begun
            time.sleep(rng.uniform(0, 0.5))
        else:
            time.sleep(rng.uniform(0, startup_s))
        child.kill()
        child.join()
        if child.exitcode != -9:
            counts["bad_restarts"] += 1
            say(f"kill {number}: exit code {child.exitcode}: {(work / 'killed.txt').read_text()[-500:]}")
        leftovers = [path.name for path in folder.glob(".step-*")]
        inside_rotation += any("doomed" in name for name in leftovers)
        inside_save += any("doomed" not in name for name in leftovers)
        published = sorted(folder.glob("step-*"))
        counts["bad_unusable"] += bool(published) and damage(published[-1]) is not None
        newest = int(published[-1].name.removeprefix("step-")) if published else 0
        counts["bad_lost"] += newest < max(saves(args.run_dir), default=0)
        if number % 20 == 19:
            say(f"{number + 1} kills, {inside_save} inside a save, step {newest}")
    return {
        "num": num,
        "num_inside_save": inside_save,
        "num_inside_rotation": inside_rotation,
        "share_inside_save": round(inside_save / num, 3),
        "num_steps": newest,
        **counts,
        "bad_tensors": different_tensors(work, published[-1], newest) if newest else 1,
    }


def saves(run_dir: Path) -> list[int]:
    """Steps whose save was announced."""
    path = run_dir / "events.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [row["step"] for row in map(json.loads, lines) if row["event"] == "saved"]


def different_tensors(work: Path, folder: Path, num_steps: int) -> int:
    """Tensors of a checkpoint that differ from those of a run that nobody disturbed."""
    args = rig.arguments(work / "data", work / "undisturbed", num_steps=num_steps, checkpoint_every=10**6, **STEADY)
    (code,) = rig.finish([rig.start(args, heavy_stage, setup=quietly)], timeout_s=3600)
    if code != 0:
        raise RuntimeError(f"the undisturbed run ended with {code}")
    different = 0
    for group in GROUPS:
        name = f"{group}.safetensors"
        found, wanted = load_file(folder / name), load_file(args.run_dir / "checkpoints" / folder.name / name)
        different += len(found.keys() ^ wanted.keys())
        different += sum(not torch.equal(found[key], wanted[key]) for key in found.keys() & wanted.keys())
    return different


def damage_files(work: Path, num: int, rng: random.Random) -> dict[str, int]:
    """Flip one bit of a file of the newest checkpoint, or cut the file short."""
    args = rig.arguments(work / "data", work / "whole", num_steps=2, checkpoint_every=1, val_every=10**6)
    rig.finish([rig.start(args, setup=quietly)])
    names = sorted(path.name for path in (args.run_dir / "checkpoints" / "step-00000002").iterdir())
    identity = json.loads((args.run_dir / "checkpoints/step-00000001/state.json").read_text())["identity"]
    unnoticed = unsaid = wrong = 0
    for trial in range(num):
        run_dir = work / "damaged"
        shutil.copytree(args.run_dir, run_dir)
        victim = run_dir / "checkpoints" / "step-00000002" / names[trial // 2 % len(names)]
        content = bytearray(victim.read_bytes())
        if trial % 2:
            del content[rng.randrange(len(content)) :]
        else:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        victim.write_bytes(content)
        said: list[str] = []
        store = Checkpoints(run_dir, identity=identity, keep_last=2, say=functools.partial(note, said))
        newest = store.newest()
        unnoticed += newest != 1
        unsaid += said != ["damaged_checkpoint"]
        if newest == 1:
            before = args.run_dir / "checkpoints" / "step-00000001"
            for group, tensors in store.load(1).tensors.items():
                wanted = load_file(before / f"{group}.safetensors")
                wrong += any(not torch.equal(tensors[key], wanted[key]) for key in wanted)
        shutil.rmtree(run_dir)
    say(f"{num} damages, {unnoticed} unnoticed")
    return {"num": num, "bad_unnoticed": unnoticed, "bad_unsaid": unsaid, "bad_loaded": wrong}


def note(said: list[str], event: str, **_: object) -> None:
    """Remember an event's name."""
    said.append(event)


def fill_disk(work: Path) -> dict[str, Any]:
    """Let each tenth of a save be the last that fits on the disk."""
    disk = work / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={8 * SAVED_BYTES}", "tmpfs", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode:
        return {"num": 0, "why": f"no right to mount a tmpfs ({mounted.stderr.strip()})"}
    bad_ends = bad_rubbish = bad_checkpoints = bad_restarts = 0
    try:
        for tenth in range(10):
            say(f"full disk at tenth {tenth} of a save")
            result = work / f"disk{tenth}"
            options = {"num_steps": 3, "checkpoint_every": 1, "keep_checkpoints": 2, "val_every": 10**6}
            first = rig.arguments(work / "data", result, budget_s=0.0, **options)
            first.run_dir = disk / "run"
            (code,) = rig.finish([rig.start(first, heavy_stage, setup=quietly)])
            assert code == 75, code
            folder = first.run_dir / "checkpoints"
            needed = sum(path.stat().st_blocks * 512 for path in (folder / "step-00000001").iterdir())
            stat = os.statvfs(disk)
            (disk / "ballast").write_bytes(bytes(stat.f_bavail * stat.f_frsize - needed * tenth // 10))
            args = rig.arguments(work / "data", result, **options)
            args.run_dir = first.run_dir
            (code,) = rig.finish([rig.start(args, heavy_stage, setup=functools.partial(quietly, work / "full.txt"))])
            message = (work / "full.txt").read_text()
            if code != 2 or "no space left" not in message or "Traceback" in message:
                bad_ends += 1
                say(f"exit code {code}: {message[-2000:]}")
            bad_rubbish += bool(list(folder.glob(".*")))
            newest = sorted(folder.glob("step-*"))[-1]
            bad_checkpoints += newest.name != "step-00000001" or damage(newest) is not None
            (disk / "ballast").unlink()
            (code,) = rig.finish([rig.start(args, heavy_stage, setup=quietly)])
            bad_restarts += code != 0
            shutil.rmtree(first.run_dir)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    return {
        "num": 10,
        "bad_ends": bad_ends,
        "bad_rubbish": bad_rubbish,
        "bad_checkpoints": bad_checkpoints,
        "bad_restarts": bad_restarts,
    }


def race(work: Path, num: int) -> dict[str, int]:
    """Start two runs on one directory at once."""
    both = neither = unclear = 0
    for number in range(num):
        args = rig.arguments(work / "data", work / f"race{number}", num_steps=10**6, val_every=10**6)
        gate = rig.processes.Barrier(2)
        texts = [work / f"racer{rank}.txt" for rank in range(2)]
        setups: list[Callable[[], None]] = [functools.partial(quietly, text, gate) for text in texts]
        runs = [rig.start(args, rig.slow_stage, setup=setup) for setup in setups]
        ended = first_end(runs, timeout_s=120)
        both += ended is None
        if ended is not None:
            unclear += runs[ended].exitcode != 2 or "is in use by process" not in texts[ended].read_text()
            time.sleep(0.2)
            neither += not runs[1 - ended].is_alive()
        for run in runs:
            run.kill()
            run.join()
    say(f"{num} races")
    return {"num": num, "bad_both": both, "bad_neither": neither, "bad_unclear": unclear}


def first_end(runs: list[BaseProcess], timeout_s: float) -> int | None:
    """Which process has ended first; None where none has."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        for index, run in enumerate(runs):
            if not run.is_alive():
                return index
        time.sleep(0.01)
    return None


def quietly(path: Path | None = None, gate: Any = None) -> None:  # noqa: ANN401 (multiprocessing names no type)
    """In a child: write what it says to a file instead, and wait for the other one."""
    target = os.open(path or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(target, 1)
    os.dup2(target, 2)
    if gate is not None:
        gate.wait()


def say(text: str) -> None:
    """Progress goes to stderr; stdout holds the result alone."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
