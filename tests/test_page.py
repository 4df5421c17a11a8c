"""The page in a browser: what a person sees, in both languages, themes and widths."""

import os
import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from engine.clock import VirtualClock, WallClock
from engine.messages import (
    ConfigRead,
    EvccSilent,
    HandsOff,
    Message,
    PlanMade,
    RatesChanged,
    StateChanged,
)
from engine.settings import Settings, SiteSettings
from engine.values import Control, HomeState, Ownership, Series, Site, Why
from tests.make_status import NOW, at_risk, make_messages, make_site, make_state
from tests.make_web import served
from web.feed import Window

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not Path(CHROMIUM).is_file(),
        reason="no Chromium found (set CHROMIUM, or apt-get install chromium)",
    ),
]

# records every field that the page reads from the server's JSON and does not get (INV-159)
SPY = """
window.missing = [];
const seen = (value, path) => value === null || typeof value !== "object" ? value
  : new Proxy(value, { get(target, key) {
      const here = `${path}.${String(key)}`;
      if (typeof key === "string" && !(key in target) && key !== "toJSON" && key !== "then"
          && !(Array.isArray(target) && /^-?\\d+$/.test(key))) window.missing.push(here);
      const found = Reflect.get(target, key);
      return typeof found === "function" ? found : seen(found, here);
    } });
const parse = JSON.parse;
JSON.parse = (...all) => seen(parse(...all), "");
const json = Response.prototype.json;
Response.prototype.json = async function () { return seen(await json.call(this), ""); };
"""


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    return {"executable_path": CHROMIUM, "args": ARGS}


class Viewer:
    """One person's browser; console errors are kept."""

    def __init__(self, browser: Browser, **kwargs: Any) -> None:
        self.errors: list[str] = []
        settings = {"locale": "en-US", "viewport": {"width": 1280, "height": 900},
                    "timezone_id": "Europe/Berlin"}  # fmt: skip
        self.context: BrowserContext = browser.new_context(**(settings | kwargs))
        self.context.add_init_script(SPY)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(5000)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def open(self, url: str) -> Page:
        self.page.goto(url)
        expect(self.page.locator("#foot")).not_to_be_empty()
        return self.page

    def missing(self) -> list[str]:
        found: list[str] = self.page.evaluate("window.missing")
        return found


@pytest.fixture
def viewers(browser: Browser) -> Iterator[Any]:
    opened: list[Viewer] = []

    def make(**kwargs: Any) -> Viewer:
        opened.append(Viewer(browser, **kwargs))
        return opened[-1]

    yield make
    for viewer in opened:
        viewer.context.close()


@pytest.fixture
def home() -> Iterator[tuple[Window, Any]]:
    with served(WallClock(speed=1.000001, start=NOW), make_messages()) as pair:
        yield pair


def hear(window: Window, *messages: Message) -> None:
    for message in messages:
        list(window.on(message))  # type: ignore[arg-type]


def text_of(page: Page, selector: str) -> str:
    return page.locator(selector).inner_text().replace("\u202f", " ").replace("\xa0", " ")


@pytest.mark.parametrize(
    ("locale", "verdict"), [("de-DE", "Alles nach Plan"), ("en-US", "All going to plan")]
)
def test_the_page_is_whole_in_every_language_theme_and_width(
    home: tuple[Window, Any], viewers: Any, locale: str, verdict: str
) -> None:
    viewer = viewers(locale=locale)
    page = viewer.open(home[1].url)
    expect(page.locator("#verdict-text")).to_have_text(verdict)
    page.locator("#table-box summary").click()
    papers = set()
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 900})
        expect(page.locator("#chart svg")).to_have_attribute(
            "width", str(page.locator("#chart-box").evaluate("box => box.clientWidth"))
        )
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            papers.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.locator("rect.price:not([fill])").count() > 190
        assert page.locator(".block").count() > 10
    assert len(papers) == 2
    assert page.locator("#table tbody tr").count() > 190
    assert "undefined" not in page.locator("body").inner_text()
    assert "NaN" not in page.content()
    assert viewer.missing() == []
    assert viewer.errors == []


def test_values_flash_when_they_change_and_carry_their_age(
    home: tuple[Window, Any], viewers: Any
) -> None:
    window, server = home
    viewer = viewers(locale="de-DE")
    page = viewer.open(server.url)
    card = '[data-card="grid"]'
    assert text_of(page, f"{card} .value") == "980 W"
    assert "vor 4 Min aktualisiert" in text_of(page, '[data-card="loadpoint-lp-1"]')
    assert "vor 3 Std aktualisiert" in text_of(page, '[data-card="vehicle-ev9"]')
    assert page.locator(".flash").count() == 0
    hear(window, StateChanged(NOW, make_state(11, site=make_site(grid_import_w=-2340.0))))
    expect(page.locator(f"{card} .value.flash")).to_be_visible()
    assert text_of(page, f"{card} .value") == "2,3 kW"
    assert "Einspeisung" in text_of(page, card)
    assert page.locator('[data-card="battery"] .flash').count() == 0
    assert viewer.errors == []


def test_the_language_can_be_switched_and_is_remembered(
    home: tuple[Window, Any], viewers: Any
) -> None:
    page = viewers(locale="en-US").open(home[1].url)
    expect(page.locator("#now-heading")).to_have_text("Now")
    page.get_by_role("button", name="Deutsch").click()
    expect(page.locator("#now-heading")).to_have_text("Jetzt")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    assert page.locator(".flash").count() == 0
    page.reload()
    expect(page.locator("#now-heading")).to_have_text("Jetzt")


def test_inv_118_times_are_those_of_the_home_in_any_browser(viewers: Any) -> None:
    settings = Settings(site=SiteSettings(zone="America/New_York"))
    messages = [ConfigRead(NOW, settings), *make_messages()[1:]]
    with served(VirtualClock(NOW), messages) as (_, server):
        page = viewers(timezone_id="Asia/Tokyo").open(server.url)
        expect(page.locator("#plan-summary")).to_contain_text("Plan of 12:05")
        expect(page.locator("#zone-hint")).to_contain_text("America/New_York")


def test_the_stream_comes_back_and_polling_takes_over_meanwhile(viewers: Any) -> None:
    viewer = viewers()
    clock = WallClock(speed=1.000001, start=NOW)
    with served(clock) as (_, server):
        page = viewer.open(server.url)
        expect(page.locator("#dot")).to_have_attribute("data-state", "live")
    expect(page.locator("#dot")).to_have_attribute("data-state", "off")
    polled: list[str] = []
    page.on("requestfinished", lambda request: polled.append(request.url))
    page.route("**/events*", lambda route: route.abort())
    with served(clock, port=server.port) as (_, again):
        expect(page.locator("#dot")).to_have_attribute("data-state", "polling", timeout=8000)
        assert f"{again.url}/status" in polled
        page.unroute("**/events*")
        expect(page.locator("#dot")).to_have_attribute("data-state", "live", timeout=20000)


def test_the_chart_reads_out_slots_by_keyboard_and_by_tap(
    home: tuple[Window, Any], viewers: Any
) -> None:
    page = viewers().open(home[1].url)
    box = page.locator("#chart-box")
    expect(page.locator("#readout")).to_contain_text("18:00–18:15")
    box.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#readout")).to_contain_text("18:15–18:30")
    expect(page.locator("#cursor")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#readout")).to_contain_text("18:00–18:15")
    box.click(position={"x": 700, "y": 60})
    expect(page.locator("#readout")).to_contain_text("ct/kWh")
    assert "18:00" not in text_of(page, "#readout")[:9]
    label = page.locator("#chart svg").get_attribute("aria-label") or ""
    assert re.search(r"lowest .* ct/kWh at", label)


def test_what_is_done_and_why_and_who_is_in_control(home: tuple[Window, Any], viewers: Any) -> None:
    page = viewers().open(home[1].url)
    doing = text_of(page, "#doing")
    assert "follows the house" in doing
    assert "giving 1.2 kW" in doing
    assert "Twingo" in doing
    assert "charges from" in doing
    expect(page.locator("#asked li")).to_have_count(1)
    page.locator("#owners-box summary").click()
    assert "Carport" in text_of(page, "#owners") or "lp-1" in text_of(page, "#owners")
    expect(page.locator("#watching")).to_be_hidden()


HUMAN = Ownership("loadpoint:lp-2:mode", "human", NOW, None, Why("human_mode", (("mode", "now"),)))
SILENT_SINCE = NOW - timedelta(minutes=4, seconds=5)
STORIES: list[tuple[str, dict[str, Any]]] = [
    ("Ich schaue nur zu", {"control": Control.WATCH}),
    ("Du steuerst: Garage: Lademodus", {"in_control": (HUMAN,)}),
    ("sieh bitte hin", {"troubles": (Why("no_prices"),)}),
    (
        "evcc nicht erreichbar seit 4 Min",
        {"evcc_reachable": False, "evcc_silent_since": SILENT_SINCE},
    ),
    ("Alles nach Plan", {}),
]


def test_the_verdict_names_what_matters_most(home: tuple[Window, Any], viewers: Any) -> None:
    window, server = home
    viewer = viewers(locale="de-DE")
    page = viewer.open(server.url)
    for revision, (verdict, changes) in enumerate(STORIES, 11):
        hear(window, StateChanged(NOW, make_state(revision, **changes)))
        expect(page.locator("#verdict-text")).to_contain_text(verdict)
        expect(page.locator("#watching")).to_be_visible(visible=verdict == "Ich schaue nur zu")
    hear(window, HandsOff(NOW, Why("hands_off")))
    expect(page.locator("#verdict-text")).to_contain_text("Etwas ist ausgefallen")
    assert viewer.errors == []


def test_a_goal_at_risk_is_the_verdict(viewers: Any) -> None:
    messages = [at_risk(m) if isinstance(m, PlanMade) else m for m in make_messages()]
    with served(VirtualClock(NOW), messages) as (_, server):
        page = viewers(locale="de-DE").open(server.url)
        expected = "Ziel in Gefahr: Twingo fehlen um Do 07:00 noch 16 %"
        expect(page.locator("#verdict-text")).to_have_text(expected)
        assert "erreicht" not in text_of(page, "#verdict")


BARE = HomeState(1, NOW, NOW, Site("", "", "EUR", 10, None, None, None, None, (), ()), True)
LOST = RatesChanged(NOW, 1, Series(NOW), Series(NOW), Series(NOW), grid_failed_since=NOW)


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [EvccSilent(NOW, "refused")],
        [StateChanged(NOW, BARE)],
        [LOST, *(m for m in make_messages() if not isinstance(m, RatesChanged | PlanMade))],
        [m for m in make_messages() if not isinstance(m, RatesChanged)],
        [m for m in make_messages() if not isinstance(m, PlanMade)],
    ],
    ids=["nothing", "silent", "bare", "no-prices-no-plan", "rates-missing", "plan-missing"],
)
def test_inv_152_inv_153_the_page_stands_with_anything_missing(
    viewers: Any, messages: list[Message]
) -> None:
    messages = [
        StateChanged(m.at, msgspec.structs.replace(m.state, **named(messages)))
        if isinstance(m, StateChanged)
        else m
        for m in messages
    ]
    with served(VirtualClock(NOW), messages) as (_, server):
        viewer = viewers(viewport={"width": 360, "height": 800})
        page = viewer.open(server.url)
        expect(page.locator("#chart svg")).to_be_visible()
        assert "undefined" not in page.locator("body").inner_text()
        assert "NaN" not in page.content()
        assert viewer.missing() == []
        assert viewer.errors == []


def named(messages: list[Message]) -> dict[str, int]:
    """A state names only what was said."""
    return {
        "rates_revision": int(any(isinstance(m, RatesChanged) for m in messages)),
        "plan_revision": int(any(isinstance(m, PlanMade) for m in messages)),
    }
