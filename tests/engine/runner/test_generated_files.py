"""What the build has written and git ignores: copied to the base where it cannot hold measured code."""

from __future__ import annotations

import pytest

from pytest_perfguard.engine.runner.generated_files import MAX_FILE_BYTES, copy_generated, is_constant
from tests.repository import VERSION_FILE

NUMPY = """
'''Generated'''
import datetime as _datetime
version = "2.1.0"
__version__ = version
full_version = version
git_revision = "abc"
release = 'dev' not in version and '+' not in version
short_version = version.split("+")[0]
if not release:
    version = full_version
try:
    from typing import Final
except ImportError:
    Final = None
"""


@pytest.mark.parametrize(
    "source", [VERSION_FILE, NUMPY, "", "'''doc'''\n", "__version__ = '1'\n__commit__: str = '2'\n"]
)
def test_constants_are_told(source):
    assert is_constant(source)


@pytest.mark.parametrize(
    "source",
    [
        "def f(): pass",
        "class C: pass",
        "async def f(): pass",
        "f = lambda: 1",
        "x = [i for i in range(3)]",
        "x = compute()",
        "x = [].append(1)",
        "import lib",
        "from . import fast",
        "from lib._fast import work",
        "for i in range(3): pass",
        "try:\n    x = 1\nexcept Exception:\n    def f(): pass",
        "if x:\n    import lib",
        "x = (y := 1)",
        "with open('x'): pass",
        "no python",
    ],
)
def test_code_is_told(source):
    assert not is_constant(source)


@pytest.fixture
def trees(repository, tmp_path):
    repository.commit(
        {"lib/__init__.py": "", ".gitignore": "_*.py\n!__init__.py\nVERSION*\n*.egg-info\n*.so\n.venv\nout\n"}
    )
    base = tmp_path / "base"
    repository.git("worktree", "add", "-q", "--detach", str(base))
    return repository, base


def test_only_what_holds_no_code_is_copied_and_only_where_the_base_has_nothing(trees):
    repository, base = trees
    kept = {
        "lib/_version.py": VERSION_FILE,
        "lib/VERSION.txt": "1.2\n",
        "lib.egg-info/PKG-INFO": "Name: lib\n",
    }
    left = {
        "lib/_code.py": "def work(): pass\n",
        "lib/_table.py": f"TABLE = {list(range(MAX_FILE_BYTES))}\n",
        "lib/_fast.so": "",
        "out/_version.py": VERSION_FILE,
        ".venv/lib/site-packages/other/_version.py": VERSION_FILE,
        "VERSION.so": "",
    }
    repository.write(kept | left)
    assert sorted(copy_generated(repository.path, base)) == ["lib.egg-info/", "lib/VERSION.txt", "lib/_version.py"]
    assert (base / "lib" / "_version.py").read_text() == VERSION_FILE
    assert (base / "lib.egg-info" / "PKG-INFO").exists()
    assert not any((base / name).exists() for name in left)
    assert copy_generated(repository.path, base) == [], "the base has them"


def test_a_link_is_not_followed(trees, tmp_path):
    repository, base = trees
    (tmp_path / "elsewhere.py").write_text("X = 1\n")
    (repository.path / "lib" / "_version.py").symlink_to(tmp_path / "elsewhere.py")
    assert copy_generated(repository.path, base) == []
