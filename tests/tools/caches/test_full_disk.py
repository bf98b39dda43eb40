"""`DiskCache` on a disk that is really full: a small tmpfs in a mount namespace of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from pathlib import Path
from pytest_perfguard import CacheError, DiskCache, MemoryCache, MultiLevelCache

folder = Path(sys.argv[1])
caplog = []
import logging
class Handler(logging.Handler):
    def emit(self, record): caplog.append(record.getMessage())
logging.getLogger("perfguard.cache").addHandler(Handler())

def fill():
    with (folder / "ballast").open("ab", buffering=0) as file:
        for size in (65536, 4096, 512, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass

cache = DiskCache(folder / "cache")
BODY
print("fine")
"""
BODIES = {
    "delete": """
for number in range(40):
    cache.set(str(number), "x" * 3000)
fill()
try:
    cache.set("large", "x" * 8_000_000)
except CacheError as error:
    assert "full" in str(error) or "disk" in str(error), error
else:
    raise AssertionError("the disk is not full")
for number in range(40):
    assert cache.get(str(number)) == "x" * 3000, "a failed set loses nothing"
for number in range(40):
    cache.delete(str(number))
    assert cache.get(str(number)) is None
""",
    "clear": """
for number in range(200):
    cache.set(str(number), "x" * 3000)
fill()
cache.clear()
assert [cache.get(str(number)) for number in range(200)] == [None] * 200
(folder / "ballast").unlink()
cache.set("new", 1)
assert cache.get("new") == 1
""",
    "set keeps no older value": """
cache.set("a", "old")
fill()
try:
    cache.set("a", "x" * 8_000_000)
except CacheError:
    pass
else:
    raise AssertionError("the disk is not full")
assert cache.get("a") is None
""",
    "levels": """
levels = MultiLevelCache([memory := MemoryCache(), cache])
levels.set("a", "old")
fill()
for _ in range(5):
    levels.set("a", "x" * 8_000_000)
assert levels.get("a") == "x" * 8_000_000
memory.clear()
assert levels.get("a") is None
assert levels.delete("a") is False
levels.clear()
assert sum("set failed" in line for line in caplog) == 1, caplog
""",
    "reading": """
for number in range(300):
    cache.set(str(number), number)
fill()
for _ in range(2):
    for number in range(300):
        assert cache.get(str(number)) == number
assert cache.get_or_compute("b", lambda: 2) == 2
for number in range(20):
    assert cache.get_or_compute(f"large {number}", lambda: "x" * 1_000_000) == "x" * 1_000_000
assert sum("could not be kept" in line for line in caplog) == 1, caplog
""",
}


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare, to mount a small disk")
@pytest.mark.parametrize("body", BODIES)
def test_a_full_disk(tmp_path, body):
    mount = 'mount -t tmpfs -o size=6m tmpfs "$1" && exec "$2" -c "$3" "$1"'
    program = PROGRAM.replace("BODY", BODIES[body])
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh", str(tmp_path), sys.executable, program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"cannot mount a small disk: {done.stderr.strip()}")
    assert done.stdout == "fine\n", done.stderr
