"""`perfguard doctor`: report whether this machine and this project are fit for measuring."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pytest_perfguard.cli.common import Verbs, add_verb, print_json, print_lines
from pytest_perfguard.core.errors import RevisionError
from pytest_perfguard.core.git import find_repository, has_commit, is_shallow
from pytest_perfguard.engine.measure.affinity import CpuAffinity
from pytest_perfguard.engine.measure.fitness import Check, judge_machine, read_facts

#: Extra -> the module that shows that it is installed.
EXTRAS: Final = {
    "aspect": "aspectlib",
    "prometheus": "prometheus_client",
    "psycopg": "psycopg",
    "redis": "redis",
}


def add(verbs: Verbs) -> None:
    add_verb(
        verbs,
        "doctor",
        _run,
        "report whether this machine and this project are fit for measuring",
        description="Report facts that decide how steady measurements are, each with advice. Nothing is measured: "
        "`perfguard noise` measures what the machine allows.",
    )


def _run(options: argparse.Namespace) -> int:
    checks = [*judge_machine(read_facts(CpuAffinity().is_supported)), *_software(Path())]
    if options.json:
        print_json({"checks": [asdict(check) for check in checks]})
        return 0
    width = max(len(check.name) for check in checks)
    for check in checks:
        mark = "ok  " if check.fit else "note"
        print_lines(f"{mark} {check.name:<{width}}  {check.text}{f': {check.advice}' if check.advice else ''}")
    print_lines("To measure what this machine can detect: perfguard noise")
    return 0


def _software(folder: Path) -> Iterator[Check]:
    yield Check("versions", True, ", ".join(f"{name} {_version(name)}" for name in ("perfguard", "pytest", "scipy")))
    yield _git(folder)
    valgrind = shutil.which("valgrind")
    yield Check("valgrind", True, f"found at {valgrind}" if valgrind else "not installed (not needed)")
    installed = [extra for extra, module in EXTRAS.items() if find_spec(module) is not None]
    lacking = [extra for extra in EXTRAS if extra not in installed]
    text = f"installed: {', '.join(installed) or 'none'}; not installed: {', '.join(lacking) or 'none'}"
    yield Check("extras", True, text)


def _git(folder: Path) -> Check:
    if shutil.which("git") is None:
        advice = "--perf-against needs it, and a stored baseline confirms suspects with it"
        return Check("git", False, "not installed", advice)
    try:
        top = find_repository(folder)
    except RevisionError as error:
        return Check("git", False, "git refuses this repository", str(error))
    if top is None:
        return Check("git", False, "this folder is in no repository", "--perf-against needs one: git init")
    if is_shallow(folder):
        advice = "fetch the history, so that the base can be checked out: git fetch --unshallow"
        return Check("git", False, "a shallow clone", advice)
    if not has_commit(folder):
        return Check("git", False, "a repository without a commit", "--perf-against needs one: git commit")
    return Check("git", True, "a repository with its history")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
