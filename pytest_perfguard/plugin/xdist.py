"""pytest-xdist: send each deferred test to the controller as soon as it has run; the controller measures after the last one.

Each worker uses an execnet channel of its own beside xdist's. Its messages arrive in order, also those of a worker that crashes
later, and no other plugin sees them.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Protocol, TypedDict, cast

import pytest

from pytest_perfguard.plugin.functional_run import DeferredTest, FunctionalRun, RunState
from pytest_perfguard.plugin.pytest_internals import worker_input

_KEY = "perfguard"


class _Channel(Protocol):
    """A channel of execnet."""

    def send(self, item: object) -> None: ...

    def setcallback(self, callback: Callable[[_Message], object]) -> None: ...


class _Gateway(Protocol):
    """A gateway of execnet."""

    def newchannel(self) -> _Channel: ...


class _WorkerNode(Protocol):
    """A worker as xdist's controller sees it."""

    gateway: _Gateway
    workerinput: dict[str, object]


class _TestData(TypedDict):
    """A `DeferredTest` as plain data."""

    nodeid: str
    path: str
    location: tuple[str, int | None, str]
    marker: str
    source: str
    fingerprint: str
    shared_fixtures: list[str]
    parameters: dict[str, str]
    reports: list[object]


class _Message(TypedDict):
    """Message of a worker: the fields of its `RunState`, with the deferred tests apart."""

    state: dict[str, object]
    deferred: list[_TestData]


class XdistWorkerChannel:
    """On a worker: send new results to the controller as plain data."""

    def __init__(self, config: pytest.Config, functional: FunctionalRun) -> None:
        self._config = config
        self._functional = functional
        self._channel = cast("_Channel", worker_input(config)[_KEY])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        self._send()  # the collected tests, before any test can crash this worker
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        try:
            return (yield)
        finally:
            self._send()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._send()

    def _send(self) -> None:
        state, self._functional.state = self._functional.state, RunState()
        if state == RunState():  # not a perf test
            return
        tests = [self._to_data(test) for test in state.deferred]
        self._channel.send(_Message(state=vars(replace(state, deferred=[])), deferred=tests))

    def _to_data(self, test: DeferredTest) -> _TestData:
        serialize = self._config.hook.pytest_report_to_serializable
        return {
            "nodeid": test.nodeid,
            # The controller's tree may be in another place.
            "path": os.path.relpath(test.path, self._config.rootpath),
            "location": test.location,
            "marker": json.dumps(test.marker),  # execnet rejects subclasses of float, such as numpy's
            "source": test.source,
            "fingerprint": test.fingerprint,
            "shared_fixtures": list(test.shared_fixtures),
            "parameters": dict(test.parameters),
            "reports": [serialize(config=self._config, report=report) for report in test.reports],
        }


class XdistControllerChannel:
    """On the controller: collect the results that the workers send."""

    def __init__(self, config: pytest.Config, state: RunState) -> None:
        self._config = config
        self._state = state
        self._received: deque[tuple[_WorkerNode, _Message]] = deque()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: _WorkerNode) -> None:
        channel = node.gateway.newchannel()
        node.workerinput[_KEY] = channel
        # Called in execnet's receiver thread, so it only queues the message.
        channel.setcallback(lambda data: self._received.append((node, data)))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object, error: object) -> None:
        if error is not None:
            self._state.lost_workers += 1

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """Handle the test that crashed a worker: xdist fails it, or another plugin repeats it."""
        self._add_received()
        nodeid = self._state.renamed.get(crashitem, crashitem)
        if nodeid not in self._state.collected:
            return
        self._state.deferred = [test for test in self._state.deferred if test.nodeid != nodeid]
        if report.outcome == "failed":
            self._state.failed.append(nodeid)
            self._state.ran.append(nodeid)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        try:
            return (yield)
        finally:
            self._add_received()
            order = {nodeid: index for index, nodeid in enumerate(self._state.collected)}
            self._state.deferred.sort(key=lambda test: order[test.nodeid])

    def _add_received(self) -> None:
        while self._received:
            node, data = self._received.popleft()
            state = RunState(deferred=[self._from_data(test, node) for test in data["deferred"]])
            for name, value in data["state"].items():
                if name != "deferred":
                    setattr(state, name, value)
            self._state.add(state)

    def _from_data(self, data: _TestData, node: _WorkerNode) -> DeferredTest:
        restore = self._config.hook.pytest_report_from_serializable
        path, line, name = data["location"]
        reports = [restore(config=self._config, data=report) for report in data["reports"]]
        if (
            self._config.getoption("dist") == "each"
        ):  # one result per worker: JUnit distinguishes them by this attribute
            for report in reports:
                report.node = node
        file = os.path.normpath(self._config.rootpath / data["path"])
        return DeferredTest(
            data["nodeid"], file, (path, line, name), json.loads(data["marker"]), data["source"], reports,
            data["fingerprint"], tuple(data["shared_fixtures"]), data["parameters"],
        )  # fmt: skip
