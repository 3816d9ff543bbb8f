"""Both entries plan the same jobs, and a bare clone passes what the workflow catalog checks."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from chain import ROOT, clone, command, environment, snakemake

from tryon.config import load

pytestmark = pytest.mark.xdist_group("workflow")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone as the catalog sees it: tracked files alone, nothing made yet."""
    return clone(tmp_path_factory.mktemp("bare") / "clone")


def test_both_entries_plan_the_same_jobs(bare: Path) -> None:
    root = snakemake(bare, "-n").check().jobs
    inner = snakemake(bare, "-n", "-s", "workflow/Snakefile").check().jobs
    assert root == inner
    assert root["train"] == 4, "a bare include would plan nothing and still exit with 0"


def test_switching_between_the_entries_reruns_nothing(finished: Path) -> None:
    assert snakemake(finished, "-n", "-s", "workflow/Snakefile").check().jobs == {}


OWN_DATA = {
    "isat": {
        "person/a.jpg": "",
        "garment/a.jpg": "",
        "annotations/person/a.json": "",
        "annotations/garment/a.json": "",
        "pairs.txt": "a.jpg a.jpg",
    },
    "viton_hd": {
        "train/image/a.jpg": "",
        "train/image-parse-v3/a.png": "",
        "train/cloth/a.jpg": "",
        "train/cloth-mask/a.jpg": "",
        "train_pairs.txt": "a.jpg a.jpg",
    },
    "dresscode": {
        "dresses/images/1_0.jpg": "",
        "dresses/images/1_1.jpg": "",
        "dresses/label_maps/1_4.png": "",
        "dresses/train_pairs.txt": "1_0.jpg\t1_1.jpg",
    },
}
"""Files of the smallest folder and what they hold, by `dataset.format`; planning opens no picture."""


@pytest.mark.parametrize("preset", sorted(path.name for path in (ROOT / "config" / "presets").glob("*.yaml")))
def test_every_preset_plans(bare: Path, preset: str) -> None:
    """Presets for own data are given a folder with one empty photo each; the rest is planned from settings."""
    own = load(ROOT / "config" / "presets" / preset).dataset.format
    for file, text in OWN_DATA[own].items():
        (bare / own / file).parent.mkdir(parents=True, exist_ok=True)
        (bare / own / file).write_text(text, encoding="utf-8")
    ran = snakemake(bare, "-n", "--configfile", f"config/presets/{preset}", "--config", f"data={own}", "results=out")
    assert ran.check().jobs["dataset"] == 1
    assert "studio" not in ran.jobs
    assert "results/demo" not in ran.text, "the demo's config.yaml must not lie under a given --configfile"


def test_settings_on_the_command_line_win(bare: Path) -> None:
    ran = snakemake(bare, "-n", "--config", "results=elsewhere").check()
    assert "elsewhere/report/index.html" in ran.text


def test_a_bare_clone_passes_the_workflow_linter(bare: Path) -> None:
    ran = snakemake(bare, "--lint")
    assert ran.status == 0, ran.text


@pytest.mark.parametrize("entry", ["Snakefile", "workflow/Snakefile"])
def test_the_default_profile_is_read_by_itself(bare: Path, entry: str) -> None:
    """Found as profiles/default beside the Snakefile: in the clone's root that is a link, which a copy may lose."""
    ran = snakemake(bare, "-n", "--snakefile", entry).check()
    assert re.search(r"Using workflow specific profile .*profiles/default", ran.text)


def test_the_default_profile_changes_nothing_of_the_cluster_profile() -> None:
    """Snakemake reads profiles/default as well, and lays it over what --profile names."""
    default, cluster = (
        yaml.safe_load((ROOT / f"workflow/profiles/{name}/config.yaml").read_text()) for name in ("default", "slurm")
    )
    assert {name: cluster.get(name) for name in default} == default


def test_the_workflow_is_formatted(bare: Path) -> None:
    checked = subprocess.run(
        [Path(sys.executable).with_name("snakefmt"), "--check", "Snakefile", "workflow"],
        cwd=bare,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_the_package_need_not_be_installed(bare: Path, tmp_path: Path) -> None:
    """The rules' commands and the Snakefile use the clone's own package, from any working directory."""
    shutil.copy(bare / "config.yaml", tmp_path)
    (tmp_path / "resources").symlink_to(ROOT / "resources")
    code = (
        "import runpy, sys\n"
        # the editable install of this environment is hidden
        "sys.meta_path = [finder for finder in sys.meta_path if 'editable' not in repr(finder)]\n"
        f"sys.path = [entry for entry in sys.path if entry != {str(ROOT)!r}]\n"
        f"sys.argv = ['snakemake', '-n', '-s', {str(bare / 'Snakefile')!r}]\n"
        "runpy.run_module('snakemake', run_name='__main__')\n"
    )
    ran = subprocess.run(
        [*command()[:1], "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert f"{bare}/tryon" in ran.stdout + ran.stderr or "rule dataset" in ran.stdout + ran.stderr


def test_snakemakes_own_report_holds_the_page_and_its_captions(finished: Path, tmp_path: Path) -> None:
    page = tmp_path / "run.html"
    snakemake(finished, "--report", str(page)).check()
    text = page.read_text(encoding="utf-8")
    assert "index.html" in text
    assert "One page of everything" in text
    assert "A virtual try-on cascade" in text
