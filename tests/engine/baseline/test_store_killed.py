"""kill -9 of the writer at every line of a write leaves the old or the new file complete, and no lock."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

#: Writes with a fresh process per step, which kills itself at that line of the write, and tells what it left.
WALK = """
import json, os, signal, sys, time
from itertools import count
from pathlib import Path

sys.path.insert(0, sys.argv[2])
import filelock, tempfile
from tests.engine.baseline.test_store import put, record, Store
from pytest_perfguard.engine.baseline import store as module

FILES = {module.__file__, tempfile.__file__}
LOCKS = os.path.dirname(filelock.__file__) + os.sep
path = Path(sys.argv[1])
old = path.read_bytes() if path.exists() else None
put(Store(path), {"b": record(2.0)})
new = path.read_bytes()

def killed_at(step):
    lines = count(1)
    def trace(frame, event, arg):
        if frame.f_code.co_filename not in FILES and not frame.f_code.co_filename.startswith(LOCKS):
            return None
        if event == "line" and next(lines) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace
    child = os.fork()
    if not child:
        sys.settrace(trace)
        put(Store(path), {"b": record(2.0)})
        sys.settrace(None)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])

for step in count(1):
    path.unlink(missing_ok=True) if old is None else path.write_bytes(old)
    killed = killed_at(step)
    found = path.read_bytes() if path.exists() else None
    state = "old" if found == old else "new" if found == new else "broken"
    start = time.monotonic()
    put(Store(path), {"c": record(3.0)})
    waited = time.monotonic() - start
    kept = sorted(Store(path).read().tests_of("here"))
    rest = sorted(entry.name for entry in path.parent.iterdir())
    print(json.dumps([killed, state, waited, kept, rest]))
    if not killed:
        break
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")
@pytest.mark.parametrize(
    "first",
    [pytest.param(True, id="first write", marks=pytest.mark.thorough), pytest.param(False, id="a later write")],
)
def test_a_writer_that_is_killed_at_any_line_leaves_a_whole_file_and_no_lock(tmp_path, first):
    path, root = tmp_path / "perf-baseline.json", str(Path(__file__).parents[3])
    if not first:
        program = (
            "import sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path\n"
            "from tests.engine.baseline.test_store import put, record, Store\n"
            "put(Store(Path(sys.argv[1])), {'a': record()})"
        )
        subprocess.run([sys.executable, "-c", program, str(path), root], check=True)
    done = subprocess.run([sys.executable, "-c", WALK, str(path), root], capture_output=True, text=True, check=True)
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    before = [] if first else ["a"]
    for number, (_killed, state, waited, kept, rest) in enumerate(steps, start=1):
        assert state in ("old", "new"), f"line {number}"
        assert waited < 5, f"line {number}: the lock was stale"
        assert kept == [*before, *(["b"] if state == "new" else []), "c"], f"line {number}"
        assert rest == [".perf-baseline.json.lock", "perf-baseline.json"], f"line {number}"
    assert [killed for killed, *_ in steps] == [True] * (len(steps) - 1) + [False]
    assert {state for _killed, state, *_ in steps} == {"old", "new"}
    assert len(steps) > 60, "the walk went through the whole write"
