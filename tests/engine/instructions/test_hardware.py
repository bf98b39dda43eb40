"""The hardware counter, driven through a recorded system call interface: no machine with a counter is needed."""

from __future__ import annotations

import struct

import pytest

from pytest_perfguard.engine.instructions import hardware as module
from pytest_perfguard.engine.instructions.hardware import (
    HardwareCounter,
    NoHardwareCounter,
    event_attribute,
    problem_with_hardware,
)


class Recorded:
    """Stands in for the kernel: it records the calls and plays the counts."""

    def __init__(self, *counts):
        self.counts = list(counts)
        self.calls = []

    def open(self, attribute):
        self.calls.append(("open", len(attribute)))
        return 7

    def control(self, descriptor, request):
        self.calls.append((descriptor, hex(request)))

    def read(self, descriptor):
        self.calls.append((descriptor, "read"))
        return self.counts.pop(0)


def test_a_counter_is_reset_enabled_disabled_and_read():
    kernel = Recorded(1234)
    counter = HardwareCounter(kernel)
    counter.start()
    assert counter.stop() == 1234
    assert kernel.calls == [("open", 64), (7, "0x2403"), (7, "0x2400"), (7, "0x2401"), (7, "read")]


def test_it_counts_instructions_in_user_space_also_those_of_new_threads():
    kind, size, config, _period, _sample, _read, flags = struct.unpack_from("=IIQQQQQ", event_attribute())
    assert (kind, size, config) == (0, 64, 1)
    assert flags == 1 << 0 | 1 << 1 | 1 << 5 | 1 << 6  # disabled, inherited, neither kernel nor hypervisor


def test_a_counter_that_counts_has_no_problem():
    assert problem_with_hardware(lambda: Recorded(5)) is None


def test_a_counter_that_stays_at_zero_is_refused():
    assert problem_with_hardware(lambda: Recorded(0)) == "the counter stays at 0"


def test_the_error_of_the_kernel_is_named():
    class Refusing(Recorded):
        def open(self, attribute):
            raise NoHardwareCounter("perf_event_open: Permission denied")

    problem = problem_with_hardware(Refusing)
    assert problem == "no hardware counter of instructions: perf_event_open: Permission denied"


def test_another_system_is_refused_without_a_call(monkeypatch):
    monkeypatch.setattr(module.platform, "system", lambda: "Darwin")
    with pytest.raises(NoHardwareCounter, match="not supported on Darwin"):
        module.KernelCalls().open(event_attribute())
