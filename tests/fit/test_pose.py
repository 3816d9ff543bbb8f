"""`tryon fit-pose`: mmengine's Runner learns from a data folder, and what it writes is a model that loads."""

import json
from pathlib import Path

import pytest
import torch

from tryon import cli, files
from tryon.prepare.pose_model import PoseModel

POSE = Path(__file__).parents[2] / "resources" / "pose"


def fit(root: Path, data: Path, *options: str, **keypoints: str) -> int:
    values = {
        "keypoints": {"config": str(POSE / "pose_config.py"), "device": "cpu"} | keypoints,
        "stages": {"base": {"kind": "parallel_unet", "size": [64, 48]}},
        "cascade": ["base"],
    }
    files.write_json(root / "config.json", values)
    arguments = ["--config", str(root / "config.json"), "--data", str(data), "--out", str(root / "pose")]
    return cli.main(["fit-pose", *arguments, "--held-out", "0.3", *options])


def losses(root: Path) -> list[float]:
    """The keypoint loss of each logged step."""
    (log,) = (root / "pose" / "work").glob("*/vis_data/scalars.json")
    records = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [record["loss_kpt"] for record in records if "loss_kpt" in record]


@pytest.fixture(scope="module")
def fitted(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained for 16 steps on 10 renders."""
    root = tmp_path_factory.mktemp("fit")
    assert fit(root, rendered, "--epochs", "16", "--seed", "3") == 0
    return root


def test_the_loss_falls(fitted: Path) -> None:
    values = losses(fitted)
    assert len(values) >= 12
    assert sum(values[-4:]) < 0.85 * sum(values[:4])


def test_what_it_writes_loads_without_running_code(fitted: Path) -> None:
    content = torch.load(fitted / "pose" / "pose.pth", weights_only=True)
    assert set(content) == {"meta", "state_dict"}
    assert content["meta"]["seed"] == 3
    kinds = {value.dtype for value in content["state_dict"].values()}
    assert kinds <= {torch.float16, torch.float32, torch.int64}
    model = PoseModel(fitted / "pose" / "pose_config.py", fitted / "pose" / "pose.pth", device="cpu")
    assert not model.network.training


def test_the_card_beside_it_tells_what_it_is(fitted: Path) -> None:
    card = files.read_json(fitted / "pose" / "pose.json")
    assert card["sha256"] == files.sha256_file(fitted / "pose" / "pose.pth")
    assert card["num_train"] + card["held_out"]["num_persons"] + card["held_out"]["num_garments"] == 16
    assert card["epochs"] == 16
    assert 0 <= card["held_out"]["pck_005_mean"] <= 1


def test_it_goes_on_from_a_checkpoint(fitted: Path, rendered: Path, tmp_path: Path) -> None:
    start = fitted / "pose" / "pose.pth"
    assert fit(tmp_path, rendered, "--epochs", "2", "--seed", "3", "--start", str(start)) == 0
    # the same first photos and augmentation as the first run's, seen by trained weights
    assert losses(tmp_path)[0] < 0.9 * losses(fitted)[0]


def test_a_checkpoint_of_another_model_is_refused(
    rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = tmp_path / "other.pth"
    torch.save({"state_dict": {"backbone.conv1.weight": torch.zeros(2, 3, 3, 3)}}, start)
    assert fit(tmp_path, rendered, "--start", str(start)) == 2
    assert "other.pth does not fit" in capsys.readouterr().err


def test_a_configuration_without_a_training_part_is_refused(
    rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.py"
    config.write_text((POSE / "pose_config.py").read_text() + "\ndel train_dataloader\n")
    assert fit(tmp_path, rendered, config=str(config)) == 2
    assert "nothing to train with" in capsys.readouterr().err


def test_an_absent_checkpoint_is_said_before_anything_is_cut(
    rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(tmp_path, rendered, "--start", str(tmp_path / "absent.pth")) == 2
    assert "--start: " in capsys.readouterr().err
    assert not (tmp_path / "pose").exists()
