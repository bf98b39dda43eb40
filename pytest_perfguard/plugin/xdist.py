"""pytest-xdist: each withheld test is handed to the controller as soon as it has run, and measured there after the last one.

The way is a channel of execnet of our own, beside the one of xdist: the words of one worker arrive in their order, also those of
a worker that crashes, and no other plugin sees them.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Generator
from typing import Any

import pytest

from pytest_perfguard.plugin.functional_run import DeferredTest, FunctionalRun, RunState

_KEY = "perfguard"


class XdistWorkerChannel:
    """On a worker: send home what is new, as plain data."""

    def __init__(self, config: pytest.Config, ordinary: FunctionalRun) -> None:
        self._config = config
        self._ordinary = ordinary
        self._channel: Any = config.workerinput[_KEY]  # type: ignore[attr-defined]  # set by xdist

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        self._hand_over()  # before any test can crash this worker: the tests that it has collected
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        try:
            return (yield)
        finally:
            self._hand_over()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._hand_over()

    def _hand_over(self) -> None:
        news, self._ordinary.harvest = self._ordinary.harvest, RunState()
        if news == RunState():  # an ordinary test
            return
        data = vars(news) | {"withheld": [self._to_data(withheld) for withheld in news.withheld]}
        self._channel.send(data)

    def _to_data(self, withheld: DeferredTest) -> dict[str, object]:
        serialize = self._config.hook.pytest_report_to_serializable
        return {
            "nodeid": withheld.nodeid,
            # The tree of the controller may lie elsewhere.
            "path": os.path.relpath(withheld.path, self._config.rootpath),
            "location": withheld.location,
            "marker": json.dumps(withheld.marker),  # execnet takes no subclass of float, such as numpy's
            "source": withheld.source,
            "fingerprint": withheld.fingerprint,
            "reports": [serialize(config=self._config, report=report) for report in withheld.reports],
        }


class XdistControllerChannel:
    """On the controller: collect what the workers hand over."""

    def __init__(self, config: pytest.Config, harvest: RunState) -> None:
        self._config = config
        self._harvest = harvest
        self._arrived: deque[tuple[object, dict[str, Any]]] = deque()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        channel = node.gateway.newchannel()
        node.workerinput[_KEY] = channel
        # Called by the thread that receives everything: it only puts down what came.
        channel.setcallback(lambda data: self._arrived.append((node, data)))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object, error: object) -> None:
        if error is not None:
            self._harvest.lost_workers += 1

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """The test that a worker died of: xdist fails it, or another plugin has it run again."""
        self._fold()
        nodeid = self._harvest.renamed.get(crashitem, crashitem)
        if nodeid not in self._harvest.collected:
            return
        self._harvest.withheld = [withheld for withheld in self._harvest.withheld if withheld.nodeid != nodeid]
        if report.outcome == "failed":
            self._harvest.failed.append(nodeid)
            self._harvest.ran.append(nodeid)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        try:
            return (yield)
        finally:
            self._fold()
            order = {nodeid: index for index, nodeid in enumerate(self._harvest.collected)}
            self._harvest.withheld.sort(key=lambda withheld: order[withheld.nodeid])

    def _fold(self) -> None:
        """Add what has arrived to the harvest."""
        while self._arrived:
            node, data = self._arrived.popleft()
            news = RunState(**data | {"withheld": [self._from_data(item, node) for item in data["withheld"]]})
            self._harvest.add(news)

    def _from_data(self, data: dict[str, Any], node: object) -> DeferredTest:
        restore = self._config.hook.pytest_report_from_serializable
        path, line, name = data["location"]
        reports = [restore(config=self._config, data=report) for report in data["reports"]]
        if self._config.getoption("dist") == "each":  # one result per worker: JUnit tells them apart by this
            for report in reports:
                report.node = node
        file = os.path.normpath(self._config.rootpath / data["path"])
        return DeferredTest(
            data["nodeid"], file, (path, line, name), json.loads(data["marker"]), data["source"], reports,
            data["fingerprint"],
        )  # fmt: skip
