"""Reading and writing: nothing is lost, nothing is half written, an unreadable file is never touched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_perfguard.core.errors import BaselineError, BaselineMissing, BaselineUnreadable
from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Machine, Record
from pytest_perfguard.engine.baseline import store as module
from pytest_perfguard.engine.baseline.schema import Baseline, to_text
from pytest_perfguard.engine.baseline.store import Store, with_records, without_tests

HERE, THERE = Machine("here", {"cpu": "x"}), Machine("there", {"cpu": "y"})


def record(value=1.0):
    return Record("h", "c", 0.5, {"": 3}, {"time": MetricStats("s", (value,), (value,), 40)}, {}, (0.5,))


def put(store, records, machine=HERE, gone=None, at="now"):
    store.update(lambda before: with_records(before, machine, records, {"at": at}, gone))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "perf-baseline.json")


def test_a_missing_file_says_how_to_record_one(store):
    with pytest.raises(BaselineMissing, match="record one with: pytest --perf-baseline"):
        store.read()
    assert store.read_or_empty() == Baseline()


def test_what_is_recorded_is_read_back(store):
    put(store, {"a": record()})
    assert store.read().tests_of("here") == {"a": record()}
    assert store.read().tests_of("there") == {}


def test_a_run_of_one_test_keeps_the_others(store):
    put(store, {"a": record(), "b": record()})
    put(store, {"b": record(2.0)})
    assert store.read().tests_of("here") == {"a": record(), "b": record(2.0)}


def test_machine_classes_live_side_by_side(store):
    put(store, {"a": record()})
    put(store, {"a": record(9.0)}, THERE)
    assert store.read().tests_of("here") == {"a": record()}
    assert store.read().tests_of("there") == {"a": record(9.0)}


def test_only_a_full_run_prunes_and_only_its_own_machine_class(store):
    put(store, {"a": record(), "gone": record()})
    put(store, {"gone": record()}, THERE)
    put(store, {"a": record(2.0)}, gone=lambda nodeid: nodeid == "gone")
    assert set(store.read().tests_of("here")) == {"a"}
    assert set(store.read().tests_of("there")) == {"gone"}


def test_the_same_numbers_leave_the_same_bytes(store):
    """Even under another time stamp: a commit without news has no diff."""
    put(store, {"a": record()}, at="monday")
    before = store.path.read_bytes()
    put(store, {"a": record()}, at="tuesday")
    assert store.path.read_bytes() == before


def test_one_changed_test_changes_its_line_and_the_stamp(store):
    put(store, {name: record() for name in "abc"}, at="monday")
    before = store.path.read_text().splitlines()
    put(store, {"b": record(2.0)}, at="tuesday")
    after = store.path.read_text().splitlines()
    changed = [line for line, other in zip(after, before, strict=True) if line != other]
    assert [line[:4] for line in changed] == ['"sta', '"b":']


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b'{"schema": 99, "classes": {}}', b""])
def test_an_unreadable_file_is_never_overwritten(store, content):
    store.path.write_bytes(content)
    with pytest.raises(BaselineUnreadable):
        put(store, {"a": record()})
    assert store.path.read_bytes() == content


@pytest.mark.parametrize("step", ["fsync", "replace", "write"])
def test_a_failing_write_leaves_the_old_file_whole(store, monkeypatch, step):
    """A full or lost disk leaves the old file and no temporary files."""
    put(store, {"a": record()})
    before = store.path.read_bytes()

    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    elif step == "replace":
        monkeypatch.setattr(Path, "replace", fail)
    else:
        monkeypatch.setattr(os, "fdopen", fail)
    with pytest.raises(BaselineError, match="No space left on device; it is unchanged"):
        put(store, {"b": record()})
    monkeypatch.undo()
    assert store.path.read_bytes() == before
    assert [path.name for path in store.path.parent.iterdir() if path.suffix == ".tmp"] == []


def test_the_file_behind_a_link_is_replaced_and_the_link_stays(tmp_path):
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    put(Store(real), {"a": record()})
    link.symlink_to(real)
    put(Store(link), {"b": record()})
    assert link.is_symlink()
    assert set(Store(real).read().tests_of("here")) == {"a", "b"}


def test_permissions_are_kept(store):
    put(store, {"a": record()})
    store.path.chmod(0o640)
    put(store, {"b": record()})
    assert store.path.stat().st_mode & 0o777 == 0o640


def run_program(program, *arguments):
    """Python code in a process of its own, which can import this module."""
    head = "import os, sys; sys.path.insert(0, sys.argv.pop()); from pathlib import Path\n"
    head += "from tests.engine.baseline.test_store import put, record, BaselineError, Store; store = Store(Path(sys.argv[1]))\n"
    command = [sys.executable, "-c", head + program, *map(str, arguments), str(Path(__file__).parents[3])]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_twenty_processes_that_record_at_once_lose_nothing(store):
    program = """
children = []
for number in range(20):
    child = os.fork()
    if not child:
        put(store, {f"test{number}": record()})
        os._exit(0)
    children.append(child)
print(sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""
    assert run_program(program, store.path) == f"{[0] * 20}\n"
    assert set(store.read().tests_of("here")) == {f"test{number}" for number in range(20)}
    assert sorted(path.name for path in store.path.parent.iterdir()) == [
        ".perf-baseline.json.lock",
        "perf-baseline.json",
    ]


#: Says what the error says, and that the file is as it was.
PUT = """
before = store.path.read_bytes() if store.path.exists() else None
try:
    put(store, {f"test{number}": record() for number in range(100)})
except BaselineError as error:
    print(error)
print("same" if before == (store.path.read_bytes() if store.path.exists() else None) else "changed")
"""


def test_a_disk_that_is_full_in_the_middle_of_the_file_leaves_the_old_one(store):
    put(store, {"a": record()})
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
    told = run_program(full + PUT, store.path)
    assert told.endswith("could not be written: [Errno 27] File too large; it is unchanged\nsame\n")
    assert [path.name for path in store.path.parent.iterdir() if path.suffix == ".tmp"] == []


needs_root = pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() != 0, reason="only root can write as another user")
#: The interpreter itself may lie where others cannot read: everything is imported before.
AS_NOBODY = """
put(Store(Path(sys.argv[1]).with_name("first.json")), {"a": record()})
os.setgroups([]); os.setgid(65534); os.setuid(65534)
"""


@pytest.fixture
def shared(tmp_path_factory):
    """A folder that other users reach, with a file of root's."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="perfguard-test-", dir="/tmp") as name:
        Path(name).chmod(0o777)
        store = Store(Path(name) / "perf-baseline.json")
        put(store, {"a": record()})
        yield store


@needs_root
def test_a_folder_that_cannot_be_written_to_is_told_and_left_alone(shared):
    shared.path.parent.chmod(0o555)
    told = run_program(AS_NOBODY + PUT, shared.path)
    assert "could not be written: [Errno 13] Permission denied" in told
    assert told.endswith("same\n")


@needs_root
def test_a_file_of_another_user_is_replaced_where_the_folder_allows_that(shared):
    """Also the lock is shared: it would otherwise wait for a person to delete it."""
    assert run_program(AS_NOBODY + PUT, shared.path) == "changed\n"
    assert len(shared.read().tests_of("here")) == 101
    put(shared, {"b": record()})
    assert len(shared.read().tests_of("here")) == 102


@needs_root
def test_a_file_of_another_user_in_a_sticky_folder_is_left_alone(shared):
    shared.path.parent.chmod(0o1777)
    told = run_program(AS_NOBODY + PUT, shared.path)
    assert "Operation not permitted" in told
    assert told.endswith("same\n")


def test_a_writer_that_waits_says_for_what_and_gives_up_at_last(store, monkeypatch):
    from filelock import FileLock

    monkeypatch.setattr(module, "REPORT_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.01)
    said = []
    with FileLock(store.path.with_name(".perf-baseline.json.lock")):
        with pytest.raises(BaselineError, match=r"\.lock was held for 0 s by another run; nothing was written"):
            store.update(lambda before: before, said.append)
    assert [line.partition(" ")[0] for line in said] == ["waiting"]
    put(store, {"a": record()})


def test_what_killed_writers_left_is_cleared_and_nothing_else(store):
    put(store, {"a": record()})
    folder = store.path.parent
    for name in (".perf-baseline.json.x.tmp", ".perf-baseline.json.keep", "other.tmp", ".other.json.x.tmp"):
        (folder / name).write_text("half")
    put(store, {"b": record()})
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "perf-baseline.json", ".perf-baseline.json.lock", ".perf-baseline.json.keep", "other.tmp", ".other.json.x.tmp"
    }  # fmt: skip


def test_pruning_drops_from_every_class_and_drops_empty_classes(store):
    put(store, {"a": record(), "b": record()})
    put(store, {"a": record()}, THERE)
    after, names = without_tests(store.read(), lambda nodeid: nodeid == "a")
    assert (names, set(after.classes), set(after.tests_of("here"))) == (["a"], {"here"}, {"b"})


def test_the_file_is_text_that_ends_in_a_line_break(store):
    put(store, {"a": record()})
    assert store.path.read_text() == to_text(store.read())
    assert store.path.read_text().endswith("}\n")


def test_a_link_under_the_name_of_the_lock_leads_nowhere(tmp_path):
    """A user who may write to the folder must not be able to make a run empty a file elsewhere."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / ".base.json.lock").symlink_to(victim)
    with pytest.raises(BaselineError):
        Store(folder / "base.json").update(lambda before: before)
    assert victim.read_text() == "precious"
