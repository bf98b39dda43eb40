"""Texts of the terminal: the explanation, the table, the counts, the progress."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Acceptance, Comparison, Finding, Measurement, Pairing, Record, Verdict
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.engine.report.explain import Context, explain, headline
from pytest_perfguard.engine.report.progress import LogThrottle, ProgressState, progress_bar, progress_line
from pytest_perfguard.engine.report.summary_table import TableStyle, by_file, table_rows
from pytest_perfguard.engine.report.terminal import Line, count_line, summary_lines
from pytest_perfguard.engine.report.text import function_changes

SETTINGS = resolve(marker={}, command_line={}, ini={})
SLOWER = Finding("time", "s", Verdict.REGRESSION, 25.1e-6, 12.3e-6, (1.98, 2.1), 12.9e-6, 800)
SAME = Finding("memory", "B", Verdict.UNCHANGED, 1000.0, 1000.0, (1.0, 1.0), 2024.0, 9)
MEASURED = Measurement(
    {"time": MetricStats.from_rounds("s", ((25.1e-6,) * 40,) * 20)},
    {"": 41},
    0.00032,
    (),
    1.0,
    processes=20,
    seconds=2.31,
    notes=("a note",),
)
RED = Comparison("tests/test_a.py::test_parse[big]", Verdict.REGRESSION, (SAME, SLOWER), MEASURED)
RECORD = Record("h", "abc123", 0.00031, {"": 41}, {"time": MetricStats("s", (12.3e-6,), (12.3e-6,), 40)})
COMPARE, WIDE = TableStyle("compare", 80), TableStyle("compare", 100)
CONTEXT = Context("compare", "perf-baseline.json", SETTINGS, RECORD)


def rows(comparisons, style):
    """The lines of the table."""
    return [row.text for row in table_rows(by_file(comparisons), style)]


def test_a_regression_is_explained_on_one_screen():
    assert list(explain(RED, CONTEXT)) == [
        "Slower than its baseline.",
        "",
        "  memory     1.00 KB -> 1.00 KB per call, no change  unchanged",
        "  time       12.3 us -> 25.1 us per call, 2.0x slower (interval 2.0x to 2.1x)  regression",
        "             allowed: up to 12.9 us",
        "",
        "  measured   20 fresh processes, 800 rounds of 41 calls, 2.31 s",
        "  baseline   perf-baseline.json, commit abc123",
        "  machine    calibration kernel 320 us, recorded 310 us",
        "  note       a note",
        "",
        "What to do next",
        "  measure it again, alone:       pytest --perf-compare 'tests/test_a.py::test_parse[big]'",
        "  intended? accept the new cost: pytest --perf-baseline 'tests/test_a.py::test_parse[big]'",
    ]


@pytest.mark.parametrize(("metric", "recorded"), [("time", "+instructions"), ("instructions", "instructions")])
def test_commands_name_the_instructions_and_a_new_record_keeps_its_times(metric, recorded):
    record = replace(RECORD, metrics={metric: RECORD.metrics["time"]})
    context = replace(CONTEXT, metrics="instructions", record=record)
    assert list(explain(RED, context))[-2:] == [
        "  measure it again, alone:       pytest --perf-compare --perf-metrics=instructions "
        "'tests/test_a.py::test_parse[big]'",
        f"  intended? accept the new cost: pytest --perf-baseline --perf-metrics={recorded} "
        "'tests/test_a.py::test_parse[big]'",
    ]


def test_the_headline_has_the_strongest_number():
    assert headline(RED) == "regression: time 2.0x slower (12.3 us -> 25.1 us)"


def worse(*names, than=None):
    """The opening line of a test whose metrics of these names got worse."""
    findings = tuple(replace(SLOWER, name=name) for name in names)
    return next(explain(replace(RED, findings=findings, pairing=than), CONTEXT))


def test_the_first_line_says_what_got_worse_and_than_what():
    head = Pairing("HEAD (d5b38ae646d5)", MEASURED, None, pinned=True)
    assert worse("time", "cpu", "memory", than=head) == (
        "Slower than HEAD (d5b38ae646d5), and uses more CPU time and memory."
    )
    assert worse("cpu", "memory", "memory:parse") == "Uses more CPU time and memory than its baseline."
    assert worse("time", "memory", "blocks", "p95:db.query") == (
        "Slower than its baseline, uses more memory, keeps more memory blocks, and slower in its slowest calls."
    )
    assert worse("value:rows", "value-p95:rows") == "Observes higher values than its baseline."


def test_a_reason_is_given_once_in_an_explanation():
    reason = "the machine never reached its recorded speed"
    time = Finding("time", "s", Verdict.INCONCLUSIVE, 2.0, 1.0, reason=reason, smallest=1.68)
    other = Finding("memory", "B", Verdict.INCONCLUSIVE, 2.0, 1.0, reason="another")
    comparison = Comparison("t", Verdict.INCONCLUSIVE, (time, replace(time, name="cpu", smallest=2.5), other), MEASURED)
    lines = [line.strip() for line in explain(comparison, CONTEXT)]
    assert lines[2:9] == [
        "time       1.00 s -> 2.00 s per call, 2.0x slower  inconclusive",
        reason,
        "smallest slowdown this run could detect: 68 %",
        "cpu        1.00 s -> 2.00 s per call, 2.0x more CPU time  inconclusive",
        "smallest slowdown this run could detect: 2.5x",
        "memory     1.00 B -> 2.00 B per call, 2.0x more memory  inconclusive",
        "another",
    ]


def test_growth_from_nothing_has_no_percentage():
    grown = Finding("memory", "B", Verdict.REGRESSION, 9_000.0, 0.0)
    grew = replace(RED, findings=(grown,))
    assert headline(grew) == "regression: memory from nothing (0 B -> 9.00 KB)"
    assert rows([grew], WIDE)[-1].split()[1:] == ["from", "nothing", "regression"]


def test_an_exceeded_budget_names_both_numbers():
    over = Finding("max_time", "s", Verdict.OVER_LIMIT, 2e-3, limit=1e-3, reason="every call is above")
    comparison = Comparison("t", Verdict.OVER_LIMIT, (over,), MEASURED)
    assert headline(comparison) == "over limit: max_time 2.00 ms > 1.00 ms"
    text = "\n".join(explain(comparison, replace(CONTEXT, record=None, mode="measure")))
    assert "allowed: up to 1.00 ms" in text
    assert "pytest --perf t" in text


def test_what_could_not_be_measured_shows_what_happened():
    broken = Comparison("t", None, broken="the measuring process was ended by SIGSEGV while measuring t\nlog")
    assert headline(broken) == ("could not be measured: the measuring process was ended by SIGSEGV while measuring t")
    assert "log" in list(explain(broken, CONTEXT))


def test_an_inconclusive_test_says_what_could_have_been_detected():
    finding = Finding("time", "s", Verdict.INCONCLUSIVE, 2.0, 1.0, reason="the machine was slow", smallest=1.68)
    comparison = Comparison("t", Verdict.INCONCLUSIVE, (finding,), MEASURED)
    assert f"{'':13}smallest slowdown this run could detect: 68 %" in list(explain(comparison, CONTEXT))
    lines = [line.text for line in summary_lines([comparison], COMPARE)]
    assert lines[-3:] == [
        "inconclusive: t: the machine was slow",
        "    smallest slowdown this run could detect: 68 %",
        "note: t: a note",
    ]


def test_a_change_that_counts_for_nothing_is_explained():
    slower = Finding("time", "s", Verdict.UNCHANGED, 1.1, 1.0, reason="no more instructions")
    same = Finding("instructions", "instructions", Verdict.UNCHANGED, 5e6, 5e6, reason="counts differ")
    varying = replace(same, candidate=6e6)
    comparisons = [
        Comparison("a", Verdict.UNCHANGED, (slower, same)),
        Comparison("b", Verdict.UNCHANGED, (same,)),
        Comparison("c", Verdict.UNCHANGED, (varying,)),
    ]
    assert [line.text for line in summary_lines(comparisons, COMPARE)][-2:] == [
        "unchanged: a: no more instructions",
        "unchanged: c: counts differ",
    ]


def test_a_reason_that_several_tests_share_is_given_once_above_their_names():
    slow = Finding("time", "s", Verdict.INCONCLUSIVE, 2.0, 1.0, reason="the machine was slow", smallest=1.68)
    both = (slow, replace(slow, name="cpu"))
    comparisons = [
        Comparison("a", Verdict.INCONCLUSIVE, both),
        Comparison("b", Verdict.INCONCLUSIVE, both),
        Comparison("c", Verdict.MISSING, reason="gone"),
        Comparison("d", Verdict.MISSING, reason="gone"),
    ]
    lines = [line.text for line in summary_lines(comparisons, COMPARE)]
    assert lines[-6:] == [
        "inconclusive: 2 tests: the machine was slow",
        "    a: smallest slowdown this run could detect: 68 %",
        "    b: smallest slowdown this run could detect: 68 %",
        "missing: 2 tests: gone",
        "    c",
        "    d",
    ]


def test_a_note_that_many_tests_share_is_told_once():
    comparisons = [replace(RED, nodeid=name) for name in "abc"]
    assert list(summary_lines(comparisons, COMPARE))[-1] == Line("note: 3 tests: a note")


def test_the_table_has_a_row_per_test_the_most_severe_first():
    same = Comparison("tests/test_a.py::test_same", Verdict.UNCHANGED, (replace(SLOWER, verdict=Verdict.UNCHANGED),))
    told = list(summary_lines([same, RED], WIDE))
    assert [tone for _text, tone in told[:5]] == ["", "", "", "red", ""]
    lines = [text for text, _tone in told]
    assert lines[0].split() == ["test", "baseline", "now", "change", "memory", "verdict"]
    assert lines[2] == "tests/test_a.py"
    assert lines[3].split() == ["test_parse[big]", "12.3", "us", "25.1", "us", "2.0x", "+0.0", "%", "regression"]
    assert lines[4].startswith("  test_same")


def test_the_last_line_counts_every_verdict():
    comparisons = [RED, Comparison("b", Verdict.UNCHANGED), Comparison("c", None, broken="x"), Comparison("d", None)]
    assert count_line(comparisons, seconds=6.2, processes=12) == (
        "perf: 1 broken, 1 regression, 1 unchanged, 1 measured (4 tests, 12 processes, 6.20 s)"
    )
    accepted = replace(RED, accepted_by=(Acceptance("tests", "time", 2.0, "Ada", "1a2b3c4"),))
    assert count_line([RED, accepted], seconds=6.2, processes=12) == (
        "perf: 2 regressions (2 tests, 1 regression accepted, 12 processes, 6.20 s)"
    )
    assert count_line([], seconds=0.0, processes=1) == "perf: nothing measured (0 tests, 1 process, 0 ns)"


def test_verbosity_adds_every_metric_and_then_the_samples():
    def told(verbosity):
        lines = summary_lines([RED], WIDE, verbosity=verbosity)
        return [line.text for line in lines]

    assert not any(line.startswith("  memory") for line in told(0))
    once, twice = told(1), told(2)
    assert "  memory  1.00 KB -> 1.00 KB per call, no change  unchanged" in once
    assert not any("rounds in" in line for line in once)
    assert "      now, 800 rounds in 20 processes: each 25.1 us" in twice


def test_samples_of_both_sides_are_told_process_by_process():
    base = Measurement({"time": MetricStats.from_rounds("s", ((1e-6, 2e-6, 3e-6), (2e-6, 2e-6, 2e-6)))}, processes=2)
    now = Measurement({"time": MetricStats.from_rounds("s", ((4e-6, 5e-6, 6e-6), (4e-6, 4e-6, 7e-6)))}, processes=2)
    paired = replace(RED, measurement=now, pairing=Pairing("main", base, None, pinned=True))
    lines = [line.text for line in summary_lines([paired], TableStyle("against", 100), verbosity=2)]
    assert lines[-6:] == [
        "      base, 6 rounds in 2 processes",
        "        minima   1.00 us, 2.00 us",
        "        medians  2.00 us, 2.00 us",
        "      now, 6 rounds in 2 processes",
        "        minima   4.00 us, 4.00 us",
        "        medians  5.00 us, 4.00 us",
    ]


STATE = ProgressState(
    "tests/test_a.py::test_b", "pair", 3, tests=14, undecided=2, waiting=1, of_pass=4, seconds_left=12.4, share=0.5,
    judged=True,
)  # fmt: skip


def test_a_log_has_the_whole_name():
    assert progress_line(STATE) == ("perf: pair 3, 2 of 14 tests undecided, about 12 s left: tests/test_a.py::test_b")
    assert progress_line(STATE._replace(nodeid="t" * 300)).endswith("t" * 300)


def test_where_nothing_is_decided_tests_are_measured():
    line = progress_line(STATE._replace(judged=False, unit="process", number=1, nodeid="t", seconds_left=0.0))
    assert line == "perf: process 1, 3 of 4 tests measured: t"


def test_a_long_time_left_is_given_in_minutes():
    assert "about 3 min left" in progress_line(STATE._replace(seconds_left=200.0))


def test_a_terminal_shows_a_bar_and_as_much_as_fits():
    assert progress_bar(STATE, width=100, unicode=False) == (
        "perf [##########----------]  50%  pair 3, 2 of 14 tests undecided, about 12 s left  test_b"
    )
    assert progress_bar(STATE, width=60, unicode=False) == "perf [######------]  50%  2 of 14 tests undecided  test_b"


@given(st.text(max_size=300), st.integers(20, 250), st.floats(-1, 2), st.booleans())
def test_a_bar_fits_one_line_and_cuts_no_name(nodeid, width, share, unicode):
    line = progress_bar(STATE._replace(nodeid=nodeid, share=share), width=width, unicode=unicode)
    assert len(line) < width
    assert "..." not in line.replace(nodeid, "")


def test_a_log_gets_a_line_now_and_then():
    pace = LogThrottle(15.0)
    assert [pace.due(now) for now in (0.0, 1.0, 14.9, 15.0, 16.0, 40.0)] == [True, False, False, True, False, True]


LEAK = Finding("leak.memory", "B", Verdict.LEAK, 1033.0, details=("1.03 KB at app.py:3", "kept by app.HANDLERS"))
FILES = Finding("leak.files", "open files", Verdict.LEAK, 0.1, details=("/x (descriptor 5)",))
LEAKING = Comparison("t", Verdict.LEAK, (FILES, LEAK), MEASURED)


def test_a_leak_of_c_code_is_not_called_memory_alone():
    leaks = tuple(Finding(f"leak.{kind}:parse", "B", Verdict.LEAK, 4096.0) for kind in ("native", "mapped"))
    lines = list(explain(Comparison("t", Verdict.LEAK, leaks, MEASURED), Context("measure", "b", SETTINGS)))
    assert lines[0] == "This test leaks memory of C code and address space."


def test_a_leak_is_explained_with_what_it_is_and_where_it_comes_from():
    lines = list(explain(LEAKING, Context("measure", "b", SETTINGS)))
    assert lines[:7] == [
        "This test leaks open files and memory.",
        "",
        "  leak.files  0.10 open files per call  leak",
        "              /x (descriptor 5)",
        "  leak.memory 1.03 KB per call  leak",
        "              1.03 KB at app.py:3",
        "              kept by app.HANDLERS",
    ]
    assert lines[-1] == "  measure it again, alone:       pytest --perf --perf-leaks t"
    assert headline(LEAKING) == "leak: 0.10 open files per call: /x (descriptor 5)"


def test_the_table_has_a_column_for_leaks_where_any_test_was_checked():
    clean = Comparison("c", None, (Finding("leak.memory", "B", None, 0.0),), MEASURED)
    unknown = Comparison("u", Verdict.INCONCLUSIVE, (Finding("leak", "B", Verdict.INCONCLUSIVE, 0.0),), MEASURED)
    unchecked = Comparison("n", None, (), MEASURED)
    lines = rows([LEAKING, clean, unknown, unchecked], TableStyle("measure", 100))
    assert lines[0].split() == ["test", "leaks", "verdict"]
    assert [line.split()[1:] for line in lines[2:]] == [
        ["0.10", "open", "files", "leak"], ["none", "measured"], ["?", "inconclusive"], ["measured"],
    ]  # fmt: skip
    assert "leaks" not in rows([unchecked], WIDE)[0]


def test_commands_can_be_run_where_pytest_was_started():
    """From a folder below the rootdir, or with a configuration elsewhere."""
    here = replace(
        CONTEXT,
        place=lambda nodeid: nodeid.replace("tests/", "../tests/"),
        options="-c x.ini",
        prune_options="--file=../b ",
    )
    lines = "\n".join(explain(Comparison("tests/test_a.py::test_b", None, broken="gone"), here))
    assert "Try: pytest -c x.ini --perf ../tests/test_a.py::test_b" in lines
    lines = "\n".join(explain(Comparison("tests/test_a.py::test_b", Verdict.MISSING, reason="gone"), here))
    assert "perfguard prune --file=../b tests/test_a.py::test_b" in lines


def next_steps(context, comparison=RED):
    lines = list(explain(comparison, context))
    return [line for line in lines[lines.index("What to do next") :] if "perfguard bisect" in line]


def test_a_base_several_commits_behind_offers_the_search_for_the_commit():
    against = replace(CONTEXT, mode="against", record=None, revision="v1.0")
    behind = {"v1.0": 12, "abc123": 2}
    settled = replace(RED, pairing=Pairing("abc123", Measurement(), "", pinned=True))
    line = "  which commit was it?           perfguard bisect 'tests/test_a.py::test_parse[big]' --good="
    assert next_steps(replace(against, behind=behind.__getitem__)) == [f"{line}v1.0"]
    assert next_steps(replace(CONTEXT, behind=behind.__getitem__), settled) == [f"{line}abc123"]
    memory = replace(RED, findings=(replace(SAME, verdict=Verdict.REGRESSION),))
    assert next_steps(replace(against, behind=behind.__getitem__), memory) == [f"{line}v1.0 --metric=memory"]


def test_no_search_is_offered_where_it_cannot_help():
    against = replace(CONTEXT, mode="against", record=None, revision="v1.0")
    assert not next_steps(replace(against, behind=lambda _revision: 1)), "there is only one commit"
    assert not next_steps(replace(CONTEXT, behind=lambda _revision: 12)), "only the baseline file is known"
    unclear = replace(RED, verdict=Verdict.INCONCLUSIVE)
    assert not next_steps(replace(against, behind=lambda _revision: 12), unclear)
    tail = replace(RED, findings=(replace(SLOWER, name="p95:query"),))
    assert not next_steps(replace(against, behind=lambda _revision: 12), tail), "it is no metric of the search"


def test_functions_that_execute_more_are_named_the_largest_change_first():
    before = {"a": 1_000.0, "b": 50_000.0, "c": 10.0}
    after = {"a": 11_000.0, "b": 52_000.0, "c": 11.0, "d": 30_000.0}
    assert function_changes(before, after) == [
        "d: 0 -> 30.0 k instructions",
        "a: 1.00 k -> 11.0 k instructions",
    ]


def test_no_function_is_named_where_none_executes_more():
    assert function_changes({"a": 5.0}, {"a": 5.0}) == []


def counted(verdict, candidate):
    finding = Finding("instructions", "instructions", verdict, candidate, 719_000.0, (1.05, 1.06))
    return Comparison("test_a.py::test_b", verdict, (finding,))


def test_a_test_that_was_only_counted_fills_the_table_with_its_counts():
    text = "\n".join(
        row.text for row in table_rows(by_file([counted(Verdict.REGRESSION, 758_000.0)]), TableStyle("compare", 120))
    )
    assert "719 k" in text
    assert "758 k" in text
    assert "+5.4 %" in text


def test_more_instructions_have_words_of_their_own():
    context = Context("compare", "perf-baseline.json", SETTINGS)
    lines = list(explain(counted(Verdict.REGRESSION, 758_000.0), context))
    assert lines[0] == "Executes more instructions than its baseline."
    assert "5.4 % more instructions" in lines[2]
