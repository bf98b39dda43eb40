"""Estimate the remaining measuring time of a phase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

#: Passes that most phases need to decide their tests.
USUAL_PASSES: Final = 4
#: The last passes predict the cost of the next ones best, because fewer tests share the start of the processes.
RECENT_PASSES: Final = 3


def seconds_left(
    seconds: Sequence[float],
    undecided_after: Sequence[int],
    *,
    waiting: int,
    undecided: int,
    tests: int,
    max_passes: int,
    usual: int = USUAL_PASSES,
    elapsed: float = 0.0,
) -> float:
    """Return the estimated seconds until a phase has decided its tests.

    `seconds` holds the duration of each finished pass, and `undecided_after` the number of tests that each of them left
    undecided. In the running pass `waiting` tests are still to be measured. In all `undecided` of the `tests` are open.
    A phase ends after `max_passes`, and usually decides its tests within the `usual` number. `elapsed` is the time since
    the first pass began to measure.

    The estimate is at least the time of the rest of the running pass, and at most that of all passes for all undecided
    tests. It is 0 before the first test was measured.
    """
    if not seconds:
        measured_now, later = tests - waiting, min(usual, max_passes) - 1
        return elapsed / measured_now * (waiting + undecided * later) if measured_now > 0 else 0.0
    done = len(seconds)
    measured = [tests, *undecided_after[: done - 1]]
    cost = sum(seconds[-RECENT_PASSES:]) / max(1, sum(measured[-RECENT_PASSES:]))
    further = min(max_passes - done - 1, _further_passes([tests, *undecided_after], undecided, usual))
    return cost * (waiting + undecided * max(0.0, further))


def _further_passes(history: Sequence[int], undecided: int, usual: int) -> float:
    """Return the expected number of passes after the running one for an undecided test.

    `history` holds the number of undecided tests at the start, and after each finished pass. Up to the `usual` number
    of passes there is no other information. After that, tests are expected to be decided at the rate of the later half
    of the passes, and the phase is not expected to take more passes again than it has taken so far.
    """
    done = len(history) - 1
    if done < usual:
        return usual - done - 1
    half = done // 2
    staying: float = (min(undecided, history[half]) / (history[half] + 1)) ** (1 / (done - half))
    return min(done, staying / (1 - staying))
