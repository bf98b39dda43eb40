"""Every file that is written, in one way: temporary file, sync, replace."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

#: What the names of temporary files end with.
_SUFFIX: Final = ".tmp"


def atomic_write(path: Path, text: str) -> None:
    """Whole or not at all, also through a crash: whoever reads the file never sees half of it, or none.

    The folder is made where it is missing. A file that was there keeps its permissions.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=_prefix(path), suffix=_SUFFIX, dir=path.parent)
    try:
        # A name that is no text (an undecodable file name) must not cost the file.
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(_mode(path))
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # the error that brought us here says more
            Path(name).unlink()
        raise
    _sync_folder(path.parent)


def clear_leftovers(path: Path) -> None:
    """Remove what killed writers of this file left; only for one who knows that nobody else writes it now."""
    for leftover in path.parent.iterdir():
        if leftover.name.startswith(_prefix(path)) and leftover.name.endswith(_SUFFIX):
            leftover.unlink(missing_ok=True)


def _prefix(path: Path) -> str:
    """What the names of its temporary files begin with."""
    return f".{path.name}."


def _mode(path: Path) -> int:
    """The old file's permissions; for a new one what the user's umask gives."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power failure, where the system can sync a folder."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
