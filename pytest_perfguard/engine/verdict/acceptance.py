"""Accepted regressions: `Perf-Accept: TEST SIZE` in the commits between base and head. Pure.

An acceptance never hides more than it names: the estimate of every metric that regressed has to lie within the accepted
size, and a leak or a value above an absolute limit is never accepted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from pytest_perfguard.core.errors import SettingError
from pytest_perfguard.core.model import FAILING, Acceptance, Comparison, Finding, Verdict
from pytest_perfguard.core.units import format_change, parse_percent

KEY: Final = "Perf-Accept"
#: Like a trailer of git, but anywhere in the message: a squashed commit has its trailers in the middle.
_LINE: Final = re.compile(rf"^{KEY}[ \t]*:(.*)$", re.IGNORECASE | re.MULTILINE)


class Message(NamedTuple):
    """A text that may accept regressions: the message of a commit, or the description of a pull request."""

    author: str
    place: str
    text: str


class Acceptances(NamedTuple):
    """The acceptances in all messages, and a warning for each line that is not valid."""

    found: tuple[Acceptance, ...] = ()
    warnings: tuple[str, ...] = ()


def read_acceptances(messages: Iterable[Message]) -> Acceptances:
    """Return the acceptances in these messages."""
    found: list[Acceptance] = []
    warnings: list[str] = []
    for message in messages:
        for line in _LINE.findall(message.text.replace("\r\n", "\n")):
            try:
                found.append(_read(line, message))
            except SettingError as error:
                warnings.append(
                    f"{KEY} in {message.place} is ignored: {error.problem}; the form is {KEY}: tests/test_a.py::test_b 20%"
                )
    return Acceptances(tuple(found), tuple(warnings))


def _read(line: str, message: Message) -> Acceptance:
    tests, _blank, size = line.strip().rpartition(" ")
    share = parse_percent(size)
    if not tests.strip():
        raise SettingError(f"{line.strip()!r} names no test")
    return Acceptance(tests.strip(), share, message.author, message.place)


def accept(comparison: Comparison, acceptances: Sequence[Acceptance]) -> Comparison:
    """Return the comparison, accepted if it is a regression within the largest acceptance of its test.

    A regression that exceeds the acceptance gets a reason that names it.
    """
    offers = [acceptance for acceptance in acceptances if acceptance.covers(comparison.nodeid)]
    if comparison.verdict is not Verdict.REGRESSION or not offers:
        return comparison
    largest = max(offers, key=lambda offer: offer.share)
    beyond = [finding for finding in comparison.findings if not _is_within(finding, largest.share)]
    if not beyond:
        return replace(comparison, accepted_by=largest, reason=f"accepted: {largest}")
    more = ", ".join(map(_excess, beyond))
    return replace(comparison, reason=f"accepted: {largest}; this is more: {more}")


def _is_within(finding: Finding, share: float) -> bool:
    """Return whether a finding does not fail, or is a regression whose estimate lies within the share.

    The estimate, not the lower end of its interval: a slowdown that may only just be as small as accepted is not accepted.
    """
    if finding.verdict not in FAILING:
        return True
    change = finding.change
    return finding.verdict is Verdict.REGRESSION and change is not None and change <= (1 + share) * (1 + 1e-9)


def _excess(finding: Finding) -> str:
    """Return `time +35.0 %`."""
    if finding.verdict is not Verdict.REGRESSION or finding.change is None:
        return f"{finding.name} is a case of {finding.verdict}"
    return f"{finding.name} {format_change(finding.change)}"


def acceptance_line(comparison: Comparison) -> str | None:
    """Return the line that accepts this regression: up to the upper end of its intervals, in steps of 5 %.

    None: it cannot be accepted.
    """
    failing = [finding for finding in comparison.findings if finding.verdict in FAILING]
    largest = max((_upper_end(finding) for finding in failing), default=math.inf)
    if comparison.verdict is not Verdict.REGRESSION or not math.isfinite(largest):
        return None
    return f"{KEY}: {comparison.nodeid} {math.ceil((largest - 1) * 20) * 5}%"


def _upper_end(finding: Finding) -> float:
    """Return the largest ratio that a regression may have; infinite for other findings."""
    if finding.verdict is not Verdict.REGRESSION or finding.change is None:
        return math.inf
    return max(finding.change, finding.interval[1]) if finding.interval else finding.change


def accepted_in_words(comparison: Comparison) -> str:
    """Return `a.py::test_b +18.2 % (up to 20%, by Ada in 1a2b3c4)`."""
    worst = max(finding.change or 0.0 for finding in comparison.findings if finding.verdict is Verdict.REGRESSION)
    return f"{comparison.nodeid} {format_change(worst)} ({comparison.accepted_by})"


def without_tests(acceptances: Sequence[Acceptance], nodeids: Iterable[str]) -> list[str]:
    """Return a warning for each acceptance that is about none of these tests."""
    known = list(nodeids)
    return [
        f"{KEY} in {acceptance.place} names {acceptance.tests}, which is no perf test of this run"
        for acceptance in acceptances
        if not any(map(acceptance.covers, known))
    ]
