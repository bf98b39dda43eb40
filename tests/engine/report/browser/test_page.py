"""The HTML report, opened in a browser."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import replace

import pytest

from pytest_perfguard.engine.history.trends import HistoryPoint, LevelChange, Trend
from pytest_perfguard.engine.report.document import sides_of
from pytest_perfguard.engine.report.html import html_report
from tests.engine.report.conftest import BROKEN, GREEN, PAIRED, RED, report_of

POINTS = tuple(HistoryPoint(f"c{index}", "2026-01-01", 1e-6 * (1 + index)) for index in range(4))
TRACK = Trend(RED.nodeid, "linux", "time", "s", POINTS, (LevelChange(2, 1.5),), None)
HOSTILE = 'test_x[</script><img src=x onerror="document.title=1">]'


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    hostile = replace(GREEN, comparison=replace(GREEN.comparison, nodeid=HOSTILE))
    pairs = replace(PAIRED, sides=sides_of(PAIRED.comparison, None))
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html_report(report_of(GREEN, RED, pairs, BROKEN, hostile), [TRACK]), encoding="utf-8")
    return path


def shown(dom: str) -> list[str]:
    """The node ids that are to be seen, in their order."""
    rows = re.findall(r"<tr class=\"[\w-]+\"([^>]*)><td>[^<]*</td><th scope=\"row\"><button[^>]*>([^<]*)</button>", dom)
    return [name for attributes, name in rows if "hidden" not in attributes]


def test_it_opens_without_an_error_and_shows_every_test(browser, page):
    dom = browser.dom(page)
    assert "5 of 5 tests" in dom
    assert shown(dom)[:2] == [BROKEN.nodeid, PAIRED.nodeid]
    assert browser.log == ""


def test_a_name_is_text_whatever_is_in_it(browser, page):
    assert "<title>perfguard: 1 broken, 2 regressions, 2 unchanged</title>" in browser.dom(page)


def test_the_address_says_what_is_shown(browser, page):
    assert shown(browser.dom(page, "#verdict=regression")) == [PAIRED.nodeid, RED.nodeid]
    assert shown(browser.dom(page, "#q=SLOW")) == [RED.nodeid]
    assert shown(browser.dom(page, "#sort=nodeid"))[1] == BROKEN.nodeid
    assert shown(browser.dom(page, "#q=no-such-test")) == []


def drawn(dom: str) -> list[str]:
    """The titles of the plots that are drawn."""
    return re.findall(r"<figcaption>(.*?)</figcaption>", re.sub(r"<script.*?</script>", "", dom, flags=re.DOTALL))


def test_an_opened_test_draws_its_plots(browser, page):
    dom = browser.dom(page, f"#open={RED.nodeid}")
    assert drawn(dom) == ["time: both sides", "time: 4 recordings"]
    assert 'data-drawn="2"' in dom
    assert "+50.0 %</text>" in dom
    assert browser.log == ""


def test_pairs_are_drawn_and_nothing_that_was_not_asked_for(browser, page):
    assert drawn(browser.dom(page)) == []
    dom = browser.dom(page, f"#open={PAIRED.nodeid}")
    assert drawn(dom) == ["time: change in each pair of processes", "time: both sides"]
    assert browser.log == ""


@pytest.mark.parametrize(("dark", "bright"), [(False, True), (True, False)])
def test_the_paper_follows_the_readers_scheme(browser, page, dark, bright):
    red, green, blue = corner(browser.screenshot(page, dark=dark).read_bytes())
    assert (red + green + blue > 380) is bright


def test_a_phone_shows_it_without_scrolling_sideways(browser, page):
    """What is wider than the window would widen the page: the script says how wide it became."""
    probe = page.with_name("probe.html")
    measure = "<script>document.title = 'wide ' + (document.documentElement.scrollWidth > innerWidth)</script></body>"
    probe.write_text(page.read_text().replace("</body>", measure))
    assert "<title>wide false</title>" in browser._run(probe, "", "--dump-dom", "--window-size=390,800")


def corner(png: bytes) -> tuple[int, int, int]:
    """The colour of a PNG's first pixel (8 bits a channel, no interlacing)."""
    data, place = b"", 8
    while place < len(png):
        size, kind = struct.unpack(">I4s", png[place : place + 8])
        data += png[place + 8 : place + 8 + size] if kind == b"IDAT" else b""
        place += 12 + size
    pixels = zlib.decompress(data)
    return pixels[1], pixels[2], pixels[3]
