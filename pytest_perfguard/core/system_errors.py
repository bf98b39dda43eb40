"""Turn an error of the operating system into a sentence with a remedy."""

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
    errno.EAGAIN: "too many processes run, or too many are not allowed (ulimit -u)",
    errno.ENOMEM: "free some memory",
    errno.EROFS: "name a folder that can be written to",
    errno.EACCES: "allow it, or name another folder",
    errno.E2BIG: "the command line, the import path and the environment together are too long",
    errno.ENAMETOOLONG: "give a shorter name",
}


def explain_error(error: BaseException) -> str:
    """Return what went wrong, and what to do about it where that is known.

    Of an error that is not the system's, the kind and the place are named, since its text alone may say nothing.
    """
    if isinstance(error, OSError):
        text = str(error) or type(error).__name__
        no_folder = isinstance(error, FileNotFoundError) and "usable temporary directory" in text
        remedy = _FREE_SPACE if no_folder else _REMEDIES.get(error.errno or 0, "")
        return f"{text}; {remedy}" if remedy else text
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"
