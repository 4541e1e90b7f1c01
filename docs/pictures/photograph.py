"""Photograph browser.png: serve the example, and take a picture of a running task.

Run it from anywhere: `python docs/pictures/photograph.py`. It needs the extras `dev` and `example`,
and Chromium with its driver.
"""

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.chromium import chromium  # noqa: E402
from tests.example.browsing import Page, served  # noqa: E402
from tests.waiting import wait_for  # noqa: E402

PICTURE = Path(__file__).with_name("browser.png")
HALF = 50  # percent


def main() -> None:
    """Write the picture."""
    # With an empty source, the settings use Django's own source.
    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder), source="") as site,
        chromium(width=860, height=900) as browser,
    ):
        page = Page(site, browser)
        page.sign_in()
        page.start(folder="db", rest=0.03)
        wait_for(lambda: page.percent >= HALF, "half of it is done")
        browser.save_screenshot(str(PICTURE))


if __name__ == "__main__":
    main()
