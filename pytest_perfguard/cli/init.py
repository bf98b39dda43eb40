"""`perfguard init`: write what a project needs to begin with, and overwrite nothing."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from pytest_perfguard.cli.common import Verbs, add_verb, print_json, print_lines, read_text
from pytest_perfguard.core.atomic_files import atomic_write
from pytest_perfguard.core.errors import CommandError
from pytest_perfguard.core.git import git_or_empty

#: Files in which pytest looks for its settings, in its order, and the sections that it reads there.
SETTINGS: Final = (
    ("pytest.toml", ("pytest",)),
    (".pytest.toml", ("pytest",)),
    ("pytest.ini", ("pytest",)),
    (".pytest.ini", ("pytest",)),
    ("pyproject.toml", ("tool.pytest", "tool.pytest.ini_options")),
    ("tox.ini", ("pytest",)),
    ("setup.cfg", ("tool:pytest",)),
)
#: Files of this name are pytest's own: it uses them, even without a section.
_OWN: Final = re.compile(r"\.?pytest\.(?:toml|ini)")
#: The writers of a baseline lock a file of this name beside it.
IGNORED: Final = ".perf-baseline.json.lock"
WORKFLOWS: Final = {"github": ".github/workflows/performance.yml", "gitlab": ".gitlab/performance.yml"}
_MARKED: Final = re.compile(rb"\bmark\.perf\b")
_THRESHOLD: Final = {".ini": "perf_threshold = 5%", ".cfg": "perf_threshold = 5%", ".toml": 'perf_threshold = "5%"'}


@dataclass(frozen=True)
class Change:
    """A file to write."""

    path: str
    text: str
    """The whole file."""
    what: str


def add(verbs: Verbs) -> None:
    parser = add_verb(
        verbs,
        "init",
        _run,
        "write a setting, a first perf test and a CI workflow",
        description="Write what a project needs to begin with: a setting where pytest keeps its own, a line in "
        ".gitignore, a first perf test if there is none, and a CI workflow. No existing line changes.",
    )
    parser.add_argument(
        "--ci", choices=("auto", *WORKFLOWS, "none"), default="auto",
        help="which CI system to write a workflow for; auto: that of the remote called origin (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--tests", default="tests", help="the folder of the first perf test (default: %(default)s)")
    parser.add_argument("--yes", action="store_true", help="write without asking")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be written")


def _run(options: argparse.Namespace) -> int:
    folder = Path()
    changes = list(planned(folder, _system(options.ci, folder), options.tests))
    if options.json:
        print_json({"files": [{"path": change.path, "what": change.what} for change in changes]})
    else:
        print_lines(*(f"{change.path}: {change.what}" for change in changes) if changes else ["nothing is lacking"])
    if options.dry_run or not changes:
        return 0
    if not options.yes and not _confirmed():
        print_lines("nothing was written")
        return 1
    for change in changes:
        path = folder / change.path
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, change.text)
    if not options.json:
        if any(change.path == WORKFLOWS["gitlab"] for change in changes):
            print_lines(f"In .gitlab-ci.yml: include: {{local: {WORKFLOWS['gitlab']}}}")
        print_lines("Next: pytest --perf to look, pytest --perf-baseline to record")
    return 0


def planned(folder: Path, system: str | None, tests: str) -> Iterator[Change]:
    """Yield the files that are to be written or extended; none that needs no change."""
    yield from _setting(folder)
    ignore = folder / ".gitignore"
    lines = read_text(ignore, missing="")
    if IGNORED not in lines.splitlines():
        yield Change(".gitignore", _with_line(lines, IGNORED), "ignore the lock file of the baseline")
    if not _has_perf_tests(folder):
        if (folder / tests).exists() and not (folder / tests).is_dir():
            raise CommandError(f"--tests: {tests} is a file; name a folder")
        path = f"{tests}/test_performance.py"
        if not (folder / path).exists():
            yield Change(path, _template("test_performance.py.txt"), "a first perf test")
    if system is not None and not (folder / WORKFLOWS[system]).exists():
        yield Change(
            WORKFLOWS[system], _template(f"{system}.yml"), f"a workflow that compares with the merge base ({system})"
        )


def _setting(folder: Path) -> Iterator[Change]:
    """Yield the file that holds pytest's settings, with one of ours below the head of the section."""
    for name, sections in SETTINGS:
        text = read_text(folder / name, missing="")
        heads = [head for section in sections if (head := _head(section).search(text))]
        if heads:
            yield from _with_threshold(name, text, heads[-1].end())
            return
        if _OWN.fullmatch(name) and (folder / name).exists():
            yield Change(name, _with_section(name, text, sections[-1]), "a section for pytest with perf_threshold")
            return
    project = folder / "pyproject.toml"
    if not project.exists():
        section = _with_section("pytest.ini", "", "pytest")
        yield Change("pytest.ini", section, "settings of pytest with perf_threshold")
    elif "ini_options" not in (text := read_text(project)):  # in another notation, a second section is an error
        section = _with_section(project.name, text, "tool.pytest.ini_options")
        yield Change(project.name, section, "a section for pytest with perf_threshold")


def _head(section: str) -> re.Pattern[str]:
    """Return the pattern of the line that begins the section, with any comment."""
    return re.compile(rf"^\[ *{re.escape(section)} *\][ \t]*(?:[#;][^\r\n]*)?(?:\r?\n|$)", re.MULTILINE)


def _with_threshold(name: str, text: str, place: int) -> Iterator[Change]:
    """Yield the file with the setting at this place; nothing if it has a setting of ours."""
    if re.search(r"^perf_\w+\s*=", text, re.MULTILINE):
        return
    changed = _with_line(text[:place], _THRESHOLD[Path(name).suffix]) + text[place:]
    yield Change(name, changed, "perf_threshold, the slowdown that does not matter")


def _with_section(name: str, text: str, section: str) -> str:
    """Return the text with a section for pytest at its end."""
    lines = [*([""] if text else []), f"[{section}]", _THRESHOLD[Path(name).suffix]]
    return _with_line(text, _line_end(text).join(lines))


def _has_perf_tests(folder: Path) -> bool:
    """Return whether a test or a `conftest.py` of the project uses the marker."""
    for place, below, names in os.walk(folder):
        below[:] = [name for name in below if not _is_foreign(Path(place, name))]
        for name in names:
            is_test = name == "conftest.py" or (name.endswith(".py") and re.match(r"test_|.*_test\.py", name))
            if is_test and _MARKED.search(Path(place, name).read_bytes()):
                return True
    return False


def _is_foreign(folder: Path) -> bool:
    """Return whether the folder holds tests of other projects: a virtual environment, installed packages."""
    return folder.name.startswith(".") or folder.name == "node_modules" or (folder / "pyvenv.cfg").exists()


def _system(wanted: str, folder: Path) -> str | None:
    """Return the CI system to write for; None for none."""
    if wanted != "auto":
        return None if wanted == "none" else wanted
    remote = git_or_empty(folder, "remote", "get-url", "origin")
    return next((name for name in WORKFLOWS if name in remote or (folder / f".{name}").is_dir()), None)


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise CommandError("init asks before it writes, and the input is no terminal: use --yes or --dry-run")
    return input("Write these files? [Y/n] ").strip().lower() in ("", "y", "yes")


def _template(name: str) -> str:
    return (resources.files("pytest_perfguard.cli") / "templates" / name).read_text(encoding="utf-8")


def _with_line(text: str, line: str) -> str:
    """Return the text with this line at its end."""
    end = _line_end(text)
    return f"{text}{'' if not text or text.endswith(chr(10)) else end}{line}{end}"


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
