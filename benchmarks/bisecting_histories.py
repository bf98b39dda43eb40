"""Made-up histories for benchmarks/bisecting.py: planted steps, harmless commits, broken ones, merges, a renamed test file."""

from __future__ import annotations

import random
import subprocess
from dataclasses import dataclass
from pathlib import Path

SIZES = (1.05, 1.10, 1.50)
#: Iterations of the measured loop at the first commit: about 0.1 ms.
FIRST = 1200

LIBRARY = """
def work(number):
    total = 0
    for index in range(number):
        total += index * index % 7
    return total


def total(items):
    return work({iterations}) + len(items)
"""
TEST = """
import pytest
from prices import total


@pytest.mark.perf
def test_total():
    assert total([1, 2, 3]) > 0
"""


@dataclass(frozen=True)
class History:
    """What happens at which commit; commit 0 is good, the last one is bad."""

    seed: int
    length: int
    steps: dict[int, float]
    """Commit -> by how much it multiplies the time."""
    broken: frozenset[int]
    merges: frozenset[int]
    renamed: int | None
    """Commit that renames the test's file."""

    def level(self, commit: int) -> float:
        """The time at this commit, in multiples of that at the first one."""
        level = 1.0
        for step, factor in self.steps.items():
            level *= factor if step <= commit else 1.0
        return level


def make_history(seed: int, length: int = 64, sizes: tuple[float, ...] = SIZES) -> History:
    """One to three steps; every other history has broken commits, every third one merges and a renamed file."""
    dice = random.Random(seed)
    count = 1 + seed % 3
    steps = {commit: dice.choice(sizes) for commit in sorted(dice.sample(range(1, length), count))}
    broken: set[int] = set()
    if seed % 2:
        start = dice.randrange(1, length - 6)
        broken = {*range(start, start + dice.randrange(1, 5)), *dice.sample(range(1, length - 1), 2)}
        broken -= {near for step in steps for near in (step - 1, step)}
    merges = frozenset(dice.sample(range(1, length - 1), 6)) - broken if seed % 3 == 2 else frozenset()
    renamed = dice.randrange(1, length) if seed % 3 == 1 else None
    return History(seed, length, steps, frozenset(broken), merges, renamed)


class Repository:
    """A history as a git repository."""

    def __init__(self, folder: Path, history: History) -> None:
        self.folder = folder
        self._dice = random.Random(history.seed)
        folder.mkdir(parents=True)
        self._git("init", "-q", "-b", "main")
        self._write("pytest.ini", "[pytest]\npythonpath = .\n")
        self._write("test_prices.py", TEST)
        self.test = "test_prices.py"
        self.commits = [self._commit(number, history) for number in range(history.length)]

    def _commit(self, number: int, history: History) -> str:
        if number == history.renamed:
            self._git("mv", self.test, "test_total.py")
            self.test = "test_total.py"
        text = LIBRARY.format(iterations=round(FIRST * history.level(number)))
        self._write("prices.py", "def broken(:\n" if number in history.broken else text)
        self._write("other.py", f"VALUE = {self._dice.random()}\n")
        if number in history.merges:
            self._git("checkout", "-q", "-b", f"side-{number}")
            self._save("side")
            self._git("checkout", "-q", "main")
            self._git("merge", "-q", "--no-ff", "-m", f"merge {number}", f"side-{number}")
        else:
            self._save(f"commit {number}")
        return self._git("rev-parse", "HEAD")

    def _save(self, subject: str) -> None:
        self._git("add", "-A")
        self._git("commit", "-q", "-m", subject)

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def _git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=self.folder, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()
