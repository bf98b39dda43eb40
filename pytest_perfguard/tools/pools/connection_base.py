"""What both connection pools have in common: their parameters, their numbers, what they say of themselves."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from pytest_perfguard.core.stats.quantiles import quantile
from pytest_perfguard.tools.pools.base import PoolBase
from pytest_perfguard.tools.pools.connection_state import ConnectionState
from pytest_perfguard.tools.pools.items import Limits, PooledItem
from pytest_perfguard.tools.pools.objects import least_size

C = TypeVar("C")
#: Makes a connection; for the asynchronous pool it may be a coroutine function.
Connect = Callable[[], C | Awaitable[C]]

MIN_SIZE: Final = 2
MAX_SIZE: Final = 20
TIMEOUT: Final = 10.0
MAX_IDLE: Final = 30.0
MAX_LIFETIME: Final = 3600.0
CHECK_INTERVAL: Final = 60.0
#: Waits that are kept for their quantiles.
WAITS: Final = 1000
#: However seldom something is due, who looks after the pool looks so often.
MOST_SLEEP: Final = 5.0
#: Lifetimes are shortened by up to this share.
JITTER: Final = 0.1
_ONLY: Final = "the server"


@dataclass(frozen=True)
class ConnectionPoolStats:
    """Numbers of a connection pool. Waits are seconds, of the last 1,000 acquisitions that had to wait."""

    created: int
    """Ever."""
    destroyed: int
    acquisitions: int
    timeouts: int
    total: int
    """Those that are being made or checked included."""
    in_use: int
    available: int
    waiting: int
    """Borrowers."""
    connecting: int
    healthy: int
    """Targets that connections can be made to, as far as is known."""
    waited: int
    """Acquisitions of the last that had to wait."""
    wait_p50: float
    wait_p95: float
    wait_max: float


class ConnectionPoolBase(PoolBase, Generic[C]):
    """Not to be used by itself."""

    def __init__(
        self,
        connect: Connect[C] | None = None,
        *,
        targets: Mapping[str, Connect[C]] | None = None,
        check: Callable[[C], object] | None = None,
        reset: Callable[[C], object] | None = None,
        close: Callable[[C], object] | None = None,
        min_size: int | None = None,
        max_size: int = MAX_SIZE,
        timeout: float | None = TIMEOUT,
        max_idle: float = MAX_IDLE,
        max_lifetime: float = MAX_LIFETIME,
        check_interval: float = CHECK_INTERVAL,
        check_after: float = 0.0,
        name: str = "connection pool",
        trace: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        min_size = least_size(min_size, MIN_SIZE, max_size)
        self._connects = named_targets(connect, targets)
        for what, seconds in (
            ("max_idle", max_idle),
            ("max_lifetime", max_lifetime),
            ("check_interval", check_interval),
        ):
            if not seconds > 0:
                raise ValueError(f"{what} is {seconds!r}: it must be more than 0 seconds")
        limits = Limits(min_size, max_size, max_idle, max_lifetime, JITTER)
        self._state: ConnectionState[C] = ConnectionState(name, limits, self._connects, random.random)
        self._guard: AbstractContextManager[object] = nullcontext()
        self._check, self._reset = check, reset
        self._close: Callable[[C], object] = close or _close_method
        self._clock = clock
        self._timeout = timeout
        self._check_interval = check_interval
        self._check_after = check_after
        self._next_check = clock() + check_interval
        self._trace = trace
        self._waits: deque[float] = deque(maxlen=WAITS)
        self._prepare()

    def _prepare(self) -> None:
        """What a kind of pool needs beyond that."""

    def stats(self) -> ConnectionPoolStats:
        """The numbers of this moment."""
        with self._guard:
            state, waits = self._state, sorted(self._waits)
            shares = (quantile(waits, 0.5), quantile(waits, 0.95), waits[-1]) if waits else (0.0, 0.0, 0.0)
            healthy = sum(target.healthy for target in state.targets.by_name.values())
            return ConnectionPoolStats(
                state.created, state.destroyed, state.acquisitions, state.timeouts, state.size, len(state.lent),
                len(state.idle), len(state.waiting), state.connecting, healthy, len(waits), *shares,
            )  # fmt: skip

    def __repr__(self) -> str:
        with self._guard:
            state = self._state
            return (
                f"<{type(self).__name__} {state.name}: {len(state.idle)} available, {len(state.lent)} in use, "
                f"{state.connecting} connecting, {len(state.waiting)} waiting{', closed' * state.closed}>"
            )

    def _seconds(self, timeout: float | None) -> float | None:
        """How long to wait; -1 stands for the pool's own limit."""
        return self._timeout if timeout == -1 else timeout

    def _must_check(self, entry: PooledItem[C], now: float) -> bool:
        return now - entry.idle_since >= self._check_after

    def _timeout_text(self, seconds: float) -> str:
        """What is said to who has waited in vain."""
        state = self._state
        told = (
            f"no connection came free within {seconds:g} s: {len(state.lent)} of {state.limits.max_size} are in use, "
            f"{state.connecting} are being made, {len(state.waiting)} others wait"
        )
        problems = state.targets.problems()
        return f"{told}; the last attempt to connect failed: {problems}" if problems else told

    def _sleep(self, now: float) -> float:
        """Seconds until something is due."""
        due = self._state.next_tick(now)
        # What becomes idle meanwhile is due after `max_idle`, and nobody is woken up for it.
        often = min(MOST_SLEEP, self._state.limits.max_idle / 2)
        times = [self._next_check, now + often] + ([due] if due is not None else [])
        return max(0.0, min(times) - now)


def named_targets(connect: Connect[C] | None, targets: Mapping[str, Connect[C]] | None) -> dict[str, Connect[C]]:
    """One way to connect, or several by name.

    Raises
    ------
    ValueError
        where both or neither are given.
    """
    if targets:
        if connect is None:
            return dict(targets)
    elif connect is not None:
        return {_ONLY: connect}
    raise ValueError("give either connect, or targets: a mapping of names to functions that connect")


def _close_method(connection: Any) -> object:
    return connection.close()
