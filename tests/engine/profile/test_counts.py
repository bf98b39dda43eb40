"""The table of calls that a baseline file keeps."""

from __future__ import annotations

from pytest_perfguard.engine.profile.counts import MAX_FUNCTIONS, counts_for_record, counts_from_record
from tests.engine.profile.made import DUMPS, MATCH, TOTAL, ours, profile


def test_what_is_kept_can_be_read():
    made = profile({TOTAL: (1, 5, 50), MATCH: (2.5, 5, 45), DUMPS: (40, 40, 40)})
    kept = counts_for_record(made, "parse")
    assert counts_from_record(kept, "parse") == {TOTAL: 1.0, MATCH: 2.5, DUMPS: 40.0}
    assert counts_from_record(kept, "") == {}


def test_the_table_stays_small_and_keeps_the_projects_functions():
    made = profile({DUMPS: (1, 500, 500), **{ours(f"f{n}"): (1, n, n) for n in range(100)}})
    kept = counts_from_record(counts_for_record(made, ""), "")
    assert len(kept) == MAX_FUNCTIONS
    assert ours("f99") in kept
    assert DUMPS not in kept


def test_what_another_version_wrote_is_left_out():
    assert counts_from_record({"a|b": 1.0, "": 2.0}, "a") == {}
