"""Reports to be written, read and looked at: one red, and ones that hypothesis draws."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import strategies as st

from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import (
    Comparison,
    Finding,
    Machine,
    Measurement,
    Pairing,
    Record,
    Verdict,
)
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.engine.report.document import MetricSides, Report, ReportedTest, sides_of
from pytest_perfguard.engine.report.explain import NEXT_STEPS
from pytest_perfguard.engine.report.links import Origin

SETTINGS = resolve(marker={}, command_line={}, ini={})
MACHINE = Machine("linux", {"cpu": "Some CPU", "cpus": 2, "python_version": "3.11.7", "system": "Linux"})
RECORD = Record("h", "abc123", 3e-4, {"": 3}, {"time": MetricStats("s", (1e-6,), (1.1e-6,), 40)}, {}, (3e-4,))
TIME = Finding("time", "s", Verdict.REGRESSION, 2e-6, 1e-6, (1.9, 2.1), 1.05e-6, 80)
MEMORY = Finding("memory", "B", Verdict.UNCHANGED, 1000.0, 1000.0, (1.0, 1.0), 2024.0, 9)
MEASURED = Measurement(
    {"time": MetricStats.from_rounds("s", ((2e-6, 2.2e-6), (2.1e-6, 2.1e-6)))},
    {"": 3},
    3e-4,
    (3e-4,) * 2,
    1.0,
    processes=2,
    seconds=1.5,
)
RED = ReportedTest(
    Comparison("tests/test_a.py::test_slow", Verdict.REGRESSION, (TIME, MEMORY), MEASURED),
    sides_of(Comparison("t", None, (), MEASURED), RECORD),
    replace(RECORD, commit="def456"),
    "tests/test_a.py",
    12,
    "abc123",
    ("Slower than its baseline.", "", "  time  1.00 us -> 2.00 us"),
    "regression: time 2.0x slower (1.00 us -> 2.00 us)",
)
BASE = Measurement({"time": MetricStats.from_rounds("s", ((1e-6, 1.2e-6), (1.1e-6, 1.1e-6)))}, processes=2)
PAIRED = replace(
    RED,
    comparison=replace(
        RED.comparison, nodeid="tests/test_a.py::test_paired", pairing=Pairing("main", BASE, "suspected", pinned=True)
    ),
)
GREEN = ReportedTest(
    Comparison("tests/test_a.py::test_same", Verdict.UNCHANGED, (replace(TIME, verdict=Verdict.UNCHANGED),))
)
BROKEN = ReportedTest(
    Comparison("tests/test_a.py::test_dead", None, broken="the measuring process was ended by SIGSEGV")
)


def report_of(*entries: ReportedTest, mode: str = "compare") -> Report:
    return Report(mode, MACHINE, SETTINGS.as_data(), entries, "2026-01-31T12:00:00Z", "def456+", "perf-baseline.json")


def large_report(count: int, seed: int = 1, mode: str = "against") -> Report:
    """A report of tests whose figures differ as those of real runs do: six pairs of processes, four metrics."""
    draw = random.Random(seed)
    entries = tuple(_drawn_test(index, draw, compared=mode != "measure") for index in range(count))
    origin = Origin("shop", "https://github.com/example/shop", "https://github.com/example/shop/actions/runs/1")
    at, against = "2026-01-31T12:00:00Z", "main (0ced11d00a5b)" if mode == "against" else ""
    return Report(mode, MACHINE, SETTINGS.as_data(), entries, at, "def4561234ab", against, origin=origin)


def _drawn_test(index: int, draw: random.Random, *, compared: bool) -> ReportedTest:
    slower = draw.uniform(1.1, 3) if index % 40 == 7 else draw.gauss(1, 0.01)
    time = 10 ** draw.uniform(-7, -2)
    memory = float(draw.randrange(1000, 50_000))
    base = _drawn_side(draw, time, memory)
    head = _drawn_side(draw, time * slower, memory + draw.choice([0, 0, 64]))
    word = Verdict.REGRESSION if slower > 1.05 else Verdict.UNCHANGED
    measured = [
        _drawn_finding(
            name, base.samples[name], head.samples[name], word if name in ("time", "cpu") else Verdict.UNCHANGED
        )
        for name in head.samples
    ]
    if not compared:
        measured = [replace(item, verdict=None, baseline=None, interval=None, limit=None) for item in measured]
    nodeid = f"tests/test_{'abcdefgh'[index % 8]}.py::test_{draw.choice(['parse', 'render', 'load', 'query'])}_{index}"
    pairing = Pairing("main (0ced11d00a5b)", base, "", pinned=True) if compared else None
    comparison = Comparison(nodeid, word if compared else None, tuple(measured), head, pairing=pairing)
    lines = (
        "Slower than main (0ced11d00a5b).",
        "",
        NEXT_STEPS,
        f"  measure it again, alone:       pytest --perf-against=main {nodeid}",
    )
    failed = compared and word is Verdict.REGRESSION
    return ReportedTest(
        comparison, sides_of(comparison, None), None, nodeid.partition("::")[0], 3 * index + 1,
        lines=lines if failed else (), headline="regression: time" if failed else "",
    )  # fmt: skip


def _drawn_side(draw: random.Random, time: float, memory: float) -> Measurement:
    def processes(value: float) -> tuple[tuple[float, ...], ...]:
        paces = [value * draw.gauss(1, 0.02) for _process in range(6)]
        return tuple(tuple(pace * (1 + draw.expovariate(20)) for _round in range(40)) for pace in paces)

    samples = {
        "time": MetricStats.from_rounds("s", processes(time)),
        "cpu": MetricStats.from_rounds("s", processes(time)),
        "memory": MetricStats.from_rounds("B", ((memory,),) * 6),
        "blocks": MetricStats.from_rounds("blocks", ((0.0,),) * 6),
    }
    return Measurement(samples, {"": 7}, processes=6, seconds=draw.uniform(1, 4))


def _drawn_finding(name: str, base: MetricStats, head: MetricStats, verdict: Verdict) -> Finding:
    before, now = base.estimate, head.estimate
    ratio = now / before if before else 1.0
    interval = (ratio * 0.987, ratio * 1.013)
    return Finding(name, base.unit, verdict, now, before, interval, before * 1.03, 240)


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
amounts = st.floats(0, 1e12)
spreads = st.builds(
    MetricStats,
    unit=st.just("s"),
    minima=st.lists(amounts, min_size=1, max_size=3).map(tuple),
    medians=st.lists(amounts, min_size=1, max_size=3).map(tuple),
    quantiles=st.one_of(st.just(()), st.lists(amounts, min_size=7, max_size=7).map(tuple)),
)
findings = st.builds(
    Finding,
    name=names,
    unit=st.sampled_from(["s", "B", "blocks", ""]),
    verdict=st.none() | st.sampled_from(Verdict),
    candidate=st.floats(-1e9, 1e9),
    baseline=st.none() | amounts,
    interval=st.none() | st.tuples(amounts, amounts),
    limit=st.none() | amounts,
    rounds=st.integers(0, 10_000),
    reason=names,
    smallest=st.none() | amounts,
    estimated_ratio=amounts,
    details=st.lists(names, max_size=2).map(tuple),
)
measurements = st.builds(
    Measurement,
    seconds=st.integers(0, 1000).map(float),
    processes=st.integers(0, 30),
    notes=st.lists(names, max_size=2).map(tuple),
)
comparisons = st.builds(
    Comparison,
    nodeid=names,
    verdict=st.none() | st.sampled_from(Verdict),
    findings=st.lists(findings, max_size=3, unique_by=lambda finding: finding.name).map(tuple),
    measurement=measurements,
    reason=names,
    pairing=st.none()
    | st.builds(Pairing, names, st.builds(Measurement, processes=st.integers(0, 30)), names, pinned=st.booleans()),
)


@st.composite
def entries(draw):
    comparison = draw(comparisons)
    sides = st.builds(MetricSides, spreads, st.none() | spreads, st.lists(st.floats(-5, 5), max_size=3).map(tuple))
    return ReportedTest(
        comparison,
        {finding.name: draw(sides) for finding in comparison.findings if draw(st.booleans())},
        draw(st.none() | st.just(RECORD)),
        draw(names),
        draw(st.integers(0, 5000)),
        draw(names),
        tuple(draw(st.lists(names, max_size=3))),
        draw(names),
    )


@st.composite
def reports_drawn(draw):
    found = draw(st.lists(entries(), max_size=4, unique_by=lambda entry: entry.nodeid))
    notes = tuple(draw(st.lists(names, max_size=2)))
    return replace(report_of(*sorted(found, key=lambda entry: entry.nodeid)), notes=notes)


reports = reports_drawn()
