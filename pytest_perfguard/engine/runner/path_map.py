"""Where the base's process finds what the head's finds: arguments, import path and files, moved from one tree to the other."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: Folders of installed packages: a virtual environment may lie inside the tree, and is no part of it.
_INSTALLED: Final = {"site-packages", "dist-packages"}


@dataclass(frozen=True)
class PathMap:
    """The two trees. A path moves if it lies in the head's tree and not in its environment."""

    head: Path
    base: Path

    def to_base(self, path: str) -> str:
        """The base's counterpart of a path; any other path as it is."""
        # As it is written, if that lies in the tree: a link in the tree is a link in its counterpart, too.
        for place in (path, os.path.realpath(path)):
            if path and is_in_tree(place, self.head):
                return os.path.join(self.base, os.path.relpath(place, self.head))  # noqa: PTH118 - text in, text out
        return path

    def argument_to_base(self, argument: str, folder: Path) -> str:
        """The same for an argument of pytest: a path, a node id, or an option with a path behind its equals sign.

        A relative path stays as it is where the process runs in the counterpart of its folder.
        """
        option, equals, value = argument.partition("=") if argument.startswith("-") else ("", "", argument)
        path, colons, names = value.partition("::")
        if not path or not os.path.exists(folder / path):  # noqa: PTH110 - False for what no path can be, such as a long -k
            return argument
        if not Path(path).is_absolute() and is_in_tree(os.path.realpath(folder), self.head):
            return argument
        return f"{option}{equals}{self.to_base(os.fspath(folder / path))}{colons}{names}"

    def import_path_to_base(self, path: Sequence[str], roots: Sequence[Path]) -> list[str]:
        """The import path of the base.

        `roots` are the folders of the head from which its packages can be imported. They come before any folder of
        installed packages, which may hold the project itself, and behind the standard library.
        """
        moved = [self.to_base(entry) for entry in path]
        added = [place for place in (self.to_base(os.fspath(root)) for root in roots) if place not in moved]
        first = next((index for index, entry in enumerate(moved) if is_installed_file(entry)), len(moved))
        return [*moved[:first], *added, *moved[first:]]


def import_roots(folder: Path) -> list[Path]:
    """The folder from which a project's packages are imported: its `src` if that holds any, else itself."""
    source = folder / "src"
    return [source if _holds_code(source) else folder]


def is_in_tree(file: str, tree: Path) -> bool:
    """Is this path in the tree, and not in an environment or a git folder inside of it?"""
    # The text first: this is asked of every imported module.
    if not file.startswith(os.fspath(tree)) or not Path(file).is_relative_to(tree):
        return False
    for prefix in map(Path, {sys.prefix, sys.base_prefix}):  # conda and pixi put the whole interpreter there
        if prefix.is_relative_to(tree) and prefix != tree and Path(file).is_relative_to(prefix):
            return False
    return not is_installed_file(file) and ".git" not in Path(file).relative_to(tree).parts


def is_installed_file(file: str) -> bool:
    """Does this lie where packages, or the interpreter's own modules, are installed?"""
    path = Path(file)
    if not _INSTALLED.isdisjoint(path.parts):
        return True
    return sys.prefix != sys.base_prefix and path.is_relative_to(sys.prefix)


def _holds_code(folder: Path) -> bool:
    try:
        return any(folder.glob("*.py")) or any(folder.glob("*/*.py")) or any(folder.glob("*/*/*.py"))
    except OSError:  # it may not be read: nothing is imported from it either
        return False
