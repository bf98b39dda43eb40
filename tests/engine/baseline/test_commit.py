"""The revision that is measured, and the commits of records."""

from __future__ import annotations

import subprocess

import pytest

from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Record
from pytest_perfguard.engine.baseline.commit import commit_of_record, current_commit, is_commit
from pytest_perfguard.engine.baseline.schema import Baseline, MachineClass, to_text


def git(folder, *arguments):
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_a_clean_tree_is_its_revision_and_a_changed_one_says_so(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-qm", "first")
    clean = current_commit(tmp_path)
    assert len(clean) == 12
    (tmp_path / "a").write_text("2")
    assert current_commit(tmp_path) == f"{clean}+"


def test_outside_git_there_is_no_revision(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert current_commit(tmp_path) is None


def test_without_git_there_is_no_revision(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert current_commit(tmp_path) is None


def record(kernel):
    return Record("h", "abc", kernel, {"": 1}, {"time": MetricStats("s", (kernel,), (kernel,), 1)})


@pytest.fixture
def repository(tmp_path):
    """Two commits, each with a record of its own in the baseline file."""
    git(tmp_path, "init", "-q", "-b", "main")
    file = tmp_path / "perf-baseline.json"
    for kernel in (1.0, 2.0):
        part = MachineClass({}, {}, {f"t{number}": record(number) for number in (1.0, kernel)})
        file.write_text(to_text(Baseline({"class": part})))
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-qm", str(kernel))
    return tmp_path


def hashes(folder):
    done = subprocess.run(["git", "log", "--format=%H"], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.split()


def test_a_record_is_traced_to_the_commit_that_brought_it(repository):
    newest, oldest = hashes(repository)
    file = repository / "perf-baseline.json"
    assert commit_of_record(file, record(2.0)) == newest
    assert commit_of_record(file, record(1.0)) == oldest
    assert commit_of_record(file, record(3.0)) is None


def test_the_oldest_commit_of_a_shallow_clone_did_not_bring_it(repository, tmp_path_factory):
    """It seems to bring every file."""
    clone = tmp_path_factory.mktemp("clone")
    git(clone.parent, "clone", "-q", "--depth=1", f"file://{repository}", str(clone))
    assert commit_of_record(clone / "perf-baseline.json", record(1.0)) is None
    assert commit_of_record(clone / "perf-baseline.json", record(2.0)) is None


def test_a_changed_baseline_is_no_changed_code(repository):
    file = repository / "perf-baseline.json"
    clean = current_commit(repository, file)
    file.write_text("{}")
    assert current_commit(repository, file) == clean
    assert current_commit(repository) == f"{clean}+"


def test_a_baseline_outside_the_repository_excuses_nothing(repository, tmp_path_factory):
    outside = tmp_path_factory.mktemp("cache") / "perf-baseline.json"
    clean = current_commit(repository, outside)
    (repository / "perf-baseline.json").write_text("{}")
    assert current_commit(repository, outside) == f"{clean}+"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0123456789ab", True),
        ("0123456789ab+", False),
        ("", False),
        ("main", False),
        ("--output=x", False),
        ("\0", False),
    ],
)
def test_only_the_hash_of_a_clean_commit_is_one(text, expected):
    """A baseline file is data: it does not choose among branches, and no option of git stands in it."""
    assert is_commit(text) is expected
