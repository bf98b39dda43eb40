"""The tree of an import: modules below those that imported them, with their times. Pure: parses the interpreter's report."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from pytest_perfguard.core.units import format_duration

#: A line of `python -X importtime`: the module's own time, its time with all that it imports, and its depth as indentation.
_LINE: Final = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| ( *)(\S.*)$")


@dataclass(frozen=True)
class Imported:
    """A module with those that it imported first."""

    name: str
    own: float
    """Seconds of the module itself."""
    total: float
    """Seconds with all that it imported first."""
    children: tuple[Imported, ...] = field(default=(), repr=False)

    def walk(self, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Imported]]:
        """Visit each module with the chain of modules that imported it."""
        yield above, self
        for child in self.children:
            yield from child.walk((*above, self.name))


def parse_importtime(text: str) -> tuple[Imported, ...]:
    """Return the trees of a report of `python -X importtime`, which lists a module after those that it imported."""
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
    """Return the chain of imports that leads to a module, or to the first one of a package; () if it was not imported.

    A report includes failed imports: with `loaded` only chains of loaded modules are considered.
    """
    for tree in trees:
        for above, found in tree.walk():
            chain = (*above, found.name)
            if is_in(found.name, name) and (loaded is None or set(chain) <= set(loaded)):
                return chain
    return ()


def is_in(name: str, package: str) -> bool:
    """Return whether a module is `package` or belongs to it."""
    return name == package or name.startswith(f"{package}.")


def heaviest(trees: tuple[Imported, ...], number: int = 8) -> list[str]:
    """Return the branches with the longest times as lines, each below the one that imported it."""
    found = [(above, module) for tree in trees for above, module in tree.walk()]
    chosen = sorted(found, key=lambda item: -item[1].total)[:number]
    return [
        f"{format_duration(module.total):>8}  {'  ' * len(above)}{module.name}"
        for above, module in found
        if (above, module) in chosen
    ]
