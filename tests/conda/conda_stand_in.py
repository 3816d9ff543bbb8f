"""Stands in for the `conda` command where no conda is: what Snakemake 9 asks of it, and nothing else.

Real are the solver, the installer and the layout of the environment (py-rattler, conda's and pixi's library), and
every package. Stood in for are the command line, `activate` and the way in which pip's part is carried out: uv puts
the wheels in place as hard links into its cache, since pip would write several gigabytes per environment; then the
environment's own pip is asked for the same list, may install nothing, and refuses what its resolver would not accept.

With mamba or micromamba on the PATH, that tool makes the whole environment, pip's part included.

    python conda_stand_in.py BASE ARGUMENTS-OF-CONDA
    python conda_stand_in.py --install BASE    # write BASE/bin/conda and BASE/bin/activate

BASE is what conda calls its prefix; packages and the index are cached below it. As with conda, $CONDA_CHANNEL_ALIAS
says where channels are found by name.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

VERSION = "24.7.1"  # the oldest that Snakemake takes

ACTIVATE = """\
# source activate PREFIX
export CONDA_PREFIX="$1" CONDA_DEFAULT_ENV="$1" CONDA_SHLVL=1
export PATH="$1/bin:$PATH"
"""


def install(base: Path) -> Path:
    """Write the two files that Snakemake runs; returns the folder to put on the PATH."""
    folder = base / "bin"
    folder.mkdir(parents=True)
    start = shlex.join([sys.executable, str(Path(__file__).resolve()), str(base)])
    (folder / "conda").write_text(f'#!/bin/sh\nexec {start} "$@"\n', encoding="utf-8")
    (folder / "conda").chmod(0o755)
    (folder / "activate").write_text(ACTIVATE, encoding="utf-8")
    return folder


def create(base: Path, prefix: Path, file: Path) -> None:
    """Make the environment of an environment file.

    Raises:
        SystemExit: a part of the file that this stand-in does not know.
        subprocess.CalledProcessError: pip's part failed; the reason is on stderr.
    """
    tool = shutil.which("micromamba") or shutil.which("mamba")
    if tool is not None:
        subprocess.run([tool, "create", "--yes", "--prefix", prefix, "--file", file], check=True)
        return
    spec: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    if unknown := set(spec) - {"channels", "dependencies"}:
        sys.exit(f"{file}: conda_stand_in knows no {sorted(unknown)}")
    requirements = [entry for entry in spec["dependencies"] if isinstance(entry, str)]
    pip_lists = [entry["pip"] for entry in spec["dependencies"] if not isinstance(entry, str)]
    channels = [name for name in spec["channels"] if name != "nodefaults"]
    asyncio.run(solve_and_install(base, prefix, channels, requirements))
    for wanted in pip_lists:
        install_wheels(prefix, wanted)


async def solve_and_install(base: Path, prefix: Path, channels: list[str], requirements: list[str]) -> None:
    """conda's part, by py-rattler."""
    import rattler

    alias = os.environ["CONDA_CHANNEL_ALIAS"].rstrip("/") + "/"  # a name is joined to it as to a web address
    config = rattler.ChannelConfig(channel_alias=alias)
    records = await rattler.solve(
        [rattler.Channel(name, config) for name in channels],
        [rattler.MatchSpec(text) for text in requirements],
        gateway=rattler.Gateway(cache_dir=base / "index"),
        platforms=[str(rattler.Subdir.current()), "noarch"],
        virtual_packages=rattler.VirtualPackage.detect(),
    )
    await rattler.install(records, prefix, cache_dir=base / "pkgs", show_progress=False)
    (prefix / "conda-meta" / "history").touch()


def install_wheels(prefix: Path, wanted: list[str]) -> None:
    """pip's part: see the top of this file."""
    python = prefix / "bin" / "python"
    file = prefix / "conda-meta" / "pip-requirements.txt"
    file.write_text("\n".join(wanted) + "\n", encoding="utf-8")
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "--requirements", file], check=True)
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    alone |= {"PYTHONNOUSERSITE": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    pip = [python, "-m", "pip", "install", "--quiet", "--no-index", "--requirement", file]
    subprocess.run(pip, env=alone, check=True)


def main(base: Path, arguments: list[str]) -> None:
    """Answer one call of conda."""
    match arguments:
        case ["--version"]:
            print("conda", VERSION)
        case ["info", "--json"]:
            print(json.dumps({"conda_prefix": str(base), "platform": platform(), "conda_version": VERSION}))
        case ["config", "--get", "channel_priority", "--json"]:
            print(json.dumps({"get": {"channel_priority": "strict"}, "success": True}))
        case ["clean", "-y", "--tarballs"]:
            for pattern in ("*.tar.bz2", "*.conda"):
                for archive in (base / "pkgs").glob(pattern):
                    archive.unlink()
        case ["env", "create", *rest]:
            parser = argparse.ArgumentParser(prog="conda env create")
            parser.add_argument("--quiet", action="store_true")
            parser.add_argument("--no-default-packages", action="store_true")
            parser.add_argument("--file", type=Path, required=True)
            parser.add_argument("--prefix", type=Path, required=True)
            args = parser.parse_args(rest)
            create(base, args.prefix, args.file)
        case _:
            sys.exit(f"conda_stand_in has no: conda {shlex.join(arguments)}")


def platform() -> str:
    """conda's name of this platform."""
    import rattler

    return str(rattler.Subdir.current())


if __name__ == "__main__":
    status = 0
    try:
        if sys.argv[1] == "--install":
            install(Path(sys.argv[2]))
        else:
            main(Path(sys.argv[1]), sys.argv[2:])
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
    except Exception as problem:  # as conda: the reason, no traceback
        print(f"{type(problem).__name__}: {problem}", file=sys.stderr)
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # py-rattler 0.28 crashes while the interpreter shuts down, after all work is done
