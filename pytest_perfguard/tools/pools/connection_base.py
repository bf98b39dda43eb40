"""Parameters and statistics that both connection pools share."""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

from pytest_perfguard.core.fork import keep_unclosed
from pytest_perfguard.core.stats.quantiles import quantile
from pytest_perfguard.core.tool_errors import PoolClosed, PoolTimeout
from pytest_perfguard.tools.pools.base import PoolBase, check_callable, initial_size, wait_limit
from pytest_perfguard.tools.pools.connection_state import ConnectionState
from pytest_perfguard.tools.pools.items import Actions, AlreadyPooled, Limits, PooledItem, Waiter

C = TypeVar("C")
#: Makes a connection; for the asynchronous pool it may be a coroutine function.
Connect = Callable[[], C | Awaitable[C]]

MIN_SIZE: Final = 2
MAX_SIZE: Final = 20
TIMEOUT: Final = 10.0
MAX_IDLE: Final = 30.0
MAX_LIFETIME: Final = 3600.0
CHECK_INTERVAL: Final = 60.0
MAX_CONNECTING: Final = 4
RECONNECT_TIMEOUT: Final = 300.0
#: Number of waits that are kept for their quantiles.
MAX_WAITS: Final = 1000
#: Maximum seconds between two rounds of maintenance.
MAX_SLEEP: Final = 5.0
#: Share by which lifetimes are shortened at random.
JITTER: Final = 0.1
_ONLY: Final = "the server"

_log = logging.getLogger("perfguard.pool")


@dataclass(frozen=True)
class ConnectionPoolStats:
    """Statistics of a connection pool. Waits are seconds, of the last 1,000 acquisitions that had to wait."""

    created: int
    """Since the pool was made, or since `pop_stats`; so are `destroyed`, `acquisitions` and `timeouts`."""
    destroyed: int
    acquisitions: int
    timeouts: int
    total: int
    """Connections, including those that are being made or checked."""
    in_use: int
    available: int
    waiting: int
    """Waiting borrowers."""
    connecting: int
    healthy: int
    """Targets whose last connection attempt succeeded."""
    waited: int
    """Number of acquisitions in the statistics of waits."""
    wait_p50: float
    wait_p95: float
    wait_max: float


class ConnectionPoolBase(PoolBase, Generic[C]):
    """Base class of the connection pools."""

    _state: ConnectionState[C]

    def __init__(
        self,
        connect: Connect[C] | None = None,
        *,
        targets: Mapping[str, Connect[C]] | None = None,
        configure: Callable[[C], object] | None = None,
        check: Callable[[C], object] | None = None,
        reset: Callable[[C], object] | None = None,
        commit: Callable[[C], object] | None = None,
        close: Callable[[C], object] | None = None,
        min_size: int | None = None,
        max_size: int = MAX_SIZE,
        max_connecting: int = MAX_CONNECTING,
        max_waiting: int = 0,
        timeout: float | None = TIMEOUT,
        max_idle: float = MAX_IDLE,
        max_lifetime: float = MAX_LIFETIME,
        check_interval: float = CHECK_INTERVAL,
        check_after: float = 0.0,
        reconnect_timeout: float = RECONNECT_TIMEOUT,
        reconnect_failed: Callable[[Any], object] | None = None,
        name: str = "connection pool",
        trace: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        min_size = initial_size(min_size, MIN_SIZE, max_size)
        self._connects = named_targets(connect, targets)
        durations = {
            "max_idle": max_idle, "max_lifetime": max_lifetime, "check_interval": check_interval,
            "reconnect_timeout": reconnect_timeout,
        }  # fmt: skip
        for parameter, seconds in durations.items():
            if not seconds > 0:
                raise ValueError(f"{parameter} is {seconds!r}: it must be more than 0 seconds")
        if not check_after >= 0:
            raise ValueError(f"check_after is {check_after!r}: it must be at least 0 seconds")
        if max_connecting < 1 or max_waiting < 0:
            raise ValueError(
                f"max_connecting is {max_connecting!r} and max_waiting {max_waiting!r}: they must be at least 1 and 0"
            )
        for parameter, call in self._calls(configure, check, reset, commit, close).items():
            check_callable(parameter, call)
        limits = Limits(min_size, max_size, max_idle, max_lifetime, JITTER, max_connecting)
        self._state = ConnectionState(str(name), limits, self._connects, random.random, max_waiting)
        self._configure, self._check, self._reset, self._commit = configure, check, reset, commit
        self._close: Callable[[C], object] = close or _close_method
        self._clock = clock
        self._timeout = wait_limit(timeout, timeout)
        self._check_interval = check_interval
        self._check_after = check_after
        self._next_check = clock() + check_interval
        self._reconnect_timeout = reconnect_timeout
        self._reconnect_failed = reconnect_failed
        self._trace = trace
        self._waits: deque[float] = deque(maxlen=MAX_WAITS)
        self._popped = (0, 0, 0, 0)
        super().__init__()
        self._prepare()

    def _prepare(self) -> None:
        """Prepare the parts of a kind of pool."""
        raise NotImplementedError

    @staticmethod
    def _calls(configure: object, check: object, reset: object, commit: object, close: object) -> dict[str, object]:
        return {"configure": configure, "check": check, "reset": reset, "commit": commit, "close": close}

    def stats(self) -> ConnectionPoolStats:
        """Return the statistics of this moment."""
        return self._read(self._current_stats)

    def pop_stats(self) -> ConnectionPoolStats:
        """Return the statistics since the last call, and begin the counters and the waits anew for the next one.

        `stats()` keeps counting from the start, but its waits begin anew.
        """
        return self._read(self._take_stats)

    def begin_anew(self) -> None:
        """Forget all connections without closing them, in a forked child: they belong to the parent process."""
        keep_unclosed(item.obj for item in self._state.checking.values())
        super().begin_anew()
        self._start_counting()

    def _start_counting(self) -> None:
        self._waits.clear()
        self._popped = (0, 0, 0, 0)

    def _current_stats(self) -> ConnectionPoolStats:
        state, waits = self._state, sorted(self._waits)
        shares = (quantile(waits, 0.5), quantile(waits, 0.95), waits[-1]) if waits else (0.0, 0.0, 0.0)
        healthy = sum(target.healthy for target in state.targets.by_name.values())
        return ConnectionPoolStats(
            state.created, state.destroyed, state.acquisitions, state.timeouts, state.size, len(state.in_use),
            len(state.idle), len(state.waiting), state.connecting, healthy, len(waits), *shares,
        )  # fmt: skip

    def _take_stats(self) -> ConnectionPoolStats:
        stats, before = self._current_stats(), self._popped
        self._popped = stats.created, stats.destroyed, stats.acquisitions, stats.timeouts
        self._waits.clear()
        created, destroyed, acquisitions, timeouts = (
            now - then for now, then in zip(self._popped, before, strict=True)
        )
        return replace(stats, created=created, destroyed=destroyed, acquisitions=acquisitions, timeouts=timeouts)

    def __repr__(self) -> str:
        state = self._state
        return (
            f"<{type(self).__name__} {state.name}: {len(state.idle)} available, {len(state.in_use)} in use, "
            f"{state.connecting} connecting, {len(state.waiting)} waiting{', closed' * state.closed}>"
        )

    def _must_check(self, item: PooledItem[C], now: float) -> bool:
        return now - item.idle_since >= self._check_after

    def _received(
        self, waiter: Waiter[C], start: float, seconds: float | None, *, nested: bool = False
    ) -> PooledItem[C]:
        """Return the item of a borrower that has waited since `start`, for at most `seconds`; where `nested`, not at all.

        Raises
        ------
        PoolTimeout, PoolClosed
        """
        self._waits.append(self._clock() - start)
        if self._step(self._state.time_out, waiter):
            if nested:
                raise self._nested_wait()
            raise PoolTimeout(self._state.name, self._read(lambda: self._timeout_text(seconds or 0.0)))
        if waiter.item is None:
            raise PoolClosed(self._state.name, "the pool was closed while a connection was waited for")
        return waiter.item

    def _timeout_text(self, seconds: float) -> str:
        """Return the problem of a borrower that waited in vain."""
        state = self._state
        text = (
            f"no connection came free within {seconds:g} s: {len(state.in_use)} of {state.limits.max_size} are in use, "
            f"{state.connecting} are being made, {len(state.waiting)} others wait"
        )
        problems = state.targets.problems()
        return f"{text}; the last attempt to connect failed: {problems}" if problems else text

    def _seconds_to_next(self, now: float) -> float:
        """Return the seconds until maintenance has work."""
        due = self._state.next_tick(now)
        # A connection that becomes idle meanwhile is due after `max_idle`, and does not wake the maintenance.
        pause = min(MAX_SLEEP, self._state.limits.max_idle / 2)
        times = [self._next_check, now + pause] + ([due] if due is not None else [])
        return max(0.0, min(times) - now)

    def _not_filled_text(self, seconds: float) -> str:
        state = self._state
        text = (
            f"{state.size - state.connecting} of {state.limits.min_size} connections were made within {seconds:g} s, "
            f"{state.connecting} are being made"
        )
        problems = state.targets.problems()
        return f"{text}; the last attempt to connect failed: {problems}" if problems else text

    def _lent_of(self, items: set[int]) -> int:
        return sum(id(item) in items for item in (*self._state.in_use.values(), *self._state.checking.values()))

    def _connected(self, target: str, connection: C) -> Actions[C]:
        try:
            return self._step(self._state.connected, target, connection, self._clock())
        except AlreadyPooled:
            raise self._already_pooled(self._connects[target], "connect") from None

    def _none_passed(self, seconds: float | None, failed: int) -> PoolTimeout:
        """Count a timeout and return the error of a borrower for whom no connection passed the check in time."""
        self._step(self._count_timeout)
        problem = f"no connection passed the check within {seconds or 0.0:g} s: {failed} failed it"
        return PoolTimeout(self._state.name, problem)

    def _count_timeout(self) -> None:
        self._state.timeouts += 1

    def _connect_failed(self, target: str, error: BaseException) -> tuple[Actions[C], bool]:
        """Record a failed attempt; return the actions, and whether `reconnect_failed` is to be called."""
        now, problem = self._clock(), _text(error)

        def step() -> tuple[Actions[C], bool]:
            actions = self._state.not_connected(target, now, problem)
            return actions, self._state.targets.outage_to_report(target, now, self._reconnect_timeout)

        return self._step(step)

    def _log_messages(self, actions: Actions[C]) -> None:
        for level, message in actions.log:
            _log.log(level, "%s: %s", self._state.name, message)

    def _log_failed(self, problem: str, error: BaseException) -> None:
        _log.info("%s: a connection %s: %s", self._state.name, problem, _text(error))


def named_targets(connect: Connect[C] | None, targets: Mapping[str, Connect[C]] | None) -> dict[str, Connect[C]]:
    """Return the functions that connect, by name.

    Raises
    ------
    ValueError
        both or neither are given.
    TypeError
        one of them cannot be called.
    """
    if bool(targets) == (connect is not None):
        raise ValueError("give either connect, or targets: a mapping of names to functions that connect")
    named = dict(targets) if targets else {_ONLY: connect}
    for name, call in named.items():
        check_callable("connect" if connect is not None else f"targets[{name!r}]", call, required=True)
    return {name: call for name, call in named.items() if call is not None}


def _text(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


def _close_method(connection: Any) -> object:
    return connection.close()
