"""What is counted is counted exactly, and named."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import subprocess
import sys
import threading

import pytest

from pytest_perfguard.engine.leaks.explain import describe_new
from pytest_perfguard.engine.leaks.open_resources import ResourceCounter, new_resources, noun_of


@pytest.fixture
def counters():
    gc.collect()
    return ResourceCounter()


def test_nothing_new_is_nothing(counters):
    assert new_resources(counters.read(), counters.read()) == {}


def test_files_are_named_by_their_path(counters, tmp_path):
    before = counters.read()
    with (tmp_path / "kept.txt").open("w"):
        after = counters.read()
        (line, *_made) = describe_new(before, after)["files"]
    assert {kind: len(things) for kind, things in new_resources(before, after).items()} == {"files": 1}
    assert line.startswith(f"{tmp_path}/kept.txt (descriptor ")


def test_sockets_are_named_by_their_addresses(counters):
    before = counters.read()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        with socket.create_connection(listening.getsockname()) as client:
            accepted, _ = listening.accept()
            with accepted:
                after = counters.read()
                lines = "\n".join(describe_new(before, after)["sockets"])
            port, own = listening.getsockname()[1], client.getsockname()[1]
    assert len(new_resources(before, after)["sockets"]) == 3
    assert f"127.0.0.1:{own} -> 127.0.0.1:{port} (descriptor " in lines


def test_threads_are_named(counters):
    before, stop = counters.read(), threading.Event()
    thread = threading.Thread(target=stop.wait, name="left-alone", daemon=True)
    thread.start()
    try:
        lines = describe_new(before, counters.read())
    finally:
        stop.set()
        thread.join()
    assert lines["threads"][0].startswith("left-alone, a daemon (thread ")
    assert "native-threads" not in lines


def test_children_are_named_by_their_command(counters):
    before = counters.read()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        lines = describe_new(before, counters.read())
        child.communicate(b"\n")
    assert lines["children"][0].startswith(f"{sys.executable} -c input() (process {child.pid}, ")


def test_tasks_of_any_loop_are_counted_until_they_are_done(counters):
    async def program():
        before = counters.read()
        task = asyncio.ensure_future(asyncio.sleep(1000))
        lines = describe_new(before, counters.read())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return lines, new_resources(before, counters.read())

    lines, rest = asyncio.run(program())
    assert lines["tasks"][0].startswith("<Task pending name=")
    assert rest == {}


def test_what_the_standard_library_keeps_for_itself_is_not_counted(counters):
    """The helper process of multiprocessing, and the threads of an event loop's own executor."""
    from multiprocessing import resource_tracker

    async def program():
        before = counters.read()
        await asyncio.to_thread(len, "abc")
        return new_resources(before, counters.read())

    before = counters.read()
    resource_tracker.ensure_running()
    assert new_resources(before, counters.read()) == {}
    assert asyncio.run(program()) == {}


def test_a_descriptor_number_that_is_given_out_again_is_a_new_thing(counters, tmp_path):
    first = os.open(tmp_path, os.O_RDONLY)
    before = counters.read()
    os.close(first)
    second = os.open(os.devnull, os.O_RDONLY)
    try:
        assert second == first
        assert new_resources(before, counters.read())["files"] == {(second, os.devnull): None}
    finally:
        os.close(second)


def test_the_users_own_are_numbers_or_things():
    lent = ["connection 1"]
    counters = ResourceCounter({"lent": lambda: lent, "jobs": lambda: len(lent)})
    before = counters.read()
    lent.append("connection 2")
    lines = describe_new(before, counters.read())
    assert lines == {"lent": ["'connection 2'"], "jobs": ["None"]} or lines["lent"] == ["'connection 2'"]
    assert len(new_resources(before, counters.read())["jobs"]) == 1


def test_a_name_that_perfguard_uses_itself_is_refused():
    with pytest.raises(
        ValueError, match="a counter cannot be named 'files': perfguard counts that itself; choose another name"
    ):
        ResourceCounter({"files": lambda: 0})


@pytest.mark.parametrize(
    ("kind", "count", "noun"),
    [("files", 1, "open file"), ("files", 2, "open files"), ("children", 0.1, "child processes"), ("lent", 1, "lent")],
)
def test_the_right_number_of_the_noun(kind, count, noun):
    assert noun_of(kind, count) == noun
