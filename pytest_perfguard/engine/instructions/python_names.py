"""Name the Python functions in callgrind's counts.

CPython 3.12 and newer can call its loop for each Python function through a few bytes of code of its own, and writes their
addresses and the functions' names to a file ("Python support for the Linux perf profiler"). Callgrind separates the counts
of the loop by these callers. The code adds calls, so that counts taken with it are used for nothing else.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

#: The first version of Python that can do so.
FIRST_PYTHON: Final = (3, 12)
ENVIRONMENT: Final[Mapping[str, str]] = {"PYTHONPERFSUPPORT": "1"}
OPTION: Final = "--separate-callers2=_PyEval_EvalFrameDefault*"
#: The loop, the depth of recursion, and the address of the caller: `_PyEval_EvalFrameDefault'2'0x547c193'...`.
_LOOP: Final = re.compile(r"_PyEval_EvalFrameDefault[^']*(?:'\d+)?'0x([0-9a-f]+)")


def has_names(python: str) -> bool:
    """Return whether this version of Python can name its functions: `3.12.1`."""
    return tuple(int(part) for part in re.findall(r"\d+", python)[:2]) >= FIRST_PYTHON


def take_names(process: int) -> dict[int, str]:
    """Return the names that a process has written so far, by address; none if it has not."""
    try:
        return read_names(_file(process).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return {}


def remove_names(process: int) -> None:
    """Remove the file of a process that has ended."""
    with contextlib.suppress(OSError):
        _file(process).unlink()


def _file(process: int) -> Path:
    """Return the file to which CPython writes; its folder is not to be chosen."""
    return Path(f"/tmp/perf-{process}.map")


def read_names(text: str) -> dict[int, str]:
    """Return `name (file)` by address, from lines `547c193 b py::name:/path/of/file.py`."""
    names = {}
    for line in text.splitlines():
        address, _size, name = (*line.split(" ", 2), "", "")[:3]
        with contextlib.suppress(ValueError):
            function, _colon, file = name.removeprefix("py::").partition(":")
            names[int(address, 16)] = f"{function} ({Path(file).name})"
    return names


def python_functions(functions: Mapping[str, int], names: Mapping[int, str]) -> dict[str, int]:
    """Return the instructions that the loop executes in each Python function itself."""
    found: Counter[str] = Counter()
    for function, count in functions.items():
        loop = _LOOP.match(function)
        if loop is not None and (name := names.get(int(loop[1], 16))):
            found[name] += count
    return dict(found)
