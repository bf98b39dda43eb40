"""Proof that each arm measures the code that it is there to measure: by the files of the modules that it imported."""

from __future__ import annotations

import importlib.machinery
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from pytest_perfguard.core.errors import WrongCode
from pytest_perfguard.core.git import git
from pytest_perfguard.engine.runner.foreign_modules import ForeignModules
from pytest_perfguard.engine.runner.path_map import PathMap, import_roots, is_in_tree

BUILD: Final = (
    "set perf_base_command to a command that installs the base, such as "
    "`{python} -m pip install --no-deps --target {target} .`, or --perf-base-python to an environment that holds it"
)
_INSTALL: Final = "install this tree (pip install .), best as an editable install (pip install -e .)"
_RENAME: Final = "rename that file, or keep the packages that are imported in a folder src"
_EXTENSIONS: Final = tuple(importlib.machinery.EXTENSION_SUFFIXES)
#: Names that many trees have at their top, and that say nothing.
_EVERYBODYS: Final = {"setup", "conftest", "tests", "test", "docs", "examples", "noxfile", "tasks", "benchmarks"}

_Names = Mapping[str, set[Path]]


class ImportAudit:
    """Checks what the processes of a pair imported.

    A module of the head is the project's if it lies in the tree, or is a copy of a file that bears its name there. What is the
    project's in the head must be the base's own in the base.
    """

    def __init__(
        self,
        places: PathMap,
        roots: Iterable[Path],
        *,
        is_test: Callable[[PurePosixPath], bool],
        target: Path | None = None,
        apart: bool = False,
    ) -> None:
        self._places = places
        self._is_test = is_test
        self._target = target
        """Where the base was installed."""
        self._apart = apart
        """Has the base an environment of its own?"""
        self._named, self._certain = _tree_modules(places.head, roots)
        self._strangers = ForeignModules(places.head)
        self._base: dict[str, str] = {}
        self._head: dict[str, str] = {}
        self.base_is_used = False
        """Has the base imported anything of its own but tests?"""
        self.head_files: set[str] = set()
        """The files of all that the heads have imported so far."""

    def begin(self) -> None:
        """A fresh pair of processes."""
        self._base, self._head, self.base_is_used = {}, {}, False

    def check(self, base: Mapping[str, str], head: Mapping[str, str]) -> None:
        """Look at the modules that both have imported since the last look, by name.

        Raises
        ------
        WrongCode
            naming the arm, the module, and what to set.
        """
        self._base |= {name: os.path.realpath(file) for name, file in base.items()}
        self._head |= {name: os.path.realpath(file) for name, file in head.items()}
        self.head_files.update(self._head[name] for name in head)
        for name in {*base, *head} & self._head.keys():
            file = self._head[name]
            if Path(file).is_relative_to(self._places.base):
                raise WrongCode("head", name, file, "that is the revision's, and not this tree's", _INSTALL)
            if self._is_project(name, file):
                self._check_counterpart(name, file)
            elif name in self._certain:
                self._check_stranger(name, file)
        for name in base:
            file = self._base[name]
            if is_in_tree(file, self._places.head):
                raise WrongCode("base", name, file, "that is this tree's, and not the revision's", BUILD)
            self.base_is_used |= self._apart or (self._is_bases_own(file) and not self._is_copied(file))

    def _check_stranger(self, name: str, file: str) -> None:
        """A module of the head that bears a name of the tree and is not in it: it is another project's, in both arms."""
        if not self._strangers.include(name, file):
            raise WrongCode("head", name, file, "that is not what this tree has", _INSTALL)
        other = self._base.get(name, "")
        if other and self._is_bases_own(other):
            raise WrongCode("base", name, other, f"the head has {file} under this name, and not the tree's", _RENAME)

    def _check_counterpart(self, name: str, file: str) -> None:
        """The same module in the base: its own, and of the same kind."""
        other = self._base.get(name)
        compiled = file.endswith(_EXTENSIONS)
        if compiled and self._target is None and not self._apart and (other is None or not other.endswith(_EXTENSIONS)):
            raise WrongCode("head", name, file, "it is compiled, and the base has no such file", BUILD)
        if other is None or self._apart or self._is_bases_own(other) or is_in_tree(other, self._places.head):
            return
        raise WrongCode("base", name, other, "that is the installed copy, and not the revision's", BUILD)

    def _is_project(self, name: str, file: str) -> bool:
        if is_in_tree(file, self._places.head):
            return True
        if file.endswith(_EXTENSIONS):  # generated: git knows the package that it belongs to
            return name.partition(".")[0] in self._certain and not self._strangers.include(name, file)
        return any(_equal(Path(file), source) for source in self._named.get(name, ()))

    def _is_bases_own(self, file: str) -> bool:
        if self._target is not None and Path(file).is_relative_to(self._target):
            return True
        return Path(file).is_relative_to(self._places.base)

    def _is_copied(self, file: str) -> bool:
        inside = Path(file).is_relative_to(self._places.base)
        return inside and self._is_test(PurePosixPath(Path(file).relative_to(self._places.base).as_posix()))


def project_roots(top: Path, rootdir: Path) -> list[Path]:
    """Where the packages of the repository, and of the project in it that is tested, are imported from."""
    folders = [rootdir, top] if is_in_tree(os.fspath(rootdir), top) else [top]
    return list(dict.fromkeys(root for folder in folders for root in import_roots(folder)))


def _tree_modules(top: Path, roots: Iterable[Path]) -> tuple[_Names, set[str]]:
    """The files of the tree by the names under which they may be imported, and the names that are certain.

    A name is certain if it counts from a root. Others count from the outermost package around the file, wherever it lies;
    a stranger may bear such a name, too.
    """
    files = [PurePosixPath(name) for name in git(top, "ls-files", "-z", "--", "*.py").split("\0") if name]
    packages = {file.parent for file in files if file.name == "__init__.py"}
    certain: set[str] = set()
    named: dict[str, set[Path]] = {}
    prefixes = [PurePosixPath(root.relative_to(top).as_posix()) for root in roots]
    for file in files:
        for prefix in prefixes:
            if file.is_relative_to(prefix) and (name := _module_name(file.relative_to(prefix))):
                certain.add(name)
                named.setdefault(name, set()).add(top / file)
        above = next(folder for folder in file.parents if folder not in packages)
        if file.parent in packages and (name := _module_name(file.relative_to(above))):
            named.setdefault(name, set()).add(top / file)
    return named, certain


def _module_name(file: PurePosixPath) -> str:
    parts = list(file.with_suffix("").parts)
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return "" if name in _EVERYBODYS else name


def _equal(file: Path, source: Path) -> bool:
    try:
        return file.read_bytes() == source.read_bytes()
    except OSError:  # the tree has deleted it, say: other code
        return False
