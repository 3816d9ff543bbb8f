"""The tiny world in four states: prepared, judged, and a copy of each to change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_world import World, prepare


@pytest.fixture(scope="session")
def prepared(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Prepared and "trained", not sampled; read it, do not write to it."""
    folder = tmp_path_factory.mktemp("world")
    world = World(rendered, folder / "results", folder / "config.json")
    world.configure()
    prepare(world)
    return world


@pytest.fixture
def world(prepared: World, tmp_path: Path) -> World:
    """A copy of the prepared world that a test may change."""
    copy = World(prepared.data, tmp_path / "results", tmp_path / "config.json")
    shutil.copytree(prepared.results, copy.results)
    shutil.copy(prepared.config, copy.config)
    return copy


@pytest.fixture(scope="session")
def judged(prepared: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Sampled and evaluated; read it, do not write to it."""
    folder = tmp_path_factory.mktemp("judged")
    world = World(prepared.data, folder / "results", folder / "config.json")
    shutil.copytree(prepared.results, world.results)
    shutil.copy(prepared.config, world.config)
    assert world.sample("cascade", "base", "sr64") == 0
    assert world.sample("regression", "regression") == 0
    assert world.sample("oracle", "sr64") == 0
    assert world.evaluate() == 0
    return world


@pytest.fixture
def copied(judged: World, tmp_path: Path) -> World:
    """The judged world, to change."""
    shutil.copytree(judged.results, tmp_path / "results")
    shutil.copy(judged.config, tmp_path / "config.json")
    return World(judged.data, tmp_path / "results", tmp_path / "config.json")
