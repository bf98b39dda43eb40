"""A monitor with a clock that the test moves."""

from __future__ import annotations

import pytest

from pytest_perfguard import PerformanceMonitor


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def monitor(clock):
    return PerformanceMonitor(clock=clock)
