"""Check that each arm measures the intended code, by the files of the modules that it imported."""

from __future__ import annotations

import functools
import importlib.machinery
import json
import os
import re
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Final

from pytest_perfguard.core.errors import WrongCode
from pytest_perfguard.core.git import git, git_or_empty
from pytest_perfguard.engine.runner.path_map import PathMap, import_roots, is_in_tree, is_installed_file

BUILD_REMEDY: Final = (
    "set perf_base_command to a command that installs the base, such as "
    "`{python} -m pip install --no-deps --target {target} .`, or --perf-base-python to an environment that holds it"
)
_INSTALL_REMEDY: Final = "install this tree (pip install .), best as an editable install (pip install -e .)"
_RENAME_REMEDY: Final = "rename that file, or keep the packages that are imported in a folder src"
_EXTENSION_SUFFIXES: Final = tuple(importlib.machinery.EXTENSION_SUFFIXES)
#: Names that occur at the top of many trees, and do not identify a project.
_COMMON_NAMES: Final = {"setup", "conftest", "tests", "test", "docs", "examples", "noxfile", "tasks", "benchmarks"}

_FilesByName = Mapping[str, set[Path]]


#: The name under which a project is installed: `name = "x"` in TOML, in an ini file, or as an argument.
_PROJECT_NAME: Final = re.compile(r"""\bname\s*=\s*["']?([A-Za-z0-9][A-Za-z0-9._-]*)""")
_PACKAGING_FILES: Final = ("pyproject.toml", "setup.cfg", "setup.py")


class ImportAudit:
    """Checks the imports of the processes of a pair.

    A module of the head belongs to the project if its file is in the tree, or is a copy of a file that has the module's
    name there. Each such module must come from the base's own code in the base.
    """

    def __init__(
        self,
        paths: PathMap,
        roots: Iterable[Path],
        *,
        is_test: Callable[[PurePosixPath], bool],
        target: Path | None = None,
        own_environment: bool = False,
    ) -> None:
        self._paths = paths
        self._is_test = is_test
        self._target = target
        """Folder into which the base was installed."""
        self._has_own_environment = own_environment
        """True if the base has an environment of its own."""
        self._files_by_name, self._certain_names = _tree_modules(paths.head, roots)
        self._foreign = ForeignModules(paths.head)
        self._base: dict[str, str] = {}
        self._head: dict[str, str] = {}
        self.base_is_used = False
        """True if the base has imported code of its own besides tests."""
        self.head_files: set[str] = set()
        """Files of all modules that the heads have imported so far."""

    def start_pair(self) -> None:
        """Start the audit of a fresh pair of processes."""
        self._base, self._head, self.base_is_used = {}, {}, False

    def check(self, base: Mapping[str, str], head: Mapping[str, str]) -> None:
        """Check the modules that both have imported since the last call, by name.

        Raises
        ------
        WrongCode
            if an arm imported the wrong file. It names the arm, the module, and the option to set.
        """
        self._base |= {name: os.path.realpath(file) for name, file in base.items()}
        self._head |= {name: os.path.realpath(file) for name, file in head.items()}
        self.head_files.update(self._head[name] for name in head)
        for name in {*base, *head} & self._head.keys():
            file = self._head[name]
            if Path(file).is_relative_to(self._paths.base):
                raise WrongCode("head", name, file, "that is the revision's, and not this tree's", _INSTALL_REMEDY)
            if self._is_project(name, file):
                self._check_counterpart(name, file)
            elif name in self._certain_names:
                self._check_foreign(name, file)
        for name in base:
            file = self._base[name]
            if is_in_tree(file, self._paths.head):
                raise WrongCode("base", name, file, "that is this tree's, and not the revision's", BUILD_REMEDY)
            self.base_is_used |= self._has_own_environment or (
                self._belongs_to_base(file) and not self._is_copied_test(file)
            )

    def _check_foreign(self, name: str, file: str) -> None:
        """Check a module of the head that has a name of the tree but another file: it must belong to another project,
        in both arms."""
        if not self._foreign.contains(name, file):
            raise WrongCode("head", name, file, "that is not what this tree has", _INSTALL_REMEDY)
        other = self._base.get(name, "")
        if other and self._belongs_to_base(other):
            raise WrongCode(
                "base", name, other, f"the head has {file} under this name, and not the tree's", _RENAME_REMEDY
            )

    def _check_counterpart(self, name: str, file: str) -> None:
        """Check that the base imported the same module from its own code, in the same kind of file."""
        other = self._base.get(name)
        compiled = file.endswith(_EXTENSION_SUFFIXES)
        if (
            compiled
            and self._target is None
            and not self._has_own_environment
            and (other is None or not other.endswith(_EXTENSION_SUFFIXES))
        ):
            raise WrongCode("head", name, file, "it is compiled, and the base has no such file", BUILD_REMEDY)
        if (
            other is None
            or self._has_own_environment
            or self._belongs_to_base(other)
            or is_in_tree(other, self._paths.head)
        ):
            return
        raise WrongCode("base", name, other, "that is the installed copy, and not the revision's", BUILD_REMEDY)

    def _is_project(self, name: str, file: str) -> bool:
        if is_in_tree(file, self._paths.head):
            return True
        if file.endswith(_EXTENSION_SUFFIXES):  # generated, so git knows only its package
            return name.partition(".")[0] in self._certain_names and not self._foreign.contains(name, file)
        return any(_same_content(Path(file), source) for source in self._files_by_name.get(name, ()))

    def _belongs_to_base(self, file: str) -> bool:
        if self._target is not None and Path(file).is_relative_to(self._target):
            return True
        return Path(file).is_relative_to(self._paths.base)

    def _is_copied_test(self, file: str) -> bool:
        inside = Path(file).is_relative_to(self._paths.base)
        return inside and self._is_test(PurePosixPath(Path(file).relative_to(self._paths.base).as_posix()))


def project_roots(top: Path, rootdir: Path) -> list[Path]:
    """Return the folders from which the packages of the repository, and of the tested project in it, are imported."""
    folders = [rootdir, top] if is_in_tree(os.fspath(rootdir), top) else [top]
    return list(dict.fromkeys(root for folder in folders for root in import_roots(folder)))


def _tree_modules(top: Path, roots: Iterable[Path]) -> tuple[_FilesByName, set[str]]:
    """Return the files of the tree by the names under which they may be imported, and the names that are certain.

    A name is certain if it starts at an import root. Other names start at the outermost package around the file,
    wherever that is; a foreign module may have the same name.
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


def _module_name(file: PurePosixPath) -> str | None:
    """Return the name under which a file is imported; None for names that many projects have."""
    parts = list(file.with_suffix("").parts)
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return None if name in _COMMON_NAMES else name or None


def _same_content(file: Path, source: Path) -> bool:
    try:
        return file.read_bytes() == source.read_bytes()
    except OSError:  # for example, the tree has deleted it
        return False


class ForeignModules:
    """Identifies modules of Python and of other projects, which may have the name of a script of the tree.

    Metadata of installed packages are read only if a module has a name of the tree and is not in it.
    """

    def __init__(self, top: Path) -> None:
        self._top = top
        self._distributions: dict[Path, dict[str, metadata.Distribution]] = {}

    def contains(self, name: str, file: str) -> bool:
        """Return whether the module of this name and file belongs to Python, or to another project than the tree's."""
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
        # A project whose name is computed is identified by its packages. A tree that cannot be installed has no distribution.
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
    bases = {
        "base": sys.base_prefix,
        "platbase": sys.base_exec_prefix,
    }  # of the base interpreter, not of a virtual environment
    folders = {os.path.realpath(sysconfig.get_path(kind, vars=bases)) for kind in ("stdlib", "platstdlib")}
    return not is_installed_file(file) and any(Path(file).is_relative_to(folder) for folder in folders)


def _installed_in(folder: Path) -> dict[str, metadata.Distribution]:
    """Return the distributions of a folder, by the files that they have installed there."""
    try:
        found = list(metadata.distributions(path=[os.fspath(folder)]))
        return {file.as_posix(): distribution for distribution in found for file in distribution.files or ()}
    except OSError:  # the folder is not readable
        return {}


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:  # deleted in this tree
        return ""


def _normalize_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
