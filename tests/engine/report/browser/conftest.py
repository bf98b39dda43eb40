"""A real browser without a screen, where there is one."""

from __future__ import annotations

import shutil
import subprocess

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
#: Nothing may be fetched, so no connection is allowed to be made, by the browser itself either.
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--virtual-time-budget=20000",
    "--proxy-server=127.0.0.1:1", "--enable-logging=stderr",
)  # fmt: skip


class Browser:
    """Opens pages one by one."""

    def __init__(self, program, folder):
        self._program = program
        self._folder = folder
        self.log = ""

    def _run(self, page, fragment, *options):
        profile = f"--user-data-dir={self._folder / 'profile'}"
        command = [self._program, *OPTIONS, profile, *options, f"{page.as_uri()}{fragment}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        self.log = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
        return done.stdout

    def dom(self, page, fragment=""):
        """The page's elements after its script ran."""
        return self._run(page, fragment, "--dump-dom")

    def screenshot(self, page, fragment="", size="1280,900", *, dark=False):
        """The page as a PNG."""
        path = self._folder / "page.png"
        scheme = ("--blink-settings=preferredColorScheme=0",) if dark else ()
        self._run(page, fragment, f"--window-size={size}", f"--screenshot={path}", *scheme)
        return path


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("needs a headless Chromium (looked for: " + ", ".join(BROWSERS) + ")")
    return Browser(program, tmp_path_factory.mktemp("browser"))
