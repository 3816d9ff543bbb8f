"""What differs between two runs besides their scores: settings, data, weights, code and versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tryon import files
from tryon.evaluation.compare_runs import Run
from tryon.evaluation.recorded import FILE, MACHINE, SCIENCE

ABSENT = "–"
"""Stands where a run has no such setting, file or stage."""

OF_TRAINING = ("kind", "step", "num_params", "num_train_pairs", "settings_digest", "data_digest", "code_digest",
               "agnostic", "keypoints", "weights_sha256")  # fmt: skip


@dataclass(frozen=True)
class Change:
    """One thing that differs.

    Attributes:
        name: of the setting, file, stage or package.
        first, second: values of the two runs, plain JSON; `ABSENT` where one has none.
    """

    name: str
    first: Any
    second: Any


def changes(first: Mapping[str, Any], second: Mapping[str, Any], prefix: str = "") -> list[Change]:
    """Everything whose value differs, in alphabetical order."""
    found = ((name, first.get(name, ABSENT), second.get(name, ABSENT)) for name in sorted({*first, *second}))
    return [Change(prefix + name, one, other) for name, one, other in found if one != other]


@dataclass(frozen=True)
class Settings:
    """Settings that differ.

    Attributes:
        science: those that shape a number.
        machine: those that decide where and how fast, or what pages show.
        not_recorded: files that would tell, where a run has none.
    """

    science: list[Change]
    machine: list[Change]
    not_recorded: list[str]


def settings(first: Run, second: Run) -> Settings:
    """Settings as they were when the scores were computed."""
    missing = [str(run.root / "evaluate" / FILE) for run in (first, second) if run.settings is None]
    if first.settings is None or second.settings is None:
        return Settings([], [], missing)
    return Settings(
        changes(first.settings[SCIENCE], second.settings[SCIENCE]),
        changes(first.settings[MACHINE], second.settings[MACHINE]),
        [],
    )


@dataclass(frozen=True)
class ListOfPairs:
    """One list of pairs in both runs.

    Attributes:
        name: such as "test_unpaired".
        first, second: pairs of each.
        both: pairs of one id in both.
    """

    name: str
    first: int
    second: int
    both: int


@dataclass(frozen=True)
class Data:
    """Data that differ.

    Attributes:
        photos: number of photos of each run.
        same_photos: of one id and the same pixels in both.
        changed_photos: ids whose pixels differ.
        only_first, only_second: ids that one run lacks.
        lists: lists of pairs.
        refused: {photo, file or pair: reasons} where the reasons differ; `ABSENT`: it was not refused.
        packs: what packs were made from, where it differs, by shard.
        tables: sha256 of the tables of photos and pairs, where they differ.
    """

    photos: tuple[int, int]
    same_photos: int
    changed_photos: list[str]
    only_first: list[str]
    only_second: list[str]
    lists: list[ListOfPairs]
    refused: list[Change]
    packs: list[Change]
    tables: list[Change]


def data(first: Run, second: Run) -> Data:
    """Photos, lists of pairs, refused photos and packs."""
    one, other = (dict(zip(run.photos["id"], run.photos["pixels"], strict=True)) for run in (first, second))
    both = one.keys() & other.keys()
    changed = sorted(photo for photo in both if one[photo] != other[photo])
    tables = [
        {name: files.sha256_file(run.root / name) for name in ("dataset/manifest.parquet", "pairs/pairs.parquet")}
        for run in (first, second)
    ]
    return Data(
        (len(one), len(other)),
        len(both) - len(changed),
        changed,
        sorted(one.keys() - both),
        sorted(other.keys() - both),
        _lists(first, second),
        changes(first.quarantine, second.quarantine),
        [
            change
            for key in sorted({*first.packs, *second.packs})
            for change in changes(_made_from(first, key), _made_from(second, key), f"{key}: ")
        ],
        changes(tables[0], tables[1]),
    )


def _lists(first: Run, second: Run) -> list[ListOfPairs]:
    ids = [run.pairs.groupby("list")["pair_id"].agg(set).to_dict() for run in (first, second)]
    found = []
    for name in sorted({*ids[0], *ids[1]}):
        one, other = (of_run.get(name, set()) for of_run in ids)
        found.append(ListOfPairs(name, len(one), len(other), len(one & other)))
    return found


def _made_from(run: Run, key: str) -> dict[str, str]:
    origin = run.packs.get(key)
    if origin is None:
        return {}
    return {"settings": origin["config_digest"], "code": origin["code_digest"], **origin["inputs"]}


@dataclass(frozen=True)
class Made:
    """By what the results were made, where it differs.

    Attributes:
        trainings: facts of the trained stages, named "STAGE: FACT".
        code: digest of the code behind each result.
        versions: commit of the source and versions of packages, as the scores' provenance has them.
        machine: processor, cores, system.
    """

    trainings: list[Change]
    code: list[Change]
    versions: list[Change]
    machine: list[Change]


def made(first: Run, second: Run) -> Made:
    """Weights, code, versions and machine."""
    trainings = []
    for stage in sorted({*first.trainings, *second.trainings}):
        one, other = first.trainings.get(stage), second.trainings.get(stage)
        if one is None or other is None:
            trainings.append(Change(stage, "trained" if one else ABSENT, "trained" if other else ABSENT))
        else:
            trainings += changes(_chosen(one), _chosen(other), f"{stage}: ")
    code = [
        {name: origin["code_digest"] for name, origin in run.origins.items() if "code_digest" in origin}
        for run in (first, second)
    ]
    origins = [run.origins.get("evaluate", {}) for run in (first, second)]
    versions = [
        {**origin.get("versions", {}), **{name: origin[name] for name in ("tryon", "commit") if name in origin}}
        for origin in origins
    ]
    machines = [origin.get("machine", {}) for origin in origins]
    return Made(
        trainings, changes(code[0], code[1]), changes(versions[0], versions[1]), changes(machines[0], machines[1])
    )


def _chosen(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {name: summary[name] for name in OF_TRAINING if name in summary}
