"""The lines on the terminal, and what the diff marks."""

from __future__ import annotations

from dataclasses import replace

from pytest_perfguard.core.explanation import Blame, CallChange, Explanation, FunctionTime, Location, MetricExplanation
from pytest_perfguard.engine.profile.diff_lines import changed_lines, mark_changed
from pytest_perfguard.engine.profile.lines import MAX_LINES, where_lines

MATCH = Location("rules.py", 41, "match", 48)
TOTAL = Location("prices.py", 9, "total", 14)


def time(*blames, **more):
    return MetricExplanation("time", "s", 45e-6, blames, **more)


def memory(*blames):
    return MetricExplanation("memory", "B", 36_000.0, blames)


def lines(*metrics):
    return list(where_lines(Explanation(metrics)))


def test_a_function_with_its_calls_and_caller():
    blame = Blame(MATCH, 41e-6, CallChange(1, 40), caller=TOTAL)
    told = "  +41.0 us of +45.0 us in rules.py:41 match, 1 -> 40 calls per iteration from prices.py:9 total"
    assert lines(time(blame)) == ["", "where the time went", told]
    assert lines(time(replace(blame, changed=True)))[2] == f"{told}; changed in this diff"


def test_library_code_is_told_behind_its_caller():
    blame = Blame(MATCH, 41e-6, via=Location("re", 0, "compile"), via_calls=CallChange(0, 40))
    assert lines(time(blame))[2].endswith("in rules.py:41 match, by re.compile (0 -> 40 calls per iteration)")
    blame = Blame(MATCH, 41e-6, via=Location("builtins", 0, "len"))
    assert lines(time(blame))[2].endswith("in rules.py:41 match, by len")


def test_resumptions_of_a_generator_are_no_calls():
    blame = Blame(MATCH, 41e-6, CallChange(1, 2.5), resumed=True)
    assert lines(time(blame))[2].endswith("match, 1 -> 2.5 resumptions per iteration")


def test_what_a_function_must_have_lost_is_a_lower_limit():
    told = "  at least 41.0 us of +45.0 us in rules.py:41 match, called as often as before"
    assert lines(time(Blame(MATCH, 41e-6, at_least=True), basis="counts"))[2] == told


def test_without_times_of_the_base_this_trees_longest_functions_are_told():
    longest = (FunctionTime(MATCH, 60e-6), FunctionTime(TOTAL, 30e-6))
    assert lines(time(basis="counts", longest=longest))[2:] == [
        "  no function is called more often than at the recording, which holds no times of functions",
        "  most of this tree's time: 60.0 us in rules.py:41 match, 30.0 us in prices.py:9 total",
    ]


def test_instructions_are_told_by_the_calls_that_were_added():
    blame = Blame(MATCH, 86_600.0, CallChange(1, 40), caller=TOTAL)
    counted = MetricExplanation("instructions", "instructions", 178_000.0, (blame,), basis="counts")
    assert lines(counted)[1:] == [
        "where the instructions went",
        "  about 86.6 k instructions in rules.py:41 match, 1 -> 40 calls per iteration from prices.py:9 total",
    ]
    assert lines(replace(counted, blames=()))[2:] == ["  no function is called more often than before"]


def test_memory_is_told_by_line():
    assert lines(memory(Blame(Location("prices.py", 18, "build", 18), 35_200.0))) == [
        "",
        "where the memory went",
        "  +35.2 KB of +36.0 KB at prices.py:18 build",
    ]


def test_an_amount_above_the_loss_is_not_a_part_of_it():
    """Other lines take less than before."""
    assert lines(memory(Blame(TOTAL, 38_000.0)))[2] == "  +38.0 KB at prices.py:9 total"
    assert lines(time(Blame(MATCH, 50e-6)))[2] == "  +50.0 us in rules.py:41 match"
    assert lines(time(Blame(MATCH, 46e-6)))[2] == "  +45.0 us of +45.0 us in rules.py:41 match"


def test_at_most_five_lines_in_all():
    blame = Blame(MATCH, 5e-6)
    told = [
        line for line in lines(time(*[blame] * 9), memory(*[replace(blame, amount=9e3)] * 9)) if line.startswith("  ")
    ]
    assert len(told) == MAX_LINES
    assert sum("rules.py:41" in line and " us " in line for line in told) == 3


def test_where_no_function_stands_out_that_is_said():
    assert lines(time())[2].startswith("  no function stands out")
    told = list(where_lines(Explanation(problem="its call raised ValueError\nand more")))
    assert told[-1] == "  not profiled: its call raised ValueError"
    assert lines() == []


DIFF = """diff --git a/rules.py b/rules.py
--- a/rules.py
+++ b/rules.py
@@ -44 +44,2 @@ def match
-    x
+    y
+    z
@@ -80,3 +81,0 @@
-gone
diff --git a/new.py b/new.py
--- /dev/null
+++ b/new.py
@@ -0,0 +1,3 @@
"""


def test_the_lines_of_a_diff():
    assert changed_lines(DIFF) == {"rules.py": [(44, 45), (81, 82)], "new.py": [(1, 3)]}


def test_a_function_is_marked_if_the_diff_touches_it_or_its_caller():
    elsewhere = Location("rules.py", 60, "other", 70)
    blames = (Blame(MATCH, 1e-6), Blame(elsewhere, 1e-6), Blame(elsewhere, 1e-6, caller=MATCH))
    marked = mark_changed(Explanation((time(*blames),)), changed_lines(DIFF)).metrics[0].blames
    assert [blame.changed for blame in marked] == [True, False, True]
