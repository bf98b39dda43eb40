"""In which order steps may be done. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_perfguard.core.tool_errors import StartupError


def in_order(after: Mapping[str, Sequence[str]]) -> list[str]:
    """The names such that each comes after those it needs, and otherwise as they were given.

    Raises
    ------
    StartupError
        where one needs something unknown, or itself by a detour.
    """
    ordered: dict[str, None] = {}
    path: list[str] = []

    def visit(name: str, needed_by: str) -> None:
        if name in ordered:
            return
        if name not in after:
            raise StartupError(needed_by, f"it comes after {name!r}, which is no step (there are: {', '.join(after)})")
        if name in path:
            circle = " after ".join([*path[path.index(name) :], name])
            raise StartupError(name, f"it comes after itself: {circle}")
        path.append(name)
        for needed in after[name]:
            visit(needed, name)
        path.pop()
        ordered[name] = None

    for name in after:
        visit(name, "")
    return list(ordered)
