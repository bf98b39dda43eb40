"""Reading callgrind's files."""

from __future__ import annotations

import pytest

from pytest_perfguard.engine.instructions.dumps import (
    ALLOCATOR,
    ALLOCATOR_RATE,
    DumpFolder,
    DumpUnreadable,
    difference,
    read_dump,
)

DUMP = """\
# callgrind format
version: 1
part: 2

positions: line
events: Ir
summary: 1360

ob=(1) /usr/bin/python3.11
fl=(2) ceval.c
fn=(3) _PyEval_EvalFrameDefault
1700 600
+4 100
* 50
cfn=(4) _PyObject_Malloc
calls=3 90
1800 210
cfn=(5) list_sort'2
calls=1 12
-7 400

fn=(4)
90 200
cfn=(6) new_arena.constprop.0
calls=1 100
+3 10

fn=(6)
100 10

fn=(5)
12 400

totals: 1360
"""


def test_functions_have_their_own_instructions_and_the_allocator_a_flat_rate():
    dump = read_dump(DUMP)
    flat = 3 * ALLOCATOR_RATE
    assert dump.functions == {"_PyEval_EvalFrameDefault": 750, "list_sort": 400, ALLOCATOR: flat}
    assert dump.total == 1360 - 210 + flat


def test_the_path_of_the_allocator_does_not_count():
    slow = DUMP.replace("90 200", "90 900").replace("summary: 1360", "summary: 2060")
    assert read_dump(slow) == read_dump(DUMP)


def test_names_without_compression_are_read():
    text = "summary: 5\nfn=main\n0 5\n"
    assert read_dump(text).functions == {"main": 5}


def test_a_file_without_a_summary_is_an_error():
    with pytest.raises(DumpUnreadable, match="no line `summary:`"):
        read_dump("events: Ir\n")


def test_a_dump_is_removed_with_the_one_before_it(tmp_path):
    folder = DumpFolder(tmp_path)
    for number in (1, 2, 3):
        (tmp_path / f"callgrind.out.{number}").write_text(DUMP)
    assert folder.take(2).total == read_dump(DUMP).total
    assert [path.name for path in tmp_path.iterdir()] == ["callgrind.out.3"]


def test_a_dump_that_was_not_written_is_named(tmp_path):
    with pytest.raises(DumpUnreadable, match=r"callgrind\.out\.4"):
        DumpFolder(tmp_path).take(4)


def test_the_difference_of_two_rounds_is_per_call():
    assert difference({"a": 110, "b": 5}, {"a": 10, "c": 5}, 5) == {"a": 20.0, "b": 1.0, "c": -1.0}
