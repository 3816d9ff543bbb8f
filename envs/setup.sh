#!/usr/bin/env bash
# Make .venv from requirements.lock: Python 3.11, every package at its pinned version and hash, this clone editable.
# Needs uv, or any Python with pip to get it; looks for Python 3.11 on this machine, else uv fetches one.
set -euo pipefail
cd "$(dirname "$0")/.."

# A uv found on PATH may be another Python version's shim that cannot start, so it is tried first.
uv=(uv)
if ! uv --version >/dev/null 2>&1; then
    python=$(command -v python3.11 || command -v python3 || true)
    if [ -z "$python" ]; then
        echo "error: neither uv nor python3 found; install Python 3.11 or uv, then run make setup again" >&2
        exit 2
    fi
    if ! "$python" -m uv --version >/dev/null 2>&1; then
        # its own small venv: system Pythons of today's distributions refuse packages from pip
        "$python" -m venv build/uv || {
            echo "error: $python cannot make virtual environments; install python3-venv or uv (pipx install uv)" >&2
            exit 2
        }
        # the lock's version, whose cache make test-conda shares: uv's caches are not always those of another version
        build/uv/bin/python -m pip install --quiet --disable-pip-version-check "$(grep -o '^uv==[^ ]*' requirements.lock)"
        uv=(build/uv/bin/uv)
    else
        uv=("$python" -m uv)
    fi
fi

if [ ! -x .venv/bin/python ]; then
    "${uv[@]}" venv --quiet --python 3.11 .venv
fi
export VIRTUAL_ENV=$PWD/.venv
"${uv[@]}" pip sync --require-hashes --build-constraints envs/build-constraints.txt requirements.lock
"${uv[@]}" pip install --quiet --no-deps --no-build-isolation -e .
touch .venv/.synced
