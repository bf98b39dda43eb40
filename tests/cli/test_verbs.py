"""`perfguard show` and `prune`, and what holds for every verb."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pytest_perfguard.cli import main, make_parser
from tests.cli.conftest import record, report
from tests.repository import Repository

VERBS = list(make_parser()._subparsers._group_actions[0].choices)


@pytest.fixture
def kept(command):
    (command.path / "test_here.py").touch()
    amounts = {"test_here.py::test_a": 12.3e-6, "test_here.py::test_b": 50e-6, "test_gone.py::test_c": 1e-6}
    command.keep("perf-baseline.json", {nodeid: record(seconds) for nodeid, seconds in amounts.items()})
    return command


def test_show_lists_every_test(kept):
    status, out, _err = kept.run("show")
    assert status == 0
    assert out.splitlines()[:2] == [
        "linux (3 tests, 2026-01-31T12:00:00Z)",
        "  test_gone.py::test_c: time 1.00 us, memory 1.00 KB",
    ]


def test_show_sorts_and_filters(kept):
    _status, out, _err = kept.run("show", "test_here*", "--sort", "time")
    assert [line.split(":")[0] + line.split(":")[2] for line in out.splitlines()[1:]] == [
        "  test_here.pytest_b",
        "  test_here.pytest_a",
    ]
    assert kept.run("show", "--machine", "mac*")[1] == ""


def test_show_as_json_is_the_files_own_form(kept):
    status, data = kept.json("show", "*test_a")
    assert status == 0
    tests = data["linux"]["tests"]
    assert list(tests) == ["test_here.py::test_a"]
    assert tests["test_here.py::test_a"]["metrics"]["time"]["unit"] == "s"


def test_the_file_may_be_named_before_and_after_the_verb(kept):
    kept.store.path.rename(kept.path / "other.json")
    assert kept.run("--file", "other.json", "show")[0] == 0
    assert kept.run("show", "--file", "other.json")[0] == 0


def test_show_reads_a_report_as_well(command):
    (command.path / "r.json").write_text(report({"t": record()}))
    assert "t: time 12.3 us" in command.run("show", "--file", "r.json")[1]


def test_show_of_an_empty_baseline_states_it(command):
    command.keep("perf-baseline.json", {})
    assert command.run("show")[2] == "perfguard: perf-baseline.json contains no measurement of a test\n"


def test_a_parametrised_id_is_matched_as_it_is(command):
    command.keep("perf-baseline.json", {"t.py::x[a-1]": record(), "t.py::xa": record()})
    assert list(command.json("show", "t.py::x[a-1]")[1]["linux"]["tests"]) == ["t.py::x[a-1]"]
    assert list(command.json("show", "t.py::x[[]*")[1]["linux"]["tests"]) == []
    assert list(command.json("show", "t.py::x[*")[1]["linux"]["tests"]) == ["t.py::x[a-1]"]


def test_prune_drops_the_tests_whose_file_is_gone(kept):
    status, out, _err = kept.run("prune")
    assert (status, set(kept.store.read().tests_of("linux"))) == (0, {"test_here.py::test_a", "test_here.py::test_b"})
    assert "dropped test_gone.py::test_c" in out


def test_prune_drops_what_it_is_told_to(kept):
    status, data = kept.json("prune", "*::test_b", "test_here.py::test_a")
    assert (status, data["dropped"]) == (0, ["test_here.py::test_a", "test_here.py::test_b"])
    assert set(kept.store.read().tests_of("linux")) == {"test_gone.py::test_c"}


def test_prune_refuses_where_no_test_has_a_file(kept):
    """Run from elsewhere than the rootdir, every test would seem gone."""
    elsewhere = kept.path / "elsewhere"
    elsewhere.mkdir()
    status, _out, err = kept.run("prune", "--rootdir", str(elsewhere))
    assert status == 2
    assert "use --rootdir=PATH" in err
    assert len(kept.store.read().tests_of("linux")) == 3


@pytest.mark.parametrize("verb", ["show", "prune"])
def test_a_broken_file_is_status_4_and_untouched(kept, verb):
    kept.store.path.write_text("{")
    status, _out, err = kept.run(verb)
    assert status == 4
    assert "not JSON" in err
    assert kept.store.path.read_text() == "{"


def test_a_missing_file_is_status_4_and_named(command):
    status, _out, err = command.run("show")
    assert status == 4
    assert "there is no file perf-baseline.json; name the baseline with --file=PATH, or record one" in err


def test_wrong_usage_is_status_2(command):
    assert command.run("destroy")[0] == 2
    assert command.run()[0] == 2


@pytest.mark.parametrize(
    ("arguments", "status", "problem"),
    [
        (("show", "--sort", "foo"), 4, "no test has this metric (valid: name, memory, time)"),
        (("history", "--most", "0"), 2, "0 is not a number above 0"),
        (("history", "--anchor=--output=stolen"), 4, "is not a git revision"),
        (("noise", "--seconds", "-1"), 2, "-1 is not a number above 0"),
        (("compare", "perf-baseline.json", "perf-baseline.json", "-o", "test_here.py/x.md"), 4, "test_here.py"),
        (
            ("compare", "perf-baseline.json", "perf-baseline.json", "--threshold", "5"),
            2,
            "--threshold: '5' is not a percentage",
        ),
        (("compare", "perf-baseline.json", "perf-baseline.json", "-o", "folder.md"), 4, "perfguard: folder.md: Is a"),
        (("accept", "perf-baseline.json", "t"), 4, "this is a baseline file, and a JSON report of a run is expected"),
        (("history", "*", "nothing"), 1, "no test in perf-baseline.json matches 'nothing'"),
        (("history", "--anchor=nowhere"), 4, "'nowhere' is neither a file nor a git revision with perf-baseline.json"),
        (("demo", "test_here.py"), 4, "test_here.py is not an empty folder"),
        (("report", "--of", "r.json", "nope", "-o", "x.md"), 4, "--of writes one whole report"),
    ],
)
def test_what_is_wrong_is_named(kept, arguments, status, problem):
    (kept.path / "folder.md").mkdir()
    Repository(kept.path).commit()
    found, _out, err = kept.run(*arguments)
    assert found == status
    assert problem in err
    assert not (kept.path / "stolen").exists()


def test_control_characters_of_a_name_do_not_reach_the_terminal(command):
    command.keep("perf-baseline.json", {"t.py::x[\x1b[31m]": record()})
    assert "\\x1b[31m" in command.run("show")[1]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_and_has_json(command, verb):
    status, out, _err = command.run(verb, "--help")
    assert status == 0
    assert "--json" in out


def test_a_reader_that_goes_away_is_neither_green_nor_red(kept):
    """As in `perfguard show | head`."""
    many = {f"tests/test_long_enough_to_fill_a_pipe.py::test_{index}": record() for index in range(5000)}
    kept.keep("many.json", many)
    command = [sys.executable, "-m", "pytest_perfguard", "show", "--file", "many.json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert (process.wait(timeout=60), process.stderr.read()) == (141, b"")


def test_a_closed_output_is_no_failure(kept, monkeypatch):
    """As in `perfguard show >&-`: the interpreter has no output then, and status 1 would mean a slower test."""
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["show"]) == 0


def test_an_interrupt_is_status_130(kept, monkeypatch):
    def interrupt(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("pytest_perfguard.cli.show.load_baseline", interrupt)
    assert kept.run("show") == (130, "", "perfguard: interrupted\n")


def test_a_byte_order_mark_is_no_part_of_the_file(kept):
    kept.store.path.write_bytes(b"\xef\xbb\xbf" + kept.store.path.read_bytes())
    assert kept.run("show")[0] == 0
    assert kept.run("prune")[0] == 0
    assert kept.store.path.read_bytes().startswith(b"{")


def test_patterns_may_follow_an_option(kept):
    kept.keep("b.json", {"test_here.py::test_a": record()})
    assert kept.run("compare", "perf-baseline.json", "b.json", "--floor=1ns", "*test_a")[0] == 0
    assert kept.run("compare", "perf-baseline.json", "b.json", "--json", "--flor=1ns", "*test_a")[0] == 2


@pytest.mark.parametrize("verb", ["show", "prune", "export"])
def test_a_pattern_that_matches_nothing_is_no_success(kept, verb):
    """Each of them is named, and what matches is done all the same."""
    status, out, err = kept.run(verb, "nothing_like_this")
    assert status == 1
    assert "perfguard: no test in " in err
    assert "perf-baseline.json matches 'nothing_like_this'" in err
    assert "test_here" not in out
    status, out, err = kept.run(verb, "*test_a", "nothing")
    assert status == 1
    assert "test_here.py::test_a" in out
    assert err.count("matches 'nothing'") == 1
    assert kept.run(verb, "*test_b")[0] == 0


def test_a_file_in_the_place_of_a_pattern_gets_a_hint(kept):
    """`perfguard show other.json` names no test."""
    kept.keep("other.json", {"t": record()})
    status, _out, err = kept.run("show", "other.json")
    assert (status, err.strip()) == (
        1,
        "perfguard: no test in perf-baseline.json matches 'other.json'; to read this file, use --file=other.json",
    )
    assert kept.run("show", "--machine", "mac*")[0] == 1
    assert kept.run("show", "--json", "nothing")[0] == 1


def test_a_pattern_that_matches_nothing_in_two_files(kept):
    """Beside one that does, which is judged."""
    kept.keep("other.json", {"test_here.py::test_a": record(12.3e-6)})
    status, _out, err = kept.run("compare", "perf-baseline.json", "other.json", "*test_a", "nothing")
    assert "no test in either file matches 'nothing'" in err
    assert status == 1
