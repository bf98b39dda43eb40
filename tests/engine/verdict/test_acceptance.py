"""Accepted regressions: which lines are acceptances, and what they cover."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.core.model import Acceptance, Comparison, Finding, Verdict
from pytest_perfguard.engine.verdict.acceptance import (
    Message,
    accept,
    acceptance_lines,
    accepted_in_words,
    read_acceptances,
    without_tests,
)

NODEID = "tests/test_a.py::test_b"


def messages(*texts):
    return [Message("Ada", "1a2b3c4", text) for text in texts]


def finding(ratio, verdict=Verdict.REGRESSION, name="time", interval=None):
    return Finding(name, "s", verdict, ratio, 1.0, interval=interval)


def regression(*findings):
    return Comparison(NODEID, Verdict.REGRESSION, findings)


def offer(share=0.2, tests=NODEID, metric="time"):
    return Acceptance(tests, metric, share, "Ada", "1a2b3c4")


@pytest.mark.parametrize(
    ("text", "tests", "share"),
    [
        ("Perf-Accept: tests/test_a.py::test_b 20%", NODEID, 0.2),
        ("Check every price\n\nReason.\n\nPerf-Accept: tests/test_a.py::test_b 7.5%\n", NODEID, 0.075),
        ("perf-accept:tests/test_a.py::test_b   200%  ", NODEID, 2.0),
        ("* one (#1)\n\nPerf-Accept: t.py::test_a[x y-1] 5%\n\n* two (#2)", "t.py::test_a[x y-1]", 0.05),
        ("a\r\n\r\nPerf-Accept: t.py::test 5%\r\n", "t.py::test", 0.05),
    ],
)
def test_a_line_of_a_message_is_an_acceptance(text, tests, share):
    """Anywhere in it: a squashed commit has its trailers in the middle, and GitHub ends lines with CR LF."""
    found = read_acceptances(messages(text))
    assert found == ((Acceptance(tests, "time", share, "Ada", "1a2b3c4"),), ())


@pytest.mark.parametrize(
    "text", ["", "Speed up", "see Perf-Accept: t.py::test 5%", "> Perf-Accept: t.py::test 5%", "    Perf-Accept: t 5%"]
)
def test_a_line_that_begins_otherwise_is_none(text):
    assert read_acceptances(messages(text)) == ((), ())


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("Perf-Accept: t.py::test", "'t.py::test' is not a percentage"),
        ("Perf-Accept: t.py::test 20", "'20' is not a percentage"),
        ("Perf-Accept: t.py::test -5%", "'-5%' is out of range"),
        ("Perf-Accept: 20%", "'20%' names no test"),
        ("Perf-Accept: memory 20%", "'memory 20%' names no test"),
        ("Perf-Accept:", "'' is not a percentage"),
    ],
)
def test_a_malformed_acceptance_is_a_warning_that_shows_the_form(line, problem):
    found, warnings = read_acceptances(messages(line))
    assert found == ()
    (warning,) = warnings
    assert warning.startswith(f"Perf-Accept in 1a2b3c4 is ignored: {problem}")
    assert "; the form is Perf-Accept: tests/test_a.py::test_b 20%, or" in warning


def test_a_regression_up_to_the_accepted_size_does_not_fail():
    accepted = accept(regression(finding(1.18), finding(1.2, name="cpu")), [offer()])
    assert accepted.verdict is Verdict.REGRESSION
    assert accepted.accepted_by == (offer(),)
    assert not accepted.fails(strict=True)
    assert accepted_in_words(accepted) == f"{NODEID}: time +18.0 %, cpu +20.0 % (time up to 20%, by Ada in 1a2b3c4)"


def test_a_larger_one_fails_and_names_the_acceptance():
    """Whichever metric exceeds it, and also where the interval's lower end would not."""
    larger = accept(regression(finding(1.1), finding(1.25, name="cpu", interval=(1.1, 1.4))), [offer()])
    assert larger.accepted_by == ()
    assert larger.fails(strict=False)
    assert larger.reason == "accepted: time up to 20%, by Ada in 1a2b3c4; not covered: cpu +25.0 %"


@given(ratio=st.floats(1.0, 1e9), share=st.floats(0, 1e9))
def test_an_acceptance_never_hides_a_larger_slowdown(ratio, share):
    accepted = accept(regression(finding(ratio)), [offer(share)])
    assert bool(accepted.accepted_by) == (ratio <= (1 + share) * (1 + 1e-9))


@pytest.mark.parametrize("verdict", [Verdict.LEAK, Verdict.OVER_LIMIT])
def test_a_leak_or_a_limit_beside_the_regression_is_not_accepted(verdict):
    both = accept(regression(finding(1.1), finding(1.1, verdict, "memory")), [offer()])
    assert both.fails(strict=False)
    assert both.reason.endswith(f"not covered: memory is a case of {verdict}")


def test_something_grown_from_nothing_is_not_accepted():
    grown = Finding("blocks", "blocks", Verdict.REGRESSION, 5.0, 0.0)
    assert accept(regression(grown), [offer(1e6)]).reason.endswith("blocks from nothing")


@pytest.mark.parametrize("verdict", [item for item in Verdict if item is not Verdict.REGRESSION])
def test_other_verdicts_stay_as_they_are(verdict):
    comparison = Comparison(NODEID, verdict, (finding(1.1, verdict),))
    assert accept(comparison, [offer()]) is comparison


@pytest.mark.parametrize(
    ("tests", "covered"),
    [
        ("t.py", {"t.py::test_a", "t.py::test_a[1]", "t.py::TestX::test_a"}),
        ("t.py::*", {"t.py::test_a", "t.py::test_a[1]", "t.py::TestX::test_a"}),
        ("t.py::test_a", {"t.py::test_a", "t.py::test_a[1]"}),
        ("t.py::test_a[1]", {"t.py::test_a[1]"}),
        ("t.py::TestX", {"t.py::TestX::test_a"}),
        ("t.py::test", set()),
    ],
)
def test_an_acceptance_names_tests_as_the_command_line_does(tests, covered):
    names = {"t.py::test_a", "t.py::test_a[1]", "t.py::TestX::test_a", "other.py::test_a"}
    assert {name for name in names if offer(tests=tests).covers(name)} == covered
    assert len(without_tests([offer(tests=tests)], names)) == (not covered)


def test_the_largest_of_several_acceptances_counts():
    accepted = accept(regression(finding(1.3)), [offer(0.1), offer(0.4), offer(0.2)])
    assert accepted.accepted_by == (offer(0.4),)


@pytest.mark.parametrize(
    ("comparison", "size"),
    [
        (regression(finding(1.18)), "20%"),
        (regression(finding(1.18, interval=(1.1, 1.26)), finding(1.1, name="cpu")), "30%"),
        (regression(finding(3.02)), "205%"),
    ],
)
def test_a_regression_comes_with_the_line_that_accepts_it(comparison, size):
    (line,) = acceptance_lines(comparison)
    assert line == f"Perf-Accept: {NODEID} {size}"
    assert accept(comparison, read_acceptances(messages(line)).found).accepted_by


def test_what_cannot_be_accepted_has_no_such_line():
    assert acceptance_lines(regression(finding(1.1), finding(1.1, Verdict.LEAK))) == []
    assert acceptance_lines(regression(Finding("blocks", "blocks", Verdict.REGRESSION, 5.0, 0.0))) == []
    assert acceptance_lines(Comparison(NODEID, Verdict.UNCHANGED, (finding(1.0, Verdict.UNCHANGED),))) == []


MEMORY = Finding("memory", "B", Verdict.REGRESSION, 21e3, 1e3)


def test_memory_needs_an_acceptance_of_its_own():
    """A size that fits the memory would cover any slowdown."""
    both = regression(finding(1.18), MEMORY)
    assert accept(both, [offer(50)]).reason.endswith("not covered: memory 21x")
    accepted = accept(both, [offer(), offer(20, metric="memory")])
    assert [str(item) for item in accepted.accepted_by] == [
        "time up to 20%, by Ada in 1a2b3c4",
        "memory up to 2000%, by Ada in 1a2b3c4",
    ]


def test_only_the_acceptances_of_what_regressed_are_named():
    accepted = accept(regression(finding(1.18)), [offer(), offer(20, metric="memory")])
    assert accepted.accepted_by == (offer(),)
    assert accepted.reason == "accepted: time up to 20%, by Ada in 1a2b3c4"


def test_each_metric_has_a_line_that_accepts_it():
    counts = Finding("instructions", "instructions", Verdict.REGRESSION, 1.02e6, 1e6)
    both = regression(finding(1.18), finding(1.1, name="cpu"), MEMORY, counts)
    lines = acceptance_lines(both)
    assert lines == [
        f"Perf-Accept: {NODEID} 20%",
        f"Perf-Accept: {NODEID} memory 2000%",
        f"Perf-Accept: {NODEID} instructions 5%",
    ]
    assert accept(both, read_acceptances(messages("\n".join(lines))).found).accepted_by
