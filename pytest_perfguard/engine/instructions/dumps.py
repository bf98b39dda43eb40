"""Read the files that callgrind writes: instructions of a whole dump, and by function (manual: "Callgrind Format").

Functions of the memory allocator count at a flat rate for each call. Their own path depends on where free memory happens to
lie, which changes the count of identical code by up to 4 %; without it, by less than 0.02 % (docs/instructions.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pytest_perfguard.core.errors import UnreadableFile

#: Instructions that a call of the allocator counts: about the mean of CPython's allocations and releases.
ALLOCATOR_RATE: Final = 35
#: The name under which its calls appear among the functions.
ALLOCATOR: Final = "memory allocator"
#: Functions of Python's allocator and of glibc's, without what compilers append to a name.
ALLOCATOR_FUNCTIONS: Final = frozenset(
    (
        "_PyObject_Malloc", "_PyObject_Calloc", "_PyObject_Realloc", "_PyObject_Free", "_PyObject_Arena_Free",
        "_PyObject_ArenaMmap", "_PyObject_ArenaMunmap", "_PyMem_ArenaAlloc", "_PyMem_ArenaFree", "_PyMem_RawMalloc",
        "_PyMem_RawCalloc", "_PyMem_RawRealloc", "_PyMem_RawFree", "pymalloc_alloc", "pymalloc_free", "pymalloc_realloc",
        "new_arena", "allocate_from_new_pool", "arena_map_get", "arena_map_mark_used", "insert_to_freepool",
        "insert_to_usedpool", "malloc", "calloc", "realloc", "free", "cfree", "_int_malloc", "_int_free", "_int_realloc",
        "_int_free_chunk", "_int_free_merge_chunk", "_int_free_create_chunk", "malloc_consolidate", "unlink_chunk",
        "sysmalloc", "systrim", "alloc_perturb", "tcache_init", "tcache_get_align",
    )
)  # fmt: skip
_SUMMARY: Final = re.compile(r"^summary: (\d+)", re.MULTILINE)
_PROCESS: Final = re.compile(r"^pid: (\d+)", re.MULTILINE)
#: `fn=(12) name` defines a number, `fn=(12)` refers to it; without compression it is `fn=name`.
_FUNCTION: Final = re.compile(r"fn=(?:\((\d+)\))?\s*(.*)")
#: A line of costs: a position (absolute, relative or the same as before), and the count.
_COST: Final = re.compile(r"[+\-*]?\d* ?(\d+)$")
#: Callgrind marks the depth of recursion; symbols have versions; compilers make variants of a function.
_SUFFIX: Final = re.compile(r"('\d+|@@?[\w.]+|\.(constprop|part|isra|cold|lto_priv)\.\d+.*)$")


class DumpUnreadable(UnreadableFile):
    """A file of callgrind that is missing or has another form."""

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


class DumpFolder:
    """The folder into which callgrind writes the dumps of one process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def out_file(self) -> Path:
        """Return the file for the end of the process; dumps get its name and a number."""
        return self._folder / "callgrind.out"

    def take(self, number: int) -> Dump:
        """Return a dump, and remove its file and that of the dump before it, which only reset the counters.

        Raises
        ------
        DumpUnreadable
        """
        path = self._path(number)
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
            path.unlink()
            self._path(number - 1).unlink(missing_ok=True)
        except OSError as error:
            raise DumpUnreadable(str(path), f"callgrind's counts cannot be read: {error}") from None
        return read_dump(text, str(path))

    def _path(self, number: int) -> Path:
        return self.out_file.with_name(f"{self.out_file.name}.{number}")


@dataclass
class Dump:
    """Instructions of one round."""

    total: int
    functions: dict[str, int] = field(default_factory=dict)
    """Instructions of each function itself, without its callees."""
    process: int = 0
    """The process that has written it."""


def read_dump(text: str, path: str = "callgrind.out") -> Dump:
    """Return the counts in the text of a dump.

    Raises
    ------
    DumpUnreadable
    """
    found = _SUMMARY.search(text)
    if found is None:
        raise DumpUnreadable(path, "callgrind's file has no line `summary:`")
    reading = _Reading()
    for line in text.splitlines():
        reading.add(line)
    functions = reading.functions
    variable = sum(functions.pop(name, 0) for name in ALLOCATOR_FUNCTIONS)
    flat = ALLOCATOR_RATE * reading.allocator_calls
    if flat:
        functions[ALLOCATOR] = flat
    process = _PROCESS.search(text)
    return Dump(int(found[1]) - variable + flat, functions, int(process[1]) if process else 0)


class _Reading:
    """State of reading a dump line by line."""

    def __init__(self) -> None:
        self.functions: dict[str, int] = {}
        self.allocator_calls = 0
        """Calls of the allocator by other functions."""
        self._names: dict[str, str] = {}
        self._current = ""
        self._callee = ""
        self._is_call = False

    def add(self, line: str) -> None:
        if line.startswith("fn="):
            self._current = self._name(line)
        elif line.startswith("cfn="):
            self._callee = self._name(line[1:])
        elif line.startswith("calls="):
            self._is_call = True  # the next line holds the costs of the callee
            if self._callee in ALLOCATOR_FUNCTIONS and self._current not in ALLOCATOR_FUNCTIONS:
                self.allocator_calls += int(line.removeprefix("calls=").split()[0])
        elif self._current and (found := _COST.match(line)) is not None:
            if not self._is_call:
                self.functions[self._current] = self.functions.get(self._current, 0) + int(found[1])
            self._is_call = False

    def _name(self, line: str) -> str:
        found = _FUNCTION.match(line)
        number, name = (found[1] or "", found[2]) if found else ("", "")
        if number and name:
            self._names[number] = _SUFFIX.sub("", name)
        return self._names.get(number, "") if number else _SUFFIX.sub("", name)


def difference(more: Mapping[str, int], less: Mapping[str, int], calls: int) -> dict[str, float]:
    """Return instructions per call of each function, from a round with `calls` calls more than another one."""
    return {name: (more.get(name, 0) - less.get(name, 0)) / calls for name in more.keys() | less.keys()}
