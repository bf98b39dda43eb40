"""The errors of the tools that tests and services use directly: pools.

PerfguardError
`-- PoolError            a pool cannot do what it is asked to
    |-- PoolTimeout      nothing came free within the time
    |-- PoolClosed       the pool is closed, or is being closed
    `-- NotLent          something was given back that this pool has not lent
"""

from __future__ import annotations

from pytest_perfguard.errors import PerfguardError


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
