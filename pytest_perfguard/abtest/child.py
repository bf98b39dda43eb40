"""The measuring process's side of a measurement point: obey the controller until it says go on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from functools import partial

from pytest_perfguard.abtest.protocol import (
    MAX_MESSAGE_BYTES,
    Examine,
    Found,
    GoOn,
    Link,
    Message,
    Pin,
    Point,
    decode,
    encode,
)
from pytest_perfguard.drive import Step, Steps, Timing, describe, drive, drive_async
from pytest_perfguard.errors import CannotCheck, ProtocolError
from pytest_perfguard.leaks.check import Order, examine
from pytest_perfguard.leaks.counters import Counter
from pytest_perfguard.leaks.findings import Examination
from pytest_perfguard.leaks.meter import Meter
from pytest_perfguard.measure.instruments import INSTRUMENTS
from pytest_perfguard.measure.pinning import Pinning
from pytest_perfguard.measure.plan import Raised, Take, Taken
from pytest_perfguard.measure.quiet import quiet, thaw


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


class Conversation:
    """Serves the measurement points of one test over a link."""

    def __init__(
        self,
        link: Link,
        setup: Callable[[], object] | None,
        pinning: Pinning,
        *,
        output: bool = True,
        records: bool = True,
        counters: Callable[[], Mapping[str, Counter]] = dict,
    ) -> None:
        self._link = link
        self._setup = setup
        self._pinning = pinning
        self._quiet = partial(quiet, output=output, records=records)
        self._counters = counters
        self._labels: list[str] = []

    @property
    def points(self) -> int:
        """How many points the test has reached."""
        return len(self._labels)

    def measure(self, call: Callable[[], object], label: str) -> object:
        """Serve a point with a plain callable; returns what its first call returned."""
        with self._quiet():
            return drive(self._steps(label), call, self._setup)

    async def measure_async(self, call: Callable[[], Awaitable[object]], label: str) -> object:
        """Serve a point with a coroutine function, inside the running loop."""
        with self._quiet():
            return await drive_async(self._steps(label), call, self._setup)

    def _steps(self, label: str) -> Steps:
        self._link.send(Point(self._unique(label)))
        try:
            yield from self._obey()
        finally:
            self._pinning.release()

    def _obey(self) -> Steps:
        while True:
            request = self._link.receive()
            if isinstance(request, GoOn):
                return
            if isinstance(request, Pin):
                self._pinning.pin(request.cpu) if request.cpu >= 0 else self._pinning.release()
                continue
            try:
                answer: Message = yield from self._answered(request)
            except GeneratorExit:
                raise
            except ProtocolError:
                raise
            except BaseException as error:  # whatever the measured code raised, pytest's outcomes included
                answer = Raised(describe(error))
            self._link.send(answer)

    def _answered(self, request: Message) -> Generator[Step, Timing, Message]:
        """Have it measured, or examined."""
        if isinstance(request, Examine):
            thaw()  # caches that are set aside could not be found
            try:
                return Found((yield from examine(Order(budget_ns=request.budget_ns), Meter(self._counters()))))
            except CannotCheck as error:
                return Found(Examination(0, unsettled=str(error)))
        if not isinstance(request, Take) or request.instrument not in INSTRUMENTS:
            raise ProtocolError(f"expected Pin, Take, Examine or GoOn at a measurement point, got {request!r}")
        return Taken((yield from INSTRUMENTS[request.instrument](request.iterations, request.rounds)))

    def _unique(self, label: str) -> str:
        """`parse`, `parse#2`, ...: a test may measure the same function twice."""
        self._labels.append(label)
        count = self._labels.count(label)
        return label if count == 1 else f"{label}#{count}"
