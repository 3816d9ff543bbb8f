"""Checkpoints: whole or absent, verified, rotated without losing the last good one, one run per directory."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import pickle
import random
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tryon.errors import UserError
from tryon.files import sha256_file
from tryon.training import checkpoints
from tryon.training.checkpoints import Checkpoints, RunLock, Snapshot, damage

IDENTITY = {"config": "a" * 16, "network": "b" * 16}


class Events(list[dict[str, Any]]):
    """Collects what is said."""

    def __call__(self, event: str, **facts: object) -> None:
        self.append({"event": event, **facts})


def make(
    run_dir: Path, *, keep_last: int = 3, identity: dict[str, str] = IDENTITY, milestone_every: int | None = None
) -> tuple[Checkpoints, Events]:
    events = Events()
    store = Checkpoints(run_dir, identity=identity, keep_last=keep_last, milestone_every=milestone_every, say=events)
    return store, events


def snapshot(step: int) -> Snapshot:
    generator = torch.Generator().manual_seed(step)
    weights = {"w": torch.randn(5, 3, generator=generator), "b": torch.randn(3, generator=generator)}
    optimizer = {"w.exp_avg": torch.randn(5, 3, generator=generator), "w.step": torch.tensor(float(step))}
    return Snapshot(step, {"weights": weights, "optimizer": optimizer}, {"best": 0.5})


def assert_same(found: Snapshot, expected: Snapshot) -> None:
    assert found.step == expected.step
    assert found.scalars == expected.scalars
    assert found.tensors.keys() == expected.tensors.keys()
    for group, tensors in expected.tensors.items():
        assert found.tensors[group].keys() == tensors.keys()
        for name, tensor in tensors.items():
            assert torch.equal(found.tensors[group][name], tensor)


def test_what_is_saved_comes_back_bit_for_bit(tmp_path: Path) -> None:
    store, events = make(tmp_path)
    assert store.newest() is None
    store.save(snapshot(7))
    assert store.newest() == 7
    assert_same(store.load(7), snapshot(7))
    assert events == [{"event": "saved", "step": 7, "kept_as": "last", "checkpoints": {"7": "last"}}]


def test_rotation_keeps_the_last_ones(tmp_path: Path) -> None:
    store, _ = make(tmp_path, keep_last=2)
    for step in (1, 2, 3, 4):
        store.save(snapshot(step))
    assert store.steps() == [3, 4]
    assert sorted(path.name for path in store.folder.iterdir()) == ["step-00000003", "step-00000004"]


def test_last_best_and_milestones_stay_and_events_tell_which_is_which(tmp_path: Path) -> None:
    store, events = make(tmp_path, keep_last=2, milestone_every=4)
    for step in range(1, 10):
        store.save(snapshot(step), best_step=min(step, 3))
    assert store.steps() == [3, 4, 8, 9]
    assert events[-1]["checkpoints"] == {"3": "best", "4": "milestone", "8": "last, milestone", "9": "last"}
    assert [event["kept_as"] for event in events[:4]] == ["last, best", "last, best", "last, best", "last, milestone"]
    again, events = make(tmp_path, keep_last=1, milestone_every=4)
    assert again.newest() == 9
    again.save(snapshot(10), best_step=10)
    assert again.steps() == [4, 8, 10], "the former best goes when there is a better one"


def test_a_large_group_is_cut_into_files_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "PART_BYTES", 100)
    tensors = {f"t{i:02d}": torch.randn(5, generator=torch.Generator().manual_seed(i)) for i in range(12)}
    tensors["large"] = torch.arange(50.0)
    original = Snapshot(1, {"weights": tensors, "optimizer": {"step": torch.tensor(1.0)}})
    store, _ = make(tmp_path)
    folder = store.save(original)
    names = [path.name for path in sorted(folder.glob("weights*"))]
    assert names == ["weights-00001.safetensors", "weights-00002.safetensors", "weights-00003.safetensors",
                     "weights.safetensors"]  # fmt: skip
    assert_same(store.load(1), original)
    store.save(dataclasses.replace(original, step=2))
    (store.folder / "step-00000002/weights-00002.safetensors").unlink()
    assert store.newest() == 1


def test_every_flip_and_truncation_is_detected_and_the_one_before_is_used(tmp_path: Path) -> None:
    original, _ = make(tmp_path / "original")
    original.save(snapshot(1))
    original.save(snapshot(2))
    rng = random.Random(0)
    names = sorted(path.name for path in (original.folder / "step-00000002").iterdir())
    for trial in range(40):
        run_dir = tmp_path / f"trial{trial}"
        shutil.copytree(tmp_path / "original", run_dir)
        victim = run_dir / "checkpoints" / "step-00000002" / names[trial % len(names)]
        content = bytearray(victim.read_bytes())
        if trial % 2:
            del content[rng.randrange(len(content)) :]
        else:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        victim.write_bytes(content)
        store, events = make(run_dir)
        assert store.newest() == 1, f"damage in {victim.name} was not noticed"
        assert_same(store.load(1), snapshot(1))
        assert [(e["event"], e["step"]) for e in events] == [("damaged_checkpoint", 2)]


def test_a_missing_and_a_foreign_file_are_damage(tmp_path: Path) -> None:
    store, _ = make(tmp_path)
    folder = store.save(snapshot(1))
    assert damage(folder) is None
    (folder / "extra.pt").write_bytes(b"\x80\x04")
    assert "extra.pt" in str(damage(folder))
    (folder / "extra.pt").unlink()
    (folder / "optimizer.safetensors").unlink()
    assert "optimizer.safetensors" in str(damage(folder))


class Bomb:
    """Makes a file where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("name", ["weights.pt", "model.ckpt", "weights.pth", "weights.safetensors", "state.json"])
@pytest.mark.parametrize("writer", ["torch.save", "pickle"])
def test_a_pickle_is_never_opened_though_the_manifest_vouches_for_it(name: str, writer: str, tmp_path: Path) -> None:
    store, _ = make(tmp_path)
    store.save(snapshot(1))
    folder = store.save(snapshot(2))
    mark = tmp_path / "the code in the pickle ran"
    bomb = {"w": Bomb(mark)}
    if writer == "torch.save":
        torch.save(bomb, folder / name)
    else:
        (folder / name).write_bytes(pickle.dumps(bomb))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest[name] = {"bytes": (folder / name).stat().st_size, "sha256": sha256_file(folder / name)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    again, events = make(tmp_path)
    assert again.newest() == 1
    assert_same(again.load(1), snapshot(1))
    assert not mark.exists()
    (event,) = events
    assert event["step"] == 2
    assert name in event["reason"]
    assert ("unopened" in event["reason"]) == (name != "state.json")


def test_a_state_that_no_trainer_writes_is_refused(tmp_path: Path) -> None:
    store, _ = make(tmp_path)
    folder = store.save(snapshot(1))
    for content in ("[]", '{"step": "1", "identity": {}, "scalars": {}}', '{"step": 1}', "\x00\x00"):
        (folder / "state.json").write_text(content)
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["state.json"] = {"bytes": len(content), "sha256": sha256_file(folder / "state.json")}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        assert damage(folder) == "state.json is not what a trainer writes"


def test_rotation_never_deletes_the_last_verified_one(tmp_path: Path) -> None:
    store, _ = make(tmp_path, keep_last=1)
    store.save(snapshot(1))
    for step in (2, 3):  # two newer ones that a broken disk returned as rubbish
        shutil.copytree(store.folder / "step-00000001", store.folder / f"step-{step:08d}")
        (store.folder / f"step-{step:08d}" / "weights.safetensors").write_bytes(b"rubbish")
    again, _ = make(tmp_path, keep_last=1)
    assert again.newest() == 1
    assert again.steps() == [1]
    again.save(snapshot(2))
    assert again.newest() == 2
    assert [path.name for path in again.folder.iterdir()] == ["step-00000002"], "the damaged ones are gone too"


def test_leftovers_of_a_killed_save_are_removed(tmp_path: Path) -> None:
    store, _ = make(tmp_path)
    store.save(snapshot(1))
    leftover = store.folder / ".step-00000002.abc"
    leftover.mkdir()
    (leftover / "weights.safetensors").write_bytes(b"half")
    assert store.newest() == 1
    assert not leftover.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of a megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a tmpfs: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("tenth", range(10))
def test_a_full_disk_leaves_the_last_one_and_no_rubbish(tenth: int, small_disk: Path) -> None:
    store, _ = make(small_disk, keep_last=1)
    tensors = {f"t{i}": torch.full((10_000,), float(i)) for i in range(5)}
    groups = {"weights": tensors, "optimizer": {"m": torch.ones(50_000)}}  # 0.4 MB
    store.save(Snapshot(1, groups))
    stat = os.statvfs(small_disk)
    needed = sum(path.stat().st_blocks * 512 for path in (store.folder / "step-00000001").iterdir())
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(stat.f_bavail * stat.f_frsize - needed * tenth // 10))
    with pytest.raises(UserError, match=r"no space left .* step 2 .*\[1\] are untouched: free some space"):
        store.save(Snapshot(2, groups))
    assert [path.name for path in store.folder.iterdir()] == ["step-00000001"]
    assert store.newest() == 1
    assert_same(store.load(1), Snapshot(1, groups))
    ballast.unlink()
    store.save(Snapshot(2, groups))
    assert store.newest() == 2


def test_an_error_of_the_disk_at_the_last_moment_leaves_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems tell of a full disk only when a file is synced."""
    store, _ = make(tmp_path)
    store.save(snapshot(1))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, "_sync_file", full)
    with pytest.raises(UserError, match=r"no space left .* step 2 .*\[1\]"):
        store.save(snapshot(2))
    assert [path.name for path in store.folder.iterdir()] == ["step-00000001"]


def test_a_checkpoint_of_another_run_is_refused_with_the_reason(tmp_path: Path) -> None:
    make(tmp_path)[0].save(snapshot(1))
    other, _ = make(tmp_path, identity={**IDENTITY, "network": "c" * 16})
    with pytest.raises(UserError, match=f"different network .checkpoint {'b' * 16}, this run {'c' * 16}"):
        other.newest()
    assert other.steps() == [1], "it is refused, not removed"


def test_a_lock_on_a_full_disk_is_refused_in_a_sentence(small_disk: Path) -> None:
    (small_disk / "lock").touch()
    stat = os.statvfs(small_disk)
    (small_disk / "ballast").write_bytes(bytes(stat.f_bavail * stat.f_frsize))
    with (
        pytest.raises(UserError, match="no space left for .*lock; free some space and start again"),
        RunLock(small_disk),
    ):
        pass
    (small_disk / "ballast").unlink()
    with RunLock(small_disk):
        pass


def test_two_runs_on_one_directory_one_proceeds(tmp_path: Path) -> None:
    hold = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from tryon.training.checkpoints import RunLock
        with RunLock(Path({str(tmp_path)!r})):
            print("held", flush=True)
            sys.stdin.read()
    """)
    holder = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"in use by process {holder.pid} on"), RunLock(tmp_path):
            pass
    finally:
        holder.kill()
        holder.wait()
    with RunLock(tmp_path):  # the holder was killed with -9: its lock is gone with it
        assert f"process {os.getpid()}" in (tmp_path / "lock").read_text()
