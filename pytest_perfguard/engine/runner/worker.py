"""The measuring process's side of a measurement point: obey the controller until it says go on."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial

from pytest_perfguard.core.errors import CannotCheck, ProtocolError
from pytest_perfguard.core.measurement_points import SpeedClaim
from pytest_perfguard.core.originals import CLOCKS
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.engine.leaks.check import LeakCheckOptions, examine
from pytest_perfguard.engine.leaks.findings import Examination
from pytest_perfguard.engine.leaks.heap_census import Owners
from pytest_perfguard.engine.leaks.meter import Meter
from pytest_perfguard.engine.leaks.open_resources import Counter
from pytest_perfguard.engine.measure.affinity import CpuAffinity
from pytest_perfguard.engine.measure.attribution import InstrumentFailed, attributed
from pytest_perfguard.engine.measure.executor import Step, Steps, describe, execute, execute_async
from pytest_perfguard.engine.measure.instruments import INSTRUMENTS, Instrument, Readings
from pytest_perfguard.engine.measure.isolation import quiet, thaw
from pytest_perfguard.engine.measure.messages import CallRaised, MeasureRequest, MeasureResult
from pytest_perfguard.engine.measure.tracers import in_the_way
from pytest_perfguard.engine.measure.user_metrics import Distribution, UserMetrics
from pytest_perfguard.engine.profile.messages import ProfileRequest
from pytest_perfguard.engine.runner.protocol import (
    MAX_MESSAGE_BYTES,
    CheckLeaks,
    FasterThanPoint,
    LeakCheckResult,
    Link,
    Message,
    PointReached,
    Resume,
    SetAffinity,
    decode,
    encode,
)


def _label_of(claim: SpeedClaim) -> str:
    return f"{claim.name}<{claim.rival}"


def _on_rival(steps: Instrument) -> Instrument:
    """The same steps, with the calls made of the rival."""
    timing: Timing | None = None
    while True:
        try:
            step = steps.send(timing) if timing is not None else next(steps)
        except StopIteration as stop:
            readings: Readings = stop.value
            return readings
        timing = yield step._replace(rival=True)


class PipeLink:
    """The child's end of the inherited pipe."""

    def __init__(self, descriptor: int) -> None:
        from multiprocessing.connection import Connection

        self._connection: Connection[bytes, bytes] = Connection(descriptor)

    def send(self, message: Message) -> None:
        try:
            self._connection.send_bytes(encode(message))
        except OSError:
            raise _CONTROLLER_GONE from None

    def receive(self) -> Message:
        try:
            return decode(self._connection.recv_bytes(MAX_MESSAGE_BYTES))
        except (EOFError, OSError):
            raise _CONTROLLER_GONE from None


#: Nobody is left to report to: end like on Ctrl-C, which tears the fixtures down.
_CONTROLLER_GONE = KeyboardInterrupt("the perfguard controller is gone")


class WorkerSession:
    """Serves the measurement points of one test over a link."""

    def __init__(
        self,
        link: Link,
        setup: Callable[[], object] | None,
        pinning: CpuAffinity,
        *,
        output: bool = True,
        records: bool = True,
        counters: Callable[[], Mapping[str, Counter]] = dict,
        distributions: Callable[[], Iterable[Distribution]] = tuple,
        forget: Callable[[], object] = lambda: None,
        owners: Callable[[], Owners] = Owners,
        quieting: Callable[..., AbstractContextManager[None]] = quiet,
    ) -> None:
        self._link = link
        self._setup = setup
        self._pinning = pinning
        self._keep_quiet = partial(quieting, output=output, records=records)
        self._counters = counters
        self._distributions = distributions
        self._forget = forget
        self._owners = owners
        self._labels: list[str] = []
        self.instruments: dict[str, None] = {}
        """What was active at the points of the test and could not be paused, in the order of its appearance."""
        self.last_rounds: Sequence[float] = ()
        """Of the latest request for times: seconds per call."""

    @property
    def points(self) -> int:
        """How many points the test has reached."""
        return len(self._labels)

    def measure(self, call: Callable[[], object], label: str, setup: Callable[[], object] | None = None) -> object:
        """Serve a point with a plain callable; returns what its first call returned."""
        with self._quiet():
            return execute(self._steps(label, memory=not hasattr(call, "time_itself")), call, setup or self._setup)

    async def measure_async(
        self, call: Callable[[], Awaitable[object]], label: str, setup: Callable[[], object] | None = None
    ) -> object:
        """Serve a point with a coroutine function, inside the running loop."""
        with self._quiet():
            return await execute_async(self._steps(label), call, setup or self._setup)

    def duel(self, call: Callable[[], object], rival: Callable[[], object], claim: SpeedClaim) -> None:
        """Serve a claim about two plain callables."""
        with self._quiet():
            execute(self._steps(_label_of(claim), claim), call, self._setup, rival)

    async def duel_async(
        self, call: Callable[[], Awaitable[object]], rival: Callable[[], Awaitable[object]], claim: SpeedClaim
    ) -> None:
        """Serve a claim about two coroutine functions, inside the running loop."""
        with self._quiet():
            await execute_async(self._steps(_label_of(claim), claim), call, self._setup, rival)

    @contextlib.contextmanager
    def _quiet(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            try:
                self.instruments |= dict.fromkeys(in_the_way())
                stack.enter_context(self._keep_quiet())
            except Exception as error:
                raise InstrumentFailed(describe(error)) from error
            yield

    def __str__(self) -> str:
        return "measuring"

    def _steps(self, label: str, claim: SpeedClaim | None = None, *, memory: bool = True) -> Steps:
        unique = self._unique(label)
        self._link.send(PointReached(unique, memory) if claim is None else FasterThanPoint(unique, *claim))
        self._probe = UserMetrics(self._distributions, self._forget)
        try:
            yield from self._obey()
        finally:
            self._pinning.release()

    def _obey(self) -> Steps:
        while True:
            request = self._link.receive()
            if isinstance(request, Resume):
                return
            if isinstance(request, SetAffinity):
                self._pinning.pin(request.cpu) if request.cpu >= 0 else self._pinning.release()
                continue
            try:
                answer: Message = yield from self._answered(request)
            except GeneratorExit:
                raise
            except ProtocolError:
                raise
            except InstrumentFailed as error:
                answer = CallRaised(str(error), by_instrument=True)
            except BaseException as error:  # whatever the measured code raised, pytest's outcomes included
                answer = CallRaised(describe(error))
            self._link.send(answer)

    def _answered(self, request: Message) -> Generator[Step, Timing, Message]:
        """Have it measured, or examined."""
        if isinstance(request, CheckLeaks):
            thaw()  # caches that are set aside could not be found
            start = CLOCKS.perf_counter_ns()
            meter = Meter(self._counters(), self._forget, self._owners)
            try:
                order = LeakCheckOptions(budget_ns=request.budget_ns, share=request.share)
                found = yield from attributed(examine(order, meter))
            except CannotCheck as error:
                found = Examination(0, unsettled=str(error))
            self.last_rounds = [(CLOCKS.perf_counter_ns() - start) / 1e9 / max(1, found.calls)]
            return LeakCheckResult(found)
        if isinstance(request, ProfileRequest):
            from pytest_perfguard.engine.profile.profiler import take_profile

            return (yield from attributed(take_profile(request)))
        if not isinstance(request, MeasureRequest) or request.instrument not in INSTRUMENTS:
            raise ProtocolError(f"expected Pin, Take, Examine or GoOn at a measurement point, got {request!r}")
        self._probe.drain()
        steps = INSTRUMENTS[request.instrument](request.iterations, request.rounds, self._probe, request.place)
        values = yield from attributed(_on_rival(steps) if request.rival else steps)
        if "time" in values:
            self.last_rounds = [ns / 1e9 / request.iterations for ns in values["time"]]
        return MeasureResult(values, self._probe.drain())

    def _unique(self, label: str) -> str:
        """`parse`, `parse#2`, ...: a test may measure the same function twice."""
        self._labels.append(label)
        count = self._labels.count(label)
        return label if count == 1 else f"{label}#{count}"
