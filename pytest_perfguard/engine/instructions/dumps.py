"""Read the files that callgrind writes: instructions of a whole dump, and by function (manual: "Callgrind Format")."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pytest_perfguard.core.errors import UnreadableFile

_SUMMARY: Final = re.compile(r"^summary: (\d+)", re.MULTILINE)
#: `fn=(12) name` defines a number, `fn=(12)` refers to it; without compression it is `fn=name`.
_FUNCTION: Final = re.compile(r"fn=(?:\((\d+)\))?\s*(.*)")
#: A line of costs: a position (absolute, relative or the same as before), and the count.
_COST: Final = re.compile(r"[+\-*]?\d* ?(\d+)$")
#: Callgrind marks recursion and the version of a symbol in the name.
_SUFFIX: Final = re.compile(r"('\d+|@@?[\w.]+)$")


class DumpUnreadable(UnreadableFile):
    """A file of callgrind that is missing or has another form."""


class DumpFolder:
    """The folder into which callgrind writes the dumps of one process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def out_file(self) -> Path:
        """Return the file for the end of the process; dumps get its name and a number."""
        return self._folder / "callgrind.out"

    def take(self, number: int) -> str:
        """Return the text of a dump, and remove its file.

        Raises
        ------
        DumpUnreadable
        """
        path = self.out_file.with_name(f"{self.out_file.name}.{number}")
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
            path.unlink()
        except OSError as error:
            raise DumpUnreadable(str(path), f"callgrind's counts cannot be read: {error}") from None
        return text


def instructions_of(text: str) -> int:
    """Return all instructions of a dump.

    Raises
    ------
    DumpUnreadable
    """
    found = _SUMMARY.search(text)
    if found is None:
        raise DumpUnreadable("callgrind.out", "callgrind's file has no line `summary:`")
    return int(found[1])


def by_function(text: str) -> dict[str, int]:
    """Return the instructions of each function itself, without its callees."""
    counts: dict[str, int] = {}
    names: dict[str, str] = {}
    current, is_call = "", False
    for line in text.splitlines():
        if line.startswith("fn="):
            current = _name(line, names)
        elif line.startswith("cfn="):
            _name(line[1:], names)
        elif line.startswith("calls="):
            is_call = True  # the next line holds the costs of the callee
        elif current and (found := _COST.match(line)) is not None:
            if not is_call:
                counts[current] = counts.get(current, 0) + int(found[1])
            is_call = False
    return counts


def _name(line: str, names: dict[str, str]) -> str:
    found = _FUNCTION.match(line)
    if found is None:
        return ""
    number, name = found[1] or "", found[2]
    if number and name:
        names[number] = name
    return _SUFFIX.sub("", names.get(number, name) if number else name)


def difference(more: dict[str, int], less: dict[str, int], calls: int) -> dict[str, float]:
    """Return instructions per call of each function, from a round with `calls` calls more than another one."""
    names: Iterable[str] = more.keys() | less.keys()
    return {name: (more.get(name, 0) - less.get(name, 0)) / calls for name in names}
