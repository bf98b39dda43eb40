"""Accepted regressions: `Perf-Accept: TEST [METRIC] SIZE` in the commits between base and head. Pure.

Without a metric, all times of the test are accepted up to the size. An acceptance never hides more than it names: every metric
that regressed needs one, its estimate has to lie within the accepted size, and a leak or a value above an absolute limit is
never accepted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from pytest_perfguard.core.errors import SettingError
from pytest_perfguard.core.metric_names import metric_kind
from pytest_perfguard.core.model import FAILING, Acceptance, Comparison, Finding, Verdict
from pytest_perfguard.core.units import format_change, parse_percent

KEY: Final = "Perf-Accept"
#: Like a trailer of git, but anywhere in the message: a squashed commit has its trailers in the middle.
_LINE: Final = re.compile(rf"^{KEY}[ \t]*:(.*)$", re.IGNORECASE | re.MULTILINE)
_FORM: Final = f"{KEY}: tests/test_a.py::test_b 20%, or, for memory, {KEY}: tests/test_a.py::test_b memory 20%"
_TIME: Final = "time"
#: Metrics other than times that can be accepted.
_OTHERS: Final = ("memory", "blocks", "instructions")


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
                warnings.append(f"{KEY} in {message.place} is ignored: {error.problem}; the form is {_FORM}")
    return Acceptances(tuple(found), tuple(warnings))


def _read(line: str, message: Message) -> Acceptance:
    tests, _blank, size = line.strip().rpartition(" ")
    share = parse_percent(size)
    before, _blank, last = tests.strip().rpartition(" ")
    tests, metric = (before, last) if last in (_TIME, *_OTHERS) else (tests, _TIME)
    if not tests.strip():
        raise SettingError(f"{line.strip()!r} names no test")
    return Acceptance(tests.strip(), metric, share, message.author, message.place)


def accept(comparison: Comparison, acceptances: Sequence[Acceptance]) -> Comparison:
    """Return the comparison, accepted if it is a regression and each metric that regressed lies within an acceptance.

    A regression that exceeds its acceptances gets a reason that names them.
    """
    offers = _largest(acceptance for acceptance in acceptances if acceptance.covers(comparison.nodeid))
    if comparison.verdict is not Verdict.REGRESSION or not offers:
        return comparison
    failing = [finding for finding in comparison.findings if finding.verdict in FAILING]
    beyond = [finding for finding in failing if not _is_within(finding, offers.get(_metric_of(finding)))]
    if beyond:
        return replace(comparison, reason=f"{_named(offers.values())}; not covered: {', '.join(map(_excess, beyond))}")
    used = tuple(offer for metric, offer in offers.items() if metric in set(map(_metric_of, failing)))
    return replace(comparison, accepted_by=used, reason=_named(used))


def _named(offers: Iterable[Acceptance]) -> str:
    return f"accepted: {'; '.join(map(str, offers))}"


def _largest(offers: Iterable[Acceptance]) -> dict[str, Acceptance]:
    """Return the largest acceptance of each metric."""
    ascending = sorted(offers, key=lambda offer: offer.share)
    return {offer.metric: offer for offer in ascending}


def _metric_of(finding: Finding) -> str:
    """Return the name under which a finding is accepted; empty for one that cannot be."""
    kind = metric_kind(finding.name)
    return _TIME if finding.unit == "s" else kind if kind in _OTHERS else ""


def _is_within(finding: Finding, offer: Acceptance | None) -> bool:
    """Return whether a finding is a regression whose estimate lies within the acceptance.

    The estimate, not the lower end of its interval: a slowdown that may only just be as small as accepted is not accepted.
    """
    change = finding.change
    if finding.verdict is not Verdict.REGRESSION or change is None or offer is None:
        return False
    return change <= (1 + offer.share) * (1 + 1e-9)


def _excess(finding: Finding) -> str:
    """Return `time +35.0 %`."""
    if finding.verdict is not Verdict.REGRESSION or finding.change is None:
        return f"{finding.name} is a case of {finding.verdict}"
    return f"{finding.name} {format_change(finding.change)}"


def acceptance_lines(comparison: Comparison) -> list[str]:
    """Return the lines that accept this regression: up to the upper end of its intervals, in steps of 5 %.

    None at all if it cannot be accepted.
    """
    failing = [finding for finding in comparison.findings if finding.verdict in FAILING]
    largest: dict[str, float] = {}
    for finding in failing:
        metric = _metric_of(finding)
        largest[metric] = max(largest.get(metric, 0.0), _upper_end(finding) if metric else math.inf)
    if comparison.verdict is not Verdict.REGRESSION or not all(map(math.isfinite, largest.values())):
        return []
    return [
        f"{KEY}: {comparison.nodeid} {'' if metric == _TIME else f'{metric} '}{math.ceil((ratio - 1) * 20) * 5}%"
        for metric, ratio in largest.items()
    ]


def _upper_end(finding: Finding) -> float:
    """Return the largest ratio that a regression may have; infinite for other findings."""
    if finding.verdict is not Verdict.REGRESSION or finding.change is None:
        return math.inf
    return max(finding.change, finding.interval[1]) if finding.interval else finding.change


def accepted_in_words(comparison: Comparison) -> str:
    """Return `a.py::test_b: time +18.2 % (time up to 20%, by Ada in 1a2b3c4)`."""
    changes = ", ".join(_excess(finding) for finding in comparison.findings if finding.verdict is Verdict.REGRESSION)
    return f"{comparison.nodeid}: {changes} ({'; '.join(map(str, comparison.accepted_by))})"


def without_tests(acceptances: Sequence[Acceptance], nodeids: Iterable[str]) -> list[str]:
    """Return a warning for each acceptance that is about none of these tests."""
    known = list(nodeids)
    return [
        f"{KEY} in {acceptance.place} names {acceptance.tests}, which is no perf test of this run"
        for acceptance in acceptances
        if not any(map(acceptance.covers, known))
    ]
