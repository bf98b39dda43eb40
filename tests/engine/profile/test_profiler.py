"""The instruments on real calls: counts, names, stacks and lines, which no clock changes."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from pytest_perfguard.core.errors import ProtocolError
from pytest_perfguard.engine.measure.executor import execute, execute_async
from pytest_perfguard.engine.profile.calls import calibrated
from pytest_perfguard.engine.profile.messages import ProfileRequest
from pytest_perfguard.engine.profile.model import AllocationProfile, CallProfile, Function, StackSamples
from pytest_perfguard.engine.profile.profiler import take_profile

ROOT = os.fspath(Path(__file__).parent)
HERE = Path(__file__).name


def steps_of(kind, iterations, found):
    found.append((yield from take_profile(ProfileRequest(kind, iterations, ROOT))).profile)


def taken(kind, call, iterations=3, setup=None):
    found = []
    execute(steps_of(kind, iterations, found), call, setup)
    return found[0]


def calls(call, iterations=3):
    return CallProfile.from_json(taken("calls", call, iterations))


def mine(name):
    return Function(HERE, name, ours=True)


def inner(n):
    return len([n])


def outer():
    return sum(inner(n) for n in range(5))


class Thing:
    def method(self):
        return sorted([3, 1, 2], key=lambda n: -n)


def test_calls_per_iteration_are_exact():
    found = calls(outer)
    assert found.costs[mine("inner")].calls == 5
    assert found.costs[mine("outer")].calls == 1
    assert found.costs[Function("builtins", "len", ours=False)].calls == 5
    assert found.edges[mine("outer"), mine("inner")].calls == 5


def test_comprehensions_and_lambdas_are_part_of_their_function():
    names = {function.name for function in calls(lambda: [outer(), Thing().method()]).costs if function.ours}
    assert {"inner", "outer", "Thing.method"} <= names
    assert not any("<genexpr>" in name or "method.<lambda>" in name for name in names)


def test_the_line_and_the_end_of_a_function():
    cost = calls(outer).costs[mine("inner")]
    assert cost.line == inner.__code__.co_firstlineno
    assert cost.end == cost.line + 1


def test_a_generator_is_resumed():
    def rows():
        yield from range(4)

    found = calls(lambda: list(rows()))
    (cost,) = [cost for function, cost in found.costs.items() if function.name.endswith("rows")]
    assert cost.resumed
    assert cost.calls == 5


def test_threads_that_start_meanwhile_are_profiled():
    def in_thread():
        thread = threading.Thread(target=outer)
        thread.start()
        thread.join()

    found = calls(in_thread)
    if found.threads:  # from Python 3.12 on, one profiler sees all threads
        assert found.threads == 3
    assert found.costs[mine("inner")].calls == 5


def test_the_overhead_of_the_profiler_is_a_fraction_of_a_microsecond_or_few():
    assert all(0 <= seconds < 1e-4 for seconds in calibrated())
    assert calibrated() is calibrated()


def test_set_up_is_not_profiled():
    found = []
    execute(steps_of("calls", 1, found), outer, lambda: Thing().method())
    assert mine("Thing.method") not in CallProfile.from_json(found[0]).costs


def wait_here():
    time.sleep(0.1)


def test_samples_have_the_stack_of_the_measured_call():
    samples = StackSamples.from_json(taken("samples", lambda: wait_here(), 2))
    assert samples.count > 0
    heaviest = max(samples.stacks, key=lambda stack: samples.stacks[stack])
    assert heaviest[-1] == mine("wait_here")
    assert all(function.place == HERE for function in heaviest)


async def fetch():
    await asyncio.sleep(0.1)


async def fetch_twice():
    await fetch()
    await fetch()


def test_a_coroutine_that_waits_is_what_samples_show():
    async def main():
        found = []
        await execute_async(steps_of("samples", 1, found), fetch_twice, None)
        return StackSamples.from_json(found[0])

    samples = asyncio.run(main())
    assert any(mine("fetch") in stack and mine("fetch_twice") in stack for stack in samples.stacks)
    samples = StackSamples.from_json(taken("samples", lambda: asyncio.run(fetch_twice()), 1))
    assert any(mine("fetch") in stack for stack in samples.stacks)


def test_a_thread_that_waits_in_c_code_hides_no_coroutine():
    reader, writer = socket.socketpair()
    thread = threading.Thread(target=lambda: reader.recv(1))
    thread.start()

    async def main():
        found = []
        await execute_async(steps_of("samples", 1, found), fetch_twice, None)
        return StackSamples.from_json(found[0])

    samples = asyncio.run(main())
    writer.send(b"x")
    thread.join()
    reader.close()
    writer.close()
    assert any(mine("fetch") in stack and mine("fetch_twice") in stack for stack in samples.stacks)


def test_a_thread_that_computes_is_what_samples_show_while_the_caller_waits():
    def threaded():
        thread = threading.Thread(target=wait_here)
        thread.start()
        thread.join()

    samples = StackSamples.from_json(taken("samples", threaded, 1))
    assert any(mine("wait_here") in stack for stack in samples.stacks)


KEPT = []


def build():
    rows = [bytes(1000) for _ in range(100)]
    return len(rows)


def leave():
    KEPT.append(bytearray(10))


def test_the_line_that_holds_the_memory_at_the_peak():
    found = AllocationProfile.from_json(taken("memory", build, 2))
    line, size = max(found.sizes.items(), key=lambda item: item[1])
    assert (line.place, line.name) == (HERE, "build")
    assert line.text.startswith("rows = [bytes(1000)")
    assert found.lines[line] == build.__code__.co_firstlineno + 1
    assert 100_000 < size < 150_000


def test_the_line_that_leaves_blocks_behind():
    found = AllocationProfile.from_json(taken("memory", leave, 2))
    line, blocks = max(found.kept.items(), key=lambda item: item[1])
    assert line.name == "leave"
    assert blocks >= 1


def test_a_kind_that_does_not_exist_is_refused():
    with pytest.raises(ProtocolError, match=r"'heap' is no kind of profile \(valid: calls, samples, memory\)"):
        taken("heap", outer)
