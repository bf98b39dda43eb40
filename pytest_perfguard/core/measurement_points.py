"""Measurement points: the calls of a test that are measured, and the interface of the server that measures them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, NamedTuple, Protocol, TypeVar, cast

from pytest_perfguard.core.units import parse_percent

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class SpeedClaim(NamedTuple):
    """The claim that `name` is faster than `rival` by at least the factor `by`."""

    name: str
    rival: str
    by: float


class PointServer(Protocol):
    """Serves measurement points: makes a call as often as the measurement needs, and returns the first result.

    `setup` is called untimed before every round; by default the marker's own setup is.
    """

    def measure(self, call: Callable[[], object], label: str, setup: Callable[[], object] | None = None) -> object: ...

    async def measure_async(
        self, call: Callable[[], Awaitable[object]], label: str, setup: Callable[[], object] | None = None
    ) -> object: ...

    def measure_claim(self, call: Callable[[], object], rival: Callable[[], object], claim: SpeedClaim) -> None: ...

    async def measure_claim_async(
        self, call: Callable[[], Awaitable[object]], rival: Callable[[], Awaitable[object]], claim: SpeedClaim
    ) -> None: ...

    @property
    def last_rounds(self) -> Sequence[float]:
        """Seconds per call in each round of the latest measurement; empty if nothing is measured."""


class CallOnce:
    """Serves measurement points where nothing is measured: makes each call once."""

    def measure(self, call: Callable[[], object], label: str, setup: Callable[[], object] | None = None) -> object:
        if setup is not None:
            setup()
        return call()

    async def measure_async(
        self, call: Callable[[], Awaitable[object]], label: str, setup: Callable[[], object] | None = None
    ) -> object:
        done = setup() if setup is not None else None
        if isinstance(done, Awaitable):
            await done
        return await call()

    def measure_claim(self, call: Callable[[], object], rival: Callable[[], object], claim: SpeedClaim) -> None:
        call()
        rival()

    async def measure_claim_async(
        self, call: Callable[[], Awaitable[object]], rival: Callable[[], Awaitable[object]], claim: SpeedClaim
    ) -> None:
        await call()
        await rival()

    @property
    def last_rounds(self) -> Sequence[float]:
        return ()

    def __str__(self) -> str:
        return "idle"


class NamedCall(Generic[R_co]):
    """A call of a test with a name, made by `perf_monitor.named(...)`."""

    def __init__(self, server: PointServer, name: str, call: Callable[[], R_co]) -> None:
        self._server = server
        self._call = call
        self.name = name

    def measure(self) -> R_co:
        """Measure the call under this name, as `perf_monitor.measure` does: `time:NAME`."""
        return cast(R_co, self._server.measure(self._call, self.name))

    async def measure_async(self: NamedCall[Awaitable[R]]) -> R:
        """Measure the call under this name, as `perf_monitor.measure_async` does."""
        return cast(R, await self._server.measure_async(self._call, self.name))

    def faster_than(self, rival: NamedCall[object], *, by: str | float = 1.0) -> None:
        """Claim that this call takes less time than `rival`. Every measuring mode judges the claim; a false one fails the test.

        Both calls are made in turn in one process, in slices of half a millisecond. The process is the unit of inference: further
        processes follow until the mean ratio is clear (docs/monitor.md).

        Parameters
        ----------
        by
            the minimum difference: `"20%"` less time, or a factor such as 1.5.
        """
        self._server.measure_claim(self._call, rival._call, self._claim(rival, by))

    async def faster_than_async(
        self: NamedCall[Awaitable[object]], rival: NamedCall[Awaitable[object]], *, by: str | float = 1.0
    ) -> None:
        """Make the claim of `faster_than` for two coroutine functions, in the running event loop."""
        await self._server.measure_claim_async(self._call, rival._call, self._claim(rival, by))

    def _claim(self, rival: NamedCall[object], by: str | float) -> SpeedClaim:
        return SpeedClaim(self.name, rival.name, factor_of(by))

    def __repr__(self) -> str:
        return f"<NamedCall {self.name}>"


def factor_of(by: str | float) -> float:
    """Return a factor: 1.25 for `"20%"` less time; a number is the factor itself."""
    if isinstance(by, str):
        share = parse_percent(by)
        if not share < 1:
            raise ValueError(f"by is {by!r}: no call takes 100 % less time or more")
        return 1 / (1 - share)
    if not 1 <= by < float("inf"):
        raise ValueError(f"by is {by!r}: give a factor of at least 1, or a percentage such as '20%'")
    return float(by)


def name_of(function: Callable[..., object]) -> str:
    """Return the name of a function; of another callable object, the name of its class."""
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)
