"""The examples of the pages for newcomers."""

from __future__ import annotations

import json
import re

import pytest

from pytest_perfguard.core.model import Verdict
from pytest_perfguard.plugin.modes.against import ACCEPT_AUTHOR_VARIABLE, ACCEPT_VARIABLE
from tests.docs.documents import PAGES, ROOT, blocks


@pytest.fixture
def failed(pytester):
    """The output of a test above its limit, in the form that editors read."""
    pytester.makepyfile(test_slow="import pytest\n\n@pytest.mark.perf(max_time='1ns')\ndef test_slow(): pass\n")
    return pytester.runpytest_subprocess("--perf", "--perf-budget=300ms", "--perf-metrics=time", "--tb=line")


def test_the_problem_matcher_of_vs_code_finds_a_failed_test(failed):
    tasks, settings = map(json.loads, blocks(PAGES["editors.md"], "json"))
    pattern = tasks["tasks"][0]["problemMatcher"]["pattern"]
    found = [match for line in failed.outlines if (match := re.search(pattern["regexp"], line))]
    assert len(found) == 1
    assert found[0][pattern["file"]].endswith("test_slow.py")
    assert found[0][pattern["line"]] == "3"
    assert found[0][pattern["message"]].startswith("over limit: max_time")
    assert settings["python.testing.pytestArgs"][0] == "--perf-against=HEAD"


def test_the_examples_of_the_page_on_moving_run(pytester):
    first, second = blocks(PAGES["migration.md"], "python")
    pytester.makepyfile(test_first="parse, TEXT = len, 'text'\n" + first, test_second=second)
    pytester.runpytest_subprocess().assert_outcomes(passed=3)


def test_every_reason_that_a_page_explains_is_one_of_the_code():
    """The words between backquotes, up to the first figure."""
    rows = re.findall(r"^\| `(.*?)` \| ", PAGES["inconclusive.md"], re.MULTILINE)
    assert len(rows) == 6
    code = "".join(path.read_text() for path in (ROOT / "pytest_perfguard" / "engine" / "verdict").glob("*.py"))
    assert [row for row in rows if re.split(r" \d", row)[0] not in code] == []


def test_the_pictures_are_small_and_show_no_unknown_verdict():
    for path in (ROOT / "docs" / "images").glob("*.svg"):
        text = path.read_text(encoding="utf-8")
        assert len(text) < 5_000
        assert f"images/{path.name}" in PAGES["reading.md"]
        words = re.findall(r'font-weight="600">([a-z-]+)</text><text', text)
        assert {*words} <= {str(verdict) for verdict in Verdict}


def test_the_variables_of_the_action_are_those_that_a_run_reads():
    action = (ROOT / "action.yml").read_text(encoding="utf-8")
    for name in (ACCEPT_VARIABLE, ACCEPT_AUTHOR_VARIABLE):
        assert f"{name}: ${{{{ github.event.pull_request." in action
        assert name in PAGES["against.md"]
