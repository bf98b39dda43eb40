"""The two processes of a pair, and the detection of fixtures that the two cannot hold at the same time."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from pytest_perfguard.core.errors import ChildError
from pytest_perfguard.core.model import Comparison
from pytest_perfguard.engine.runner.import_audit import ImportAudit
from pytest_perfguard.engine.runner.process import Launch, WorkerProcess
from pytest_perfguard.engine.runner.protocol import Message
from pytest_perfguard.engine.runner.scheduler import OtherTest, Progress
from pytest_perfguard.engine.verdict.looks import Spent
from pytest_perfguard.engine.verdict.paired import Pairs

#: Once one arm has responded, the other one may take this many seconds more, plus this many times as long.
MIN_PATIENCE_SECONDS: Final = 10.0
PATIENCE_FACTOR: Final = 3.0
#: Pause between two checks whether an arm has responded.
_POLL_SECONDS: Final = 0.005
#: Messages of programs whose resource is in use elsewhere.
_RESOURCE_TAKEN: Final = re.compile(
    r"address already in use|already in use|already running|already exists|already locked|is locked|errno 98\b|errno 48\b"
    r"|resource temporarily unavailable|could not acquire|could not be acquired|only one usage of each|lock held|port \d+ is|file exists",
    re.IGNORECASE,
)
#: An exception with its message.
_EXCEPTION_LINE: Final = re.compile(r"\b\w*(?:Error|Exception|Timeout)\b: .*")

#: (node id, what was measured so far, how much of the budget is spent) -> the verdict, or None to measure on.
PairJudge = Callable[[str, Pairs, Spent], Comparison | None]


@dataclass(frozen=True)
class PairOptions:
    """The two trees of a phase that measures in pairs, and how its tests are judged and described."""

    base: Launch
    head: Launch
    judge: PairJudge
    audit: ImportAudit
    revision: str
    """The base, as the user would write it."""
    reasons: Mapping[str, str]
    """By node id, the question that the baseline file left open."""
    summarize: Callable[[str], str]
    """Reduces the test runner's report of a failure to the line that names the error."""
    report_progress: Callable[[Progress], None]
    max_passes: int
    clock: Callable[[], float] = time.monotonic


class PairWorkers(NamedTuple):
    """A pair of measuring processes."""

    base: WorkerProcess
    head: WorkerProcess


class NeverReady(ChildError):
    """One arm did not respond, most likely because it waits for something that the other one holds."""

    def __init__(self, doing: str, *, waited: float, arm: str) -> None:
        super().__init__(doing, arm=arm)
        self.waited = waited

    def what_happened(self) -> str:
        other = "base" if self.arm == "head" else "head"
        return f"was not ready after {self.waited:.0f} s more than the {other}"


def receive_both(
    workers: PairWorkers, *, doing: str, limit: float, clock: Callable[[], float] = time.monotonic
) -> tuple[Message, Message]:
    """Return the next message of each arm: (base, head).

    Raises
    ------
    NeverReady
        if one arm has responded and the other one does not.
    """
    start = clock()
    while not any(worker.has_message(_POLL_SECONDS) for worker in workers):
        if clock() - start > limit:
            break
    patience = min(limit, MIN_PATIENCE_SECONDS + PATIENCE_FACTOR * (clock() - start))
    ready = {arm: worker.has_message(0) for arm, worker in zip(PairWorkers._fields, workers, strict=True)}
    for arm, worker in zip(PairWorkers._fields, workers, strict=True):
        if any(ready.values()) and not ready[arm] and not worker.has_message(patience):
            raise NeverReady(doing, waited=patience, arm=arm)
    return workers.base.receive(doing=doing, limit=limit), workers.head.receive(doing=doing, limit=limit)


def is_of_base(error: Exception) -> bool:
    """Return whether the base is the cause of the error, so that the test cannot be compared but has not failed."""
    return isinstance(error, OtherTest) or (isinstance(error, ChildError) and error.arm == "base")


def collision_reason(error: Exception | str) -> str | None:
    """Return the message that indicates a resource which both arms need and one holds; None if there is none. Pure."""
    if isinstance(error, NeverReady):
        return f"one arm {error.what_happened()}"
    lines = [line.strip() for line in str(error).splitlines() if _RESOURCE_TAKEN.search(line)]
    if not lines:
        return None
    exception = _EXCEPTION_LINE.search(lines[-1])
    return exception[0] if exception else lines[-1]
