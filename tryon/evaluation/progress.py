"""A line about every ten seconds while pictures are judged."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

PROGRESS_EVERY_S = 10.0
T = TypeVar("T")


def progress(what: str, results: Iterable[T], num_all: int) -> Iterator[T]:
    """The results as they come, with progress on stderr."""
    started = last = time.monotonic()
    for num_done, result in enumerate(results, start=1):
        yield result
        now = time.monotonic()
        if now - last > PROGRESS_EVERY_S or num_done == num_all:
            last, rate = now, num_done / max(now - started, 1e-9)
            left_s = (num_all - num_done) / rate
            print(f"{what}: {num_done}/{num_all}, {rate:.1f}/s, {left_s:.0f} s left", file=sys.stderr, flush=True)
