"""Map paths of the head to the base: arguments, the import path, and files."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: Folders of installed packages. A virtual environment may be inside the tree without belonging to it.
_INSTALLED: Final = {"site-packages", "dist-packages"}


@dataclass(frozen=True)
class PathMap:
    """The two trees. A path is mapped if it is in the head's tree and not in an environment inside of it."""

    head: Path
    base: Path

    def to_base(self, path: str) -> str:
        """Return the base's counterpart of a path; a path outside of the tree unchanged."""
        # The path as written comes first, because a link in the tree is a link in the base as well.
        for place in (path, os.path.realpath(path)):
            if path and is_in_tree(place, self.head):
                return os.path.join(self.base, os.path.relpath(place, self.head))  # noqa: PTH118 - text in, text out
        return path

    def argument_to_base(self, argument: str, folder: Path) -> str:
        """Map a command line argument: a path, a node id, or an option with a path after its equals sign.

        A relative path stays unchanged if the process runs in the counterpart of its folder.
        """
        option, equals, value = argument.partition("=") if argument.startswith("-") else ("", "", argument)
        path, colons, names = value.partition("::")
        if not path or not os.path.exists(folder / path):  # noqa: PTH110 - False for text that cannot be a path, such as a long -k
            return argument
        if not Path(path).is_absolute() and is_in_tree(os.path.realpath(folder), self.head):
            return argument
        return f"{option}{equals}{self.to_base(os.fspath(folder / path))}{colons}{names}"

    def import_path_to_base(self, path: Sequence[str], roots: Sequence[Path]) -> list[str]:
        """Return the import path of the base.

        `roots` are the folders of the head from which its packages can be imported. They are inserted after the
        standard library and before any folder of installed packages, which may contain the project itself.
        """
        moved = [self.to_base(entry) for entry in path]
        added = [place for place in (self.to_base(os.fspath(root)) for root in roots) if place not in moved]
        first = next((index for index, entry in enumerate(moved) if is_installed_file(entry)), len(moved))
        return [*moved[:first], *added, *moved[first:]]


def import_roots(folder: Path) -> list[Path]:
    """Return the folder from which a project's packages are imported: `src` if it contains any, otherwise the project
    folder."""
    source = folder / "src"
    return [source if _holds_code(source) else folder]


def is_in_tree(file: str, tree: Path) -> bool:
    """Return whether this path is in the tree, but not in an environment or a git folder inside of it."""
    # The cheap test on text comes first, because this runs for every imported module.
    if not file.startswith(os.fspath(tree)) or not Path(file).is_relative_to(tree):
        return False
    for prefix in map(Path, {sys.prefix, sys.base_prefix}):  # conda and pixi put the whole interpreter there
        if prefix.is_relative_to(tree) and prefix != tree and Path(file).is_relative_to(prefix):
            return False
    return not is_installed_file(file) and ".git" not in Path(file).relative_to(tree).parts


def is_installed_file(file: str) -> bool:
    """Return whether this file is in a folder of installed packages or in the environment of the interpreter."""
    path = Path(file)
    if not _INSTALLED.isdisjoint(path.parts):
        return True
    return sys.prefix != sys.base_prefix and path.is_relative_to(sys.prefix)


def _holds_code(folder: Path) -> bool:
    try:
        return any(folder.glob("*.py")) or any(folder.glob("*/*.py")) or any(folder.glob("*/*/*.py"))
    except OSError:  # not readable, so nothing is imported from it
        return False
