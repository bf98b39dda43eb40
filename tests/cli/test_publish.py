"""`perfguard publish`: the site, and what a second run of it changes."""

from __future__ import annotations

import pytest

from pytest_perfguard.engine.report.history_page import page_name
from tests.cli.conftest import record, report, slower
from tests.cli.test_history import CREEP, folder_of


@pytest.fixture
def reports(command):
    """Twelve reports of one test, and a further one that a test writes."""
    folder_of(command, CREEP)

    def add(tests, number):
        text = report(tests, at=f"2026-02-{number:02}T00:00:00Z", commit=f"d{number}")
        (command.path / "reports" / f"later-{number}.json").write_text(text)

    return add


PUBLISH = ("publish", "--output=site", "--reports=reports")


def pages(command):
    folder = command.path / "site"
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def test_the_site_has_an_index_and_a_page_for_each_test(command, reports):
    reports({"t": slower(record(), 1.12), "u[a/b]": record()}, 1)
    status, out, _err = command.run(*PUBLISH)
    assert (status, out) == (0, "site: 3 pages, 3 written, 0 unchanged, 0 removed\n")
    assert sorted(pages(command)) == ["index.html", f"tests/{page_name('t')}", f"tests/{page_name('u[a/b]')}"]
    assert "time: worse" in pages(command)[f"tests/{page_name('t')}"].read_text()


def test_a_page_without_news_is_not_written_again(command, reports):
    reports({"t": record(), "u": record()}, 1)
    command.run(*PUBLISH)
    before = {name: path.stat().st_mtime_ns for name, path in pages(command).items()}
    assert command.run(*PUBLISH)[1] == "site: 3 pages, 0 written, 3 unchanged, 0 removed\n"
    reports({"t": slower(record(), 1.2)}, 2)  # nothing new of `u`
    status, data = command.json(*PUBLISH)
    assert status == 0
    assert data == {"pages": 3, "written": ["index.html", f"tests/{page_name('t')}"], "removed": []}
    after = {name: path.stat().st_mtime_ns for name, path in pages(command).items()}
    assert [name for name in before if before[name] == after[name]] == [f"tests/{page_name('u')}"]


def test_a_page_of_a_test_that_is_gone_is_removed_and_no_other_file(command, reports):
    reports({"u": record()}, 1)
    command.run(*PUBLISH)
    (command.path / "site" / "tests" / "mine.html").write_text("<p>mine</p>")
    (command.path / "site" / "CNAME").write_text("example.org")
    assert command.run(*PUBLISH, "t")[1] == "site: 2 pages, 1 written, 1 unchanged, 1 removed\n"
    assert sorted(pages(command)) == ["CNAME", "index.html", "tests/mine.html", f"tests/{page_name('t')}"]


def test_a_file_is_no_folder_for_a_site(command, reports):
    (command.path / "site").write_text("")
    status, _out, err = command.run(*PUBLISH)
    assert status == 4
    assert "--output: site is a file; name a folder" in err


def test_the_page_of_a_history_is_that_of_the_site(command, reports):
    status, _out, _err = command.run("report", "--reports=reports", "--output=h.html", "--output=h.md")
    assert status == 0
    assert "1 worse" in (command.path / "h.html").read_text()
    assert "1 regression" in (command.path / "h.md").read_text()
