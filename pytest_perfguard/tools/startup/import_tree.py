"""What an import loads and what each part of it costs, as a tree. Pure: the interpreter's own report in, a tree out."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from pytest_perfguard.core.units import format_duration

#: A line of `python -X importtime`: the module's own time, the time with all it imports, and its depth by the indentation.
_LINE: Final = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| ( *)(\S.*)$")


@dataclass(frozen=True)
class Imported:
    """A module, and what was imported while it was."""

    name: str
    own: float
    """Seconds of the module itself."""
    total: float
    """Seconds with all that it imported first."""
    children: tuple[Imported, ...] = field(default=(), repr=False)

    def walk(self, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Imported]]:
        """Each module with the chain of those that imported it."""
        yield above, self
        for child in self.children:
            yield from child.walk((*above, self.name))


def parse_importtime(text: str) -> tuple[Imported, ...]:
    """The trees of a report of `python -X importtime`, where a module stands behind those that it imported."""
    levels: dict[int, list[Imported]] = {}
    for line in text.splitlines():
        match = _LINE.search(line)  # a module may print something in front of it
        if match is None:
            continue  # what the modules themselves print
        own, total, indent, name = match.groups()
        depth = len(indent) // 2
        children = tuple(levels.pop(depth + 1, ()))
        levels.setdefault(depth, []).append(Imported(name, int(own) / 1e6, int(total) / 1e6, children))
    return tuple(levels.get(0, ()))


def chain_to(trees: tuple[Imported, ...], name: str, loaded: Collection[str] | None = None) -> tuple[str, ...]:
    """Who imported whom down to the module, or to the first one of the package; () if it was not imported.

    The report has failed attempts, too: with `loaded` only chains of modules that were.
    """
    for tree in trees:
        for above, found in tree.walk():
            chain = (*above, found.name)
            if is_in(found.name, name) and (loaded is None or set(chain) <= set(loaded)):
                return chain
    return ()


def is_in(name: str, package: str) -> bool:
    """Is it that module, or one of that package?"""
    return name == package or name.startswith(f"{package}.")


def heaviest(trees: tuple[Imported, ...], number: int = 8) -> list[str]:
    """The heaviest branches as lines, each below the one that imported it."""
    found = [(above, module) for tree in trees for above, module in tree.walk()]
    chosen = sorted(found, key=lambda item: -item[1].total)[:number]
    return [
        f"{format_duration(module.total):>8}  {'  ' * len(above)}{module.name}"
        for above, module in found
        if (above, module) in chosen
    ]
