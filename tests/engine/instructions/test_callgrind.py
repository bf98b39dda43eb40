"""The requests to callgrind: which are made, and that the machine code does nothing on a real CPU."""

from __future__ import annotations

import platform

import pytest

from pytest_perfguard.engine.instructions import callgrind as module
from pytest_perfguard.engine.instructions.callgrind import (
    DUMP_STATS,
    MACHINE_CODE,
    RUNNING_ON_VALGRIND,
    START_INSTRUMENTATION,
    STOP_INSTRUMENTATION,
    CallgrindCounter,
    NotUnderCallgrind,
)


def test_a_counter_starts_the_instrumentation_and_numbers_its_dumps():
    requests = []
    counter = CallgrindCounter(lambda number: requests.append(number) or 1)
    counter.start()
    assert counter.stop() == 2  # the first dump sets the counters to zero
    counter.start()
    assert counter.stop() == 4
    counter.close()
    assert requests == [RUNNING_ON_VALGRIND, START_INSTRUMENTATION, *[DUMP_STATS] * 4, STOP_INSTRUMENTATION]


def test_a_process_outside_of_valgrind_is_refused():
    with pytest.raises(NotUnderCallgrind, match="does not run under valgrind"):
        CallgrindCounter(lambda _number: 0)


@pytest.mark.skipif(platform.machine() not in MACHINE_CODE, reason="no request sequence for this machine")
def test_the_code_returns_the_default_on_a_real_cpu():
    assert module._request_function(MACHINE_CODE[platform.machine()])(RUNNING_ON_VALGRIND) == 0


def test_a_machine_without_a_sequence_is_refused(monkeypatch):
    monkeypatch.setattr(module.platform, "machine", lambda: "riscv64")
    with pytest.raises(NotUnderCallgrind):
        module.callgrind_counter.__wrapped__()


def test_the_sequences_are_whole_instructions():
    assert len(MACHINE_CODE["x86_64"]) == 28
    assert len(MACHINE_CODE["aarch64"]) % 4 == 0
