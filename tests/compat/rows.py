"""Made benchmarks."""

from __future__ import annotations

from pytest_perfguard.compat.fixture import BenchmarkedTest, BenchmarkFixture
from pytest_perfguard.compat.options import BenchmarkOptions
from pytest_perfguard.compat.strategies import Disabled


def finished(name, data=(1e-6, 2e-6, 3e-6), *, param=None, params=None, group=None, file="a.py"):
    """A benchmark with these rounds."""
    fixture = BenchmarkFixture(BenchmarkedTest(name, f"{file}::{name}", param, params), Disabled(), group=group)
    done = fixture.begin(10, BenchmarkOptions().as_data())
    done.set_rounds(list(data), 10)
    return done


def row(name, data=(1e-6, 2e-6, 3e-6), *, source=None, **given):
    """Its row in a table."""
    flat = finished(name, data, **given).as_dict(include_data=False, flat=True)
    return {**flat, "source": source, "path": source, "has_error": False}
