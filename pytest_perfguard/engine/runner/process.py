"""The controller's handle on one measuring process: start, ask, end. It knows no test and no plan."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Final, TypeVar

from pytest_perfguard.core.errors import (
    ChildDied,
    ChildError,
    ChildTimedOut,
    PerfguardError,
    ProtocolError,
)
from pytest_perfguard.core.system_errors import explain_error
from pytest_perfguard.engine.measure.attribution import ReadingFailed
from pytest_perfguard.engine.measure.messages import CallRaised, MeasureRequest, MeasureResult
from pytest_perfguard.engine.runner.interpreter_flags import interpreter_flags
from pytest_perfguard.engine.runner.protocol import (
    MAX_MESSAGE_BYTES,
    CheckLeaks,
    Hello,
    LeakCheckResult,
    Message,
    Ready,
    RecheckLeaks,
    Shutdown,
    decode,
    encode,
)

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

#: Imports, conftests and the collection of the files that hold perf tests; a large project takes its time.
START_TIMEOUT: Final = 300.0
#: After the last word a child only tears down what its session holds.
STOP_TIMEOUT: Final = 30.0
#: After an interrupt a process may tear down its fixtures for so many seconds.
INTERRUPT_TIMEOUT: Final = 5.0
MAX_LOG_LINES: Final = 25
#: What a process does first.
STARTING_ACTIVITY: Final = "starting and collecting"

_Response = TypeVar("_Response", MeasureResult, LeakCheckResult)

#: Starts pytest with the parent's import path, which `python -m pytest` and `pytest` do not share; or with the
#: interpreter's own, without the current folder that `-c` puts before it unless `-I` or `-P` forbids that. Before
#: anything is imported, a random number of objects of every size is allocated and kept, so that what is imported lies
#: elsewhere in each process.
_BOOT: Final = (
    "import sys, os, json; sys.path[:] = json.loads(sys.argv.pop(1)) or sys.path[sys.path[:1] == ['']:]; "
    "heap = [bytes(16 * size - 33) for size in range(3, 33) for _ in range(os.urandom(1)[0] * 4 // size)], "
    "bytearray(256 * os.urandom(1)[0]); "
    "import pytest; sys.exit(pytest.main(sys.argv[1:]))"
)
#: The arguments of a process are up to so many bytes longer than they need to be: where its C stack begins depends on it.
MAX_STACK_SHIFT: Final = 4096


@dataclass(frozen=True)
class Launch:
    """How to start a measuring process, and where it finds things."""

    arguments: Sequence[str]
    """Of pytest."""
    folder: Path
    python: str = sys.executable
    path: Sequence[str] | None = field(default_factory=lambda: own_import_path())
    """None: the interpreter's own."""
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    flags: Sequence[str] = field(default_factory=lambda: interpreter_flags())
    """Of the interpreter."""

    arm: str = ""
    """"base" or "head" where two are measured side by side."""
    map_path: Callable[[str], str] = str
    """Where this process finds a file of the head."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """What the tests are in the run, by node id."""

    def command(self, descriptor: int) -> list[str]:
        """The command line; the child talks over the inherited file descriptor."""
        child = f"--perf-child={descriptor}"
        path = json.dumps(None if self.path is None else list(self.path)) + " " * (
            int.from_bytes(os.urandom(2), "big") % MAX_STACK_SHIFT
        )
        return [self.python, *self.flags, "-c", _BOOT, path, child, *self.arguments]


def own_import_path() -> tuple[str, ...]:
    """This process's import path."""
    return tuple(entry for entry in sys.path if isinstance(entry, str))


class WorkerProcess:
    """A measuring process, alive inside the `with` block and gone after it, whatever happens.

    It starts at the beginning of the block, and `ready` waits until it has collected: two can start at a time.
    """

    def __init__(self, launch: Launch, nodeids: Sequence[str], files: Sequence[str]) -> None:
        self._launch = launch
        self._nodeids = list(nodeids)
        self._files = sorted({launch.map_path(file) for file in files})
        self._activity = STARTING_ACTIVITY
        self._shutdown_requested = False

    def __enter__(self) -> WorkerProcess:
        with contextlib.ExitStack() as opened:
            try:
                self._open(opened)
            except OSError as error:
                problem = f"starting {self._launch.python}: {explain_error(error)}"
                raise ChildError(problem, arm=self._launch.arm) from None
            self._opened = opened.pop_all()
        try:
            self.send(self._hello())
        except BaseException:
            self._end()
            raise
        return self

    def _hello(self) -> Hello:
        known = self._launch.fingerprints
        wanted = {nodeid: known[nodeid] for nodeid in self._nodeids if nodeid in known}
        return Hello(self._nodeids, self._files, self._folder, wanted, self._launch.arm == "base")

    def _open(self, opened: contextlib.ExitStack) -> None:
        """Make what the process needs, and start it; `opened` closes all of it."""
        from multiprocessing.connection import Pipe

        folder = tempfile.TemporaryDirectory(prefix="perfguard-", ignore_cleanup_errors=True)
        self._folder = opened.enter_context(folder)
        self._log: IO[bytes] = opened.enter_context(tempfile.TemporaryFile(prefix="perfguard-"))  # noqa: SIM115 - `opened` is one
        self._connection: Connection[bytes, bytes]
        self._connection, theirs = Pipe()
        opened.callback(self._connection.close)
        with contextlib.closing(theirs):
            self._process = self._start(theirs.fileno())

    def _start(self, descriptor: int) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C at the terminal reaches the controller alone, which ends the whole group.
        return subprocess.Popen(
            self._launch.command(descriptor),
            cwd=self._launch.folder,
            env=dict(self._launch.environment),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=(descriptor,),
            start_new_session=True,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._shut_down()
        self._end()

    def send(self, message: Message) -> None:
        """Say something.

        Raises
        ------
        ChildDied
            if nobody listens any more.
        """
        try:
            self._connection.send_bytes(encode(message))
        except OSError:
            raise self._died() from None

    def receive(self, *, doing: str, limit: float) -> Message:
        """The next message, within `limit` seconds; `doing` is what the errors name."""
        self._activity = doing
        try:
            if not self._connection.poll(limit):
                self._kill()
                raise ChildTimedOut(doing, self._last_lines(), limit=limit, arm=self._launch.arm)
            return decode(self._connection.recv_bytes(MAX_MESSAGE_BYTES))
        except (EOFError, OSError):
            raise self._died() from None

    def has_message(self, seconds: float) -> bool:
        """Is there a message, or the end of the process, within so many seconds?"""
        return self._connection.poll(seconds)

    def measure(self, request: MeasureRequest, *, doing: str, limit: float) -> MeasureResult | CallRaised:
        """Have something measured."""
        return self._request(request, MeasureResult, doing, limit)

    def check_leaks(
        self, request: CheckLeaks | RecheckLeaks, *, doing: str, limit: float
    ) -> LeakCheckResult | CallRaised:
        """Have something checked for leaks."""
        return self._request(request, LeakCheckResult, doing, limit)

    def _request(self, request: Message, kind: type[_Response], doing: str, limit: float) -> _Response | CallRaised:
        self.send(request)
        answer = self.receive(doing=doing, limit=limit)
        if not isinstance(answer, kind | CallRaised):
            raise ProtocolError(f"expected {kind.__name__} or Raised while {doing}, got {answer!r}")
        if isinstance(answer, CallRaised) and answer.by_instrument:
            raise ReadingFailed(doing, answer.text, arm=self._launch.arm)
        return answer

    @functools.cached_property
    def ready(self) -> Ready:
        """What the process says once it has collected."""
        answer = self.receive(doing=STARTING_ACTIVITY, limit=START_TIMEOUT)
        if not isinstance(answer, Ready):
            raise ProtocolError(f"expected Ready from a new measuring process, got {answer!r}")
        return answer

    def request_shutdown(self) -> None:
        """Let it end; the end of the `with` block waits for that."""
        if not self._shutdown_requested:
            self._shutdown_requested = True
            with contextlib.suppress(PerfguardError):  # it may have died of its own accord: its work is done
                self.send(Shutdown())

    def _shut_down(self) -> None:
        self.request_shutdown()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT)

    def _end(self) -> None:
        with self._opened:
            self._kill()

    def _kill(self) -> None:
        """End the process and all that it started: politely first, so that its fixtures are torn down."""
        try:
            if self._process.poll() is None:
                self._signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(INTERRUPT_TIMEOUT)
        finally:  # a second Ctrl-C ends the waiting, not the killing
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody left in the group
            os.killpg(self._process.pid, number)

    def _died(self) -> ChildDied:
        try:
            status = self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:  # it closed its pipe and lives on
            self._kill()
            status = self._process.returncode
        return ChildDied(self._activity, self._last_lines(), status=status, arm=self._launch.arm)

    def _last_lines(self) -> str:
        try:
            size = self._log.seek(0, os.SEEK_END)
            self._log.seek(max(0, size - 10_000))
            text = self._log.read().decode(errors="replace")
        except OSError as error:  # the disk fails: what happened to the process matters more
            return f"(its output cannot be read: {error})"
        return "\n".join(text.splitlines()[-MAX_LOG_LINES:])
