"""The errors of the tools that tests and services use directly: pools, caches, batches, streams, start-up, `benchmark`.

PerfguardError
|-- PoolError            a pool cannot do what it is asked to
|   |-- PoolTimeout      nothing came free within the time
|   |-- PoolClosed       the pool is closed, or is being closed
|   `-- NotLent          something was given back that this pool has not lent
|-- CacheError           a cache cannot do what it is asked to
|   `-- CacheValueError  a key or a value that the cache could not give back as it is
|-- BatchError           a batch cannot be processed
|   |-- BatchTimeout     no result, or no room in the queue, within the time
|   |-- BatchClosed      the processor is closed
|   `-- BatchSizeError   the processor returned another number of results than it was given items
|-- StreamError          a chunk of a stream could not be processed
|-- StartupError         a step of a program's start failed
|-- ImportBudgetError    an import loads or costs more than it may
|-- BenchmarkFileError   a file of pytest-benchmark cannot be read
`-- FixtureAlreadyUsed   a second measurement with the fixture `benchmark`; a RuntimeError
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_perfguard.core.errors import PerfguardError


class PoolError(PerfguardError):
    """The pool `pool` cannot do what it is asked to; `problem` says why."""

    def __init__(self, pool: str, problem: str) -> None:
        self.pool = pool
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.pool}: {self.problem}"


class PoolTimeout(PoolError, TimeoutError):
    """Nothing came free within the time."""


class PoolClosed(PoolError):
    """The pool is closed, or lends nothing any more because it is being closed."""


class NotLent(PoolError, ValueError):
    """Something was given back that the pool has not lent: it is not the pool's, or was given back already."""


class CacheError(PerfguardError):
    """The cache `cache` cannot do what it is asked to; `problem` says why."""

    def __init__(self, cache: str, problem: str) -> None:
        self.cache = cache
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.cache}: {self.problem}"


class CacheValueError(CacheError, TypeError):
    """A key or a value cannot be kept such that it comes back as it is."""


class BatchError(PerfguardError):
    """The batch `kind` cannot be processed; `problem` says why."""

    def __init__(self, kind: str, problem: str) -> None:
        self.kind = kind
        self.problem = problem

    def __str__(self) -> str:
        return f"batch {self.kind}: {self.problem}"


class BatchTimeout(BatchError, TimeoutError):
    """No result, or no room in the queue, within the time."""


class BatchClosed(BatchError):
    """The processor is closed."""


class BatchSizeError(BatchError):
    """The processor returned another number of results than it was given items: whose they are cannot be known."""


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
    """The step `step` of a program's start failed, or cannot be done; `problem` says why.

    `report` is a `StartupReport` of all that was done, where something was.
    """

    def __init__(self, step: str, problem: str) -> None:
        self.step = step
        self.problem = problem
        self.report: Any = None

    def __str__(self) -> str:
        return f"step {self.step}: {self.problem}" if self.step else self.problem


class ImportBudgetError(PerfguardError, AssertionError):
    """Importing `module` loads or costs more than it may: one of the `lines` for each budget that was passed."""

    def __init__(self, module: str, lines: Sequence[str]) -> None:
        self.module = module
        self.lines = tuple(lines)

    def __str__(self) -> str:
        return "\n".join([f"import {self.module}:", *(f"    {line}" for line in self.lines)])


class BenchmarkFileError(PerfguardError):
    """The file `path` does not hold what pytest-benchmark writes; `problem` says what is wrong."""

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}; give a file that pytest --benchmark-json or --benchmark-save wrote"


class FixtureAlreadyUsed(PerfguardError, RuntimeError):
    """The fixture of one test has one measurement; it was used before, in the way that `before` names."""

    def __init__(self, before: str) -> None:
        self.before = before

    def __str__(self) -> str:
        return (
            f"Fixture can only be used once: {self.before} has made the one measurement of this test; write another "
            "test, or measure several calls with perf_monitor.measure"
        )
