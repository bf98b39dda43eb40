"""Find the functions that a diff touches. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from pytest_perfguard.core.explanation import Blame, Explanation, Location

#: First and last line of the changed parts of each file, by its path.
Changed = Mapping[str, list[tuple[int, int]]]

_HUNK: Final = re.compile(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@")


def changed_lines(diff: str) -> Changed:
    """Read the output of `git diff --unified=0 --relative`: lines as they are numbered now."""
    found: dict[str, list[tuple[int, int]]] = {}
    file = ""
    for line in diff.splitlines():
        if line.startswith("+++ "):
            file = line[4:].removeprefix("b/").strip('"')
        elif (match := _HUNK.match(line)) is not None:
            start, count = int(match[1]), int(match[2] or 1)
            # Where lines were only taken away, their neighbours stand for them.
            found.setdefault(file, []).append((start, start + count - 1) if count else (start, start + 1))
    return found


def mark_changed(explanation: Explanation, changed: Changed) -> Explanation:
    """Mark what the diff touches: a blamed function or line, or the function that calls it more often."""
    metrics = tuple(
        replace(metric, blames=tuple(_marked(blame, changed) for blame in metric.blames))
        for metric in explanation.metrics
    )
    return replace(explanation, metrics=metrics)


def _marked(blame: Blame, changed: Changed) -> Blame:
    touched = any(_touches(place, changed) for place in (blame.location, blame.caller) if place is not None)
    return replace(blame, changed=touched)


def _touches(place: Location, changed: Changed) -> bool:
    return any(
        place.line <= last and first <= max(place.end, place.line) for first, last in changed.get(place.file, ())
    )
