"""A conda channel on this disk: `python` as it runs here, and pip. Everything else comes from PyPI.

    python local_channel.py FOLDER PIP    # PIP: folder into which pip was installed (uv pip install --target)

The packages are good for this machine alone: an interpreter may name its shared library by an absolute path.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import sys
import sysconfig
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rattler import Subdir
from rattler.index import index_fs

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
LEFT_OUT = {"site-packages", "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "__pycache__"}


@dataclass(frozen=True)
class Link:
    """A symbolic link in a package."""

    target: str


def write_package(
    channel: Path,
    subdir: str,
    name: str,
    version: str,
    files: Mapping[str, bytes | Path | Link],
    *,
    depends: tuple[str, ...] = (),
    entry_points: tuple[str, ...] | None = None,
) -> None:
    """Write one package in conda's first archive format.

    Args:
        channel: the channel's folder.
        subdir: platform, e.g. ``"linux-64"`` or ``"noarch"``.
        name: package name.
        version: its version.
        files: content by path in the environment.
        depends: requirements.
        entry_points: commands of a pure Python package (``"pip = pip:main"``), whose files then go to
            ``site-packages``; None for anything else.
    """
    index: dict[str, object] = {
        "name": name,
        "version": version,
        "build": "0",
        "build_number": 0,
        "depends": list(depends),
        "subdir": subdir,
    }
    metadata: dict[str, object] = {"info/index.json": index, "info/about.json": {}}
    if entry_points is not None:
        index["noarch"] = "python"
        noarch = {"type": "python", "entry_points": list(entry_points)}
        metadata["info/link.json"] = {"noarch": noarch, "package_metadata_version": 1}

    folder = channel / subdir
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with tarfile.open(folder / f"{name}-{version}-0.tar.bz2", "w:bz2", compresslevel=1) as archive:

        def add(path: str, content: bytes) -> None:
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            entry.mode = 0o755 if path.startswith("bin/") else 0o644
            archive.addfile(entry, io.BytesIO(content))

        for path, source in sorted(files.items()):
            if isinstance(source, Link):
                entry = tarfile.TarInfo(path)
                entry.type, entry.linkname = tarfile.SYMTYPE, source.target
                archive.addfile(entry)
                content, path_type = b"", "softlink"
            else:
                content, path_type = source.read_bytes() if isinstance(source, Path) else source, "hardlink"
                add(path, content)
            paths.append(
                {
                    "_path": path,
                    "path_type": path_type,
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "size_in_bytes": len(content),
                }
            )
        metadata["info/paths.json"] = {"paths": paths, "paths_version": 1}
        for path, value in metadata.items():
            add(path, json.dumps(value).encode())
        add("info/files", "".join(f"{entry['_path']}\n" for entry in paths).encode())


def interpreter() -> dict[str, bytes | Path | Link]:
    """The running CPython's files by their path in an environment, without tests and graphical tools.

    Raises:
        SystemExit: a distribution's interpreter that does not look for packages in its own `lib`.
    """
    if "deb_system" in sysconfig.get_scheme_names():
        sys.exit(f"{sys.base_prefix}: Debian's own Python cannot be moved; use one from python.org, pyenv or uv")
    base = Path(sys.base_prefix)
    library = Path(sysconfig.get_path("stdlib", vars={"installed_base": str(base)}))
    files: dict[str, bytes | Path | Link] = {
        f"bin/{PYTHON}": Path(sys.executable).resolve(),
        "bin/python": Link(PYTHON),
        "bin/python3": Link(PYTHON),
        f"lib/{PYTHON}/site-packages/README.txt": b"packages go here\n",
    }
    for root, folders, names in os.walk(library):
        folders[:] = [folder for folder in folders if folder not in LEFT_OUT and not folder.startswith("config-")]
        for name in names:
            path = Path(root, name)
            if path.suffix not in (".a", ".pyc"):
                files[f"lib/{PYTHON}/{path.relative_to(library)}"] = path
    for shared in (base / "lib").glob(f"lib{PYTHON}.so.*"):
        files[f"lib/{shared.name}"] = shared.resolve()
    return files


def pip_files(folder: Path) -> tuple[str, dict[str, bytes | Path | Link]]:
    """Version and files of a pip that was installed into a folder."""
    (metadata,) = folder.glob("pip-*.dist-info")
    files: dict[str, bytes | Path | Link] = {
        f"site-packages/{path.relative_to(folder)}": path
        for part in (folder / "pip", metadata)
        for path in part.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return metadata.name.removeprefix("pip-").removesuffix(".dist-info"), files


def main(channel: Path, pip: Path) -> None:
    """Write the channel and its index."""
    version = ".".join(map(str, sys.version_info[:3]))
    write_package(channel, str(Subdir.current()), "python", version, interpreter())
    pip_version, files = pip_files(pip)
    entry_points = ("pip = pip._internal.cli.main:main", "pip3 = pip._internal.cli.main:main")
    write_package(channel, "noarch", "pip", pip_version, files, depends=("python",), entry_points=entry_points)
    asyncio.run(index_fs(channel))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.flush()
    os._exit(0)  # py-rattler 0.28 crashes while the interpreter shuts down, after all work is done
