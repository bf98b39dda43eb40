"""Describe an error of the operating system with a remedy."""

from __future__ import annotations

import errno
import traceback
from pathlib import Path
from typing import Final

_FREE_SPACE: Final = "free some space, or set TMPDIR to a folder on a disk that has some"
_RAISE_FILE_LIMIT: Final = "raise the limit (ulimit -n), or find the test that leaves files open"
_REMEDIES: Final = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EMFILE: _RAISE_FILE_LIMIT,
    errno.ENFILE: _RAISE_FILE_LIMIT,
    errno.EAGAIN: "end some processes, or raise their limit (ulimit -u)",
    errno.ENOMEM: "free some memory",
    errno.EROFS: "choose a writable folder",
    errno.EACCES: "grant the permission, or choose another folder",
    errno.E2BIG: "shorten the command line, the import path or the environment",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def explain_error(error: BaseException) -> str:
    """Return what went wrong, and a remedy if one is known.

    For other errors, include the type and the location, because the message alone may not be informative.
    """
    if isinstance(error, OSError):
        text = str(error) or type(error).__name__
        no_folder = isinstance(error, FileNotFoundError) and "usable temporary directory" in text
        remedy = _FREE_SPACE if no_folder else _REMEDIES.get(error.errno or 0, "")
        return f"{text}; {remedy}" if remedy else text
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"
