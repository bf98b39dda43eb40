"""Write files atomically: temporary file, sync, replace."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

#: End of the names of temporary files.
_SUFFIX: Final = ".tmp"


def atomic_write(path: Path, text: str) -> None:
    """Write the text to the file completely or not at all, even if the process or the system crashes.

    Readers see either the old content or the new one. A missing folder is created. An existing file keeps its
    permissions, and a symbolic link stays one.
    """
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=_prefix(path), suffix=_SUFFIX, dir=path.parent)
    try:
        # backslashreplace: a name that cannot be encoded must not prevent the file.
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(_mode(path))
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # the original error is more useful
            Path(name).unlink()
        raise
    _sync_folder(path.parent)


def clear_leftovers(path: Path) -> None:
    """Remove temporary files that killed writers of this file left behind. Call it only while no one else writes the file."""
    for leftover in path.parent.iterdir():
        if leftover.name.startswith(_prefix(path)) and leftover.name.endswith(_SUFFIX):
            leftover.unlink(missing_ok=True)


def _prefix(path: Path) -> str:
    """Return the start of the names of the file's temporary files."""
    return f".{path.name}."


def _mode(path: Path) -> int:
    """Return the permissions of the old file, or for a new file those that the user's umask allows."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power failure, if the system can sync a folder."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
