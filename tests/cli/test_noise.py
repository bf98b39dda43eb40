"""The figures of `perfguard noise`, from made-up trials."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from pytest_perfguard.cli.noise_figures import describe, smallest_ratio, summarize, upper_limit
from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Comparison, Machine, Measurement, Pairing, Verdict
from pytest_perfguard.engine.report.document import MetricSides, Report, ReportedTest

PAIRING = Pairing("HEAD", Measurement(processes=4), None, pinned=True)


def trial(*words: Verdict, ratios: tuple[float, ...] = (0.001, -0.002, 0.0, 0.001), least: float = 1e-4) -> Report:
    entries = [
        ReportedTest(
            Comparison(f"t{index}", word, pairing=PAIRING),
            {"time": MetricSides(MetricStats("s", (least, 2 * least), (2 * least,) * 2), None, ratios)},
        )
        for index, word in enumerate(words)
    ]
    return Report("against", Machine("linux", {}), {}, tuple(entries))


def test_false_alarms_are_counted_and_make_it_unfit():
    found = summarize([trial(Verdict.UNCHANGED, Verdict.REGRESSION), trial(Verdict.UNCHANGED, Verdict.IMPROVEMENT)])
    assert (found.verdicts, found.false_alarms, found.inconclusive, found.fit) == (4, 2, 0, False)


def test_a_quiet_machine_is_fit():
    found = summarize([trial(Verdict.UNCHANGED, Verdict.UNCHANGED, least=least) for least in (1e-4, 1.01e-4, 1e-4)])
    assert found.fit
    assert found.highest_rate == pytest.approx(1 - 0.05 ** (1 / 6))
    assert found.repeats["t0"] == pytest.approx(math.log(1.01) / math.sqrt(3), rel=0.01)
    lines = list(describe(found))
    assert lines[0] == "false alarms: 0 of 6 verdicts on identical code (rate at most 39.3%, with 95 % confidence)"
    assert lines[-1] == "no problem found so far, but 6 verdicts are few: measure longer, such as --seconds=600"


def test_the_figures_of_a_line_are_on_one_scale():
    known = summarize([trial(Verdict.UNCHANGED)])
    lines = [
        *describe(
            replace(known, smallest={"a": 1.036, "b": 1.049, "c": 1.03}, repeats={"a": 1.0, "b": 0.02, "c": 0.014})
        )
    ]
    assert "smallest slowdown that --perf-against can detect: 3.6 % typically, 4.9 % at worst" in lines
    assert "standard deviation of a run's minimum between runs: 2.0 % typically, 172 % at worst" in lines


def test_many_quiet_verdicts_make_it_fit():
    found = summarize([trial(*[Verdict.UNCHANGED] * 10) for _ in range(3)])
    assert list(describe(found))[-1] == "this machine is suitable for judging builds"


@pytest.mark.parametrize("word", [None, Verdict.INCOMPARABLE, Verdict.NEW])
def test_what_was_not_judged_says_nothing_and_makes_it_unfit(word):
    found = summarize([trial(*[Verdict.UNCHANGED] * 40, word)])
    assert (found.verdicts, found.unjudged, found.fit) == (40, 1, False)
    assert not summarize([trial(word, word)]).fit


def test_a_machine_that_leaves_most_open_is_not_fit():
    assert not summarize([trial(Verdict.UNCHANGED, Verdict.INCONCLUSIVE)]).fit
    assert not summarize([]).fit


def test_unpinned_processes_are_told():
    report = trial(Verdict.UNCHANGED)
    loose = replace(report.entries[0].comparison, pairing=replace(PAIRING, pinned=False))
    found = summarize([replace(report, entries=(replace(report.entries[0], comparison=loose),))])
    assert any("cannot be pinned" in line for line in describe(found))


def test_the_smallest_slowdown_grows_with_the_noise_and_is_never_below_the_threshold():
    generator = random.Random(1)
    quiet, noisy = ([generator.gauss(0, deviation) for _ in range(40)] for deviation in (0.001, 0.05))
    assert 1.03 < smallest_ratio(quiet, 4, pinned=True) < 1.032
    assert 1.05 < smallest_ratio(noisy, 4, pinned=True) < 1.1
    assert smallest_ratio(quiet, 4, pinned=False) > 1.1


@pytest.mark.parametrize(("seen", "of", "limit"), [(0, 300, 0.00994), (1, 10, 0.3942), (3, 3, 1.0), (0, 0, 1.0)])
def test_the_upper_limit_is_that_of_clopper_and_pearson(seen, of, limit):
    assert upper_limit(seen, of) == pytest.approx(limit, rel=1e-3)
