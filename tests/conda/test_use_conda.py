"""`snakemake --use-conda`: every job in the environment of its family, the same results, and no needless rerun.

`make test-conda` runs this, with a real conda where one is on the PATH and otherwise with conda_stand_in.py.
"""

from __future__ import annotations

import re
from collections import Counter

import chain
import pytest
from conda_rig import Conda, Finished

from tryon import environments

pytestmark = [pytest.mark.conda, pytest.mark.timeout(3600)]

EVERYTHING = ("--rerun-triggers", "code", "input", "mtime", "params", "software-env")  # Snakemake's own choice


def families(text: str) -> set[str]:
    """Environments that a run says it has made."""
    return set(re.findall(r"^Environment for .*envs/([\w-]+)\.yaml created", text, re.MULTILINE))


def test_the_results_are_those_of_a_plain_run(plain: Finished, in_conda: Finished) -> None:
    assert in_conda.jobs == plain.jobs
    assert plain.jobs["train"] == 4
    results = chain.digests(plain.tree)
    assert len(results) > 100
    assert chain.digests(in_conda.tree) == results


def test_each_family_has_its_environment(in_conda: Finished) -> None:
    made = list((in_conda.tree / ".snakemake" / "conda").glob("*.env_setup_done"))
    families = {path.stem for path in (chain.ROOT / "envs").glob("*.yaml")}
    assert len(families) == 6
    assert len(made) == len(families)


def test_nothing_is_planned_after_completion_nor_when_moving_from_one_to_the_other(
    plain: Finished, in_conda: Finished, conda: Conda
) -> None:
    for finished in (plain, in_conda):
        assert chain.plan(finished.tree) == {}
        assert conda.plan(finished.tree) == {}


def test_with_snakemakes_own_trigger_moving_would_rerun_everything(plain: Finished, conda: Conda) -> None:
    """Why the default profile leaves `software-env` out; if this fails, it may be put back."""
    ran = conda.snakemake(plain.tree, "-n", *EVERYTHING).check()
    assert "Software environment definition has changed" in ran.text
    assert ran.jobs["dataset"] == 1
    assert ran.jobs["report"] == 1


def test_an_edited_environment_is_made_anew_and_reruns_only_the_stages_that_use_it(
    in_conda: Finished, conda: Conda
) -> None:
    environment = in_conda.tree / "envs" / "evaluation.yaml"
    before = environment.read_text(encoding="utf-8")
    try:
        chain.edit(environment, "  - pip:\n", "  - pip:\n      - six==1.17.0\n")
        assert environments.FAMILIES["evaluate"] == environments.FAMILIES["report"] == "evaluation"
        expected = Counter(evaluate=1, report=1)
        assert chain.plan(in_conda.tree) == expected, "also without conda: both install what the file asks for"
        ran = conda.snakemake(in_conda.tree, "--cores", "2").check()
        assert ran.jobs == expected
        assert families(ran.text) == {"evaluation"}
        assert conda.plan(in_conda.tree) == {}
    finally:
        environment.write_text(before, encoding="utf-8")


def test_an_environment_that_cannot_be_solved_says_so(in_conda: Finished, conda: Conda) -> None:
    environment = in_conda.tree / "envs" / "data.yaml"
    before = environment.read_text(encoding="utf-8")
    try:
        chain.edit(environment, "python=3.11", "python=3.99")
        ran = conda.snakemake(in_conda.tree, "--cores", "2")
        assert ran.status != 0
        assert "Could not create conda environment" in ran.text
        assert "3.99" in ran.text
    finally:
        environment.write_text(before, encoding="utf-8")
