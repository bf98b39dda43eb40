"""Decide which commits to compare next, and which of them made a test worse. Pure: a generator of queries.

Commits are numbers: 0 is good, the last one is bad. Each comparison measures one commit against an older one, as
`--perf-against` does. A binary search finds one place at which the change against the older end passes half of the whole
change. The two neighbours of that place are compared with each other, which confirms the step. Then both sides of it are
searched in the same way if they still differ by more than the threshold, so that several steps are found one by one.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Final

from pytest_perfguard.core.json_values import JsonObject, as_number
from pytest_perfguard.core.model import Verdict

#: Stands for the logarithm of a ratio that has none, because something grew from nothing.
FROM_NOTHING: Final = math.log(1000)
#: How often a comparison is made, at most, while it is inconclusive.
MAX_ATTEMPTS: Final = 3
#: Comparisons after each search: its step with its parent, and the commits behind it with the end.
_CLOSING: Final = 2


@dataclass(frozen=True)
class Outcome:
    """Result of one comparison, of a commit (head) with an older one (base)."""

    change: float = 0.0
    """Logarithm of head / base, `FROM_NOTHING` at most."""
    low: float = 0.0
    high: float = 0.0
    """The ends of its interval."""
    limit: float = 0.0
    """Logarithm of the largest ratio that is acceptable."""
    verdict: Verdict | None = None
    skipped: str = ""
    """Not empty: why the head cannot be measured."""

    @property
    def is_step(self) -> bool:
        """Whether the head is worse: by its verdict, or with less certainty, by an interval above zero."""
        if self.verdict is Verdict.INCONCLUSIVE:
            return self.low > 0 and self.change > self.limit
        return self.verdict in (Verdict.REGRESSION, Verdict.LEAK)

    def to_json(self) -> JsonObject:
        """Plain data for the saved state."""
        return {**asdict(self), "verdict": str(self.verdict) if self.verdict else None}

    @classmethod
    def from_json(cls, data: JsonObject) -> Outcome:
        """Read what `to_json` wrote.

        Raises
        ------
        KeyError, TypeError, ValueError
            for other data.
        """
        verdict = data["verdict"]
        return cls(
            as_number(data["change"]), as_number(data["low"]), as_number(data["high"]), as_number(data["limit"]),
            Verdict(verdict) if verdict is not None else None, str(data["skipped"]),
        )  # fmt: skip


class Purpose(str, Enum):
    """Purpose of a comparison."""

    ENDS = "ends"
    """Shows whether bad is worse than good at all."""
    CANDIDATE = "candidate"
    """Shows whether a commit is like the older end or like the newer one."""
    CONFIRM = "confirm"
    """Shows whether a commit is worse than the one before it."""
    REST = "rest"
    """Shows whether the rest has another step."""


@dataclass(frozen=True)
class Query:
    """A comparison to make."""

    base: int
    head: int
    purpose: Purpose
    ahead: int
    """Comparisons that follow at least, this one included."""
    left: int
    """Commits that may contain the step."""
    explain: bool = False
    """The comparison may name a commit, and its explanation is shown."""


@dataclass(frozen=True)
class Step:
    """A step between `before` and `commit`: neighbours, unless those between them could not be measured."""

    before: int
    commit: int
    outcome: Outcome
    query: int
    """Number of the comparison that confirmed it, from 0."""


@dataclass(frozen=True)
class SearchResult:
    """Result of a search."""

    whole: Outcome
    """Of the ends."""
    steps: tuple[Step, ...] = ()
    """The oldest first."""

    def share(self, step: Step) -> float | None:
        """Return the part of the whole change that a step accounts for; None where something grew from nothing."""
        known = 0 < self.whole.change < FROM_NOTHING
        return step.outcome.change / self.whole.change if known else None

    @property
    def rest(self) -> float:
        """Logarithm of the ratio that no step accounts for."""
        return self.whole.change - math.fsum(step.outcome.change for step in self.steps)

    @property
    def has_rest(self) -> bool:
        """Whether the rest exceeds the limit by more than the error of all its parts."""
        outcomes = [self.whole, *(step.outcome for step in self.steps)]
        error = math.hypot(*((outcome.high - outcome.low) / 2 for outcome in outcomes))
        return self.whole.change < FROM_NOTHING and self.rest - error > self.whole.limit


Search = Generator[Query, Outcome, SearchResult]
_Part = Generator[Query, Outcome, None]
_Single = Generator[Query, Outcome, Outcome]


def find_steps(last: int) -> Search:
    """Find the steps among the commits 0 (good) to `last` (bad): yield queries, receive outcomes, return the result."""
    search = _Searcher()
    whole = yield from search.compare(Query(0, last, Purpose.ENDS, _comparisons(last), last, explain=last == 1))
    if whole.is_step:
        yield from search.split(0, last, whole)
    return SearchResult(whole, tuple(sorted(search.steps, key=lambda step: step.commit)))


def choose(low: int, high: int, skipped: frozenset[int] | set[int]) -> int | None:
    """Return the commit between two others to measure next; None if there is none that can be measured.

    The middle one; and after each that had to be skipped, the nearest to 1/4, 3/4, 1/8, 5/8, ... of the way, since
    neighbours of a broken commit are often broken as well.
    """
    usable = [number for number in range(low + 1, high) if number not in skipped]
    misses = high - low - 1 - len(usable)
    target = low + _spread_fraction(misses + 1) * (high - low)
    return min(usable, key=lambda number: (abs(number - target), number), default=None)


class _Searcher:
    """The steps found so far, the commits that cannot be measured, and what is known of the pairs."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._skipped: set[int] = set()
        self._known: dict[tuple[int, int], Outcome] = {}
        self._queries = 0

    def compare(self, query: Query, half: float | None = None) -> _Single:
        """Compare two commits, repeatedly while the outcome is inconclusive; the repetitions are pooled.

        `half` is the change that distinguishes the older end from the newer one, for a candidate.
        """
        pooled: Outcome | None = None
        for _attempt in range(MAX_ATTEMPTS):
            self._queries += 1
            outcome = yield query
            pooled = outcome if pooled is None else _pooled(pooled, outcome)
            if _is_settled(pooled, half):
                break
        self._known[query.base, query.head] = pooled or Outcome()
        return self._known[query.base, query.head]

    def split(self, first: int, last: int, whole: Outcome) -> _Part:
        """Find the steps between two commits that differ by `whole`."""
        low, high = yield from self._narrow(first, last, whole)
        step = whole
        if not self._is_explained(first, last):
            query = Query(low, high, Purpose.CONFIRM, 1 + (high < last), high - low, explain=True)
            step = yield from self.compare(query)
        if step.is_step:
            self.steps.append(Step(low, high, step, self._queries - 1))
        yield from self._search_before(first, low, refuted=not step.is_step)
        if high < last:
            rest = yield from self.compare(Query(high, last, Purpose.REST, 1, last - high))
            if rest.is_step:
                yield from self.split(high, last, rest)

    def _is_explained(self, first: int, last: int) -> bool:
        """Whether the first comparison was that of the only commit with its parent."""
        return last - first == 1 and self._queries == 1

    def _narrow(self, first: int, last: int, whole: Outcome) -> Generator[Query, Outcome, tuple[int, int]]:
        """Return two commits, as near to each other as can be, between which the change passes half of the whole one."""
        low, high = first, last
        while (middle := choose(low, high, self._skipped)) is not None:
            outcome = self._known.get((first, middle))
            if outcome is None:
                query = Query(first, middle, Purpose.CANDIDATE, _comparisons(high - low) - 1, high - low)
                outcome = yield from self.compare(query, whole.change / 2)
            if outcome.skipped:
                self._skipped.add(middle)
            elif outcome.change < whole.change / 2:
                low = middle
            else:
                high = middle
        return low, high

    def _search_before(self, first: int, low: int, *, refuted: bool) -> _Part:
        """Search the commits before a step, if they contain another one; after a `refuted` step, they are compared again."""
        if low == first:
            return
        known = self._known[first, low]
        if refuted:
            known = yield from self.compare(Query(first, low, Purpose.REST, 1, low - first))
        if known.is_step:
            yield from self.split(first, low, known)


def _comparisons(count: int) -> int:
    """Return the number of comparisons that find one step among this number of commits, the first and the closing ones included."""
    return 1 + math.ceil(math.log2(max(1, count))) + (_CLOSING if count > 1 else 0)


def _is_settled(outcome: Outcome, half: float | None) -> bool:
    """Return whether a repetition would not change what follows from the outcome."""
    if outcome.verdict is not Verdict.INCONCLUSIVE or outcome.skipped:
        return True
    if half is not None:
        return not outcome.low < half < outcome.high
    return outcome.is_step or outcome.high < outcome.limit


def _spread_fraction(number: int) -> float:
    """Return the number-th element of van der Corput's sequence: 1/2, 1/4, 3/4, 1/8, 5/8, 3/8, 7/8, ..."""
    fraction, part = 0.0, 0.5
    while number:
        number, bit = divmod(number, 2)
        fraction += bit * part
        part /= 2
    return fraction


def _pooled(one: Outcome, other: Outcome) -> Outcome:
    """Return two outcomes of one pair as one: the mean, weighted by the inverse squares of the intervals' widths."""
    if other.skipped:
        return other
    weights = [1 / max(outcome.high - outcome.low, 1e-9) ** 2 for outcome in (one, other)]
    mean = (one.change * weights[0] + other.change * weights[1]) / sum(weights)
    half = sum(weights) ** -0.5 / 2
    return Outcome(mean, mean - half, mean + half, other.limit, other.verdict)
