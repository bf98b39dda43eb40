"""A pytest plugin that marks every test of a suite `perf`: to try perfguard on suites that know nothing of it.

python -m pytest -p everything_perf --perf --perf-leaks --perf-budget=4s SUITE      (with this folder in PYTHONPATH)
"""

from __future__ import annotations


def pytest_itemcollected(item):
    item.add_marker("perf")
