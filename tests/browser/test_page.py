"""The page in a real browser: what it shows, how it moves, and who can use it."""

from __future__ import annotations

import asyncio
import itertools
import re
from typing import Any

import orjson
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, Route, expect

from tests.browser.conftest import Stage
from tests.builders import START_MS
from tests.topic_records import (
    alarm,
    champion,
    dead_letter,
    place,
    prediction,
    retrain,
    scored,
    worker,
)
from tests.topic_records import fill as fill_read_model

pytestmark = pytest.mark.timeout(300)

LONG_MS = 60_000
expect.set_options(timeout=LONG_MS)


def fill(stage: Stage) -> None:
    """Everything that the page can show."""
    fill_read_model(stage.model)
    stage.model.take("drift", alarm(-300, ratio=2.34))
    stage.all_is_well()


async def texts(page: Page, selector: str) -> list[str]:
    return await page.locator(selector).all_inner_texts()


async def test_it_says_whether_it_is_well_and_moves_when_ticks_flow(
    stage: Stage, page: Page
) -> None:
    stage.all_is_well()
    await page.goto(stage.url)
    await expect(page.locator("#overall")).to_have_text("All is well")
    await expect(page.locator("#overall")).to_have_attribute("aria-live", "polite")
    await expect(page.locator("#price-title")).to_have_text("BTC-USD")
    assert page.url.endswith("/?symbol=BTC-USD")
    await expect(page.locator("#readout")).to_contain_text("100.00")
    for price in (123.0, 124.0, 125.0):
        stage.tick(price)
        await expect(page.locator("#readout")).to_contain_text(f"{price:.0f}.00")
    await expect(page.locator("#price-chart")).to_have_attribute(
        "aria-label", re.compile(r"BTC-USD: price 125\.00")
    )


async def test_every_part_is_shown_in_the_order_that_operators_need(
    stage: Stage, page: Page
) -> None:
    fill(stage)
    await page.goto(stage.url)
    await expect(page.locator("#connection")).to_have_text("Live")
    assert await page.locator("h2").all_text_contents() == [
        "Is it well?", "Symbols", "BTC-USD", "Calibration", "Skill against the last price",
        "Drift", "Members", "Retrains", "Versions", "Dead letters", "Partitions, workers, lag",
    ]  # fmt: skip
    for chart in ("price", "calibration", "skill", "retrain", "lag"):
        node = page.locator(f"#{chart}-chart")
        await node.scroll_into_view_if_needed()
        await expect(node.locator("svg.main-svg").first).to_be_visible()
        await expect(node).to_have_attribute("role", "img")
    assert await texts(page, "#member-table tbody tr td:first-child") == [
        "kalman", "random_forest", "lightgbm", "lstm", "published",
    ]  # fmt: skip
    assert await texts(page, "#version-table tbody tr td:first-child") == ["v39", "v38"]
    assert "bad_price" in (await texts(page, "#reason-table tbody"))[0]
    await expect(page.locator(".none:visible")).to_have_count(0)


async def test_each_chart_has_its_figures_as_a_table(stage: Stage, page: Page) -> None:
    fill(stage)
    await page.goto(stage.url)
    await expect(page.locator("#retrain-table tbody tr")).to_have_count(39)
    for name in ("price", "calibration", "skill", "retrain", "lag"):
        await page.locator(f"details:has(#{name}-table) summary").click()
        await expect(page.locator(f"#{name}-table tbody tr").first).to_be_visible()


async def test_a_failed_retrain_is_seen_at_once(stage: Stage, page: Page) -> None:
    fill(stage)
    await page.goto(stage.url)
    await expect(page.locator("#overall")).to_have_text("All is well")
    event = retrain(50, "failed", versions={}, reasons=("BTC-USD: lightgbm: it gave NaN",))
    stage.model.take("retrain_events", event)
    await expect(page.locator("#overall")).to_have_text("Needs action: last retrain")
    await expect(page.locator("#checks")).to_contain_text("lightgbm: it gave NaN")
    assert await page.title() == "Needs action: last retrain · stream-app"


async def test_a_rejected_model_is_seen_at_once(stage: Stage, page: Page) -> None:
    fill(stage)
    await page.goto(stage.url)
    await expect(page.locator("#overall")).to_have_text("All is well")
    event = retrain(50, versions={}, rejected={"BTC-USD": "lstm: its answers are not finite"})
    stage.model.take("retrain_events", event)
    stage.tick()
    await expect(page.locator("#overall")).to_have_text("Needs a look: rejected models")
    await expect(page.locator("#checks")).to_contain_text("lstm: its answers are not finite")
    await expect(page.locator("#symbol-table")).to_contain_text("new models rejected")


async def test_an_alarm_of_drift_is_seen_at_once_beside_what_chance_gives(
    stage: Stage, page: Page
) -> None:
    stage.model.take("scores", scored(40))
    stage.all_is_well()
    await page.goto(stage.url)
    await expect(page.locator("#drift-note")).to_contain_text("No alarm yet")
    row = page.locator("#drift-table tr", has_text="page_hinkley, errors")
    await expect(row).to_contain_text("0")
    stage.model.take("drift", alarm(40, ratio=2.34))
    await expect(page.locator("#overall")).to_have_text("Needs a look: drift")
    await expect(page.locator("#checks")).to_contain_text("Alarms of BTC-USD in the last day")
    await expect(row).to_contain_text("0.25")  # by chance alone
    await expect(row).to_contain_text("2.34")
    for name, count in (("always", "8,640"), ("never", "0")):
        await expect(page.locator("#drift-table tr", has_text=name)).to_contain_text(count)
    stage.model.reading.missing = frozenset({"drift"})
    await expect(page.locator("#drift-none")).to_have_text("There is no topic of drift.")
    await expect(page.locator("#drift-table")).to_be_hidden()


async def test_a_flood_of_dead_letters_is_seen_at_once(stage: Stage, page: Page) -> None:
    stage.all_is_well()
    await page.goto(stage.url)
    await expect(page.locator("#letters-none")).to_be_visible()
    for offset in range(70):
        stage.model.take("dead_letters", dead_letter(offset))
    await expect(page.locator("#overall")).to_have_text("Needs action: dead letters")
    await expect(page.locator("#letter-table tbody tr")).to_have_count(50)


async def test_missing_topics_and_a_broker_that_is_away_are_named(stage: Stage, page: Page) -> None:
    stage.model.reading.topic_problems = ("market.bars.v1: no such topic",)
    stage.model.reading.missing = frozenset(("bars", "scores"))
    await page.goto(stage.url)
    await expect(page.locator("#problems")).to_have_text("market.bars.v1: no such topic")
    await expect(page.locator("#calibration-none")).to_contain_text("No live scores yet")
    stage.model.note_away("connection refused")
    await expect(page.locator("#checks")).to_contain_text(
        "The broker does not answer: connection refused"
    )


async def test_texts_from_topics_are_shown_and_never_run(stage: Stage, page: Page) -> None:
    hostile = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"
    stage.all_is_well()
    stage.tick(degraded=[hostile])
    stage.model.take("dead_letters", dead_letter(1, reason=hostile, value=hostile.encode()))
    event = retrain(50, "failed", versions={}, reasons=(hostile,), worker=hostile)
    stage.model.take("retrain_events", event)
    stage.model.take("champions", champion(hostile, why=hostile))
    stage.model.take_answers([prediction(START_MS, symbol="<b>bold</b>")], 1)
    await page.goto(f"{stage.url}?symbol=BTC-USD")
    await expect(page.locator("#degraded")).to_contain_text("<img src=x")
    await expect(page.locator("#letter-table")).to_contain_text("<script>")
    await expect(page.locator("#symbol-table")).to_contain_text("<b>bold</b>")
    await page.locator("#retrain-chart").scroll_into_view_if_needed()
    await expect(page.locator("#retrain-chart svg.main-svg").first).to_be_visible()
    assert await page.locator("main img, main b, main script").count() == 0
    assert "run" not in await page.title()


def thousand(stage: Stage) -> None:
    records = [
        prediction(
            START_MS + n, symbol=f"SYM{n:04}", price=1.0 + n, written_ms=stage.clock.now_ms()
        )
        for n in range(1000)
    ]
    stage.model.take_answers(records, 1000)


async def test_a_thousand_symbols_are_sorted_filtered_and_linked(stage: Stage, page: Page) -> None:
    thousand(stage)
    await page.goto(f"{stage.url}?symbol=SYM0500&view=day")
    first = page.locator("#symbol-table tbody tr").first
    await expect(page.locator("#matches")).to_have_text("1,000")
    await expect(page.locator("#symbol-table tbody tr")).to_have_count(25)
    await expect(page.locator("#price-title")).to_have_text("SYM0500")
    await expect(page.get_by_role("button", name="Bars")).to_have_attribute("aria-pressed", "true")
    await page.get_by_role("button", name="Price", exact=True).click()
    await page.get_by_role("button", name="Price", exact=True).click()
    await expect(first).to_contain_text("SYM0999")
    await expect(page.locator('th[aria-sort="descending"]')).to_contain_text("Price")
    await page.get_by_role("button", name="Next").click()
    await expect(first).to_contain_text("SYM0974")
    await page.get_by_role("searchbox").fill("sym012")
    await expect(page.locator("#matches")).to_have_text("10 of 1,000")
    await page.get_by_role("link", name="SYM0125").click()
    await expect(page.locator("#price-title")).to_have_text("SYM0125")
    assert "symbol=SYM0125" in page.url
    assert "filter=sym012" in page.url
    await page.reload()
    await expect(page.locator("#price-title")).to_have_text("SYM0125")
    await expect(page.get_by_role("searchbox")).to_have_value("sym012")
    await page.go_back()
    await expect(page.locator("#price-title")).to_have_text("SYM0500")


async def test_it_survives_a_restart_of_the_dashboard(stage: Stage, page: Page) -> None:
    stage.all_is_well()
    await page.goto(stage.url)
    await expect(page.locator("#connection")).to_have_text("Live")
    await stage.stop()
    await expect(page.locator("#connection")).to_contain_text("lost")
    stage.tick(777.0)
    await stage.start()
    await expect(page.locator("#connection")).to_have_text("Live")
    await expect(page.locator("#readout")).to_contain_text("777.00")


async def test_it_can_be_used_with_the_keyboard_alone(stage: Stage, page: Page) -> None:
    thousand(stage)
    await page.goto(stage.url)
    await expect(page.locator("#symbol-table tbody tr")).to_have_count(25)
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Skip to the price"
    reached = set()
    for _ in range(40):
        await page.keyboard.press("Tab")
        reached.add(
            await page.evaluate("document.activeElement.textContent || document.activeElement.id")
        )
    assert {"Theme: auto", "contains", "Symbol", "SYM0003"} <= reached
    await page.get_by_role("link", name="SYM0003").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#price-title")).to_have_text("SYM0003")
    stage.tick()
    assert await page.evaluate("document.activeElement.textContent") == "SYM0003"


async def test_the_theme_follows_the_system_and_the_button(stage: Stage, page: Page) -> None:
    stage.all_is_well()
    background = "getComputedStyle(document.body).backgroundColor"
    await page.emulate_media(color_scheme="dark")
    await page.goto(stage.url)
    dark = await page.evaluate(background)
    await page.get_by_role("button", name="Theme: auto").click()
    light = await page.evaluate(background)
    assert light != dark
    await page.reload()
    assert await page.evaluate(background) == light
    await page.get_by_role("button", name="Theme: light").click()
    assert await page.evaluate(background) == dark


@pytest.mark.parametrize("width", [360, 768, 1400])
async def test_nothing_is_cut_off_on_a_narrow_screen(stage: Stage, page: Page, width: int) -> None:
    fill(stage)
    await page.set_viewport_size({"width": width, "height": 800})
    await page.goto(stage.url)
    await page.locator("#price-chart").scroll_into_view_if_needed()  # it is drawn when in sight
    await expect(page.locator("#price-chart svg.main-svg").first).to_be_visible()
    wide = await page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width


async def test_who_wants_less_motion_gets_a_chart_that_moves_once_a_second(
    stage: Stage, page: Page
) -> None:
    await page.emulate_media(reduced_motion="reduce")
    stage.all_is_well()
    await page.goto(stage.url)
    await expect(page.locator("#price-chart svg.main-svg").first).to_be_visible()
    await page.evaluate(
        """() => {
          window.drawn = [];
          const real = Plotly.react;
          Plotly.react = (node, ...more) => {
            if (node.id === 'price-chart') drawn.push(performance.now());
            return real(node, ...more);
          };
        }"""
    )
    for price in range(200, 212):
        stage.tick(float(price))
        await page.wait_for_timeout(250)
    drawn = await page.evaluate("drawn")
    assert len(drawn) >= 2
    assert min(b - a for a, b in itertools.pairwise(drawn)) > 950


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", ["full", "empty"])
async def test_axe_finds_nothing_serious(stage: Stage, page: Page, scheme: Any, state: str) -> None:
    if state == "full":
        fill(stage)
        stage.model.take("retrain_events", retrain(50, "failed", versions={}, reasons=("no",)))
        stage.model.take_group(
            {0: place(0, end=50, committed=50), 1: place(1, end=9, committed=None)}, [worker(0)]
        )
    await page.emulate_media(color_scheme=scheme)
    await page.goto(stage.url)
    await expect(page.locator("#checks")).to_contain_text("Dead letters")
    if state == "full":
        await expect(page.locator("#price-chart svg.main-svg").first).to_be_visible()
    found = await Axe().run(page)
    serious = [
        (item["id"], [node["target"] for node in item["nodes"]])
        for item in found.response["violations"]
        if item["impact"] in ("serious", "critical")
    ]
    assert serious == []


async def test_a_chart_that_is_no_longer_there_is_not_drawn(stage: Stage, page: Page) -> None:
    """The library comes late, and the view has changed to one without a single bar."""
    asked, come = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        asked.set()
        await come.wait()
        await route.continue_()

    await page.route("**/plotly.min.js", late)
    stage.all_is_well()
    await page.goto(stage.url)
    await page.locator("#price-chart").scroll_into_view_if_needed()
    await asyncio.wait_for(asked.wait(), LONG_MS / 1000)
    await page.get_by_role("button", name="Bars").click()
    await expect(page.locator("#price-note")).to_have_text("No bar of this symbol has closed yet.")
    come.set()
    await page.evaluate(
        "new Promise((done) => { const look = () => window.Plotly ? setTimeout(done, 300)"
        " : setTimeout(look, 50); look(); })"
    )


async def test_a_chart_whose_library_did_not_come_asks_again(stage: Stage, page: Page) -> None:
    """As while the dashboard starts again."""
    refused = asyncio.Event()

    async def refuse_once(route: Route) -> None:
        if refused.is_set():
            await route.continue_()
        else:
            refused.set()
            await route.abort()

    await page.route("**/plotly.min.js", refuse_once)
    stage.all_is_well()
    await page.goto(stage.url)
    await page.locator("#price-chart").scroll_into_view_if_needed()
    await asyncio.wait_for(refused.wait(), LONG_MS / 1000)
    stage.tick(101.0)
    await expect(page.locator("#price-chart svg.main-svg").first).to_be_visible()


async def test_a_level_between_two_percents_is_not_rounded(stage: Stage, page: Page) -> None:
    stage.all_is_well()
    stage.tick(intervals=[{"level": 0.995, "low": 99.0, "high": 101.0}])
    stage.model.take("scores", scored(40, coverage={"day": {"0.995": 0.99}}))
    await page.goto(stage.url)
    await expect(page.locator("#readout")).to_contain_text("99.5 % interval", timeout=10_000)
    await page.locator("#calibration summary").click()
    await expect(page.locator("#calibration-table tbody tr").first).to_contain_text(
        "99.5 %", timeout=10_000
    )


@pytest.mark.parametrize("width", [390, 1024, 1280, 1400])
async def test_the_skill_of_many_symbols_is_in_sight_beside_a_long_name(
    stage: Stage, page: Page, width: int
) -> None:
    for name in ("A-USD", "1INCH-PERP-USDT-BINANCE-FUTURES"):
        stage.model.take_answers([prediction(START_MS, symbol=name, price=0.31)], 1)
        stage.model.take("scores", scored(40, symbol=name))
    await page.set_viewport_size({"width": width, "height": 800})
    await page.goto(stage.url)
    row = page.locator("#symbol-table tbody tr").first
    await expect(row).to_contain_text("+2.00 %")
    await expect(row.locator("td").first).to_have_attribute(
        "title", "1INCH-PERP-USDT-BINANCE-FUTURES"
    )
    cut_px = await page.evaluate(
        """() => {
          const skill = document.querySelector('#symbol-table tbody tr').cells[4];
          const seen = document.querySelector('#symbols .scroll').getBoundingClientRect();
          return skill.getBoundingClientRect().right - seen.right;
        }"""
    )
    assert cut_px <= 0


async def test_what_has_nothing_to_show_yet_says_so(stage: Stage, page: Page) -> None:
    await page.goto(stage.url)
    await expect(page.locator("#symbols-none")).to_have_text(
        "The first one comes with the first tick."
    )
    for empty in ("#pages", "#partition-table", "details:has(#price-table)"):
        await expect(page.locator(empty)).to_be_hidden()
    stage.all_is_well()
    await page.get_by_role("searchbox").fill("nothing")
    await expect(page.locator("#symbols-none")).to_have_text("No symbol is like that.")


async def test_a_check_that_is_not_well_is_read_in_full(stage: Stage, page: Page) -> None:
    stage.all_is_well()
    stage.model.note_away("W" * 300)  # the longest text that is kept, of the widest letters
    await page.set_viewport_size({"width": 1400, "height": 800})
    await page.goto(stage.url)
    text = page.locator("#checks .check.bad dd")
    await expect(text).to_contain_text("WWW")
    assert await text.evaluate("node => node.scrollHeight <= node.clientHeight")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (1.234e-6, "0.00000123400"),
        (3.2e-12, "3.20000e\N{MINUS SIGN}12"),
        (1.6e9, "1,600,000,000.00"),
    ],
)
async def test_the_smallest_and_the_largest_prices_have_digits_that_count(
    stage: Stage, page: Page, given: float, shown: str
) -> None:
    stage.tick(given)
    await page.goto(stage.url)
    await expect(page.locator("#readout dd").first).to_have_text(shown)
    await expect(page.locator("#symbol-table tbody tr").first).to_contain_text(shown)


async def test_skill_without_a_standard_error_is_not_drawn_as_certain(
    stage: Stage, page: Page
) -> None:
    score = orjson.loads(scored(40).value or b"")
    for figures in score["running"]["week"].values():
        figures["mse_skill_se"] = None
    stage.model.take("scores", scored(40, running=score["running"]))
    stage.all_is_well()
    await page.goto(stage.url)
    await expect(page.locator("#skill-none")).to_have_text(
        "40 outcomes so far: too few to tell skill from chance."
    )
    await expect(page.locator("#skill-chart")).to_be_hidden()


async def test_the_last_price_is_in_the_chart_of_skill_however_bad_it_is(
    stage: Stage, page: Page
) -> None:
    score = orjson.loads(scored(40).value or b"")
    for figures in score["running"]["week"].values():
        figures["mse_skill"] = -0.8
    for span in ("day", "week"):
        del score["running"][span]["lstm"]
    del score["running"]["week"]["kalman"]  # the day has its outcomes
    stage.model.take("scores", scored(40, running=score["running"]))
    stage.all_is_well()
    await page.goto(stage.url)
    await expect(page.locator("#skill-note")).to_contain_text("No outcome of lstm is known yet.")
    await page.locator("#skill-chart").scroll_into_view_if_needed()
    await expect(page.locator("#skill-chart .zerolinelayer path").first).to_be_attached()
    await expect(page.locator("#skill-chart")).to_contain_text("← worse | better →")
