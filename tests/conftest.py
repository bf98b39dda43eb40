"""What every test leaves as it found it."""

from __future__ import annotations

import gc

import pytest


@pytest.fixture(autouse=True)
def no_frozen_heap():
    """What serves measurement points freezes the heap of its process for good, which is the tests' process here."""
    yield
    gc.unfreeze()
