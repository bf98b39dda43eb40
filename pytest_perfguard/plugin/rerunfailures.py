"""pytest-rerunfailures: it runs a perf test in its own way, as often as it likes, and what it tells of the test waits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

#: The plugin's names: of its entry point, and of its module where it was loaded by that.
RERUNFAILURES: Final = ("rerunfailures", "pytest_rerunfailures")


def attempts(item: pytest.Item, nextitem: pytest.Item | None) -> list[list[pytest.TestReport]] | None:
    """Run the item with that plugin; the reports of each attempt. None: the plugin has no part in this item, and it did not run."""
    found_plugins = filter(None, map(item.config.pluginmanager.get_plugin, RERUNFAILURES))
    plugin: Any = next(found_plugins, None)
    if plugin is None:
        return None
    found: list[list[pytest.TestReport]] = []
    with hooks_replaced(item.session, lambda hooks: _Listening(hooks, found)):
        took_part = plugin.pytest_runtest_protocol(item=item, nextitem=nextitem)
    return found if took_part else None


@contextlib.contextmanager
def hooks_replaced(session: pytest.Session, replace: Callable[[object], object]) -> Iterator[None]:
    """Within the block, tests find the hooks of pytest as they are replaced here."""
    own, lookup = vars(session), session.gethookproxy
    before = own.get("gethookproxy")
    own["gethookproxy"] = lambda path: replace(lookup(path))
    try:
        yield
    finally:
        if before is None:
            del own["gethookproxy"]
        else:
            own["gethookproxy"] = before


class _Listening:
    """The hooks of pytest, but those that tell of a test are not called: their reports are noted."""

    def __init__(self, hooks: object, found: list[list[pytest.TestReport]]) -> None:
        self._hooks = hooks
        self._found = found

    def __getattr__(self, name: str) -> Callable[..., object]:
        hook: Callable[..., object] = getattr(self._hooks, name)
        return hook

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        self._found.append([])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._found[-1].append(report)

    def pytest_runtest_logfinish(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        """The next attempt, if any, begins with a start of its own."""
