"""`tryon COMMAND`: the same commands that the workflow's rules call, one module each."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import NamedTuple

from tryon import __version__, leash, slurm
from tryon.errors import TryAgain, UserError


class Command(NamedTuple):
    """A command's module, which offers `add_arguments(parser)` and `run(args)`, and its one-line help."""

    module: str
    help: str


STAGES = {
    "studio": Command("tryon.studio.studio", "render people, garments, annotations and true try-on pictures"),
    "dataset": Command("tryon.dataset.dataset", "read a folder of photos and annotations into a manifest"),
    "pairs": Command("tryon.prepare.pairs", "pair persons with garments, split, and name the shards"),
    "masks": Command("tryon.prepare.masks", "annotations to label maps"),
    "keypoints": Command("tryon.prepare.keypoints", "COCO keypoints by mmpose"),
    "cutouts": Command("tryon.prepare.cutouts", "garment cut-outs and clothing-agnostic persons by segment-anything"),
    "pack": Command("tryon.prepare.pack", "everything a trainer reads, in random-access shards"),
    "inspect": Command("tryon.evaluation.inspect", "one page of the data, before anything is trained"),
    "train": Command("tryon.training.train", "train one stage of a method; run again to resume"),
    "sample": Command("tryon.evaluation.sample", "chain trained stages into try-on pictures"),
    "evaluate": Command("tryon.evaluation.evaluate", "score stages, the cascade and the baselines"),
    "report": Command("tryon.evaluation.report", "one HTML page of all of it"),
    "ablation": Command("tryon.evaluation.ablation", "rows of other settings side by side: a table, a plot, a page"),
}
"""Stages of the workflow in order: each has the rule, module, command and test of this name."""

COMMANDS = {
    **STAGES,
    "check": Command("tryon.check", "find mistakes in settings and data before anything runs"),
    "plan": Command("tryon.plan", "what each training costs, before it starts: memory, FLOPs, GPU hours, disk"),
    "try": Command("tryon.evaluation.tryit", "put a garment photo on a person photo, with weights of a finished run"),
    "status": Command("tryon.status", "how far a run is: done, quarantined, failed, left, rate, time left"),
    "gc": Command("tryon.gc", "remove what no current result needs: items of former photos and settings"),
    "doctor": Command(
        "tryon.doctor", "check a machine or cluster before a run: python, GPU, disk, SLURM, locks, weights"
    ),
    "export": Command("tryon.export.export", "label maps, keypoints and cut-outs for other tools and trainers"),
    "score": Command("tryon.evaluation.score", "judge any folder of results against truths by a named protocol"),
    "compare": Command("tryon.evaluation.compare", "what differs between two runs: settings, data, weights, scores"),
    "fit-pose": Command("tryon.fit.pose", "train a small mmpose model on own annotations"),
    "fit-segmenter": Command("tryon.fit.segmenter", "train a small segment-anything model on own annotations"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; user mistakes end with a message and exit code 2, early stops with 75."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["--version"]:
        print(f"tryon {__version__}")
        return 0
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        print(f"error: no command {name!r}\n\n{_overview()}", file=sys.stderr)
        return 2
    leash.follow_parent()
    # only the chosen command's module is imported: `tryon --help` must not wait for torch
    module = importlib.import_module(COMMANDS[name].module)
    parser = argparse.ArgumentParser(prog=f"tryon {name}", description=COMMANDS[name].help)
    module.add_arguments(parser)
    args = parser.parse_args(arguments[1:])
    try:
        status: int | None = module.run(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except TryAgain as stop:
        print(f"stopped early: {stop}", file=sys.stderr)
        slurm.note_early_stop()
        return 75
    return status or 0


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.help}" for name, command in COMMANDS.items()]
    return "usage: tryon COMMAND [options]   (tryon COMMAND --help for each)\n\n" + "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
