"""Stage `studio`: renders a data folder of people, garments, annotations, keypoints, pairs and true pictures.

    tryon studio --config config.yaml --out results/data

The folder has the layout of a user's own data. `studio.json` is written last: it stands for the whole folder.
Every file appears whole or not at all and depends on (seed, kind, index) alone, so a run that was killed is
continued by the same command and ends with the same bytes, whatever the number of processes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tryon import __version__, config, files
from tryon.config import StudioConfig
from tryon.digests import code_digest, config_digest
from tryon.environments import environment_digest
from tryon.errors import UserError
from tryon.images import encode_jpeg
from tryon.studio import annotate
from tryon.studio.plan import Plan, make_plan
from tryon.studio.render import Rendered, render_garment, render_person

FLAG, MARK = "studio.json", ".studio-settings"
OURS = ("person", "garment", "annotations", "keypoints", "truth", "pairs.txt", "photos.csv", FLAG)
CHUNK = 16  # pictures handed to a process at a time

Kind = Literal["person", "garment", "truth"]
Job = tuple[Kind, int]  # what to render, and its place in the plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--config", required=True, type=Path, help="settings (YAML or JSON); section studio is read")
    parser.add_argument("--out", required=True, type=Path, help="data folder to write")
    parser.add_argument("--jobs", type=int, help="rendering processes (default: studio.jobs)")


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    cfg = config.load(args.config).studio
    render_folder(cfg, args.out, jobs=args.jobs)


def render_folder(cfg: StudioConfig, out: Path, *, jobs: int | None = None) -> None:
    """Render a data folder, or finish one that was begun.

    Args:
        cfg: what to render.
        out: the folder; made if absent.
        jobs: processes; None takes the settings' number.

    Raises:
        UserError: `out` holds photos that the studio did not make, or the settings contradict each other.
    """
    plan = make_plan(cfg)
    _claim(cfg, out)
    todo = [job for job in _jobs(plan) if not (out / _stem(plan, job)).with_suffix(".jpg").is_file()]
    _render_all(cfg, out, todo, jobs or cfg.jobs)
    _write_lists(plan, out)
    files.write_json(out / FLAG, _facts(cfg, plan))


def _jobs(plan: Plan) -> list[Job]:
    photos = range(len(plan.photos))
    return [
        *(("person", k) for k in photos),
        *(("garment", k) for k in photos),
        *(("truth", k) for k in range(len(plan.truths))),
    ]


def _stem(plan: Plan, job: Job) -> str:
    kind, index = job
    if kind == "truth":
        return f"truth/{plan.truths[index].name}"
    photo = plan.photos[index]
    return f"person/{photo.name}" if kind == "person" else f"garment/{photo.garment}"


def _settings_digest(cfg: StudioConfig) -> str:
    return config_digest(cfg, code_digest("tryon.studio.studio"), environment_digest("studio"))


def _claim(cfg: StudioConfig, out: Path) -> None:
    """Make sure that `out` is ours to write, and drop what other settings left there."""
    mark, digest = out / MARK, _settings_digest(cfg)
    if mark.is_file():
        if mark.read_text(encoding="utf-8").strip() == digest:
            for unfinished in out.rglob(".*.tmp.*"):
                unfinished.unlink()  # a killed process leaves its half-written file beside the place it was meant for
            return
        # the mark goes last: a run killed in here finds it and clears the rest
        for name in OURS:
            path = out / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        mark.unlink()
    elif found := [name for name in OURS if (out / name).exists()]:
        raise UserError(
            f"{out} already holds {', '.join(found)} and no mark of the studio, so they may be your own photos; "
            "choose an empty --out (or set data: to use these photos)"
        )
    files.write_text(mark, digest + "\n")


@dataclass(frozen=True)
class _Painter:
    """What a process needs to render its share."""

    cfg: StudioConfig
    out: Path

    def __call__(self, batch: tuple[Job, ...]) -> int:
        plan = make_plan(self.cfg)
        for job in batch:
            self._render(plan, job)
        return len(batch)

    def _render(self, plan: Plan, job: Job) -> None:
        kind, index = job
        size_hw = self.cfg.size_hw
        if kind == "garment":
            rendered = render_garment(plan.garment(plan.photos[index]), size_hw)
        elif kind == "person":
            rendered = render_person(plan.scene(plan.photos[index]), size_hw)
        else:
            rendered = render_person(plan.true_scene(plan.truths[index]), size_hw)
        self._write(_stem(plan, job), rendered, is_truth=kind == "truth")

    def _write(self, stem: str, rendered: Rendered, *, is_truth: bool) -> None:
        name = Path(stem).name + ".jpg"
        annotation = json.dumps(annotate.isat(name, rendered.labels_HW))
        if is_truth:
            files.write_text(self.out / f"{stem}.json", annotation)
        else:
            keypoints = annotate.mmpose(rendered.keypoints_K3, rendered.labels_HW)
            files.write_text(self.out / "annotations" / f"{stem}.json", annotation)
            files.write_text(self.out / "keypoints" / f"{stem}.json", json.dumps(keypoints))
        # the photo goes last: where it stands, the item is complete
        files.write_bytes(self.out / f"{stem}.jpg", encode_jpeg(rendered.image_HWC, self.cfg.jpeg_quality))


def _render_all(cfg: StudioConfig, out: Path, todo: list[Job], jobs: int) -> None:
    painter, batches = _Painter(cfg, out), [tuple(todo[k : k + CHUNK]) for k in range(0, len(todo), CHUNK)]
    if jobs == 1 or len(batches) <= 1:
        _report(map(painter, batches), len(todo))
        return
    # spawned processes share no state with this one, so a render cannot depend on what ran before
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        _report(pool.map(painter, batches), len(todo))


def _report(finished: Iterable[int], total: int) -> None:
    start, done, shown = time.monotonic(), 0, 0.0
    for num in finished:
        done += num
        elapsed = time.monotonic() - start
        if elapsed - shown >= 5.0 or done == total:
            shown = elapsed
            rate = done / max(elapsed, 1e-9)
            print(f"studio: {done}/{total} pictures, {rate:.1f}/s, {(total - done) / rate:.0f} s left", file=sys.stderr)


def _write_lists(plan: Plan, out: Path) -> None:
    rows = ["photo,identity,garment,split"]
    rows += [f"person/{p.name}.jpg,{p.identity},{p.garment},{p.split}" for p in plan.photos]
    rows += [f"garment/{p.garment}.jpg,{p.garment},{p.garment},{p.split}" for p in plan.photos]
    files.write_text(out / "photos.csv", "\n".join(rows) + "\n")
    pairs = [f"{truth.person.name}.jpg {truth.other.garment}.jpg" for truth in plan.truths]
    files.write_text(out / "pairs.txt", "".join(f"{pair}\n" for pair in pairs))


def _facts(cfg: StudioConfig, plan: Plan) -> dict[str, object]:
    by_split = {s: sum(p.split == s for p in plan.photos) for s in ("train", "val", "test")}
    by_category = {c: sum(p.category == c for p in plan.photos) for c in ("up", "down", "dress")}
    return {
        "seed": cfg.seed,
        "size_hw": list(cfg.size_hw),
        "num_persons": len(plan.photos),
        "num_garments": len(plan.photos),
        "num_truths": len(plan.truths),
        "persons_per_split": by_split,
        "persons_per_category": by_category,
        "settings_digest": _settings_digest(cfg),
        "version": __version__,
    }
