"""Sampling: chained, resumable, reproducible, and only from weights that belong there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny_world import World, write_training

from tryon.config import load
from tryon.evaluation import sample
from tryon.geometry import Letterbox
from tryon.images import from_network, to_network
from tryon.methods import make_stage
from tryon.methods.conditions import collate, condition_arrays
from tryon.methods.seeds import seed_of
from tryon.packed import PackedPhotos


def picture(world: World, stage: str, pair_id: str, system: str = "cascade") -> np.ndarray:
    return np.array(Image.open(world.results / "sample" / system / stage / f"{pair_id}.png"))


def all_bytes(world: World) -> dict[str, bytes]:
    folder = world.results / "sample"
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def index_of(world: World) -> pd.DataFrame:
    return pd.read_parquet(world.results / "sample" / "cascade" / "index.parquet")


def test_every_listed_pair_has_a_picture_of_every_stage(judged: World) -> None:
    index, pairs = index_of(judged), pd.read_parquet(judged.pairs)
    listed = set(pairs[pairs["split"] == "test"]["pair_id"])
    assert listed
    assert set(index["status"]) == {"ok"}
    assert sorted(zip(index["pair_id"], index["stage"], index["size"], strict=True)) == sorted(
        (pair_id, stage, size) for pair_id in listed for stage, size in (("base", "32x24"), ("sr64", "64x48"))
    )
    for row in index.itertuples():
        assert np.array(Image.open(judged.results / row.file)).shape == (*map(int, row.size.split("x")), 3)


def test_a_chained_picture_is_what_the_stages_make_when_called_by_hand(judged: World) -> None:
    """Same conditions as in training, the seed of (seed, "sample", stage, pair), and the bytes of the stage before."""
    config, packed = load(judged.config), PackedPhotos(judged.packs)
    pairs = pd.read_parquet(judged.pairs)
    pair = pairs[(pairs["split"] == "test") & (pairs["kind"] == "unpaired")].iloc[0]
    low = None
    for name in ("base", "sr64"):
        stage = make_stage(name, config)
        network = stage.build()
        network.load_state_dict(load_file(judged.results / "train" / name / "weights.safetensors"))
        photos = [packed.read(photo, stage.size_hw) for photo in (pair["person"], pair["garment"])]
        large = packed.read(pair["garment"], (64, 48))
        conditions = collate([condition_arrays(*photos, pair["category"], stage.size_hw, large=large)])
        if low is not None:
            conditions = conditions.with_low(torch.from_numpy(to_network(low)).permute(2, 0, 1)[None])
        seeds = torch.tensor([seed_of(0, "sample", name, pair["pair_id"])])
        with torch.inference_mode():
            made = stage.sample(network.eval(), conditions, seeds, config.sample)[0].permute(1, 2, 0).numpy()
        low = picture(judged, name, pair["pair_id"])
        assert np.abs(from_network(made).astype(int) - low).max() <= 1  # another batch size may round otherwise


def test_an_oracle_stage_starts_from_the_truth(judged: World) -> None:
    """The only difference to the cascade: what the stage enlarges is the true picture, shrunk as in training."""
    config, packed = load(judged.config), PackedPhotos(judged.packs)
    index = pd.read_parquet(judged.results / "sample" / "oracle" / "index.parquet")
    assert set(index["stage"]) == {"sr64"}
    pairs = pd.read_parquet(judged.pairs)
    pair = pairs[(pairs["split"] == "test") & (pairs["kind"] == "unpaired")].iloc[0]
    stage = make_stage("sr64", config)
    network = stage.build()
    network.load_state_dict(load_file(judged.results / "train" / "sr64" / "weights.safetensors"))
    photos = [packed.read(photo, stage.size_hw) for photo in (pair["person"], pair["garment"])]
    truth = np.array(Image.open(judged.data / pair["truth"]).convert("RGB"))
    canvas_HWC = Letterbox(truth.shape[:2], stage.size_hw).image(truth, config.pack.fill)
    low_HWC = canvas_HWC.reshape(32, 2, 24, 2, 3).mean(axis=(1, 3))
    conditions = collate([condition_arrays(*photos, pair["category"], stage.size_hw)]).with_low(
        torch.from_numpy(low_HWC / 127.5 - 1).permute(2, 0, 1)[None].float()
    )
    seeds = torch.tensor([seed_of(0, "sample", "sr64", pair["pair_id"])])
    with torch.inference_mode():
        made = stage.sample(network.eval(), conditions, seeds, config.sample)[0].permute(1, 2, 0).numpy()
    found = picture(judged, "sr64", pair["pair_id"], "oracle")
    assert np.abs(from_network(made).astype(int) - found).max() <= 2  # the low picture is rounded to 8 bit on its way
    assert np.abs(found.astype(int) - picture(judged, "sr64", pair["pair_id"])).max() > 10


def test_pairs_without_a_truth_have_no_oracle_and_are_judged_all_the_same(world: World) -> None:
    pairs = pd.read_parquet(world.pairs)
    unknown = (pairs["kind"] == "unpaired") & (pairs["split"] == "test")
    pairs.loc[unknown, ["truth", "truth_annotation"]] = None
    pairs.to_parquet(world.pairs)
    assert world.sample("oracle", "sr64") == 0
    index = pd.read_parquet(world.results / "sample" / "oracle" / "index.parquet")
    lost = index[index["status"] == "dropped"]
    assert set(lost["pair_id"]) == set(pairs[unknown]["pair_id"])
    assert lost["reason"].str.contains("nobody knows its true picture").all()
    for system, stages in (("cascade", ("base", "sr64")), ("regression", ("regression",))):
        assert world.sample(system, *stages) == 0
    assert world.evaluate() == 0
    metrics = pd.read_parquet(world.results / "evaluate" / "metrics.parquet")
    assert set(pairs[unknown]["pair_id"]) <= set(metrics["pair_id"])
    assert set(metrics[metrics["system"] == "oracle"]["list"]) == {"test_paired"}


def test_an_oracle_without_the_data_folder_is_refused(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--pairs", world.pairs, "--packs", *world.packs, "--results", world.results, "--out", "index.parquet"]
    weights = world.results / "train" / "sr64" / "weights.safetensors"
    assert world.tryon("sample", "--system", "oracle", *arguments, "--weights", weights) == 2
    assert "--data" in capsys.readouterr().err


def test_the_person_stays_outside_the_region(judged: World) -> None:
    packed, pairs = PackedPhotos(judged.packs), pd.read_parquet(judged.pairs)
    for pair in pairs[pairs["split"] == "test"].itertuples():
        person = packed.read(pair.person, (64, 48))
        kept_HW = condition_arrays(person, packed.read(pair.garment, (64, 48)), pair.category, (64, 48))[
            "region_B1HW"
        ][0] == 0  # fmt: skip
        made = picture(judged, "sr64", pair.pair_id)
        assert (made[kept_HW] == person.image_HWC[kept_HW]).all()
        assert (made[~kept_HW] != person.image_HWC[~kept_HW]).any()


def test_a_second_run_makes_nothing_and_writes_the_same_index(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert world.sample("cascade", "base", "sr64") == 0
    before, index = all_bytes(world), (world.results / "sample/cascade/index.parquet").read_bytes()
    times = {path: path.stat().st_mtime_ns for path in (world.results / "sample").rglob("*.png")}
    capsys.readouterr()
    assert world.sample("cascade", "base", "sr64") == 0
    assert "pictures," not in capsys.readouterr().err  # no progress line: nothing was made
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert (world.results / "sample/cascade/index.parquet").read_bytes() == index
    assert all_bytes(world) == before


def test_a_killed_run_goes_on_to_the_same_bytes(world: World, judged: World) -> None:
    """Half of the pictures and the index are gone, and one has the size of a torn write."""
    assert world.sample("cascade", "base", "sr64") == 0
    expected = all_bytes(judged)
    expected = {name: content for name, content in expected.items() if name.startswith("cascade/")}
    assert all_bytes(world) == expected
    pictures = sorted((world.results / "sample").rglob("*.png"))
    pictures[0].unlink()
    pictures[3].write_bytes(pictures[3].read_bytes()[:40])
    pictures[-1].unlink()
    (world.results / "sample/cascade/index.parquet").unlink()
    assert world.sample("cascade", "base", "sr64") == 0
    assert all_bytes(world) == expected


def test_batch_size_changes_rounding_at_most(world: World, judged: World) -> None:
    world.configure(sample={"batch_size": 1})
    assert world.sample("cascade", "base", "sr64") == 0
    for row in index_of(judged).itertuples():
        one, three = (picture(w, row.stage, row.pair_id).astype(int) for w in (world, judged))
        assert np.abs(one - three).max() <= 1


def test_new_weights_remake_their_stage_and_what_follows(world: World) -> None:
    assert world.sample("cascade", "base", "sr64") == 0
    before = all_bytes(world)
    write_training(world, "sr64", seed=1)
    assert world.sample("cascade", "base", "sr64") == 0
    after_sr = all_bytes(world)
    assert {name.split("/")[1] for name in before if before[name] != after_sr[name]} == {"sr64"}
    write_training(world, "base", seed=1)
    assert world.sample("cascade", "base", "sr64") == 0
    after_base = all_bytes(world)
    assert all(after_base[name] != after_sr[name] for name in before)


def test_a_stages_own_sampling_settings_remake_that_stage_and_what_follows(world: World) -> None:
    assert world.sample("cascade", "base", "sr64") == 0
    before = all_bytes(world)
    world.configure(sample={"stages": {"sr64": {"num_steps": 3}}})
    assert world.sample("cascade", "base", "sr64") == 0
    after_sr = all_bytes(world)
    assert {name.split("/")[1] for name in before if before[name] != after_sr[name]} == {"sr64"}
    times = {path: path.stat().st_mtime_ns for path in (world.results / "sample").rglob("*.png")}
    # said for all or for each: the settings that a stage ends up with are what counts
    world.configure(sample={"num_steps": 3, "stages": {"base": {"num_steps": 2}}})
    assert world.sample("cascade", "base", "sr64") == 0
    assert {path: path.stat().st_mtime_ns for path in times} == times
    world.configure(sample={"num_steps": 3})
    assert world.sample("cascade", "base", "sr64") == 0
    assert all(after_sr[name] != content for name, content in all_bytes(world).items())


def test_another_seed_makes_other_pictures(world: World, judged: World) -> None:
    world.configure(sample={"seed": 1})
    assert world.sample("cascade", "base", "sr64") == 0
    pair_id = index_of(judged)["pair_id"][0]
    assert (picture(world, "base", pair_id) != picture(judged, "base", pair_id)).any()


def test_pairs_that_cannot_be_sampled_are_listed_with_their_reason(world: World) -> None:
    pairs = pd.read_parquet(world.pairs)
    template = pairs[(pairs["split"] == "test") & (pairs["category"] == "up")].iloc[0]
    table_file = world.packs[0].with_suffix(".parquet")
    table = pd.read_parquet(table_file)
    lost = {
        **table.iloc[0].to_dict(),
        "id": "garment/lost",
        "status": "quarantined",
        "stage": "masks",
        "reason": "torn",
    }
    pd.concat([table, pd.DataFrame([lost])]).to_parquet(table_file, index=False)
    added = [
        {**template, "pair_id": "a__lost", "garment": "garment/lost"},
        {**template, "pair_id": "a__strange", "garment": "garment/strange"},
        {**template, "pair_id": "a__no_dress", "category": "dress"},
    ]
    pd.concat([pairs, pd.DataFrame(added)]).to_parquet(world.pairs, index=False)
    assert world.sample("cascade", "base", "sr64") == 0
    index = index_of(world).set_index("pair_id")
    reasons = index[index["status"] == "dropped"]["reason"].to_dict()
    assert reasons == {
        "a__lost": "garment/lost: masks: torn",
        "a__strange": "garment/strange: not among the packed photos",
        "a__no_dress": f"{template['garment']}: no cut-out of category dress at 32x24",
    }


def test_foreign_weights_are_all_refused_at_once(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    from safetensors.torch import save_file

    files = {stage: world.results / "train" / stage / "weights.safetensors" for stage in ("base", "sr64")}
    save_file({"w": torch.zeros(1)}, files["base"], metadata={"stage": "base", "settings_digest": "0" * 16})
    files["sr64"].write_bytes(b"garbage")
    assert world.sample("cascade", "base", "sr64", "regression") == 2
    message = capsys.readouterr().err
    for part in ("other settings", "rule None", "not a safetensors file", "'regression', which this system lacks"):
        assert part in message
    assert "Traceback" not in message
    assert not (world.results / "sample").exists()


def test_photos_packed_by_another_agnostic_rule_are_refused(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.configure(cutouts={"source": "annotations", "agnostic": "ootd"})
    assert world.sample("cascade", "base", "sr64") == 2
    message = capsys.readouterr().err
    assert "packed with regions of the rule 'limbs', but cutouts.agnostic is 'ootd'" in message
    assert "run the stages `cutouts` and `pack` again" in message
    assert not (world.results / "sample").exists()


def test_missing_weights_name_the_stage(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert world.sample("cascade", "base") == 2
    assert "stage sr64: no weights given; run `tryon train --stage sr64`" in capsys.readouterr().err


def test_weights_of_another_network_are_refused(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    path = world.results / "train" / "base" / "weights.safetensors"
    metadata = safe_open(path, "pt").metadata()
    save_file({"w": torch.zeros(1)}, path, metadata=metadata)
    assert world.sample("cascade", "base", "sr64") == 2
    assert "does not fit the network of stage base" in capsys.readouterr().err


def test_an_unknown_system_and_empty_lists_are_told(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert world.sample("cascad", "base") == 2
    assert "the configuration has: cascade, regression" in capsys.readouterr().err
    pairs = pd.read_parquet(world.pairs)
    pairs[pairs["split"] != "test"].to_parquet(world.pairs, index=False)
    assert world.sample("cascade", "base", "sr64") == 2
    assert "no pair in test_paired, test_unpaired" in capsys.readouterr().err


def test_a_reference_cannot_be_a_super_resolution_stage(judged: World) -> None:
    config = load(judged.config)
    assert sample.stages_of(config, "regression") == ["regression"]
    odd = config.model_copy(update={"references": ["sr64"]})
    with pytest.raises(Exception, match="starts from nothing"):
        sample.stages_of(odd, "sr64")
