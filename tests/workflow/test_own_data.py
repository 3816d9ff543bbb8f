"""The real command on a folder with one photo of every bad kind: it ends well, and says what it could not use."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import bad_folder
import pandas as pd
import pytest
from chain import SETTINGS, clone, make, snakemake, write_settings

pytestmark = [pytest.mark.xdist_group("workflow"), pytest.mark.timeout(900)]


def test_snakemake_comes_through_a_bad_folder_and_with_no_share_allowed_names_all(
    rendered: Path, tmp_path: Path
) -> None:
    tree = clone(tmp_path / "tree")
    folder = bad_folder.make(rendered, tree / "photos")
    settings = {**SETTINGS, **bad_folder.CONFIG, "references": []}

    write_settings(tree, {**settings, "max_quarantined": 0.0})
    ran = snakemake(tree, "--cores", "2", "results/pairs/shards.txt")
    assert ran.status != 0
    for id_, (stage, reason) in folder.refused.items():
        assert (f"  {id_}: " in ran.text and reason in ran.text) == (stage == "dataset"), id_

    write_settings(tree, settings)
    assert make(tree, "results/pairs/shards.txt") == {"dataset": 1, "pairs": 1}
    keys = (tree / "results/pairs/shards.txt").read_text().split()
    ran = snakemake(tree, "--cores", "8", *(f"results/pack/{key}.safetensors" for key in keys)).check()
    assert ran.jobs == Counter(dict.fromkeys(bad_folder.SHARD_STAGES, len(keys)))
    packs = pd.concat([pd.read_parquet(tree / f"results/pack/{key}.parquet") for key in keys]).set_index("id")
    later = {id_: stage for id_, (stage, _) in folder.refused.items() if stage != "dataset"}
    assert packs[packs["status"] != "ok"]["stage"].to_dict() == later
    assert set(packs[packs["status"] == "ok"].index) == folder.good | set(folder.mended)
