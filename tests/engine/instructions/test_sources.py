"""The choice of a source, its command, and the conditions of a count."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_perfguard.engine.instructions import sources as module
from pytest_perfguard.engine.instructions.sources import CALLGRIND, HARDWARE, NoSource, Source, find_source

CALLGRIND_SOURCE = Source(CALLGRIND, "valgrind-3.19.0", "/usr/bin/valgrind")


@pytest.fixture(autouse=True)
def _forget():
    find_source.cache_clear()
    yield
    find_source.cache_clear()


@pytest.fixture
def machine(monkeypatch):
    """A machine with or without each of the sources."""

    def make(*, hardware=None, valgrind=None):
        monkeypatch.setattr(module, "problem_with_hardware", lambda: hardware)
        monkeypatch.setattr(module, "_callgrind", lambda _environment: valgrind)

    return make


def test_a_hardware_counter_is_preferred(machine):
    machine(hardware=None, valgrind=CALLGRIND_SOURCE)
    assert find_source().name == HARDWARE


def test_callgrind_serves_where_the_kernel_grants_no_counter(machine):
    machine(hardware="no counter", valgrind=CALLGRIND_SOURCE)
    assert str(find_source()) == "callgrind (valgrind-3.19.0)"


def test_a_machine_with_neither_is_told_what_to_install(machine):
    machine(hardware="perf_event_open: No such file", valgrind="valgrind is not installed")
    with pytest.raises(NoSource) as error:
        find_source()
    text = str(error.value)
    assert "perf_event_open: No such file; valgrind is not installed" in text
    for package in ("apt install valgrind", "dnf install", "brew install", "conda install"):
        assert package in text


def test_valgrind_that_is_not_installed_is_a_reason(monkeypatch):
    monkeypatch.setattr(module.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(module.platform, "system", lambda: "Linux")
    assert module._callgrind({"PATH": "/nowhere"}) == "valgrind is not installed"


def test_a_machine_without_a_request_sequence_is_a_reason(monkeypatch):
    monkeypatch.setattr(module.platform, "machine", lambda: "riscv64")
    assert module._callgrind({}) == f"callgrind cannot be controlled on {module.platform.system()} riscv64"


def test_another_system_than_linux_is_a_reason_and_no_package_is_recommended(machine, monkeypatch):
    monkeypatch.setattr(module.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(module.platform, "system", lambda: "Darwin")
    problem = module._callgrind({})
    assert problem == "callgrind cannot be controlled on Darwin x86_64"
    machine(hardware="not supported on Darwin x86_64", valgrind=problem)
    with pytest.raises(NoSource) as error:
        find_source()
    assert "install" not in str(error.value)
    assert "Leave the metric out of --perf-metrics" in str(error.value)


def test_valgrind_counts_nothing_before_the_first_request():
    command = CALLGRIND_SOURCE.command(Path("/tmp/x/callgrind.out"))
    assert command[0] == "/usr/bin/valgrind"
    assert {"--vgdb=no", "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=/tmp/x/callgrind.out"} < set(
        command
    )


def test_the_hardware_counter_has_a_fixed_address_layout_where_that_can_be_had():
    assert Source(HARDWARE, "", "/usr/bin/setarch").command(Path("x")) == ["/usr/bin/setarch", "-R"]
    assert Source(HARDWARE, "", "").command(Path("x")) == []


def test_a_script_is_replaced_by_the_interpreter_behind_it(tmp_path):
    shim = tmp_path / "python"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    shim.chmod(0o755)
    assert module.real_interpreter(str(shim)) == sys.executable
    assert module.real_interpreter(sys.executable) == sys.executable


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_script_that_passes_its_own_name_on_is_replaced_too(tmp_path):
    wrapper = tmp_path / "python"
    program = Path(sys.executable).resolve()
    wrapper.write_text(f'#!/bin/bash\nexec -a "$0" "{program}" "$@"\n')
    wrapper.chmod(0o755)
    assert module.real_interpreter(str(wrapper)) == str(program)


def test_the_conditions_of_a_count_name_interpreter_machine_and_tunables(monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.arena_max=1")
    conditions = Source(CALLGRIND, "valgrind-3.19.0", "").conditions
    assert conditions.startswith("callgrind valgrind-3.19.0, ")
    assert module.platform.python_version() in conditions
    assert conditions.endswith("GLIBC_TUNABLES=glibc.malloc.arena_max=1")


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PYTHONMALLOC", "debug"), ("PYTHONTRACEMALLOC", "1"), ("LD_PRELOAD", "/lib/libjemalloc.so")],
)
def test_what_replaces_the_allocator_is_a_condition(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    assert f"{variable}={value}" in module._modes()


def test_the_development_mode_and_traced_allocations_are_conditions(monkeypatch):
    class Flags:
        dev_mode, ignore_environment = True, True

    monkeypatch.setattr(module.sys, "flags", Flags)
    monkeypatch.setattr(module.sys, "_xoptions", {"tracemalloc": True, "importtime": True})
    monkeypatch.setenv("PYTHONMALLOC", "debug")  # which has no effect under -E
    assert module._modes() == ["development mode", "-X tracemalloc"]


@pytest.mark.parametrize(("encoding", "named"), [("UTF-8", ""), ("utf8", ""), ("ISO-8859-1", "ISO-8859-1")])
def test_an_encoding_other_than_utf_8_is_a_condition(monkeypatch, encoding, named):
    monkeypatch.setattr(module.locale, "getpreferredencoding", lambda do_setlocale: encoding)
    assert module._encoding() == ("UTF-8 mode" if sys.flags.utf8_mode else named)
