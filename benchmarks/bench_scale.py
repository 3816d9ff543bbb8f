"""How planning, repeating and changing one photo grow from 1 000 to 100 000 photos (about 40 minutes).

    make bench-scale        or   python benchmarks/bench_scale.py [--sizes N …] [--pictures P] [--figure PNG]

For each size a data folder is made of hard links to a few hundred rendered photos, annotations and keypoints, and
Snakemake runs on it up to the packed shards; what follows (training, sampling, scores, report) is stood in for by
empty files, as it does not grow with the folder. Prints one JSON object as its last line, per size:

* scan_s: listing the folder and reading photos.csv;
* first_plan_s: `snakemake -n` that sees the folder for the first time, so that it also hashes every file;
* plan_s: `snakemake -n` on a folder that is known, before anything is made;
* check_photos_per_s_core: the one-time decoding, hashing and checking of every photo (stage `dataset`);
* noop_s: `snakemake` when everything is made;
* change_s and items_made: one photo changed, run to the packed shards, and the items that each stage made;
* …_cpu_s and …_mb beside each …_s: seconds of CPU, which other work on the machine changes little, and the memory of
  the largest process.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import yaml

from tryon.config import StudioConfig
from tryon.provenance import commit, machine
from tryon.studio.studio import render_folder

ROOT = Path(__file__).resolve().parent.parent
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
LIMITS = {"plan_s": 60.0, "noop_s": 20.0, "plan_mb": 1000.0}  # at 100 000 photos
NETWORK = {
    "channels": [8, 16], "blocks": [1, 1], "self_attention": [False, True], "cross_attention": [False, True],
    "head_channels": 8, "embedding_channels": 16,
}  # fmt: skip


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="photos (persons and garments together)")
    parser.add_argument("--pictures", type=int, default=400, help="different rendered photos")
    parser.add_argument("--height", type=int, default=128, help="of a rendered photo in pixels; width is 3/4 of it")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--figure", type=Path, help="write the curve as a PNG")
    args = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=args.folder) as temporary:
        pictures = Path(temporary) / "pictures"
        say(f"rendering {args.pictures} photos")
        size_hw = (args.height, args.height * 3 // 4)
        cfg = StudioConfig(seed=77, num_people=max(6, args.pictures // 2), size_hw=size_hw, num_val=2, num_test=2)
        render_folder(cfg, pictures, jobs=2)
        rows = [measure(pictures, num, Path(temporary) / str(num)) for num in args.sizes]
    if args.figure is not None:
        draw(rows, args.figure)
    largest = rows[-1]
    result = {
        "benchmark": "scale",
        "num_photos": largest["num_photos"],
        **{name: largest[name] for name in ("plan_s", "plan_mb", "noop_s", "items_made", "check_photos_per_s_core")},
        "limits": LIMITS,
        "by_size": rows,
        "wall_s": round(time.monotonic() - started, 1),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit(),
        "machine": machine(),
    }
    print(json.dumps(result, sort_keys=True))


def measure(pictures: Path, num_photos: int, tree: Path) -> dict[str, object]:
    """Everything about one size, in a working directory of its own."""
    tree.mkdir()
    link_folder(pictures, tree / "photos", num_photos)
    num_shards = max(2, min(32, num_photos // 500))
    (tree / "config.yaml").write_text(yaml.safe_dump(settings(num_shards)))
    row: dict[str, object] = {"num_photos": num_photos, "num_shards": num_shards}

    def timed(name: str, command: list[str]) -> str:
        seconds, cpu_seconds, megabytes, text = call(command, tree)
        row.update({f"{name}_s": round(seconds, 2), f"{name}_cpu_s": round(cpu_seconds, 2)})
        row[f"{name}_mb"] = round(megabytes)
        say(f"{num_photos} photos: {name} {seconds:.1f} s ({cpu_seconds:.1f} s of CPU), {megabytes:.0f} MB")
        return text

    scan = "import sys; from pathlib import Path; from tryon.dataset import folder, lists; root = Path('photos'); "
    timed("scan", [sys.executable, "-c", scan + "folder.scan(root); lists.read_photos_csv(root)"])
    timed("first_plan", snakemake("-n", "--quiet", "all"))
    timed("plan", snakemake("-n", "--quiet", "all"))
    timed("dataset", snakemake("--cores", "1", "--until", "dataset", "--quiet", "all"))
    row["check_photos_per_s_core"] = round(num_photos / rate_of_checks(tree), 1)
    timed("pairs", snakemake("--cores", "1", "--until", "pairs", "--quiet", "all"))
    timed("prepare", snakemake("--quiet", "all", "--cores", "2", *packs(tree)))
    stand_in(tree)
    timed("noop", snakemake("--cores", "1"))
    text = timed("noop_plan", snakemake("-n"))
    if "Nothing to be done" not in text:
        raise RuntimeError(f"something was left to do:\n{text[-2000:]}")
    before = journal_lengths(tree)
    change_one(tree / "photos")
    timed("change_pairs", snakemake("--cores", "1", "--until", "pairs", "--quiet", "all"))
    timed("change", snakemake("--quiet", "all", "--cores", "1", *packs(tree)))
    row["change_s"] = round(float(str(row["change_s"])) + float(str(row.pop("change_pairs_s"))), 2)
    row["items_made"] = items_made(tree, before)
    timed("status", [sys.executable, "-m", "tryon.cli", "status", "--config", "config.yaml"])
    timed("gc", [sys.executable, "-m", "tryon.cli", "gc", "--config", "config.yaml"])
    shutil.rmtree(tree)
    return row


def link_folder(pictures: Path, root: Path, num_photos: int) -> None:
    """A data folder of hard links; identities and garments are all different, so nothing groups by name."""
    people = sorted((pictures / "person").glob("*.jpg"))
    lines = ["photo,identity,garment\n"]
    for kind in (
        "person",
        "garment",
        *(f"{a}/{b}" for a in ("annotations", "keypoints") for b in ("person", "garment")),
    ):
        (root / kind).mkdir(parents=True)
    shop = sorted((pictures / "garment").glob("*.jpg"))
    for number in range(num_photos // 2):
        person, garment = people[number % len(people)], shop[number % len(shop)]
        name = f"{number:06d}"
        for role, source in (("person", person), ("garment", garment)):
            os.link(source, root / role / f"{name}.jpg")
            for kind in ("annotations", "keypoints"):
                os.link(pictures / kind / role / f"{source.stem}.json", root / kind / role / f"{name}.json")
        lines.append(f"person/{name}.jpg,{name},{name}\n")
    (root / "photos.csv").write_text("".join(lines))


def settings(num_shards: int) -> dict[str, object]:
    """The shortest chain: nothing but Python between photo and pack."""
    stage = {"kind": "parallel_unet", "size": [32, 24], "network": NETWORK}
    return {
        "data": "photos",
        "results": "results",
        "max_quarantined": 0.5,
        "pairs": {"num_shards": num_shards},
        "keypoints": {"source": "given"},
        "cutouts": {"source": "annotations"},
        "stages": {"base": stage},
        "cascade": ["base"],
    }


def snakemake(*arguments: str) -> list[str]:
    """A call of Snakemake on this clone's workflow."""
    profile = ROOT / "workflow" / "profiles" / "default"
    return [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "workflow" / "Snakefile")),
        *("--workflow-profile", str(profile), "--configfile", "config.yaml", *arguments),
    ]


def call(command: list[str], folder: Path) -> tuple[float, float, float, str]:
    """Run a command; seconds, seconds of CPU, megabytes of its largest process, and what it printed."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - started
        output.seek(0)
        text = output.read().decode("utf-8", errors="replace")
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}\n{text[-4000:]}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text


def packs(tree: Path) -> list[str]:
    """The packed shards, as targets."""
    keys = (tree / "results" / "pairs" / "shards.txt").read_text().split()
    return [f"results/pack/{key}.safetensors" for key in keys]


def rate_of_checks(tree: Path) -> float:
    """Seconds that the stage `dataset` took with one core, from its provenance."""
    origin = json.loads((tree / "results" / "dataset" / "manifest.parquet.provenance.json").read_text())
    return float(origin["seconds"])


def stand_in(tree: Path) -> None:
    """Empty results of the stages that do not grow with the folder, newer than what they are made from."""
    results = tree / "results"
    names = ["train/base/weights.safetensors", "train/base/summary.json", "sample/cascade/index.parquet"]
    for name in [*names, "evaluate/metrics.parquet", "evaluate/summary.json", "report/index.html"]:
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).touch()
        time.sleep(0.01)


def change_one(root: Path) -> None:
    """Give one person another picture (a JPEG comment) and a changed annotation; its hard links keep theirs."""
    photo, annotation = root / "person" / "000001.jpg", root / "annotations" / "person" / "000001.json"
    content = photo.read_bytes()
    value = json.loads(annotation.read_text(encoding="utf-8"))
    value["info"]["note"] = "changed"
    for path, changed in (
        (photo, content[:2] + b"\xff\xfe\x00\x09another" + content[2:]),
        (annotation, json.dumps(value).encode()),
    ):
        path.unlink()
        path.write_bytes(changed)


def journal_lengths(tree: Path) -> dict[str, int]:
    """Lines of each stage's journal."""
    return {path.stem: len(path.read_text().splitlines()) for path in (tree / "results" / "journal").glob("*.jsonl")}


def items_made(tree: Path, before: dict[str, int]) -> dict[str, int]:
    """Items that jobs made since then, by stage."""
    made = {}
    for stage, num in sorted(before.items()):
        lines = (tree / "results" / "journal" / f"{stage}.jsonl").read_text().splitlines()[num:]
        made[stage] = sum(json.loads(line)["num_made"] for line in lines)
    return made


def draw(rows: list[dict[str, object]], path: Path) -> None:
    """The curve, seconds over photos, on two logarithmic axes."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4.0), dpi=120)
    photos = [row["num_photos"] for row in rows]
    for name, title in (
        ("first_plan_s", "first plan (hashes every file)"),
        ("plan_s", "plan"),
        ("noop_s", "run with nothing to do"),
        ("change_s", "run after one changed photo"),
        ("scan_s", "listing the folder"),
    ):
        axes.plot(photos, [row[name] for row in rows], marker="o", markersize=4, label=title)
    axes.set(xscale="log", yscale="log", xlabel="photos", ylabel="seconds")
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False, fontsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def say(text: str) -> None:
    """Progress goes to stderr; stdout holds the result alone."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
