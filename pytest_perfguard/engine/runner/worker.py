"""The measuring process's side of a measurement point: respond to the controller's requests until it sends `Resume`."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

from pytest_perfguard.core.errors import CannotCheck, CannotCount, ProtocolError
from pytest_perfguard.core.measurement_points import SpeedClaim
from pytest_perfguard.core.originals import CLOCKS
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.engine.leaks.check import LeakCheckOptions, check_leaks
from pytest_perfguard.engine.leaks.levels import LevelReader
from pytest_perfguard.engine.leaks.open_resources import UserCounter
from pytest_perfguard.engine.leaks.reference_graph import FixtureValues
from pytest_perfguard.engine.leaks.results import LeakReport
from pytest_perfguard.engine.measure.affinity import CpuAffinity
from pytest_perfguard.engine.measure.attribution import InstrumentFailed, attribute_errors
from pytest_perfguard.engine.measure.executor import CallStep, CallSteps, error_line, execute, execute_async
from pytest_perfguard.engine.measure.instruments import INSTRUMENTS, Instrument, Readings
from pytest_perfguard.engine.measure.isolation import isolate, unfreeze_heap
from pytest_perfguard.engine.measure.messages import CallRaised, MeasureRequest, MeasureResult
from pytest_perfguard.engine.measure.tracers import unpausable_tracers
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


class PipeLink:
    """The measuring process's end of the inherited pipe."""

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


#: Raised when the controller is gone: ends the process like Ctrl-C, which tears the fixtures down.
_CONTROLLER_GONE = KeyboardInterrupt("the perfguard controller is gone")


class WorkerSession:
    """Serves the measurement points of one test over a link.

    Parameters
    ----------
    setup
        the test's own set-up, called untimed before every round.
    isolation
        makes the context in which points are measured.
    counters
        returns the test's own resource counters, by name.
    distributions
        returns the timers and histograms that the test records.
    forget
        releases what recording keeps in memory.
    fixtures
        returns the values of the fixtures that are set up.
    """

    def __init__(
        self,
        link: Link,
        setup: Callable[[], object] | None,
        affinity: CpuAffinity,
        *,
        counters: Callable[[], Mapping[str, UserCounter]] = dict,
        distributions: Callable[[], Iterable[Distribution]] = tuple,
        forget: Callable[[], object] = lambda: None,
        fixtures: Callable[[], FixtureValues] = FixtureValues,
        isolation: Callable[[], AbstractContextManager[None]] = isolate,
    ) -> None:
        self._link = link
        self._setup = setup
        self._affinity = affinity
        self._isolate = isolation
        self._counters = counters
        self._distributions = distributions
        self._forget = forget
        self._fixtures = fixtures
        self._labels: list[str] = []
        self.interferences: dict[str, None] = {}
        """Tools and settings that were active at the points and could not be paused, in order of appearance."""
        self.last_rounds: Sequence[float] = ()
        """Seconds per call in each round of the latest request for times."""

    @property
    def points(self) -> int:
        """Number of points that the test has reached."""
        return len(self._labels)

    def measure(self, call: Callable[[], object], label: str, setup: Callable[[], object] | None = None) -> object:
        """Serve a point with a plain callable; return the result of its first call."""
        with self._isolated():
            return execute(self._steps(label, memory=not hasattr(call, "time_itself")), call, setup or self._setup)

    async def measure_async(
        self, call: Callable[[], Awaitable[object]], label: str, setup: Callable[[], object] | None = None
    ) -> object:
        """Serve a point with a coroutine function, inside the running event loop."""
        with self._isolated():
            return await execute_async(self._steps(label), call, setup or self._setup)

    def measure_claim(self, call: Callable[[], object], rival: Callable[[], object], claim: SpeedClaim) -> None:
        """Serve a claim that one plain callable is faster than another."""
        with self._isolated():
            execute(self._steps(_claim_label(claim), claim), call, self._setup, rival)

    async def measure_claim_async(
        self, call: Callable[[], Awaitable[object]], rival: Callable[[], Awaitable[object]], claim: SpeedClaim
    ) -> None:
        """Serve a claim that one coroutine function is faster than another, inside the running event loop."""
        with self._isolated():
            await execute_async(self._steps(_claim_label(claim), claim), call, self._setup, rival)

    @contextlib.contextmanager
    def _isolated(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            try:
                self.interferences |= dict.fromkeys(unpausable_tracers())
                stack.enter_context(self._isolate())
            except Exception as error:
                raise InstrumentFailed(error_line(error)) from error
            yield

    def __str__(self) -> str:
        return "measuring"

    def _steps(self, label: str, claim: SpeedClaim | None = None, *, memory: bool = True) -> CallSteps:
        unique = self._unique(label)
        self._link.send(PointReached(unique, memory) if claim is None else FasterThanPoint(unique, *claim))
        try:
            yield from self._serve(UserMetrics(self._distributions, self._forget))
        finally:
            self._affinity.release()

    def _serve(self, user_metrics: UserMetrics) -> CallSteps:
        """Respond to requests until the controller resumes the test."""
        while True:
            request = self._link.receive()
            if isinstance(request, Resume):
                return
            if isinstance(request, SetAffinity):
                self._affinity.pin(request.cpu) if request.cpu >= 0 else self._affinity.release()
                continue
            try:
                response: Message = yield from self._respond(request, user_metrics)
            except GeneratorExit:
                raise
            except ProtocolError:
                raise
            except (InstrumentFailed, CannotCount) as error:
                response = CallRaised(str(error), by_instrument=True)
            except BaseException as error:  # raised by the measured code: a runner's outcomes are no Exceptions
                response = CallRaised(error_line(error))
            self._link.send(response)

    def _respond(self, request: Message, user_metrics: UserMetrics) -> Generator[CallStep, Timing, Message]:
        """Measure or check as requested; return the response."""
        if isinstance(request, CheckLeaks):
            return (yield from self._check_leaks(request))
        if isinstance(request, ProfileRequest):
            from pytest_perfguard.engine.profile.profiler import take_profile

            return (yield from attribute_errors(take_profile(request)))
        if not isinstance(request, MeasureRequest) or request.instrument not in INSTRUMENTS:
            raise ProtocolError(
                f"expected SetAffinity, MeasureRequest, CheckLeaks, ProfileRequest or Resume at a measurement point, got {request!r}"
            )
        user_metrics.drain()
        instrument = INSTRUMENTS[request.instrument]
        steps = instrument(request.iterations, request.rounds, user_metrics, request.first_round)
        start = CLOCKS.perf_counter_ns()
        values = yield from attribute_errors(_with_rival(steps) if request.rival else steps)
        if "time" in values:
            self.last_rounds = [ns / 1e9 / request.iterations for ns in values["time"]]
        elif not self.last_rounds:  # a test that is counted is never timed
            calls = max(1, request.iterations * request.rounds)
            self.last_rounds = [(CLOCKS.perf_counter_ns() - start) / 1e9 / calls] * request.rounds
        return MeasureResult(values, user_metrics.drain())

    def _check_leaks(self, request: CheckLeaks) -> Generator[CallStep, Timing, LeakCheckResult]:
        unfreeze_heap()  # frozen caches could not be found
        start = CLOCKS.perf_counter_ns()
        reader = LevelReader(self._counters(), self._forget, self._fixtures)
        try:
            options = LeakCheckOptions(budget_ns=request.budget_ns, share=request.share)
            report = yield from attribute_errors(check_leaks(options, reader))
        except CannotCheck as error:
            report = LeakReport(0, unsettled=str(error))
        self.last_rounds = [(CLOCKS.perf_counter_ns() - start) / 1e9 / max(1, report.calls)]
        return LeakCheckResult(report)

    def _unique(self, label: str) -> str:
        """Return `parse`, `parse#2`, ...: a test may measure the same function more than once."""
        self._labels.append(label)
        count = self._labels.count(label)
        return label if count == 1 else f"{label}#{count}"


def _claim_label(claim: SpeedClaim) -> str:
    return f"{claim.name}<{claim.rival}"


def _with_rival(steps: Instrument) -> Instrument:
    """Yield the same steps, directed to the rival."""
    timing: Timing | None = None
    while True:
        try:
            step = steps.send(timing) if timing is not None else next(steps)
        except StopIteration as stop:
            readings: Readings = stop.value
            return readings
        timing = yield step._replace(rival=True)
