"""The one place that reads and writes the baseline file: lock, merge by test, temporary file, sync, replace."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from pytest_perfguard.core.atomic_files import atomic_write, clear_leftovers
from pytest_perfguard.core.errors import BaselineError, BaselineMissing, BaselineUnreadable
from pytest_perfguard.core.model import Machine, Record
from pytest_perfguard.engine.baseline.schema import Baseline, MachineClass, from_text, to_text

#: Another run only holds the lock while it reads, merges and writes, and a run that died holds none. Many runs at once, a
#: file of a hundred thousand tests and a slow disk add up, and minutes of measuring would be lost with the waiting.
LOCK_SECONDS: Final = 1800.0
#: After so many of them it is told that somebody is waited for.
PATIENCE_SECONDS: Final = 3.0


class Store:
    """A baseline file on disk."""

    def __init__(self, path: Path) -> None:
        # The file behind a symbolic link is replaced, not the link.
        self.path = Path(os.path.realpath(path))

    def read(self) -> Baseline:
        """What the file holds.

        Raises
        ------
        BaselineMissing, BaselineUnreadable
        """
        try:
            text = self.path.read_bytes().decode("utf-8")
        except FileNotFoundError:
            raise BaselineMissing(str(self.path)) from None
        except (OSError, UnicodeDecodeError) as error:
            raise BaselineUnreadable(str(self.path), f"cannot be read: {error}") from None
        return from_text(text, str(self.path))

    def read_or_empty(self) -> Baseline:
        """What the file holds; an empty baseline where there is no file yet."""
        try:
            return self.read()
        except BaselineMissing:
            return Baseline()

    def check_writable(self) -> None:
        """Make the file's folder, and see that it can be written to.

        Raises
        ------
        BaselineError
        """
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BaselineError(f"{folder} cannot be made: {error}") from None
        if not os.access(folder, os.W_OK):
            raise BaselineError(f"{folder} cannot be written to, so {self.path.name} cannot be recorded there")

    def update(self, change: Callable[[Baseline], Baseline], say: Callable[[str], None] | None = None) -> None:
        """Replace the content by `change` of it, as one step that no other writer can come between.

        A file that cannot be read is left alone. After a failure of any kind the old file is still there, whole. `say` is
        told when another writer is waited for.
        """
        from filelock import Timeout

        lock = self.path.with_name(f".{self.path.name}.lock")
        try:
            with _locked(lock, say):
                before = self.read_or_empty()
                after = change(before)
                if after != before or not self.path.exists():
                    clear_leftovers(self.path)
                    atomic_write(self.path, to_text(after))
        except Timeout:
            raise BaselineError(
                f"{lock} was held for {LOCK_SECONDS:.0f} s by another run; nothing was written"
            ) from None
        except OSError as error:
            raise BaselineError(f"{self.path} could not be written: {error}; it is unchanged") from error


def merged(
    baseline: Baseline,
    machine: Machine,
    records: Mapping[str, Record],
    stamp: Mapping[str, object],
    gone: Callable[[str], bool] | None,
) -> Baseline:
    """The baseline with these records of one machine class put in; all others stay.

    Parameters
    ----------
    gone
        after a full and clean run: is a test of this node id no longer there, so that it is pruned from this class?
        None: the run saw only a part, nothing is pruned.
    """
    part = baseline.classes.get(machine.name, MachineClass())
    tests = {**part.tests, **records}
    if gone is not None:
        tests = {nodeid: record for nodeid, record in tests.items() if nodeid in records or not gone(nodeid)}
    if tests == part.tests and part.machine:
        return baseline
    changed = replace(part, machine=dict(machine.facts), stamp=dict(stamp), tests=tests)
    return Baseline({**baseline.classes, machine.name: changed})


def pruned(baseline: Baseline, gone: Callable[[str], bool]) -> tuple[Baseline, list[str]]:
    """The baseline without the tests that are `gone`, in every class, and their node ids."""
    names = {nodeid for part in baseline.classes.values() for nodeid in part.tests if gone(nodeid)}
    classes = {
        name: replace(part, tests={nodeid: kept for nodeid, kept in part.tests.items() if nodeid not in names})
        for name, part in baseline.classes.items()
    }
    return Baseline({name: part for name, part in classes.items() if part.tests}), sorted(names)


@contextlib.contextmanager
def _locked(path: Path, say: Callable[[str], None] | None) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(path, mode=_lock_mode(path.parent))
    try:
        lock.acquire(timeout=PATIENCE_SECONDS)
    except Timeout:
        if say is not None:
            say(f"waiting for {path}, which another run holds while it writes")
        lock.acquire(timeout=LOCK_SECONDS)
    try:
        yield
    finally:
        lock.release()


def _lock_mode(folder: Path) -> int:
    """Whoever may write to the folder may take the lock, whoever made it."""
    return 0o600 | (stat.S_IMODE(folder.stat().st_mode) & 0o066)
