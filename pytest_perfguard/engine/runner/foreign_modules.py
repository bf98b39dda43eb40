"""Tell modules of Python and of other projects from those of the tree: a script may bear the name of any of them."""

from __future__ import annotations

import functools
import json
import os
import re
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from typing import Final

from pytest_perfguard.core.git import git_or_empty
from pytest_perfguard.engine.runner.path_map import is_installed_file

#: Where a project writes the name under which it is installed: `name = "x"`, in TOML, in an ini file, as an argument.
_PROJECT_NAME: Final = re.compile(r"""\bname\s*=\s*["']?([A-Za-z0-9][A-Za-z0-9._-]*)""")
_PACKAGING_FILES: Final = ("pyproject.toml", "setup.cfg", "setup.py")


class ForeignModules:
    """Knows which installed files belong to the project of a tree.

    Nothing is read before the first question, which is asked only where a module bears a name of the tree and lies elsewhere.
    """

    def __init__(self, top: Path) -> None:
        self._top = top
        self._distributions: dict[Path, dict[str, metadata.Distribution]] = {}

    def contains(self, name: str, file: str) -> bool:
        """Is the module of this name and file Python's own, or of another project than the tree's?"""
        if _is_standard_library(file):
            return True
        distribution = self._distribution_of(Path(file))
        return distribution is not None and not self._is_own(name, distribution)

    def _is_own(self, name: str, distribution: metadata.Distribution) -> bool:
        if self._was_installed_from_here(distribution):
            return True
        installed_as = _normalize_name(distribution.metadata["Name"] or "")
        if self._own_names:
            return installed_as in self._own_names
        # A project whose name is computed is known by its packages; a tree that cannot be installed is no distribution at all.
        package = name.partition(".")[0]
        is_package = any((folder / package).is_dir() for folder in (self._top, self._top / "src"))
        return bool(self._packaging) and is_package and installed_as == _normalize_name(package)

    def _was_installed_from_here(self, distribution: metadata.Distribution) -> bool:
        try:
            url = json.loads(distribution.read_text("direct_url.json") or "{}").get("url", "")
        except ValueError:
            return False
        return os.path.realpath(str(url).removeprefix("file://")).startswith(os.fspath(self._top))

    @functools.cached_property
    def _packaging(self) -> list[str]:
        patterns = [pattern for file in _PACKAGING_FILES for pattern in (file, f"*/{file}")]
        return [name for name in git_or_empty(self._top, "ls-files", "-z", "--", *patterns).split("\0") if name]

    @functools.cached_property
    def _own_names(self) -> set[str]:
        texts = (_read_text(self._top / file) for file in self._packaging)
        return {_normalize_name(found) for text in texts for found in _PROJECT_NAME.findall(text)}

    def _distribution_of(self, file: Path) -> metadata.Distribution | None:
        for folder in file.parents:
            if folder not in self._distributions:
                self._distributions[folder] = _installed_in(folder)
            if self._distributions[folder]:
                return self._distributions[folder].get(file.relative_to(folder).as_posix())
        return None


def _is_standard_library(file: str) -> bool:
    bases = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}  # of the interpreter, not of an environment
    folders = {os.path.realpath(sysconfig.get_path(kind, vars=bases)) for kind in ("stdlib", "platstdlib")}
    return not is_installed_file(file) and any(Path(file).is_relative_to(folder) for folder in folders)


def _installed_in(folder: Path) -> dict[str, metadata.Distribution]:
    """Return the distributions of a folder by the files that they have brought there."""
    try:
        found = list(metadata.distributions(path=[os.fspath(folder)]))
        return {file.as_posix(): distribution for distribution in found for file in distribution.files or ()}
    except OSError:  # a folder that may not be read: nobody knows
        return {}


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:  # deleted in this tree
        return ""


def _normalize_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
