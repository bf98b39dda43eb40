"""Make untrusted text safe for terminals, logs, tables and CI systems. All text from tests and files passes through here."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final

#: Commands of CI systems: GitHub's `::name::` at the start of a line, also after blanks; GitHub's older `##[name]`, Azure's
#: `##vso[name]` and TeamCity's `##teamcity[name]` anywhere in a line.
_COMMAND: Final = re.compile(r"(?P<start>\A\s*):(?=:)|#(?=#(?:\[|vso\[|teamcity\[))")
#: Start of a cell that a spreadsheet interprets as a formula.
_FORMULA: Final = re.compile(r"\s*[=+\-@]")


def printable(text: str) -> str:
    """Return the text as one line without control characters and commands of CI systems.

    Control characters, line ends and invisible characters become escapes: `\\x1b`, `\\n`.
    """
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return _COMMAND.sub(_disarmed, shown)


def printable_lines(text: str) -> list[str]:
    """Return the lines of the text, each of them printable; tabs become blanks."""
    return [printable(line.expandtabs()) for line in text.splitlines()]


def printable_text(text: str) -> str:
    """Return the text with its lines kept, and each of them printable."""
    return "\n".join(printable_lines(text))


def csv_cell(value: object) -> object:
    """Return the value for a cell of a CSV file: numbers and None unchanged, text printable and never a formula."""
    if value is None or isinstance(value, int | float):
        return value
    shown = printable(str(value))
    return f"'{shown}" if _FORMULA.match(shown) and not _is_number(shown) else shown


def plural(count: int, noun: str) -> str:
    """Return `1 test`, `2 tests`, `2 processes`, `2 copies`."""
    if count == 1:
        return f"{count} {noun}"
    if noun.endswith("y") and noun[-2:-1] not in ("a", "e", "o", "u"):
        return f"{count} {noun[:-1]}ies"
    return f"{count} {noun}{'es' if noun.endswith(('s', 'x', 'ch', 'sh')) else 's'}"


def first_of(names: Collection[str], limit: int = 12) -> str:
    """Return the first names in alphabetical order, and the number of the others."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(sorted(names)[:limit]) + more


def _disarmed(found: re.Match[str]) -> str:
    start = found["start"]
    return "\\x23" if start is None else f"{start}\\x3a"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def did_you_mean(name: str, known: Sequence[str], most: int) -> str:
    """Return `did you mean a or b?` with at most so many similar names, or an empty string if none is similar."""
    from difflib import get_close_matches

    similar = get_close_matches(name, known, n=most)
    return f"did you mean {' or '.join(similar)}?" if similar else ""
