"""The runs of examples."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _plugins_of_runs(plugins_of_runs):
    """Runs load only the plugins that their test names."""
