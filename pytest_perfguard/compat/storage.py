"""Folder, file names and machine facts of saved runs, as in pytest-benchmark."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pytest_perfguard.core.errors import SettingError
from pytest_perfguard.core.git import git_or_empty
from pytest_perfguard.engine.measure.machine import current_machine

_NUMBERED: Final = re.compile(r"(\d{4})_")
_ILLEGAL: Final = r"\/:*?<>|"


def storage_folder(uri: str) -> Path:
    """Return the folder of `file://PATH` or of a plain path, relative to the working directory.

    Raises
    ------
    SettingError
        for another kind of storage.
    """
    scheme, separator, rest = uri.partition("://")
    if separator and scheme != "file":
        raise SettingError(f"{uri!r} is not a folder: perfguard saves runs as files; give file://PATH")
    return Path(rest if separator else uri)


def parse_save(text: object) -> str:
    """Check a name that becomes part of a file name."""
    illegal = "".join(char for char in _ILLEGAL if char in str(text))
    if not str(text) or illegal:
        raise SettingError(
            f"{text!r} cannot be part of a file name (it contains {illegal!r})" if illegal else "it is empty"
        )
    return str(text)


def machine_folder() -> str:
    """Return the folder of runs that are compared by default, such as `Linux-CPython-3.11-64bit`."""
    version = ".".join(platform.python_version_tuple()[:2])
    return f"{platform.system()}-{platform.python_implementation()}-{version}-{platform.architecture()[0]}"


def next_number(storage: Path) -> int:
    """Return the number after the highest number of the saved runs."""
    files = (*storage.glob("*.json"), *(storage / machine_folder()).glob("*.json"))
    numbers = [int(match[1]) for file in files if (match := _NUMBERED.match(file.name))]
    return max(numbers, default=0) + 1


def saved_runs(storage: Path, wanted: str | None) -> list[Path]:
    """Return the runs that `wanted` names, oldest first: a file, a number, a prefix of a name, or `FOLDER/NAME`, with wildcards.

    None: the latest run on this kind of machine.
    """
    if wanted is None:
        return _sorted(_matching(storage, machine_folder(), "[0-9][0-9][0-9][0-9]_"))[-1:]
    if Path(wanted).is_file():
        return [Path(wanted)]
    folder, _slash, name = wanted.rpartition("/")
    return _sorted(_matching(storage, folder or machine_folder(), name))


def source_name(storage: Path, file: Path) -> str:
    """Return the name of a saved run in the table: `0001_name`, with its folder for a run of another machine."""
    inside = file.relative_to(storage) if file.is_relative_to(storage) else file
    parts = [part for part in inside.with_suffix("").parts if part != machine_folder()]
    return "/".join(parts)


def machine_info() -> dict[str, object]:
    """Return facts about this machine and interpreter."""

    facts = current_machine().facts
    return {
        "node": platform.node(),
        "processor": platform.processor(),
        "machine": platform.machine(),
        "python_compiler": platform.python_compiler(),
        "python_implementation": platform.python_implementation(),
        "python_implementation_version": platform.python_version(),
        "python_version": platform.python_version(),
        "python_build": list(platform.python_build()),
        "release": platform.release(),
        "system": platform.system(),
        "cpu": {"brand_raw": facts["cpu"], "count": facts["cpus"], "arch": platform.machine()},
    }


def commit_info(folder: Path, project: str = "") -> dict[str, object]:
    """Return facts about the revision that is checked out in `folder`."""
    commit = git_or_empty(folder, "rev-parse", "HEAD")
    branch = git_or_empty(folder, "rev-parse", "--abbrev-ref", "HEAD") or "(unknown)"
    remote = git_or_empty(folder, "config", "--local", "remote.origin.url") if commit else ""
    named = re.split(r"[/:\s\\]", remote.removesuffix(".git").rstrip("/"))[-1]
    return {
        "id": commit or "unversioned",
        "time": git_or_empty(folder, "show", "-s", "--format=%cI") or None,
        "author_time": git_or_empty(folder, "show", "-s", "--format=%aI") or None,
        "dirty": bool(commit and git_or_empty(folder, "status", "--porcelain", "--untracked-files=no")),
        "project": project or named or folder.resolve().name,
        "branch": "(detached head)" if branch == "HEAD" else branch,
    }


def autosave_name(commit: Mapping[str, object], stamp: str) -> str:
    """Return the name of a run that is saved without one."""
    return "_".join([str(commit["id"]), stamp, *(["uncommitted-changes"] if commit["dirty"] else [])])


def file_of(prefix: str, group: str | None, suffix: str) -> Path:
    """Return `PREFIX-GROUP.SUFFIX`, with characters that file names cannot contain replaced."""
    name = re.sub(r"[\\/:*?<>| ]+", "_", group) if group else ""
    return Path(f"{prefix}-{name}{suffix}" if name else f"{prefix}{suffix}")


def _matching(storage: Path, folder: str, beginning: str) -> Iterator[Path]:
    pattern = f"{beginning.removesuffix('.json').rstrip('*')}*.json"
    yield from storage.glob(f"{folder}/{pattern}")
    yield from storage.glob(pattern)


def _sorted(files: Iterator[Path]) -> list[Path]:
    return sorted(set(files), key=lambda file: (file.name, file.parent))
