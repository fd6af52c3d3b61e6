"""Writes the screenshots of the dashboard in docs/img: of `stream-app demo`, light and dark.

    CHROMIUM=/usr/bin/chromium .venv/bin/python tools/screenshots.py [SECONDS]

Runs the demo until it has served for SECONDS (90), then takes both. Needs Chromium and Playwright.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

IMAGES: Final = Path(__file__).parents[1] / "docs/img"
SCHEMES: Final = ("light", "dark")
WIDTH, HEIGHT = 1440, 1180
SAYS: Final = "Dashboard at "


def main() -> None:
    """Run the demo, take the pictures, end the demo."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 90.0
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        sys.exit("screenshots: no Chromium: apt-get install chromium, or set CHROMIUM to one")
    demo = subprocess.Popen(
        [sys.executable, "-m", "stream_app", "demo"], stderr=subprocess.PIPE, text=True
    )
    assert demo.stderr is not None  # noqa: S101 - a pipe was asked for
    try:
        line = demo.stderr.readline()
        if not line.startswith(SAYS):
            sys.exit(f"screenshots: the demo does not start: {line}{demo.stderr.read()}")
        until = time.monotonic() + seconds
        while time.monotonic() < until and demo.stderr.readline():
            pass
        take(chromium, line.removeprefix(SAYS).strip())
    finally:
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=60)


def take(chromium: str, url: str) -> None:
    """One picture of each colour scheme, at the same size."""
    with sync_playwright() as playwright:
        # The sandbox needs rights that root in a container lacks; the page is our own.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme in SCHEMES:
            page = browser.new_page(
                viewport={"width": WIDTH, "height": HEIGHT},
                color_scheme="dark" if scheme == "dark" else "light",
            )
            page.goto(url)
            page.locator("#price-chart svg.main-svg").first.wait_for()
            page.wait_for_timeout(3000)  # a few values more, and the charts below
            page.screenshot(path=IMAGES / f"dashboard-{scheme}.png")
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
