"""The names of Python functions: the interpreter's map, and the loop's counts separated by its entries."""

from __future__ import annotations

import pytest

from pytest_perfguard.engine.instructions import python_names as module
from pytest_perfguard.engine.instructions.dumps import read_dump
from pytest_perfguard.engine.instructions.python_names import has_names, python_functions, read_names, take_names

MAP = """547c193 b py::inner:/home/me/lib.py
547c19e b py::Other.<locals>.<genexpr>:/home/me/a file.py
not a line
"""
DUMP = """pid: 77
summary: 120
fn=(1) _PyEval_EvalFrameDefault'0x000000000547c193'py_trampoline_evaluator
0 50
fn=(2) _PyEval_EvalFrameDefault'2'0x000000000547c193'py_trampoline_evaluator
0 20
cfn=(5) PyNumber_Add
calls=3 0
0 900
fn=(3) _PyEval_EvalFrameDefault'2'0x000000000547c19e'py_trampoline_evaluator
0 10
fn=(4) _PyEval_EvalFrameDefault'0x00000000deadbeef'py_trampoline_evaluator
0 7
fn=(5) PyNumber_Add
0 33
"""


def test_the_loop_is_charged_to_the_function_that_it_runs_without_what_it_calls():
    dump = read_dump(DUMP)
    assert dump.process == 77
    assert python_functions(dump.functions, read_names(MAP)) == {
        "inner (lib.py)": 70,
        "Other.<locals>.<genexpr> (a file.py)": 10,
    }


@pytest.mark.parametrize(("python", "can"), [("3.11.7", False), ("3.12.1", True), ("3.13.0rc1", True), ("4.0", True)])
def test_names_are_known_from_python_3_12_on(python, can):
    assert has_names(python) is can


def test_the_file_of_a_process_is_read_and_removed(monkeypatch, tmp_path):
    file = tmp_path / "perf-77.map"
    monkeypatch.setattr(module, "_file", lambda process: tmp_path / f"perf-{process}.map")
    assert take_names(77) == {}
    file.write_text(MAP)
    assert take_names(77)[0x547C193] == "inner (lib.py)"
    module.remove_names(77)
    module.remove_names(77)
    assert not file.exists()
