"""Ablations: rows of other settings, and which work of each row is the run's own or another row's.

A row is the run's configuration with a few settings changed. Whatever it has in common with the run, or with another
row, is one file for all of them: folders below RESULTS/variants are named by the digest of what shapes their content,
and where that is what shapes the run's own, the row uses the run's files. Imports nothing heavy.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tryon.digests import config_digest

if TYPE_CHECKING:
    from tryon.config import AblationConfig, Config

VARYING = ("cutouts", "stages", "cascade", "sample")
"""Sections that a row may change: rows share photos, pairs, keypoints and how they are judged."""
MAX_ROWS = 200  # each is a sampling job; a thousand is a slip in `vary`
Changes = Mapping[str, Any]


def rows_of(ablation: AblationConfig) -> dict[str, Changes]:
    """Settings that each row changes, by its name: combinations of `vary`, the last path fastest, then `rows`.

    Raises:
        ValueError: no rows, too many, or two of one name.
    """
    names = short_names(list(ablation.vary))
    num = 1
    for values in ablation.vary.values():
        num *= len(values)
    if num > MAX_ROWS:
        raise ValueError(f"vary makes {num} rows, more than {MAX_ROWS}; name the ones to look at under rows instead")
    found: dict[str, Changes] = {}
    combinations = itertools.product(*ablation.vary.values()) if ablation.vary else ()
    named = [
        (", ".join(f"{names[path]} {shown(value)}" for path, value in changes.items()), changes)
        for changes in (dict(zip(ablation.vary, values, strict=True)) for values in combinations)
    ]
    for name, changes in [*named, *ablation.rows.items()]:
        if name in found:
            raise ValueError(f"two rows are called {name!r}: take one away, or call it otherwise")
        found[name] = changes
    if not found:
        raise ValueError("neither vary nor rows names anything to compare")
    return found


def shown(value: Any) -> str:  # noqa: ANN401 (any setting)
    """A setting's value as a row's name shows it."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "–".join(map(shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """Each path's last words, as many as tell it from the others."""
    found = {}
    for path in paths:
        parts = path.split(".")
        tails = [".".join(parts[at:]) for at in reversed(range(len(parts)))]
        others = [f".{other}" for other in paths if other != path]
        found[path] = next((t for t in tails if not any(other.endswith(f".{t}") for other in others)), path)
    return found


def laid_over(values: Mapping[str, Any], changes: Changes, lists: Sequence[str] | None) -> dict[str, Any]:
    """The settings of a row: those of the run as the user wrote them, and the row's own over them.

    Args:
        values: the whole configuration.
        changes: value by path.
        lists: pair lists that the ablation samples; None: those of the run.

    Raises:
        ValueError: a path that no row can change, or that leads through something that is no section.
    """
    made = {name: _unshared(value) for name, value in values.items() if name != "ablations"}
    made["references"] = []  # beside the run's own cascade, which is one of the rows or can be
    for path, value in changes.items():
        parts = path.split(".")
        if parts[0] not in VARYING or path == "sample.lists":
            reason = "name them under lists" if path == "sample.lists" else "compare whole runs instead"
            raise ValueError(
                f"{path}: rows are judged on the same photos, pairs and lists, and change {', '.join(VARYING)} alone; "
                f"{reason}"
            )
        if len(parts) == 1 and path != "cascade":
            raise ValueError(f"{path}: a whole section; name the settings that differ, such as {path}.NAME")
        if parts[0] == "stages" and parts[1] not in made["stages"]:
            raise ValueError(f"{path}: no such stage (known: {', '.join(sorted(made['stages']))})")
        place = made
        for depth, part in enumerate(parts[:-1], 1):
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ValueError(f"{path}: {'.'.join(parts[:depth])} is a value, no section")
        place[parts[-1]] = _unshared(value)
    if lists is not None:
        made.setdefault("sample", {})["lists"] = list(lists)
    return made


def _unshared(value: Any) -> Any:  # noqa: ANN401 (any setting)
    """A copy that shares no part with another: YAML's anchors would change two stages at once."""
    if isinstance(value, Mapping):
        return {name: _unshared(part) for name, part in value.items()}
    return [_unshared(part) for part in value] if isinstance(value, list | tuple) else value


def expand(values: Mapping[str, Any], cfg: Config, parse: Callable[[Mapping[str, Any]], Config]) -> dict[str, Rows]:
    """Every ablation's rows as configurations of their own.

    Args:
        values: the configuration as the user wrote it.
        cfg: the same, validated.
        parse: validates a row's settings; raises ValueError whose text has one mistake per line.

    Raises:
        ValueError: the mistakes of all ablations, a line each.
    """
    problems: list[str] = []
    found = {}
    for name, ablation in cfg.ablations.items():
        try:
            found[name] = _rows(values, cfg, ablation, parse)
        except ValueError as error:
            problems += [f"ablations.{name}: {line}" for line in str(error).splitlines()]
    if problems:
        raise ValueError("\n".join(problems))
    return found


Rows = dict[str, "Config"]


def _rows(
    values: Mapping[str, Any], cfg: Config, ablation: AblationConfig, parse: Callable[[Mapping[str, Any]], Config]
) -> Rows:
    changes_of = rows_of(ablation)
    rows: Rows = {}
    problems: dict[str, list[str]] = {}
    for name, changes in changes_of.items():
        try:
            rows[name] = parse(laid_over(values, changes, ablation.lists))
        except ValueError as error:
            for line in str(error).splitlines():
                problems.setdefault(line, []).append(name)
    if problems:
        of_all = len(changes_of)
        lines = (line if len(of) == of_all else f"row {of[0]!r}: {line}" for line, of in problems.items())
        raise ValueError("\n".join(lines))
    final = cfg.stages[cfg.cascade[-1]].size
    same: dict[str, str] = {}
    for name, row in rows.items():
        made = row.stages[row.cascade[-1]].size
        if made != final:
            raise ValueError(
                f"row {name!r} makes pictures of {made[0]}x{made[1]}, the run of {final[0]}x{final[1]}: pictures of "
                "different sizes cannot be compared"
            )
        twin = same.setdefault(row_digest(row), name)
        if twin != name:
            raise ValueError(
                f"rows {twin!r} and {name!r} make the same pictures: they differ in no setting that shapes a result; "
                "take one away"
            )
    return rows


# ---- what shapes what


def row_digest(cfg: Config, *, with_lists: bool = True) -> str:
    """Digest of everything that decides the cascade's pictures of a configuration, with or without their lists."""
    return config_digest(
        cfg.cutouts,
        cfg.cascade,
        [cfg.stages[name] for name in cfg.cascade],
        [cfg.sample.of_stage(name) for name in cfg.cascade],
        cfg.sample.seed,
        list(cfg.sample.lists) if with_lists else [],
    )


class Variants:
    """Where each row's work lies, relative to the results folder.

    Args:
        cfg: the run's configuration.
        rows: of every ablation, see `expand`.
    """

    def __init__(self, cfg: Config, rows: Mapping[str, Rows]) -> None:
        self._run = cfg
        self._by_digest: dict[tuple[str, ...], Config] = {}
        for row in (row for of_one in rows.values() for row in of_one.values()):
            for key in (self._cutting(row), self._packing(row), ("variant", row_digest(row))):
                self._by_digest.setdefault(key, row)
            for stage in row.cascade:
                self._by_digest.setdefault(self._training(row, stage), row)

    def of_job(self, wildcards: Mapping[str, str]) -> Config:
        """The configuration that a job is for, by its wildcards; the run's own where none names another."""
        for name in ("cutting", "packing", "variant"):
            if name in wildcards:
                return self._by_digest[name, wildcards[name]]
        if "training" in wildcards:
            return self._by_digest["training", wildcards["stage"], wildcards["training"]]
        return self._run

    def cutouts(self, cfg: Config) -> str:
        """Folder of cut-outs."""
        key = self._cutting(cfg)
        return "cutouts" if key == self._cutting(self._run) else f"variants/cutouts/{key[-1]}"

    def pack(self, cfg: Config) -> str:
        """Folder of packed photos; the run's own where they hold all sizes that are needed."""
        if self._cutting(cfg) == self._cutting(self._run) and set(cfg.sizes) <= set(self._run.sizes):
            return "pack"
        return f"variants/pack/{self._packing(cfg)[-1]}"

    def train(self, cfg: Config, stage: str) -> str:
        """Folder of a stage's weights."""
        key = self._training(cfg, stage)
        if stage in self._run.used_stages and key == self._training(self._run, stage):
            return f"train/{stage}"
        return f"variants/train/{stage}-{key[-1]}"

    def row(self, cfg: Config) -> str:
        """Folder that holds a row's `sample` and `evaluate`; "." for the results folder itself."""
        found = row_digest(cfg)
        return "." if found == row_digest(self._run) else f"variants/rows/{found}"

    def folders(self, kind: str) -> set[str]:
        """Names of the folders below variants/KIND that current rows use: "cutouts", "pack" or "rows"."""
        of_row = {"cutouts": self.cutouts, "pack": self.pack, "rows": self.row}[kind]
        paths = {of_row(cfg) for cfg in self._by_digest.values()}
        return {path.rpartition("/")[2] for path in paths if path.startswith("variants/")}

    @staticmethod
    def _cutting(cfg: Config) -> tuple[str, ...]:
        return "cutting", config_digest(cfg.cutouts)

    @staticmethod
    def _packing(cfg: Config) -> tuple[str, ...]:
        return "packing", config_digest(cfg.cutouts, cfg.sizes)

    @staticmethod
    def _training(cfg: Config, stage: str) -> tuple[str, ...]:
        return "training", stage, config_digest(cfg.cutouts, cfg.stages[stage])
