"""`tryon status`: how far a run is, while it goes on and after it.

    tryon status --config config.yaml [--watch SECONDS]

Read from the results folder alone: shard tables (done, quarantined), progress lines of the logs of shards that have
no table yet, journals (rate), and the run folders of training. A shard or job whose log is there but whose result is
not counts as running while a run of this working directory is alive here and its log names no error, else as failed;
after a kill, "failed" therefore means failed or interrupted: the same `snakemake` command continues it. Jobs that
`tryon STAGE` started by hand, or a Snakemake of another machine, look like failed ones until they end.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tryon import config, runs
from tryon.variants import Variants, row_digest

PER_SHARD = ("masks", "keypoints", "cutouts", "pack")
PROGRESS = re.compile(r"(\d+)/(\d+) (?:photos|items)\D*(?:(\d+) (?:reused|known))?.*?([\d.]+) (?:photos|items)/s")
ERROR = re.compile(r"^(error: |Traceback \(most recent call last\))", re.MULTILINE)
TAIL_BYTES = 65536
NUM_RECENT = 20  # journal lines that the rate is taken from


@dataclass
class Line:
    """One stage.

    Attributes:
        name: stage, or stage and training stage or system.
        unit: what is counted.
        done, quarantined, failed, left: in that unit; None where not known yet.
        running: jobs at work.
        rate_per_s: units per second of all running jobs together, or of one job where none runs.
    """

    name: str
    unit: str
    done: int = 0
    quarantined: int = 0
    failed: int = 0
    left: int | None = None
    running: int = 0
    rate_per_s: float | None = None

    @property
    def state(self) -> str:
        """done, running, failed, waiting."""
        if self.left == 0 and not self.failed and not self.running:
            return "done"
        if self.running:
            return "running"
        return "failed" if self.failed else "waiting"

    @property
    def eta_s(self) -> float | None:
        """Seconds to go for a running stage, where its rate is known."""
        if self.left is None or not self.rate_per_s or self.state != "running":
            return None
        return self.left / self.rate_per_s


def gather(cfg: config.Config, alive: bool) -> list[Line]:
    """All stages in order.

    Args:
        cfg: the configuration of the run.
        alive: whether a run is going on.
    """
    results = Path(cfg.results)
    lines = [_dataset(results, alive), _whole("pairs", results / "pairs" / "shards.txt", results, "pairs", alive)]
    keys = _shards(results)
    lines += [_per_shard(results, stage, keys, alive) for stage in PER_SHARD]
    page = results / "inspect" / "data.html"
    if page.is_file() or (results / "logs" / "inspect.log").is_file():  # a target of its own, which few runs ask for
        lines.append(_whole("inspect", page, results, "inspect", alive))
    lines += [_training(cfg, results, name, alive) for name in cfg.used_stages]
    for system in cfg.systems:
        lines.append(_whole(f"sample {system}", results / "sample" / system / "index.parquet", results, None, alive))
    lines.append(_whole("evaluate", results / "evaluate" / "summary.json", results, "evaluate", alive))
    lines.append(_whole("report", results / "report" / "index.html", results, "report", alive))
    if (results / "variants").is_dir():  # the target `ablations` was asked for
        lines += [_ablation(cfg, results, name, alive) for name in cfg.ablations]
    return lines


def _shards(results: Path) -> dict[str, int]:
    """Photos of each current shard."""
    path = results / "pairs" / "shards.txt"
    if not path.is_file():
        return {}
    folder = results / "pairs" / "shards"
    found = {}
    for key in path.read_text(encoding="utf-8").split():
        shard = folder / f"{key}.tsv"
        found[key] = max(0, shard.read_bytes().count(b"\n") - 1) if shard.is_file() else 0
    return found


def _dataset(results: Path, alive: bool) -> Line:
    line = Line("dataset", "photos")
    manifest = results / "dataset" / "manifest.parquet"
    if manifest.is_file():
        import pyarrow.parquet as pq

        quarantine = results / "dataset" / "quarantine.csv"
        line.done, line.left = pq.read_metadata(manifest).num_rows, 0
        line.quarantined = _csv_rows(quarantine) if quarantine.is_file() else 0
        return line
    _from_log(line, results / "logs" / "dataset.log", None, alive)
    return line


def _csv_rows(path: Path) -> int:
    import csv

    with path.open(encoding="utf-8", newline="") as stream:  # a reason may hold line breaks
        return max(0, sum(1 for _ in csv.reader(stream)) - 1)


def _per_shard(results: Path, stage: str, keys: dict[str, int], alive: bool) -> Line:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    line = Line(stage, "photos", left=0 if keys else None)
    for key, num_photos in keys.items():
        table = results / stage / f"{key}.parquet"
        if table.is_file():
            status = pq.read_table(table, columns=["status"]).column("status")
            num_ok = pc.sum(pc.equal(status, "ok")).as_py() or 0
            line.done += num_ok
            line.quarantined += len(status) - num_ok
        else:
            _from_log(line, results / "logs" / stage / f"{key}.log", num_photos, alive)
    if line.running == 0 or line.rate_per_s is None:
        line.rate_per_s = _journal_rate(results / "journal" / f"{stage}.jsonl")
        if line.rate_per_s is not None and line.running:
            line.rate_per_s *= line.running
    return line


def _from_log(line: Line, log: Path, num_photos: int | None, alive: bool) -> None:
    """Count an unfinished job by the last progress line of its log."""
    text = _tail(log)
    made = reused = rate = 0.0
    for match in PROGRESS.finditer(text or ""):
        made, reused, rate = float(match[1]), float(match[3] or 0), float(match[4])
        if num_photos is None:
            line.left = int(match[2]) - int(match[1])
    done = int(made + reused)
    if num_photos is not None:
        line.left = (line.left or 0) + num_photos - min(done, num_photos)
        line.done += min(done, num_photos)
    else:
        line.done = done
    if text is None:
        return
    if alive and not ERROR.search(text):
        line.running += 1
        if rate:
            line.rate_per_s = (line.rate_per_s or 0.0) + rate
        return
    rest = (num_photos or 0) - min(done, num_photos or 0) if num_photos is not None else (line.left or 1)
    line.failed += rest
    if line.left is not None:
        line.left -= min(rest, line.left)


def _tail(path: Path) -> str | None:
    """The end of a text file; None where there is none."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, 2) - TAIL_BYTES))
            return stream.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _rows(path: Path) -> Iterator[dict[str, object]]:
    """The last rows of a journal; torn lines are skipped."""
    for text in (_tail(path) or "").splitlines():
        try:
            row = json.loads(text)
        except ValueError:
            continue
        if isinstance(row, dict):
            yield row


def _journal_rate(path: Path) -> float | None:
    """Items per second of one job, over the last jobs that made any."""
    made = [(int(str(row["num_made"])), float(str(row["seconds"]))) for row in _rows(path) if row.get("num_made")]
    seconds = sum(took for _, took in made[-NUM_RECENT:])
    return sum(num for num, _ in made[-NUM_RECENT:]) / seconds if seconds else None


def _training(cfg: config.Config, results: Path, name: str, alive: bool) -> Line:
    """Steps of one training stage, from its newest run folder."""
    train = cfg.stages[name].train
    line = Line(f"train {name}", "steps", left=train.num_steps)
    if (results / "train" / name / "summary.json").is_file():
        line.done, line.left = train.num_steps, 0
    text = _tail(results / "logs" / "train" / f"{name}.log")
    folders = [path for path in (results / "runs").glob(f"{name}-*") if (path / "metrics.jsonl").is_file()]
    newest = max(folders, key=lambda path: (path / "metrics.jsonl").stat().st_mtime, default=None)
    rows = [row for row in _rows(newest / "metrics.jsonl") if row.get("kind") == "train"] if newest else []
    if rows:
        line.rate_per_s = float(str(rows[-1].get("images_per_s", 0.0))) / train.batch_size or None
    if line.left == 0:
        return line
    if rows and text is not None:  # else the folder is that of other settings, or of a run that was taken back
        line.done = min(int(str(rows[-1]["step"])), train.num_steps)
        line.left = train.num_steps - line.done
    if text is None:
        return line
    if alive and not ERROR.search(text):
        line.running = 1
    else:
        line.failed, line.left = line.left or 0, 0
    return line


def _whole(name: str, result: Path, results: Path, log: str | None, alive: bool) -> Line:
    """A stage of one job: done or not."""
    line = Line(name, "jobs", left=1)
    path = results / "logs" / (f"{log}.log" if log else f"{name.replace(' ', '/')}.log")
    if result.is_file():
        line.done, line.left = 1, 0
        return line
    text = _tail(path)
    if text is not None and alive and not ERROR.search(text):
        line.running = 1
    elif text is not None:
        line.failed, line.left = 1, 0
    return line


def _ablation(cfg: config.Config, results: Path, name: str, alive: bool) -> Line:
    """Rows of an ablation that are judged; a row at work is one whose log of sampling or judging is there."""
    line, folders = Line(f"ablation {name}", "rows", left=0), Variants(cfg, cfg.ablation_rows)
    for row in cfg.ablation_rows[name].values():
        if (results / folders.row(row) / "evaluate" / "summary.json").is_file():
            line.done += 1
            continue
        logs = results / "logs" / "variants"
        digest = row_digest(row)
        texts = [_tail(logs / "evaluate" / f"{digest}.log"), _tail(logs / "sample" / digest / "cascade.log")]
        text = next((text for text in texts if text is not None), None)
        if text is not None and not (alive and not ERROR.search(text)):
            line.failed += 1
            continue
        line.running += text is not None
        line.left = (line.left or 0) + 1
    return line


def table(lines: list[Line]) -> str:
    """The lines as aligned text."""
    head = ("stage", "state", "done", "quarantined", "failed", "left", "", "rate", "time left")
    rows = [head]
    for line in lines:
        rate = "" if line.rate_per_s is None else f"{line.rate_per_s:.3g}/s"
        left = "?" if line.left is None else f"{line.left}"
        eta = "" if line.eta_s is None else _duration(line.eta_s)
        counts = (str(line.done), str(line.quarantined or ""), str(line.failed or ""), left, line.unit)
        rows.append((line.name, line.state, *counts, rate, eta))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    text_columns = {0, 1, 6}
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in text_columns else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this command's options."""
    parser.add_argument("--config", required=True, help="configuration file (YAML or JSON)")
    parser.add_argument("--results", help="results folder, instead of the one that the configuration names")
    parser.add_argument("--watch", type=float, metavar="SECONDS", help="show it again and again, until Ctrl-C")


def run(args: argparse.Namespace) -> None:
    """Show the table."""
    cfg = runs.of_results(config.load(args.config), args.results)
    while True:
        alive = runs.is_alive()
        text = f"{cfg.results}: {'a run is going on' if alive else 'no run is alive here'}\n{table(gather(cfg, alive))}"
        if args.watch is not None and sys.stdout.isatty():
            text = f"\x1b[2J\x1b[H{text}"  # clear the screen, go to its corner
        print(text, flush=True)
        if args.watch is None:
            return
        try:
            time.sleep(args.watch)
        except KeyboardInterrupt:
            return
