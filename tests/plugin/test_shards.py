"""Each job of a CI runs a part: it checks its own tests, keeps the others' records, and says when it got none."""

from __future__ import annotations

import json

import pytest

QUICK = ("--perf-metrics=memory", "--perf-budget=1ms")
PERF = "import pytest\n" + "".join(f"\n@pytest.mark.perf\ndef test_{name}():\n    pass\n" for name in "abc")
#: A plugin like pytest-shard: by the last letter of the name, and without a word to pytest.
SHARDS = """
def pytest_addoption(parser):
    parser.addoption("--num-shards", type=int, default=1)
    parser.addoption("--letters", default="abcdefghijklmnopqrstuvwxyz")

def pytest_collection_modifyitems(config, items):
    items[:] = [item for item in items if item.name[-1] in config.option.letters]
"""


#: The baseline of the tests above, once there is one.
_recorded: list[str] = []


@pytest.fixture
def sharded(project):
    project.pytester.makeconftest(SHARDS)
    (project.path / "test_it.py").write_text(PERF + "\ndef test_z():\n    pass\n")
    if not _recorded:
        assert project.run("--perf-baseline", *QUICK).ret == 0
        _recorded.append(project.baseline.read_text())
    project.baseline.write_text(_recorded[0])
    return project


def shard(letters):
    return (*QUICK, "--num-shards=3", f"--letters={letters}")


def verdicts(report):
    return {test["nodeid"][-1]: test["verdict"] for test in report["tests"]}


def test_what_another_shard_runs_is_not_missing_and_what_is_gone_is(sharded):
    (sharded.path / "test_it.py").write_text(PERF.replace("def test_c", "def test_x"))
    result, report = sharded.report("--perf-compare", *shard("a"))
    assert result.ret == 0
    assert verdicts(report) == {"a": "unchanged", "c": "missing"}
    _result, report = sharded.report("--perf-compare", *shard("bx"))
    assert verdicts(report) == {"b": "unchanged", "c": "missing", "x": "new"}


def test_a_shard_keeps_what_the_others_recorded(sharded):
    assert sharded.run("--perf-baseline", *shard("a")).ret == 0
    data = json.loads(sharded.baseline.read_text())
    assert [name[-1] for part in data["classes"].values() for name in part["tests"]] == ["a", "b", "c"]


@pytest.mark.parametrize("mode", ["--perf-compare", "--perf-baseline"])
def test_a_shard_that_got_no_perf_test_is_green_and_says_so(sharded, mode):
    result = sharded.run(mode, *shard("z"))
    assert result.ret == 0
    result.stdout.fnmatch_lines(["perf: no perf test fell to this shard, of 3 found"])


def test_without_shards_a_gate_that_lost_all_its_tests_is_not_green(sharded):
    assert sharded.run("--perf-compare", *QUICK, "--letters=z").ret == 5
