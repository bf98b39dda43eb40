"""Merging the baselines of shards: no record is lost or invented; conflicts and gaps are reported."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Record
from pytest_perfguard.engine.baseline.schema import Baseline, MachineClass
from pytest_perfguard.engine.baseline.shards import Conflict, merge_shards, unreported


def record(value=1.0):
    return Record("h", "c", 0.5, {"": 3}, {"time": MetricStats("s", (value,), (value,), 40)}, {}, (0.5,))


def baseline(tests, at="2026-01-01T00:00:00Z", name="here"):
    return Baseline(
        {name: MachineClass({"cpu": at}, {"at": at}, {nodeid: record(value) for nodeid, value in tests.items()})}
    )


def values(joined, name="here"):
    return {nodeid: kept.metrics["time"].minima[0] for nodeid, kept in joined.baseline.tests_of(name).items()}


def test_each_shard_adds_its_tests():
    joined = merge_shards({"1.json": baseline({"a": 1.0}), "2.json": baseline({"b": 2.0})})
    assert values(joined) == {"a": 1.0, "b": 2.0}
    assert (joined.conflicts, joined.unrecorded, joined.silent) == ((), {}, ())


def test_what_a_shard_left_as_it_was_is_not_its_own():
    """Every job starts with the file that is committed, and changes its own tests."""
    before = baseline({"a": 1.0, "b": 1.0})
    joined = merge_shards({"1.json": baseline({"a": 3.0, "b": 1.0}), "2.json": baseline({"a": 1.0, "b": 4.0})}, before)
    assert values(joined) == {"a": 3.0, "b": 4.0}
    assert joined.conflicts == ()


def test_the_same_test_with_different_figures_is_a_conflict_that_names_both_files():
    joined = merge_shards({"1.json": baseline({"a": 1.0}), "2.json": baseline({"a": 2.0})})
    assert joined.conflicts == (Conflict("a", "here", "1.json", "2.json"),)
    assert str(joined.conflicts[0]).startswith(
        "a was recorded twice on here: in 1.json and, with other numbers, in 2.json; run each test in one shard only"
    )
    assert merge_shards({"1.json": baseline({"a": 1.0}), "2.json": baseline({"a": 1.0})}).conflicts == ()


def test_machine_classes_do_not_mix():
    joined = merge_shards({"1.json": baseline({"a": 1.0}), "2.json": baseline({"a": 2.0}, name="there")})
    assert (values(joined), values(joined, "there"), joined.conflicts) == ({"a": 1.0}, {"a": 2.0}, ())


def test_a_missing_shard_shows_in_what_nobody_recorded():
    before = baseline({"a": 1.0, "b": 1.0, "c": 1.0})
    joined = merge_shards({"1.json": baseline({"a": 3.0, "b": 1.0, "c": 1.0})}, before)
    assert joined.unrecorded == {"here": ("b", "c")}
    assert values(joined) == {"a": 3.0, "b": 1.0, "c": 1.0}, "not lost, but said"


def test_a_missing_shard_shows_in_what_no_report_tells():
    before = baseline({"a": 1.0, "b": 1.0, "c": 1.0})
    assert unreported(before, "here", ["a", "c", "new"]) == ("b",)
    assert unreported(before, "there", []) == ()


def test_other_machine_classes_are_not_expected_of_this_run():
    before = Baseline({**baseline({"a": 1.0}).classes, **baseline({"z": 1.0}, name="there").classes})
    assert merge_shards({"1.json": baseline({"a": 2.0})}, before).unrecorded == {}


def test_a_file_without_news_is_named():
    before = baseline({"a": 1.0})
    assert merge_shards({"1.json": before, "2.json": baseline({"a": 2.0})}, before).silent == ("1.json",)
    assert merge_shards({"1.json": Baseline()}).silent == ("1.json",)


def test_the_latest_stamp_wins():
    early, late = baseline({"a": 1.0}, "2026-01-01T00:00:00Z"), baseline({"b": 1.0}, "2026-01-02T00:00:00Z")
    for shards in ({"1": early, "2": late}, {"2": late, "1": early}):
        part = merge_shards(shards).baseline.classes["here"]
        assert (part.stamp, part.machine) == ({"at": "2026-01-02T00:00:00Z"}, {"cpu": "2026-01-02T00:00:00Z"})


@given(st.dictionaries(st.text(max_size=5), st.integers(1, 9), max_size=12), st.integers(1, 4), st.randoms())
def test_a_split_suite_joins_to_the_whole_in_any_order(tests, count, random):
    whole = baseline({nodeid: float(value) for nodeid, value in tests.items()})
    before = baseline(dict.fromkeys(tests, 0.5))
    parts = [dict.fromkeys(tests, 0.5) for _ in range(count)]
    for nodeid, value in tests.items():
        random.choice(parts)[nodeid] = float(value)
    random.shuffle(parts)
    joined = merge_shards({str(number): baseline(part) for number, part in enumerate(parts)}, before)
    assert joined.baseline.tests_of("here") == whole.tests_of("here")
    assert (joined.conflicts, joined.unrecorded) == ((), {})
