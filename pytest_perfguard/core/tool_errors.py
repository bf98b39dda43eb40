"""Errors of the tools that tests and services use directly: pools, caches, batches, streams, start-up, `benchmark`.

PerfguardError
|-- PoolError            an operation of a pool failed
|   |-- PoolTimeout      no object became available within the time limit
|   |   `-- TooManyWaiting   as many borrowers wait as the pool allows
|   |-- PoolClosed       the pool is closed, or is being closed
|   `-- NotLent          a released object is not in use
|-- CacheError           an operation of a cache failed
|   |-- CacheValueError  a key or a value cannot be stored and restored unchanged
|   |-- BrokenFile       the file was not a database, and has been moved aside
|   `-- UnwritableDisk   the disk is full, or does not accept what is written
|-- BatchError           a batch cannot be processed
|   |-- BatchTimeout     no result, or no room in the queue, within the time limit
|   |-- BatchClosed      the processor is closed
|   `-- BatchSizeError   the number of results differs from the number of items
|-- StreamError          a chunk of a stream could not be processed
|-- StartupError         a step of a program's start failed
|-- ImportBudgetError    an import loads too many modules or costs too much
|-- BenchmarkFileError   a file of pytest-benchmark cannot be read
`-- FixtureAlreadyUsed   a second measurement with the fixture `benchmark`; a RuntimeError
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_perfguard.core.errors import PerfguardError


class PoolError(PerfguardError):
    """An operation of the pool `pool` failed; `problem` is the reason."""

    def __init__(self, pool: str, problem: str) -> None:
        self.pool = pool
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.pool}: {self.problem}"


class PoolTimeout(PoolError, TimeoutError):
    """No object became available within the time limit."""


class TooManyWaiting(PoolTimeout):
    """As many borrowers wait as the pool allows (`max_waiting`): this one was refused at once."""


class PoolClosed(PoolError):
    """The pool is closed, or is being closed and has stopped lending."""


class NotLent(PoolError, ValueError):
    """A released object is not in use: it is not the pool's, or was released already."""


class CacheError(PerfguardError):
    """An operation of the cache `cache` failed; `problem` is the reason."""

    def __init__(self, cache: str, problem: str) -> None:
        self.cache = cache
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.cache}: {self.problem}"


class CacheValueError(CacheError, TypeError):
    """A key or a value cannot be stored and restored unchanged."""


class BatchError(PerfguardError):
    """A batch of the kind `kind` cannot be processed; `problem` is the reason."""

    def __init__(self, kind: str, problem: str) -> None:
        self.kind = kind
        self.problem = problem

    def __str__(self) -> str:
        return f"batch {self.kind}: {self.problem}"


class BatchTimeout(BatchError, TimeoutError):
    """No result, or no room in the queue, within the time limit."""


class BatchClosed(BatchError):
    """The processor is closed."""


class BatchSizeError(BatchError):
    """The number of results differs from the number of items, so that no result can be assigned."""


class StreamError(PerfguardError):
    """Chunk `number`, counted from 0, could not be processed: `problem`, which is also its `__cause__`.

    `first` is the number of its first item, or of its first byte in a file.
    """

    def __init__(self, number: int, first: int, problem: BaseException) -> None:
        self.number = number
        self.first = first
        self.problem = problem
        self.__cause__ = problem

    def __str__(self) -> str:
        return f"chunk {self.number} (from {self.first} on): {type(self.problem).__name__}: {self.problem}"


class StartupError(PerfguardError):
    """The step `step` of a program's start failed, or cannot run; `problem` is the reason.

    `report` is the `StartupReport` of the steps that ran, or None.
    """

    def __init__(self, step: str, problem: str) -> None:
        self.step = step
        self.problem = problem
        self.report: Any = None

    def __str__(self) -> str:
        return f"step {self.step}: {self.problem}" if self.step else self.problem


class ImportBudgetError(PerfguardError, AssertionError):
    """Importing `module` exceeds its budgets: `lines` has one line for each."""

    def __init__(self, module: str, lines: Sequence[str]) -> None:
        self.module = module
        self.lines = tuple(lines)

    def __str__(self) -> str:
        return "\n".join([f"import {self.module}:", *(f"    {line}" for line in self.lines)])


class BenchmarkFileError(PerfguardError):
    """The file `path` is not one that pytest-benchmark wrote; `problem` is the reason."""

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}; give a file that pytest --benchmark-json or --benchmark-save wrote"


class FixtureAlreadyUsed(PerfguardError, RuntimeError):
    """A test makes one measurement with the fixture; `before` names the first."""

    def __init__(self, before: str) -> None:
        self.before = before

    def __str__(self) -> str:
        return (
            f"Fixture can only be used once: {self.before} has made the one measurement of this test; write another "
            "test, or measure several calls with perf_monitor.measure"
        )
