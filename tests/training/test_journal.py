"""What a run says: append-only numbers, of a repeated step the last, and a progress line for both kinds of reader."""

from __future__ import annotations

import errno
import io
import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tryon import files
from tryon.errors import UserError
from tryon.training.journal import Journal, Meter, duration, read_metrics


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def make(run_dir: Path, stream: io.StringIO, times: list[float], *, active: bool = True) -> Journal:
    clock = iter(times)
    return Journal(run_dir, num_steps=200, stage="base", active=active, stream=stream, clock=lambda: next(clock))


def test_of_a_repeated_step_the_last_line_counts_and_a_torn_one_is_skipped(tmp_path: Path) -> None:
    journal = make(tmp_path, io.StringIO(), [])
    for step, loss in ((1, 0.9), (2, 0.8), (3, 0.7)):
        journal.metrics("train", step, loss=loss)
    journal.metrics("val", 2, loss=0.5)
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"kind": "train", "step": 4, "lo\n')
    journal.metrics("train", 3, loss=0.6)
    assert [(row["step"], row["loss"]) for row in read_metrics(tmp_path, "train")] == [(1, 0.9), (2, 0.8), (3, 0.6)]
    assert [row["loss"] for row in read_metrics(tmp_path, "val")] == [0.5]
    assert read_metrics(tmp_path / "nothing", "train") == []


def test_a_torn_line_does_not_spoil_the_next(tmp_path: Path) -> None:
    for name in ("metrics.jsonl", "events.jsonl"):
        (tmp_path / name).write_text('{"kind": "train", "step": 1, "loss": 1.0}\n{"kind": "tr')
    journal = make(tmp_path, io.StringIO(), [])
    journal.metrics("train", 2, loss=0.5)
    journal.say("saved", step=2)
    assert [row["step"] for row in read_metrics(tmp_path, "train")] == [1, 2]
    assert json.loads((tmp_path / "events.jsonl").read_text().splitlines()[-1])["event"] == "saved"


def test_a_full_disk_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = make(tmp_path, io.StringIO(), [])

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "append_jsonl", full)
    with pytest.raises(UserError, match=f"no space left for the journals in {tmp_path}; its checkpoints are untouched"):
        journal.metrics("train", 1, loss=1.0)
    with pytest.raises(UserError, match="free some space and start again"):
        journal.say("saved", step=1)


def test_numbers_go_to_trackers_too(tmp_path: Path) -> None:
    seen: list[tuple[dict[str, float], int]] = []
    journal = Journal(
        tmp_path,
        num_steps=2,
        stage="base",
        track=lambda values, step: seen.append((values, step)),
        stream=io.StringIO(),
    )
    journal.metrics("train", 1, loss=0.5, lr=0.1)
    journal.metrics("val", 2, loss=0.25)
    assert seen == [({"train/loss": 0.5, "train/lr": 0.1}, 1), ({"val/loss": 0.25}, 2)]


def test_a_log_gets_a_plain_line_every_ten_seconds(tmp_path: Path) -> None:
    stream = io.StringIO()
    journal = make(tmp_path, stream, [0.0, 4.0, 9.9, 10.0, 15.0])
    for step in (10, 20, 30, 40, 50):
        journal.progress(step, loss=0.25, images_per_s=12.5, seconds_per_step=0.5)
    assert stream.getvalue() == (
        "base: step 10/200 (5 %)  loss 0.2500  12.5 images/s  01:35 left\n"
        "base: step 40/200 (20 %)  loss 0.2500  12.5 images/s  01:20 left\n"
    )


def test_a_terminal_gets_one_line_that_renews_itself(tmp_path: Path) -> None:
    stream = Terminal()
    journal = make(tmp_path, stream, [0.0, 0.1, 1.0])
    for step in (1, 2, 3):
        journal.progress(step, loss=1.0, images_per_s=1.0, seconds_per_step=1.0)
    journal.say("saved", step=3)
    shown = stream.getvalue()
    assert shown.count("\r") == 2
    assert shown.endswith("left\nbase: saved: step 3\n")


def test_only_the_first_process_writes(tmp_path: Path) -> None:
    stream = io.StringIO()
    journal = make(tmp_path, stream, [0.0], active=False)
    journal.open_curves(0)
    journal.say("saved", step=1)
    journal.metrics("train", 1, loss=1.0)
    journal.progress(1, 1.0, 1.0, 1.0)
    journal.picture("samples", 1, np.zeros((4, 4, 3), np.uint8))
    journal.close()
    assert stream.getvalue() == ""
    assert list(tmp_path.iterdir()) == []


def test_curves_take_back_what_an_interrupted_run_drew(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for first_step, last_step, loss in ((0, 8, 0.9), (6, 10, 0.1)):
        journal = make(tmp_path, io.StringIO(), [])
        journal.open_curves(first_step)
        for step in range(first_step + 1, last_step + 1):
            journal.metrics("train", step, loss=loss)
        journal.picture("samples", last_step, np.full((4, 4, 3), 7, np.uint8))
        journal.close()
        time.sleep(1.1)  # TensorBoard orders files by the second in their name
    curves = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    points = [(point.step, round(point.value, 3)) for point in curves.Scalars("train/loss")]
    assert points == [(step, 0.9) for step in range(1, 7)] + [(step, 0.1) for step in range(7, 11)]
    assert (tmp_path / "samples/step-00000010.png").exists()
    assert curves.Tags()["images"] == ["samples"]


def test_a_disk_that_fills_up_under_the_curves_is_a_sentence_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    journal = make(tmp_path, io.StringIO(), [])
    journal.open_curves(0)
    assert journal._writer is not None
    (thread,) = [thread for thread in threading.enumerate() if type(thread).__name__ == "_AsyncWriterThread"]

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(thread._record_writer, "write", full)

    def write_on() -> None:
        for step in range(1000):
            journal.metrics("train", step, loss=0.5)
            time.sleep(0.01)

    with pytest.raises(UserError, match="no space left for the journals"):
        write_on()
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert "Traceback" not in capfd.readouterr().err
    stranger = threading.Thread(target=full)
    stranger.start()
    stranger.join()
    assert "Traceback" in capfd.readouterr().err  # of a thread that keeps nothing, all is told


def test_events_keep_lists_that_are_not_shown(tmp_path: Path) -> None:
    stream = io.StringIO()
    make(tmp_path, stream, []).say("skipped_pairs", num=2, pair_ids=["a", "b"])
    assert stream.getvalue() == "base: skipped pairs: num 2\n"
    row = json.loads((tmp_path / "events.jsonl").read_text())
    assert (row["event"], row["num"], row["pair_ids"]) == ("skipped_pairs", 2, ["a", "b"])


def test_a_meter_continues_the_window_of_a_checkpoint() -> None:
    meter = Meter(batch_size=4)
    meter.add(loss=1.0, grad_norm=3.0)
    resumed = Meter(batch_size=4, window=meter.window)
    resumed.start()
    resumed.add(loss=2.0, grad_norm=5.0)
    means = resumed.means()
    assert (means["loss"], means["grad_norm"]) == (1.5, 4.0)
    assert means["images_per_s"] == 4 * 1 / resumed.seconds, "only steps of this process are timed"


def test_durations() -> None:
    assert [duration(s) for s in (0, 59.6, 61, 3600, 7325)] == ["00:00", "01:00", "01:01", "1:00:00", "2:02:05"]
