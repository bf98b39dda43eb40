"""`perfguard bisect`: what it compares, prints and keeps. Most tests replace the measuring by levels in a file."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from typing import ClassVar

import pytest

from pytest_perfguard.cli import bisect as verb
from pytest_perfguard.core.model import Verdict
from pytest_perfguard.engine.bisect.search import Outcome
from pytest_perfguard.engine.bisect.state import Comparison
from tests.cli.conftest import record
from tests.docs.documents import PAGES, blocks
from tests.repository import Repository

LIMIT = math.log1p(0.03)
TEST = "test_a.py::test_a"


class FakeComparer:
    """Reads the time of each commit from its file `level`; "broken" cannot be measured."""

    made: ClassVar[list[tuple[str, str]]] = []
    interrupt_at = None

    def __init__(self, place, commits, wish):
        self.place, self.commits = place, commits

    def level(self, commit):
        done = subprocess.run(["git", "show", f"{commit}:level"], cwd=self.place.top, capture_output=True, text=True)
        return done.stdout.strip()

    def compare(self, query, metric):
        if len(self.made) == self.interrupt_at:
            raise KeyboardInterrupt
        base, head = self.commits[query.base].hash, self.commits[query.head].hash
        self.made.append((base, head))
        if self.level(head) == "broken":
            return Comparison(base, head, query.purpose, Outcome(skipped="E SyntaxError"), 2.0)
        change = math.log(float(self.level(head)) / float(self.level(base)))
        verdict = Verdict.REGRESSION if change > LIMIT else Verdict.UNCHANGED
        lines = ("where the time went", "  +1 us of +1 us in a.py:1 f") if query.explain else ()
        outcome = Outcome(change, change - 0.01, change + 0.01, LIMIT, verdict)
        text = f"1 us -> 2 us per call, {100 * math.expm1(change):.0f} % slower"
        return Comparison(base, head, query.purpose, outcome, 2.0, 4, metric, text, lines)


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(verb, "Comparer", FakeComparer)
    monkeypatch.setattr(FakeComparer, "made", [])
    return FakeComparer


@pytest.fixture
def project(command, fake):
    """A repository in the command's folder; `commits` makes one commit per level."""
    repository = Repository(command.path)
    repository.write({"test_a.py": "def test_a():\n    pass\n", ".gitignore": "*.lock\n"})

    def commits(*levels, **files):
        return [repository.commit({"level": str(level), "number": str(index)}) for index, level in enumerate(levels)]

    repository.commits = commits
    return repository


def state_of(repository):
    """Everything of a repository that a search must not change."""
    outputs = [
        repository.git(*arguments)
        for arguments in (
            ["status", "--porcelain"], ["stash", "list"], ["worktree", "list"], ["for-each-ref"], ["rev-parse", "HEAD"],
            ["symbolic-ref", "HEAD"],
        )
    ]  # fmt: skip
    return [*outputs, (repository.path / ".git" / "index").read_bytes()]


def test_it_names_the_commit_with_its_explanation(project, command):
    hashes = project.commits(1, 1, 1, 2, 2, 2)
    before = state_of(project)
    status, out, err = command.run("bisect", TEST, f"--good={hashes[0]}")
    assert status == 0
    assert out.splitlines()[0].startswith("1 step found in 5 comparisons, 20 pairs")
    assert f"commit {hashes[3]}\nauthor x\n" in out
    assert "  time 1 us -> 2 us per call, 100 % slower; 100 % of the whole" in out
    assert "    +1 us of +1 us in a.py:1 f" in out
    assert f"git show {hashes[3][:12]}" in out
    assert "[2 of 6 or more, about 10 s left]" in err
    assert state_of(project) == before


def test_several_steps_have_shares(project, command):
    hashes = project.commits(1, 1.1, 1.1, 1.1, 1.1, 2, 2, 2)
    status, data = command.json("bisect", TEST, f"--good={hashes[0]}")
    assert status == 0
    assert [[commit["commit"] for commit in step["commits"]] for step in data["steps"]] == [[hashes[1]], [hashes[5]]]
    assert [step["share"] for step in data["steps"]] == [0.1375, 0.8625]
    assert data["whole"] == {"ratio": 2.0, "interval": [1.9801, 2.0201], "verdict": "regression"}


def test_the_page_of_the_command_shows_the_form_of_the_json(project, command):
    section = PAGES["command.md"].partition("## `bisect`")[2].partition("\n## ")[0]
    shown = json.loads(blocks(section, "json")[0])
    hashes = project.commits(1, 2)
    real = command.json("bisect", TEST, f"--good={hashes[0]}")[1]
    for place in ((), ("good",), ("whole",), ("steps", 0), ("steps", 0, "commits", 0)):
        one, other = shown, real
        for name in place:
            one, other = one[name], other[name]
        assert [*one] == [*other]


def test_an_interrupted_search_goes_on_where_it_was(project, command, fake, monkeypatch):
    hashes = project.commits(1, 1, 1, 1, 1, 1, 2, 2)
    monkeypatch.setattr(fake, "interrupt_at", 3)
    before = state_of(project)
    status, out, err = command.run("bisect", TEST, f"--good={hashes[0]}")
    assert (status, out) == (130, "")
    assert err.splitlines()[-1] == "perfguard: interrupted; the same command goes on where it was"
    assert state_of(project) == before
    monkeypatch.setattr(fake, "interrupt_at", None)
    status, _out, err = command.run("bisect", TEST, f"--good={hashes[0]}")
    assert status == 0
    assert "going on after 3 comparisons" in err
    assert len(fake.made) == len(set(fake.made)), "nothing is measured twice"
    count = len(fake.made)
    assert command.run("bisect", TEST, f"--good={hashes[0]}")[0] == 0
    assert len(fake.made) == count, "a finished search is only shown"
    assert command.run("bisect", TEST, f"--good={hashes[0]}", "--restart")[0] == 0
    assert len(fake.made) == 2 * count


def test_a_damaged_state_is_measured_again(project, command, fake):
    hashes = project.commits(1, 2)
    assert command.run("bisect", TEST, f"--good={hashes[0]}")[0] == 0
    (state,) = (project.path / ".git" / "perfguard-bisect").glob("*.json")
    state.write_text("{")
    assert command.run("bisect", TEST, f"--good={hashes[0]}")[0] == 0
    assert len(fake.made) == 2


def test_two_processes_do_not_make_one_search(project, command, fake, monkeypatch):
    hashes = project.commits(1, 2)
    nested = []

    def compare(self, query, metric):
        nested.append(command.run("bisect", TEST, f"--good={hashes[0]}"))
        raise KeyboardInterrupt

    monkeypatch.setattr(fake, "compare", compare)
    command.run("bisect", TEST, f"--good={hashes[0]}")
    assert nested[0][0] == 4
    assert "runs already in another process" in nested[0][2]


def test_broken_commits_leave_a_range(project, command):
    hashes = project.commits(1, 1, "broken", "broken", 2, 2)
    status, out, _err = command.run("bisect", TEST, f"--good={hashes[0]}")
    assert status == 0
    assert f"one of 3 commits, as those between {hashes[1][:12]} and the last could not be measured" in out
    assert f"  {hashes[2][:12]} x (skipped: E SyntaxError)" in out
    assert f"  {hashes[4][:12]} x\n" in out
    data = command.json("bisect", TEST, f"--good={hashes[0]}")[1]
    assert [commit["commit"] for commit in data["steps"][0]["commits"]] == hashes[2:5]
    assert data["skipped"] == {hashes[2]: "E SyntaxError", hashes[3]: "E SyntaxError"}


def test_a_merge_is_named_with_the_command_for_its_side(project, command, fake):
    first = project.commits(1)[0]
    project.git("checkout", "-q", "-b", "side")
    side = [project.commit({"level": "1", "side": "1"}), project.commit({"level": "2", "side": "2"})]
    project.git("checkout", "-q", "main")
    project.commit({"number": "5"})
    project.git("merge", "-q", "--no-ff", "-m", "merge side", "side")
    merge = project.git("rev-parse", "HEAD")
    project.commit({"number": "6"})
    status, out, _err = command.run("bisect", TEST, f"--good={first}")
    assert status == 0
    assert f"commit {merge}" in out
    assert f"perfguard bisect {TEST} --good={first[:12]} --bad={side[1][:12]}" in out
    assert not {head for _base, head in fake.made} & {*side}
    assert f"commit {side[1]}" in command.run("bisect", TEST, f"--good={first}", f"--bad={side[1]}")[1]


def test_good_on_a_merged_branch_starts_at_the_merge(project, command, fake):
    project.commits(1)
    project.git("checkout", "-q", "-b", "side")
    good = project.commit({"level": "1", "side": "1"})
    project.git("checkout", "-q", "main")
    apart = project.commit({"number": "5"})
    project.git("merge", "-q", "--no-ff", "-m", "merge side", "side")
    last = project.commit({"level": "2"})
    assert f"commit {last}" in command.run("bisect", TEST, f"--good={good}")[1]
    assert apart not in {commit for pair in fake.made for commit in pair}


def test_commits_that_change_only_tests_are_left_out(project, command, fake):
    hashes = project.commits(1)
    only_tests = [project.commit({"test_a.py": f"def test_a():\n    {number}\n"}) for number in range(5)]
    hashes += project.commits(2, 2)
    _status, _out, err = command.run("bisect", TEST, f"--good={hashes[0]}")
    assert "2 commits from" in err
    assert "5 others change only tests or the baseline" in err
    assert not {head for _base, head in fake.made} & {*only_tests}


def test_equal_ends_are_reported_after_one_comparison(project, command, fake):
    hashes = project.commits(1, 2, 1, 1)
    status, out, _err = command.run("bisect", TEST, f"--good={hashes[0]}")
    assert status == 1
    assert out.startswith(
        f"{TEST} is not worse at {hashes[3][:12]} than at {hashes[0][:12]}: 1 us -> 2 us per call, 0 %"
    )
    assert len(fake.made) == 1


def test_uncommitted_changes_are_not_measured(project, command):
    hashes = project.commits(1, 2)
    project.write({"level": "3"})
    status, _out, err = command.run("bisect", TEST, f"--good={hashes[0]}")
    assert status == 0
    assert "the working tree has uncommitted changes, which are not measured" in err


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ([TEST], 2, "--good: name an older revision with --good=REV, or start with --from-history"),
        ([TEST, "--good=mian"], 4, "--good=mian: no revision 'mian'; did you mean 'main'[?]"),
        ([TEST, "--good=HEAD"], 4, "good and bad are the same commit, HEAD "),
        ([TEST, "--good=main", "--bad=HEAD~1"], 4, "is not an ancestor of bad .*; it is the other way around"),
        (["test_b.py", "--good=HEAD~1"], 4, "there is no file test_b.py at bad, HEAD .*; did you mean test_a.py?"),
        (["new.py", "--good=HEAD~1"], 4, "there is no file new.py at bad, HEAD .*; commit it"),
        (["../x.py", "--good=HEAD~1"], 4, "../x.py is outside of the repository"),
        ([TEST, "--good=HEAD~1", "--metric=speed"], 2, "--metric: unknown metric 'speed' "),
        ([TEST, "--good=HEAD~1", "--threshold=x"], 2, "--threshold: 'x' is not a percentage"),
        ([TEST, "--good=HEAD~1", "--from-history"], 2, "exclude each other"),
        ([TEST, "--from-history"], 4, "perf-baseline.json was never committed; name revisions with --good"),
    ],
)
def test_wrong_arguments(project, command, arguments, status, text):
    project.commits(1, 2)
    project.write({"new.py": ""})
    found, _out, err = command.run("bisect", *arguments)
    assert found == status
    assert re.search(text, err), err


def test_branches_that_parted_have_a_common_ancestor(project, command):
    first = project.commits(1)[0]
    project.git("checkout", "-q", "-b", "other")
    project.commits(2)
    project.git("checkout", "-q", "main")
    project.commits(3, 4)
    status, _out, err = command.run("bisect", TEST, "--good=other")
    assert status == 4
    assert f"the branches parted at {first[:12]}: try --good={first[:12]}" in err


def test_outside_of_a_repository(command):
    status, _out, err = command.run("bisect", TEST, "--good=main")
    assert status == 4
    assert "not a git repository" in err


def test_a_test_that_bad_cannot_run_ends_the_search(project, command):
    hashes = project.commits(1, "broken")
    status, _out, err = command.run("bisect", "test_a.py::test_aa", f"--good={hashes[0]}")
    assert status == 4
    assert "test_a.py::test_aa cannot be compared: E SyntaxError; did you mean test_a?" in err
    _status, _out, err = command.run("bisect", "test_a.py::test_a[x]", f"--good={hashes[0]}")
    assert "; list its parameters with: pytest --collect-only -q test_a.py" in err


def test_from_history_searches_between_the_recordings_around_a_step(project, command, fake):
    measured = []
    for number in range(12):
        measured.append(project.commit({"level": "1" if number < 6 else "2", "number": str(number)}))
        kept = record((1.0 if number < 6 else 2.0) * 1e-3 * (1 + 0.001 * number))
        command.keep("perf-baseline.json", {TEST: replace(kept, commit=measured[-1][:12])})
        project.commit()
    status, out, err = command.run("bisect", TEST, "--from-history")
    assert status == 0, err
    assert f"commit {measured[6]}" in out
    assert "step 2.0x at " in err
    assert "; 1 other changes only tests or the baseline" in err
    assert len(fake.made) == 1, "between two recordings lies one commit"


def test_from_history_finds_the_recordings_of_a_test_named_from_a_subfolder(project, command, fake, monkeypatch):
    for number in range(12):
        project.commit({"level": "1" if number < 6 else "2", "number": str(number), "sub/test_b.py": "def test_b(): 0"})
        kept = record((1.0 if number < 6 else 2.0) * 1e-3 * (1 + 0.001 * number))
        command.keep("perf-baseline.json", {"sub/test_b.py::test_b": kept})
        project.commit()
    monkeypatch.chdir(project.path / "sub")
    arguments = ("bisect", "--file=../perf-baseline.json", "test_b.py::test_b", "--from-history")
    status, _out, err = command.run(*arguments)
    assert status == 0, err


def test_few_recordings_show_no_step_and_the_error_states_how_many_it_takes(project, command):
    project.commits(1, 2)
    for seconds in (1e-3, 2e-3):
        command.keep("perf-baseline.json", {TEST: record(seconds)})
        project.commit()
    status, _out, err = command.run("bisect", TEST, "--from-history")
    assert status == 4
    assert "no step up in 2 recordings (it takes 6 to see one) of time" in err


@pytest.mark.thorough
def test_it_measures_for_real(tmp_path):
    """A broken commit between, a renamed test file, uncommitted changes: 2 comparisons, and one commit that is skipped."""
    repository = Repository(tmp_path / "project")
    library = "def work():\n    return sum(range({}))\n"
    test = "import pytest\nfrom lib import work\n\n@pytest.mark.perf\ndef test_work():\n    work()\n"
    repository.commit(
        {"src/lib.py": library.format(1000), "tests/test_old.py": test, "pytest.ini": "[pytest]\npythonpath = src\n"}
    )
    good = repository.git("rev-parse", "HEAD")
    broken = repository.commit({"src/lib.py": "def work(:\n"})
    repository.git("mv", "tests/test_old.py", "tests/test_new.py")
    slow = repository.commit({"src/lib.py": library.format(5000)})
    repository.write({"src/lib.py": "not measured"})
    before = state_of(repository)
    done = subprocess.run(
        [sys.executable, "-m", "pytest_perfguard", "bisect", "test_new.py::test_work", f"--good={good}", "--budget=400ms", "--json"],
        cwd=repository.path / "tests", capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [commit["commit"] for commit in found["steps"][0]["commits"]] == [broken, slow]
    assert found["steps"][0]["ratio"] > 3
    assert any("lib.py:1 work" in line for line in found["steps"][0]["explanation"])
    assert "SyntaxError" in found["skipped"][broken]
    assert state_of(repository) == before
    assert not any((repository.path / ".git" / "perfguard").iterdir())
