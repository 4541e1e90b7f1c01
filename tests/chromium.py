"""A headless Chromium, driven by selenium."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from selenium import webdriver

NAMES = ("chromium", "chromium-browser", "google-chrome")


def programs() -> tuple[str, str] | None:
    """Where Chromium and its driver are, None if one of them is not there."""
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


@contextmanager
def chromium(width: int = 900, height: int = 900) -> Iterator[webdriver.Chrome]:
    """A headless Chromium."""
    found = programs()
    assert found, "chromium and chromedriver are not on the PATH"
    options = webdriver.ChromeOptions()
    options.binary_location, driver = found
    # Neither a sandbox nor much of /dev/shm are to be had in a container.
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu"):
        options.add_argument(f"--{argument}")
    options.add_argument(f"--window-size={width},{height}")
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield browser
    finally:
        browser.quit()
