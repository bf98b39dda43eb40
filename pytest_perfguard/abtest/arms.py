"""The two arms of a comparison: how to start each, and the proof that each measures what it should."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pytest_perfguard.abtest.places import Places
from pytest_perfguard.abtest.proof import Proof, project_roots
from pytest_perfguard.abtest.revision import Revision
from pytest_perfguard.abtest.transplant import transplant
from pytest_perfguard.abtest.worker import Launch
from pytest_perfguard.abtest.worktree import checked_out
from pytest_perfguard.errors import RevisionError

LOG_LINES: Final = 15


@dataclass(frozen=True)
class Suite:
    """What the base needs to know of the run."""

    rootdir: Path
    tests: Sequence[Path]
    """The files of the perf tests."""
    patterns: Sequence[str]
    """Of test files, as pytest is configured."""
    settings: Path | None
    """pytest's configuration file."""


@dataclass(frozen=True)
class Build:
    """How the base is made fit for import, where its tree does not do as it is."""

    command: str | None = None
    """With `{target}` and `{python}`."""
    python: str | None = None
    """The interpreter of an environment that holds the base."""


@dataclass(frozen=True)
class Arms:
    """Ready to be measured."""

    base: Launch
    head: Launch
    proof: Proof
    tests: int
    """Files that were copied over those of the revision."""


@contextlib.contextmanager
def two_arms(revision: Revision, head: Launch, suite: Suite, build: Build) -> Iterator[Arms]:
    """The revision beside this tree, inside the `with` block.

    Raises
    ------
    RevisionError
        where the revision cannot be checked out or built.
    """
    with checked_out(revision) as tree, tempfile.TemporaryDirectory(prefix="perfguard-") as extra:
        places = Places(revision.top, tree)
        copied = transplant(revision.top, tree, suite.tests, suite.patterns, suite.settings)
        target = Path(extra, "target")
        target.mkdir()
        if build.command:
            _run(build, Path(places.moved(os.fspath(suite.rootdir))), target)
        roots = project_roots(revision.top, suite.rootdir)
        head = _without_bytecode_in_place(head, Path(extra, "bytecode"))
        base = _base(head, places, roots, build, target)
        proof = Proof(places, roots, built=bool(build.command or build.python), apart=build.python is not None)
        yield Arms(base, replace(head, arm="head"), proof, copied)


def _base(head: Launch, places: Places, roots: Sequence[Path], build: Build, target: Path) -> Launch:
    environment = dict(head.environment)
    if "PYTHONPATH" in environment:
        entries = environment["PYTHONPATH"].split(os.pathsep)
        environment["PYTHONPATH"] = os.pathsep.join(map(places.moved, entries))
    path = None
    if build.python is None:
        path = places.moved_path(head.path or (), roots)
        path = [os.fspath(target), *path] if build.command else path
    return Launch(
        arguments=[places.moved_argument(argument, head.folder) for argument in head.arguments],
        folder=Path(places.moved(os.fspath(head.folder))),
        python=build.python or head.python,
        path=path,
        environment=environment,
        arm="base",
        place=places.moved,
    )


def _without_bytecode_in_place(head: Launch, folder: Path) -> Launch:
    """Where compiled files may not be written, both arms keep theirs elsewhere.

    Else the head might load files that were compiled before while the base compiles its own in every process, and the two
    would differ in how their code lies in memory.
    """
    environment = dict(head.environment)
    if not environment.pop("PYTHONDONTWRITEBYTECODE", ""):
        return head
    return replace(head, environment={**environment, "PYTHONPYCACHEPREFIX": os.fspath(folder)})


def _run(build: Build, folder: Path, target: Path) -> None:
    """The user's command that installs the base."""
    command = build.command or ""
    words = [
        word.replace("{target}", os.fspath(target)).replace("{python}", build.python or sys.executable)
        for word in shlex.split(command)
    ]
    try:
        done = subprocess.run(
            words, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", check=False,
        )  # fmt: skip
    except OSError as error:
        raise RevisionError(f"perf_base_command {command!r}: {error}") from None
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-LOG_LINES:])
        raise RevisionError(f"perf_base_command {command!r} exited with status {done.returncode}:\n{last}")
