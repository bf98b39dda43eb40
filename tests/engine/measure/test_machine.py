"""The fingerprint: stable, readable, and different where machines differ in kind."""

from __future__ import annotations

import json
import platform

import pytest

from pytest_perfguard.engine.measure.machine import class_name, current_machine

FACTS = {
    "architecture": "x86_64", "build": "", "cpu": "AMD EPYC 7763 64-Core Processor", "cpu_flags": "abcd", "cpus": 4,
    "implementation": "cpython", "libc": "glibc 2.36", "python": "3.12", "python_version": "3.12.1",
    "release": "6.1", "system": "Linux",
}  # fmt: skip


def test_the_name_is_readable():
    assert class_name(FACTS).startswith("linux-x86_64-amd-epyc-7763-64-core-processor-4cpu-cpython3.12-")


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("cpu", "Other"),
        ("cpu_flags", "ef"),
        ("cpus", 2),
        ("python", "3.13"),
        ("build", "t"),
        ("libc", "musl"),
        ("system", "Darwin"),
    ],
)
def test_another_kind_of_machine_is_another_class(fact, value):
    assert class_name({**FACTS, fact: value}) != class_name(FACTS)


@pytest.mark.parametrize("fact", ["release", "python_version"])
def test_a_patch_release_is_the_same_class(fact):
    assert class_name({**FACTS, fact: "other"}) == class_name(FACTS)


def test_this_machine_is_the_same_twice_and_plain_data():
    assert current_machine() == current_machine()
    assert json.loads(json.dumps(current_machine().facts)) == current_machine().facts


def test_an_interpreter_that_may_be_run_and_not_read(monkeypatch):
    """The C library is looked up in its file."""

    def refuse():
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(platform, "libc_ver", refuse)
    assert current_machine().facts["libc"] == ""
