"""The operations page in a browser: without a mouse, without a script, without another host."""

import os
import sqlite3
import subprocess
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests import command
from tests.system.browser import Browser, require_browser
from tests.system.serving import Serving

PASSWORD = "correct horse battery staple"
HOSTILE = "<script>document.title='owned'</script>\"'\n\u202e" + "x" * 10_000
TAB, ENTER = ("Tab", 9), ("Enter", 13)
# Without scrolling the table's box sideways.
RETRY_IS_SEEN = """(() => {
  const button = document.querySelector('form[action$="/retry"] button');
  const box = button.closest('.box').getBoundingClientRect();
  const { left, right } = button.getBoundingClientRect();
  return left >= box.left && right <= box.right;
})()"""
DARK = [{"name": "prefers-color-scheme", "value": "dark"}]

CONSOLE = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")


@pytest.fixture
def served(tmp_path: Path) -> Generator[Serving]:
    require_browser()
    embedded = {"DB_TYPE": "sqlite", "REDIS_MODE": "embedded", "JOBS_BACKEND": "embedded"}
    with Serving(tmp_path, {"APP_ENV": "local", **embedded}) as serving:
        subprocess.run(
            [command.GROUNDWORK, "users", "create-admin", "ada"],
            env=serving.env,
            input=PASSWORD,
            text=True,
            check=True,
            capture_output=True,
        )
        body = {"username": "ada", "password": PASSWORD}
        token = serving.http.post("/v1/auth/login", json=body).json()["data"]["access_token"]
        reply = serving.http.post(
            "/v1/jobs",
            json={"kind": "maintenance.purge", "payload": {}},
            headers={"Authorization": f"Bearer {token}"},
        )
        job_id = reply.json()["data"]["id"]
        with closing(_database(serving)) as database, database:
            database.execute(
                "UPDATE jobs SET status='dead', kind='<b>kind', error=? WHERE id=?",
                (HOSTILE, int(job_id)),
            )
        yield serving


def _database(serving: Serving) -> sqlite3.Connection:
    (path,) = serving.data.glob("*.sqlite3")
    return sqlite3.connect(path, timeout=30)


def test_an_admin_does_everything_by_keyboard_on_a_phone_in_the_dark(served: Serving) -> None:
    if "SCREENSHOTS" in os.environ:
        _make_traffic(served)
    with Browser() as browser:
        browser.resize(360, 740, mobile=True)
        base = f"http://localhost:{served.port}"
        browser.open(f"{base}/ops")
        assert browser.evaluate("location.pathname") == "/ops/login"
        assert browser.evaluate("document.activeElement.id") == "username"
        browser.type("ada")
        browser.press(*TAB)
        browser.type(PASSWORD)
        browser.press(*ENTER)
        browser.wait_for("location.pathname === '/ops' && document.readyState === 'complete'")

        overflow = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert browser.evaluate(overflow) is False
        assert browser.evaluate(RETRY_IS_SEEN) is True
        shown = browser.evaluate("document.body.innerText")
        assert "<script>document.title='owned'</script>" in shown
        assert "<b>kind" in shown
        assert browser.evaluate("document.title") == "Operations · Groundwork"
        assert browser.evaluate("document.scripts.length") == 0
        assert browser.evaluate("document.cookie") == ""

        background = "getComputedStyle(document.body).backgroundColor"
        light = browser.evaluate(background)
        browser.call("Emulation.setEmulatedMedia", features=DARK)
        assert browser.evaluate(background) != light
        _keep(browser, "ops-phone.png")
        browser.resize(1100, 900, mobile=False)
        assert browser.evaluate(RETRY_IS_SEEN) is True
        _keep(browser, "ops.png")

        _tab_to(browser, "document.activeElement.matches('form[action$=\"/retry\"] button')")
        assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        browser.press(*ENTER)
        browser.wait_for("!document.querySelector('form[action$=\"/retry\"]')")
        assert browser.evaluate("location.pathname") == "/ops"

        _tab_to(browser, "document.activeElement.matches('form[action$=\"/logout\"] button')")
        browser.press(*ENTER)
        browser.wait_for("location.pathname === '/ops/login'")
        browser.open(f"{base}/ops")
        assert browser.evaluate("location.pathname") == "/ops/login"
        _nothing_strange(browser)


def _tab_to(browser: Browser, condition: str) -> None:
    for _ in range(40):
        browser.press(*TAB)
        if browser.evaluate(condition):
            return
    pytest.fail(f"the keyboard does not reach: {condition}")


def _nothing_strange(browser: Browser) -> None:
    """No other host was asked, and the console is empty: a violated policy would be in it."""
    sent = [e for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
    hosts = {urlsplit(event["params"]["request"]["url"]).hostname for event in sent}
    assert hosts == {"localhost"}
    assert [event for event in browser.events if event.get("method") in CONSOLE] == []


def _make_traffic(serving: Serving) -> None:
    """A minute of it, for pictures with something in the plots."""
    started = time.monotonic()
    while (passed := time.monotonic() - started) < 62:
        for path in ("/readyz", "/v1/auth/me", "/version"):
            serving.http.get(path)
        time.sleep(0.1 + 0.1 * abs(30 - passed) / 30)


def _keep(browser: Browser, name: str) -> None:
    """A picture for the documentation, where a folder for it is named."""
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder, name).write_bytes(browser.screenshot())
