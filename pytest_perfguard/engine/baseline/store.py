"""Read and write the baseline file: lock, merge by test, write atomically."""

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

#: Time limit for the lock. A run holds it only while it reads, merges and writes, and a dead run holds none. But many runs
#: at once, a file of a hundred thousand tests and a slow disk add up, and giving up would waste minutes of measuring.
LOCK_SECONDS: Final = 1800.0
#: Time after which waiting for the lock is reported.
REPORT_WAIT_SECONDS: Final = 3.0


class Store:
    """A baseline file on disk."""

    def __init__(self, path: Path) -> None:
        # Replace the target of a symbolic link, not the link.
        self.path = Path(os.path.realpath(path))

    def read(self) -> Baseline:
        """Return the content of the file.

        Raises
        ------
        BaselineMissing, BaselineUnreadable
        """
        try:
            text = self.path.read_bytes().decode("utf-8").removeprefix("\ufeff")  # editors on Windows add the mark
        except FileNotFoundError:
            raise BaselineMissing(str(self.path)) from None
        except (OSError, UnicodeDecodeError) as error:
            raise BaselineUnreadable(str(self.path), f"cannot be read: {error}") from None
        return from_text(text, str(self.path))

    def read_or_empty(self) -> Baseline:
        """Return the content of the file, or an empty baseline if there is no file yet."""
        try:
            return self.read()
        except BaselineMissing:
            return Baseline()

    def check_writable(self) -> None:
        """Create the file's folder, and check that it is writable.

        Raises
        ------
        BaselineError
        """
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BaselineError(f"the folder {folder} cannot be created: {error}") from None
        if not os.access(folder, os.W_OK):
            raise BaselineError(f"the folder {folder} is not writable, so {self.path.name} cannot be recorded there")

    def update(self, change: Callable[[Baseline], Baseline], report: Callable[[str], None] | None = None) -> None:
        """Replace the content with the result of `change`, atomically, while no other writer can interfere.

        An unreadable file is left unchanged. After any failure the old file is still there and complete. `report` is called
        with a message if another writer makes this one wait.
        """
        from filelock import Timeout

        lock = self.path.with_name(f".{self.path.name}.lock")
        try:
            with _locked(lock, report):
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


def with_records(
    baseline: Baseline,
    machine: Machine,
    records: Mapping[str, Record],
    stamp: Mapping[str, object],
    gone: Callable[[str], bool] | None,
) -> Baseline:
    """Return the baseline with these records of one machine class added or replaced; all others stay.

    Parameters
    ----------
    gone
        after a complete run: node id -> whether the test no longer exists, so that its record is removed.
        None: the run covered only a part of the tests, and nothing is removed.
    """
    part = baseline.classes.get(machine.name, MachineClass())
    tests = {**part.tests, **records}
    if gone is not None:
        tests = {nodeid: record for nodeid, record in tests.items() if nodeid in records or not gone(nodeid)}
    if tests == part.tests and part.machine:
        return baseline
    changed = replace(part, machine=dict(machine.facts), stamp=dict(stamp), tests=tests)
    return Baseline({**baseline.classes, machine.name: changed})


def without_tests(baseline: Baseline, gone: Callable[[str], bool]) -> tuple[Baseline, list[str]]:
    """Return the baseline without the tests that are `gone`, in every class, and the node ids of these."""
    names = {nodeid for part in baseline.classes.values() for nodeid in part.tests if gone(nodeid)}
    classes = {
        name: replace(part, tests={nodeid: kept for nodeid, kept in part.tests.items() if nodeid not in names})
        for name, part in baseline.classes.items()
    }
    return Baseline({name: part for name, part in classes.items() if part.tests}), sorted(names)


@contextlib.contextmanager
def _locked(path: Path, report: Callable[[str], None] | None) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(path, mode=_lock_mode(path.parent))
    try:
        lock.acquire(timeout=REPORT_WAIT_SECONDS)
    except Timeout:
        if report is not None:
            report(f"waiting for {path}, which another run holds while it writes")
        lock.acquire(timeout=LOCK_SECONDS)
    try:
        yield
    finally:
        lock.release()


def _lock_mode(folder: Path) -> int:
    """Return the lock file's permissions: every user who may write to the folder may take the lock."""
    return 0o600 | (stat.S_IMODE(folder.stat().st_mode) & 0o066)
