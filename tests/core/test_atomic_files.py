"""Files that are replaced as a whole."""

from __future__ import annotations

import pytest

from pytest_perfguard.core.atomic_files import atomic_write


@pytest.fixture
def link(tmp_path):
    link = tmp_path / "link.json"
    try:
        link.symlink_to(tmp_path / "elsewhere" / "report.json")
    except OSError as error:
        pytest.skip(f"needs symbolic links: {error}")
    return link


def test_a_symbolic_link_stays_one(link, tmp_path):
    for text in ("new", "newer"):
        atomic_write(link, text)
        assert link.is_symlink()
        assert (tmp_path / "elsewhere" / "report.json").read_text() == text
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["report.json"]


def test_a_failed_write_leaves_the_old_content_and_no_temporary_file(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    path.write_text("old")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        atomic_write(path, "new")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("report.json", "old")]
