"""`--perf-against` on a real library, between two of its released versions.

Makes a git repository whose first commit is the old release and whose tree is the new one, with tests of a few public
functions, and measures the tree against the first commit; then the first commit against itself with a changed note.
Needs git, and pip with a network.

    python benchmarks/releases.py [--library sqlparse] [--old 0.4.3] [--new 0.5.3]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = {
    "sqlparse": """
import pytest
import sqlparse

QUERY = "select a.x, count(*) as n from t a join u b on a.id = b.id where a.y > 10 and b.z in (1, 2, 3) group by a.x order by n;"
pytestmark = pytest.mark.perf

def test_parse():
    sqlparse.parse(QUERY)

def test_split():
    sqlparse.split(QUERY * 3)

def test_format():
    sqlparse.format(QUERY, reindent=True, keyword_case="upper")
""",
    "markdown-it-py": """
import pytest
from markdown_it import MarkdownIt

TEXT = "# Title\\n\\nSome *text* with `code`, a [link](https://example.org) and\\n\\n- a list\\n- of two\\n\\n> quoted\\n" * 6
pytestmark = pytest.mark.perf
converter = MarkdownIt()
tokens = converter.parse(TEXT)

def test_parse():
    converter.parse(TEXT)

def test_render():
    converter.render(TEXT)
""",
}


def install(library: str, version: str, folder: Path, *, needs: bool = False) -> None:
    """The release, unpacked into `folder`; with what it needs if `needs`."""
    extra = [] if needs else ["--no-deps"]
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--upgrade",
        *extra,
        "--target",
        folder,
        f"{library}=={version}",
    ]
    subprocess.run([*map(str, command)], check=True)


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments], cwd=folder, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", default="sqlparse", choices=sorted(TESTS))
    parser.add_argument("--old", default="0.4.3")
    parser.add_argument("--new", default="0.5.3")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        folder, needs = Path(text, "project"), Path(text, "needs")
        (folder / "tests").mkdir(parents=True)
        (folder / "tests" / "test_library.py").write_text(TESTS[options.library])
        (folder / "pytest.ini").write_text(f"[pytest]\npythonpath = src {needs}\n")
        (folder / ".gitignore").write_text("__pycache__\n")
        for version in (options.old, options.new):
            install(options.library, version, needs, needs=True)
        for place in needs.glob(f"{options.library.replace('-py', '').replace('-', '_')}*"):
            shutil.rmtree(place)  # what it needs, and not itself
        install(options.library, options.old, folder / "src")
        git(folder, "init", "-q")
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", options.old)
        git(folder, "tag", "old")
        for change in ("a note, and the same code", f"{options.new} in place of {options.old}"):
            (folder / "note").write_text(change)
            if change.startswith(options.new):
                shutil.rmtree(folder / "src")
                install(options.library, options.new, folder / "src")
            print(f"\n##### {options.library}: {change}", flush=True)
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--perf-against=old"]
            subprocess.run(command, cwd=folder, check=False)


if __name__ == "__main__":
    main()
