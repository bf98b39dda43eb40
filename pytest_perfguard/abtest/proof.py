"""Proof that each arm measures the code that it is there to measure: by the files of the modules that it imported."""

from __future__ import annotations

import importlib.machinery
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from pytest_perfguard.abtest.places import Places, import_roots, is_in_tree, is_installed
from pytest_perfguard.errors import WrongCode
from pytest_perfguard.git import git

_BUILD: Final = (
    "set perf_base_command to a command that installs the base, such as "
    "`{python} -m pip install --no-deps --target {target} .`, or --perf-base-python to an environment that holds it"
)
_INSTALL: Final = "install this tree (pip install .), best as an editable install (pip install -e .)"
_EXTENSIONS: Final = tuple(importlib.machinery.EXTENSION_SUFFIXES)


class Proof:
    """Checks what two processes imported.

    A module is the project's if it lies in one of the trees, or has the name of one and lies among the installed packages.
    """

    def __init__(self, places: Places, roots: Iterable[Path], *, built: bool = False, apart: bool = False) -> None:
        self._places = places
        self._built = built
        """Was the base installed, rather than taken from its tree as it is?"""
        self._apart = apart
        """Has the base an environment of its own?"""
        self._names = dict(tree_modules(places.head, roots))

    def check(self, base: Mapping[str, str], head: Mapping[str, str], *, collected: bool = False) -> None:
        """Look at the modules of both arms, by name; `collected`: these are the first ones.

        Raises
        ------
        WrongCode
            naming the arm, the module, and what to set.
        """
        for name, file in base.items():
            self._check_base(name, os.path.realpath(file))
        for name, file in head.items():
            self._check_head(name, os.path.realpath(file))
        if collected and not self._built:
            self._check_built(base, head)

    def _check_base(self, name: str, file: str) -> None:
        if is_in_tree(file, self._places.head):
            raise WrongCode("base", name, file, "that is this tree's, and not the revision's", _BUILD)
        if name in self._names and is_installed(file) and not self._apart:
            raise WrongCode("base", name, file, "that is the installed copy, and not the revision's", _BUILD)

    def _check_head(self, name: str, file: str) -> None:
        if Path(file).is_relative_to(self._places.base):
            raise WrongCode("head", name, file, "that is the revision's, and not this tree's", _INSTALL)
        source = self._names.get(name)
        if source is not None and is_installed(file) and _differ(Path(file), source):
            raise WrongCode("head", name, file, f"that installed copy is not what this tree has ({source})", _INSTALL)

    def _check_built(self, base: Mapping[str, str], head: Mapping[str, str]) -> None:
        packages = {name.partition(".")[0] for name in self._names}
        for name, file in head.items():
            if file.endswith(_EXTENSIONS) and name.partition(".")[0] in packages and name not in base:
                raise WrongCode("head", name, file, "it is compiled, and the base's tree has no such file", _BUILD)


def tree_modules(top: Path, roots: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """(name, file) of every module that git knows below the folders from which packages are imported."""
    known = [PurePosixPath(name) for name in git(top, "ls-files", "-z", "--", "*.py").split("\0") if name]
    for root in roots:
        prefix = PurePosixPath(root.relative_to(top).as_posix())
        for file in known:
            if file.is_relative_to(prefix):
                parts = list(file.relative_to(prefix).with_suffix("").parts)
                name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                if name and name not in _EVERYBODYS:
                    yield name, top / file


#: Names that many trees have at their top, and that say nothing.
_EVERYBODYS: Final = {"setup", "conftest", "tests", "test", "docs", "examples", "noxfile", "tasks", "benchmarks"}


def project_roots(top: Path, rootdir: Path) -> list[Path]:
    """Where the packages of the repository, and of the project in it that is tested, are imported from."""
    folders = [rootdir, top] if is_in_tree(os.fspath(rootdir), top) else [top]
    return list(dict.fromkeys(root for folder in folders for root in import_roots(folder)))


def _differ(installed: Path, source: Path) -> bool:
    if installed.suffix != ".py":
        return False
    try:
        return installed.read_bytes() != source.read_bytes()
    except OSError:  # a file that the tree has deleted, say: another code
        return True
