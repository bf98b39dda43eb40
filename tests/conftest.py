"""What every test leaves as it found it, and the plugins of the pytest runs that tests start."""

from __future__ import annotations

import gc

import pytest


@pytest.fixture(autouse=True)
def no_frozen_heap():
    """What serves measurement points freezes the heap of its process for good, which is the tests' process here."""
    yield
    gc.unfreeze()


#: Modules of the plugins that the marker `plugins` can name.
PLUGINS = {"anyio": "anyio.pytest_plugin", "asyncio": "pytest_asyncio.plugin", "xdist": "xdist.plugin"}


@pytest.fixture
def plugins_of_runs(request, monkeypatch):
    """Have the runs of a test load only perfguard, so that a run and each of its processes start three times as fast.

    The marker `plugins` has them load the named plugins as well, and skips the test if one is missing; `every_plugin` has
    them load all that are installed.
    """
    if request.node.get_closest_marker("every_plugin"):
        return
    names = sorted({name for marker in request.node.iter_markers("plugins") for name in marker.args})
    for name in names:
        pytest.importorskip(PLUGINS[name].partition(".")[0], reason=f"needs the plugin {name}")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", ",".join(["pytest_perfguard.plugin", *(PLUGINS[name] for name in names)]))
