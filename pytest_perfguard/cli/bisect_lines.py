"""The output of `perfguard bisect`: progress, the result, and the same as data."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_perfguard.core.git import git_or_empty
from pytest_perfguard.core.text import plural
from pytest_perfguard.core.units import format_magnitude
from pytest_perfguard.engine.bisect.commits import Commit
from pytest_perfguard.engine.bisect.search import FROM_NOTHING, Outcome, Purpose, Query, SearchResult, Step
from pytest_perfguard.engine.bisect.state import Comparison
from pytest_perfguard.engine.report.progress import rough_duration

#: Commits of a range that are listed.
_MAX_LISTED: Final = 10


@dataclass(frozen=True)
class FinishedSearch:
    """A search that has ended."""

    top: Path
    test: str
    metric: str
    commits: Sequence[Commit]
    comparisons: Sequence[Comparison]
    found: SearchResult

    def comparison_of(self, step: Step) -> Comparison:
        """Return the comparison that confirmed the step."""
        return self.comparisons[step.query]

    def possible(self, step: Step) -> Sequence[Commit]:
        """Return the commits that may have made the step: more than one if some could not be measured."""
        return self.commits[step.before + 1 : step.commit + 1]

    @property
    def skipped(self) -> dict[str, str]:
        """Reasons of commits that could not be measured, by hash."""
        return {each.head: each.outcome.skipped for each in self.comparisons if each.outcome.skipped}

    @property
    def seconds(self) -> float:
        return math.fsum(each.seconds for each in self.comparisons)

    @property
    def pairs(self) -> int:
        return sum(each.pairs for each in self.comparisons)


def announcement(query: Query, commits: Sequence[Commit], done: Sequence[Comparison]) -> str:
    """Return what is compared now, and what is ahead: `[2 of 9 or more, about 3 min left] 64 commits left: 1a2b3c Parse`."""
    count = f"{len(done) + 1} of {len(done) + query.ahead} or more"
    if done:
        mean = math.fsum(each.seconds for each in done) / len(done)
        count += f", about {rough_duration(query.ahead * mean)} left"
    base, head = commits[query.base], commits[query.head]
    subject = {
        Purpose.ENDS: "bad against good",
        Purpose.CANDIDATE: f"{plural(query.left, 'commit')} left: {head.short} {head.subject}",
        Purpose.CONFIRM: f"to confirm a step: {head.short} against {base.short}",
        Purpose.REST: f"for another step: {head.short} against {base.short}",
    }[query.purpose]
    return f"[{count}] {subject}"


def result_of(comparison: Comparison) -> str:
    """Return the outcome of a comparison: `9.8 % slower (8.9 to 10.6 %), 12 s`."""
    skipped = comparison.outcome.skipped
    text = f"skipped: {skipped}" if skipped else comparison.text.partition(" per call, ")[2] or comparison.text
    return f"{text}, {comparison.seconds:.0f} s"


def result_lines(done: FinishedSearch) -> Iterator[str]:
    """Yield the lines of the result."""
    found, steps = done.found, done.found.steps
    if not found.whole.is_step:
        yield from _no_difference(done)
        return
    extent = f"{plural(len(done.comparisons), 'comparison')}, {done.pairs} pairs, {rough_duration(done.seconds)}"
    yield f"{plural(len(steps), 'step')} found in {extent}" if steps else f"no step could be confirmed in {extent}"
    yield f"good to bad: {done.comparisons[0].text}"
    for step in steps:
        yield ""
        yield from _step_lines(done, step)
    if found.has_rest:
        yield ""
        yield (
            f"{format_magnitude(math.exp(found.rest))} of the change is in no step of its own; "
            "try a smaller --threshold or a larger --budget"
        )
    yield from _next_steps(done)


def _no_difference(done: FinishedSearch) -> Iterator[str]:
    good, bad = done.commits[0], done.commits[-1]
    clear = "is not clearly worse" if done.found.whole.low > 0 else "is not worse"
    yield f"{done.test} {clear} at {bad.short} than at {good.short}: {done.comparisons[-1].text}"
    yield "What to do next"
    yield "  a smaller change counts with --threshold=1%, and more time is allowed with --budget=60s"
    yield "  uncommitted changes: pytest --perf-against=HEAD; another revision: --good=REV"


def _step_lines(done: FinishedSearch, step: Step) -> Iterator[str]:
    comparison, share = done.comparison_of(step), done.found.share(step)
    possible = done.possible(step)
    if len(possible) == 1:
        yield from _commit_lines(possible[0])
    else:
        yield f"one of {len(possible)} commits, as those between {done.commits[step.before].short} and the last could not be measured"
        for commit in possible[:_MAX_LISTED]:
            reason = done.skipped.get(commit.hash)
            yield f"  {commit.short} {commit.subject}{f' (skipped: {reason})' if reason else ''}"
        if len(possible) > _MAX_LISTED:
            yield f"  ... and {len(possible) - _MAX_LISTED} more"
    part = f"; {100 * share:.0f} % of the whole" if share is not None else ""
    yield f"  {comparison.metric} {comparison.text.removeprefix(f'{comparison.metric} ')}{part}"
    yield from (f"  {line}" for line in comparison.lines)


def _commit_lines(commit: Commit) -> Iterator[str]:
    yield f"commit {commit.hash}"
    yield f"author {commit.author}"
    yield f"date   {commit.at}"
    yield f"       {commit.subject}"


def _next_steps(done: FinishedSearch) -> Iterator[str]:
    single = [possible[0] for step in done.found.steps if len(possible := done.possible(step)) == 1]
    lines = [f"  see the change:         git show {commit.short}" for commit in single if not commit.is_merge]
    for commit in single:
        if commit.is_merge and (start := git_or_empty(done.top, "merge-base", *commit.parents[:2])):
            command = f"perfguard bisect {shlex.quote(done.test)} --good={start[:12]} --bad={commit.parents[1][:12]}"
            lines.append(f"  search the merged side: {command}")
    if lines:
        yield ""
        yield "What to do next"
        yield from lines


def result_data(done: FinishedSearch) -> dict[str, object]:
    """Return the result as plain data."""
    whole = done.found.whole
    return {
        "test": done.test,
        "metric": done.comparisons[0].metric,
        "good": _commit_data(done.commits[0]),
        "bad": _commit_data(done.commits[-1]),
        "whole": _outcome_data(whole),
        "steps": [_step_data(done, step) for step in done.found.steps],
        "rest": _ratio(done.found.rest) if whole.change < FROM_NOTHING else None,
        "skipped": done.skipped,
        "comparisons": len(done.comparisons),
        "pairs": done.pairs,
        "seconds": round(done.seconds, 1),
    }


def _step_data(done: FinishedSearch, step: Step) -> dict[str, object]:
    share = done.found.share(step)
    return {
        "commits": list(map(_commit_data, done.possible(step))),
        "before": done.commits[step.before].hash,
        **_outcome_data(step.outcome),
        "share": round(share, 4) if share is not None else None,
        "text": done.comparison_of(step).text,
        "explanation": list(done.comparison_of(step).lines),
    }


def _commit_data(commit: Commit) -> dict[str, object]:
    return {"commit": commit.hash, "author": commit.author, "date": commit.at, "subject": commit.subject}


def _outcome_data(outcome: Outcome) -> dict[str, object]:
    return {
        "ratio": _ratio(outcome.change),
        "interval": [_ratio(outcome.low), _ratio(outcome.high)],
        "verdict": str(outcome.verdict) if outcome.verdict else None,
    }


def _ratio(change: float) -> float | None:
    """Return the ratio of a logarithm; None where something grew from nothing."""
    return round(math.exp(change), 5) if abs(change) < FROM_NOTHING else None
