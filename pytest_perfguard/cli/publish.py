"""`perfguard publish`: write the history of all tests as a static site, for GitHub Pages, GitLab Pages or an artifact."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from pytest_perfguard.cli.common import Verbs, add_verb, print_json, print_lines
from pytest_perfguard.cli.history import add_history_options, read_history, report_unmatched_tests
from pytest_perfguard.core.atomic_files import atomic_write
from pytest_perfguard.core.errors import CommandError
from pytest_perfguard.core.text import plural
from pytest_perfguard.engine.report.history_page import History, history_page, page_name, test_page

_FOLDER: Final = "tests"
#: Marks the pages of this command: no other file is removed.
_MARK: Final = '<meta name="generator" content="perfguard publish">'


def add(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "publish", _run, "write the history of all tests as a static site",
        description="Write a static site of the history of all tests: an index with a grid of all recordings, and a page for each "
        "test with its changes of level. Pages whose content is the same are not written again, and pages of tests that are gone "
        "are removed.",
    )  # fmt: skip
    parser.add_argument(
        "--output", "-o", required=True, metavar="FOLDER", help="folder of the site; created if missing"
    )
    add_history_options(parser)


def _run(options: argparse.Namespace) -> int:
    history, remarks = read_history(options)
    print_lines(*(f"perfguard: {remark}" for remark in remarks), error=True)
    folder = Path(options.output)
    if folder.exists() and not folder.is_dir():
        raise CommandError(f"--output: {folder} is a file; name a folder")
    pages = dict(site(history))
    written = [name for name, text in pages.items() if _write(folder / name, text)]
    removed = [path for path in _stale(folder, pages) if _remove(path)]
    if options.json:
        print_json(
            {"pages": len(pages), "written": written, "removed": [str(path.relative_to(folder)) for path in removed]}
        )
    else:
        print_lines(
            f"{folder}: {plural(len(pages), 'page')}, {len(written)} written, {len(pages) - len(written)} unchanged, "
            f"{len(removed)} removed"
        )
    return report_unmatched_tests(options, history.trends)


def site(history: History) -> Iterator[tuple[str, str]]:
    """Yield the path of each page within the site, and its text."""
    yield "index.html", history_page(history, lambda nodeid: f"{_FOLDER}/{quote(page_name(nodeid))}")
    for nodeid, trends in history.by_test().items():
        yield f"{_FOLDER}/{page_name(nodeid)}", test_page(nodeid, trends, history)


def _write(path: Path, text: str) -> bool:
    """Write a page whose text is new, and return whether it was."""
    content = text.encode("utf-8", "backslashreplace")
    if path.is_file() and path.read_bytes() == content:
        return False
    atomic_write(path, content.decode("utf-8"))
    return True


def _stale(folder: Path, pages: Mapping[str, str]) -> list[Path]:
    """Return the pages of this command whose tests are gone."""
    found = (folder / _FOLDER).glob("*.html")
    return sorted(path for path in found if f"{_FOLDER}/{path.name}" not in pages)


def _remove(path: Path) -> bool:
    """Remove a page of this command, and return whether it was one."""
    if _MARK not in path.read_text(encoding="utf-8", errors="replace"):
        return False
    path.unlink()
    return True
