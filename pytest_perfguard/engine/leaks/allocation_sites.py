"""Allocation sites of leaked memory: the source lines that allocated it, from two tracemalloc snapshots."""

from __future__ import annotations

import contextlib
import linecache
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_perfguard.core.units import format_size
from pytest_perfguard.engine.measure import executor

if TYPE_CHECKING:
    from tracemalloc import Snapshot, Traceback

#: Frames per allocation while a leak is explained. The search for leaks traces one frame, which is faster.
TRACED_FRAMES: Final = 12
MAX_SITES: Final = 5
#: Sites below this share of the largest one are side effects of it.
MIN_SITE_SHARE: Final = 0.02

_PACKAGE_FOLDER: Final = str(Path(__file__).parents[2])
_LIBRARY_FOLDERS: Final = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def growth_sites(before: Snapshot, after: Snapshot, calls: int) -> Iterator[str]:
    """Yield the sites of blocks that were allocated between the two snapshots and still exist, the largest first."""
    sizes: dict[tuple[str, ...], int] = {}
    counts: dict[tuple[str, ...], int] = {}
    for entry in after.compare_to(before, "traceback"):
        if not is_perfguard_allocation(entry.traceback):
            frames = tuple(_frames(entry.traceback, "at"))
            sizes[frames] = sizes.get(frames, 0) + entry.size_diff
            counts[frames] = counts.get(frames, 0) + entry.count_diff
    largest = sorted((frames for frames in sizes if sizes[frames] > 0), key=lambda frames: -sizes[frames])[:MAX_SITES]
    for frames in largest:
        if sizes[frames] >= MIN_SITE_SHARE * sizes[largest[0]]:
            blocks = counts[frames] / calls
            noun = "block" if f"{blocks:.3g}" == "1" else "blocks"
            yield f"{format_size(sizes[frames] / calls)} in {blocks:.3g} {noun} per call {frames[0]}"
            yield from frames[1:]


def is_perfguard_allocation(traceback: Traceback) -> bool:
    """Return whether perfguard allocated this, directly or through a library. Measured code is called from the
    executor."""
    nearest = next((frame.filename for frame in reversed(traceback) if frame.filename.startswith(_PACKAGE_FOLDER)), "")
    return nearest not in ("", executor.__file__)


def creation_site(obj: object) -> Iterator[str]:
    """Yield where an object was created, the innermost frame first; nothing if its allocation was not traced."""
    import tracemalloc

    # For some objects with attributes Python finds no trace; the trace of an attribute is as informative then.
    for part in (obj, *getattr(obj, "__dict__", {}).values()):
        traceback = tracemalloc.get_object_traceback(part)
        if traceback is not None and not is_perfguard_allocation(traceback):
            yield from _frames(traceback, "made at")
            return


def _frames(traceback: Traceback, word: str) -> Iterator[str]:
    """Yield the allocating line; if it is in installed code, also the line of the user's code that led to it."""
    frames = list(reversed(traceback))
    # C code, or Python's own for a call that begins, allocated where perfguard makes the calls.
    is_call = frames[0].filename == executor.__file__
    yield f"{word} {'the call itself' if is_call else source_line(frames[0].filename, frames[0].lineno)}"
    if is_library_file(frames[0].filename):
        own = next((frame for frame in frames if not is_library_file(frame.filename)), None)
        if own is not None:
            yield f"    called from {source_line(own.filename, own.lineno)}"


def is_library_file(file: str) -> bool:
    """Return whether the file belongs to Python, to an installed distribution or to perfguard."""
    return file.startswith((*_LIBRARY_FOLDERS, _PACKAGE_FOLDER, "<"))


def source_line(file: str, line: int) -> str:
    """Return `src/app.py:17  CACHE.append(data)`, with a path relative to the current folder if the file is inside of
    it."""
    code = linecache.getline(file, line).strip()
    with contextlib.suppress(ValueError, OSError):  # the file is outside; or the current folder is gone
        file = str(Path(file).relative_to(Path.cwd()))
    return f"{file}:{line}  {code}".rstrip()
