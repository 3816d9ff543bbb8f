"""The pages in a real browser: nothing fails, nothing is fetched, nothing hangs over the edge, everything answers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from ablation_world import make, plan_of
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from tiny_world import World

from tryon import cli

WIDTHS_PX = (1440, 390)
OVER_THE_EDGE = """
    return [...document.querySelectorAll("body *")]
      .filter(e => !e.closest(".scroll, .strip, nav, .unseen, .skip") 
        && e.getBoundingClientRect().right > innerWidth + 1)
      .map(e => e.tagName + "." + e.className);
"""
REQUESTS = 'return performance.getEntriesByType("resource").map(e => e.name).filter(name => !name.startsWith("data:"))'
BROKEN = "return [...document.images].filter(e => e.src && e.complete && !e.naturalWidth).length"


class Browser:
    """Headless Chromium at one width, with what the tests ask of a page."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, page: Path, width_px: int, fragment: str = "") -> None:
        metrics = {"width": width_px, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.get("about:blank")
        self.driver.get_log("browser")
        self.driver.get(page.as_uri() + fragment)

    def run(self, script: str, *arguments: object) -> object:
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def press(self, selector: str) -> None:
        """Click, wherever on the page it is."""
        element = self.one(selector)
        self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
        element.click()

    def pairs(self) -> list[str]:
        """Ids of the gallery's cards that show, in the order in which they stand."""
        return [card.get_attribute("data-pair") or "" for card in self.all("#pairs .pair:not([hidden])")]

    def assert_whole(self) -> None:
        """Every picture loads, nothing was asked of anybody, no complaint, no horizontal scrolling."""
        self.run("document.querySelectorAll('details').forEach(e => { e.open = true; })")
        self.driver.execute_async_script(
            """const done = arguments[0], wait = () => new Promise(resolve => setTimeout(resolve, 30));
            (async () => {
              const waiting = [...document.querySelectorAll("main img[data-picture]")].filter(e => e.checkVisibility());
              for (const image of waiting) {
                image.scrollIntoView({behavior: "instant"});
                for (let turn = 0; turn < 200 && image.dataset.picture; turn += 1) await wait();
              }
              await Promise.all([...document.images].filter(e => e.src).map(e => e.decode().catch(() => {})));
              done();
            })();"""
        )
        unloaded = (
            "return [...document.querySelectorAll('main img[data-picture]')].filter(e => e.checkVisibility()).length"
        )
        assert self.run(unloaded) == 0
        assert self.run(BROKEN) == 0
        assert self.run(REQUESTS) == []
        assert self.run(OVER_THE_EDGE) == []
        assert self.run("return document.documentElement.scrollWidth <= innerWidth")
        assert self.driver.get_log("browser") == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no Chromium here: `apt-get install chromium chromium-driver` opens the pages in a real browser")
    options = Options()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
    ):
        options.add_argument(flag)
    started = webdriver.Chrome(options=options, service=Service(driver))
    started.set_script_timeout(60)
    yield Browser(started)
    started.quit()


@pytest.fixture(scope="module")
def report(judged: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With one photo of a judged pair made doubtful, so that there is something to filter."""
    world = World(judged.data, tmp_path_factory.mktemp("browser") / "results", judged.config)
    shutil.copytree(judged.results, world.results)
    doubtful = pd.read_parquet(world.pairs).query("split == 'test' and kind == 'unpaired'")["person"].iloc[0]
    for path in (world.results / "keypoints").glob("*.parquet"):
        table = pd.read_parquet(path)
        table.assign(doubtful=table["id"] == doubtful, mean_score=0.31).to_parquet(path)
    out = world.results / "report" / "index.html"
    assert world.tryon("report", "--data", world.data, "--results", world.results, "--out", out) == 0
    return out


@pytest.fixture(scope="module")
def data_page(judged: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("inspect") / "data.html"
    assert judged.tryon("inspect", "--data", judged.data, "--results", judged.results, "--out", out) == 0
    return out


@pytest.fixture(scope="module")
def ablation(judged: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    world = World(judged.data, tmp_path_factory.mktemp("ablation") / "results", judged.config)
    shutil.copytree(judged.results, world.results)
    status, out = make(world, plan_of(world))
    assert status == 0
    return out


@pytest.fixture(scope="module")
def comparison(judged: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compare") / "compare.html"
    assert cli.main(["compare", str(judged.results), str(judged.results), "--html", str(out)]) == 0
    return out


@pytest.mark.parametrize("width_px", WIDTHS_PX)
@pytest.mark.parametrize("fragment", ["", "#lang=zh"])
@pytest.mark.parametrize("name", ["report", "data_page", "ablation", "comparison"])
def test_a_page_is_whole(
    browser: Browser, request: pytest.FixtureRequest, name: str, width_px: int, fragment: str
) -> None:
    browser.open(request.getfixturevalue(name), width_px, fragment)
    browser.assert_whole()


@pytest.mark.parametrize("width_px", WIDTHS_PX)
def test_the_language_is_switched_everywhere_and_kept_in_the_address(
    browser: Browser, report: Path, width_px: int
) -> None:
    browser.open(report, width_px)
    heading = "return document.querySelector('#scores h2').innerText"
    picture = "return document.querySelector('.thumbs img').alt"
    assert browser.run(heading) == "Scores"
    assert "after sr64" in str(browser.run(picture))
    browser.press('[data-language="zh"]')
    assert browser.run(heading) == "分数"
    assert "sr64 之后" in str(browser.run(picture))
    assert browser.run("return document.documentElement.lang") == "zh-CN"
    assert browser.one("#count").text.startswith("第 1–")
    assert browser.one('[data-language="zh"]').get_attribute("aria-pressed") == "true"
    browser.run("document.querySelector('nav a[href=\"#scores\"]').click()")
    assert browser.run("return location.hash") == "#scores&lang=zh"
    browser.driver.refresh()
    assert browser.run(heading) == "分数"
    browser.press('[data-language="en"]')
    assert browser.run("return location.hash") == "#scores"
    assert browser.run(heading) == "Scores"
    assert "after sr64" in str(browser.run(picture))


@pytest.mark.parametrize("width_px", WIDTHS_PX)
def test_the_plots_of_an_ablation_are_drawn_in_the_pages_colours(
    browser: Browser, ablation: Path, width_px: int
) -> None:
    browser.open(ablation, width_px)
    plots = browser.all(".curve svg.plot")
    assert len(plots) == 8
    assert all(plot.size["height"] > 100 for plot in plots)
    ring = "return getComputedStyle(document.querySelector('.curve .ring')).stroke"
    ink = "return getComputedStyle(document.body).color"
    assert browser.run(ring) == browser.run(ink)
    assert "guidance 1.5" in browser.one("#found .finding").text


@pytest.mark.parametrize("width_px", WIDTHS_PX)
def test_the_gallery_is_filtered_ordered_and_searched(browser: Browser, report: Path, width_px: int) -> None:
    browser.open(report, width_px)
    unpaired = browser.pairs()
    assert len(unpaired) > 1
    browser.press('[data-value="best"]')
    assert browser.pairs() == unpaired[::-1]
    browser.press('[data-value="worst"]')
    assert browser.pairs() == unpaired
    category = {
        card.get_attribute("data-pair"): card.get_attribute("data-category") for card in browser.all("#pairs .pair")
    }
    for name in sorted(set(category.values()), key=str):
        browser.press(f'[data-filter="category"][data-value="{name}"]')
        assert browser.pairs() == [pair for pair in unpaired if category[pair] == name]
    browser.press('[data-filter="category"][data-value=""]')
    browser.press('[name="doubtful"]')
    assert browser.pairs() == [
        c.get_attribute("data-pair") for c in browser.all("#pairs .pair[data-doubtful]") if c.is_displayed()
    ]
    assert 0 < len(browser.pairs()) < len(unpaired)
    browser.press('[name="doubtful"]')
    browser.one('[name="search"]').send_keys(unpaired[-1].upper())
    assert browser.pairs() == [unpaired[-1]]
    assert browser.one("#count").text == "1–1 of 1"
    browser.one('[name="search"]').send_keys("nobody")
    assert browser.pairs() == []
    assert browser.one("#nothing").is_displayed()
    browser.one('[name="search"]').clear()
    browser.one('[name="search"]').send_keys(" ")
    browser.press('[data-value="test_paired"]')
    assert set(browser.pairs()).isdisjoint(unpaired)


def test_long_lists_are_turned_page_by_page(browser: Browser, report: Path, tmp_path: Path) -> None:
    """The cards are copied until they fill three pages."""
    text = report.read_text(encoding="utf-8")
    copies = """const box = document.querySelector("#pairs"), first = box.querySelector(".pair");
      box.replaceChildren(...Array.from({length: 30}, (_, index) => {
        const card = first.cloneNode(true);
        card.dataset.rank = index + 1; card.dataset.pair = "p" + index;
        return card;
      }));"""
    long = tmp_path / "long.html"
    long.write_text(text.replace('<script>"use strict";', f'<script>{copies}</script><script>"use strict";'), "utf-8")
    browser.open(long, 1440)
    assert browser.pairs() == [f"p{index}" for index in range(12)]
    assert not browser.one('[data-page="-1"]').is_enabled()
    browser.press('[data-page="1"]')
    browser.press('[data-page="1"]')
    assert browser.pairs() == [f"p{index}" for index in range(24, 30)]
    assert browser.one("#count").text == "25–30 of 30"
    assert not browser.one('[data-page="1"]').is_enabled()
    browser.press('[data-page="-1"]')
    assert browser.pairs()[0] == "p12"


@pytest.mark.parametrize("width_px", WIDTHS_PX)
def test_a_slider_follows_pointer_and_keys(browser: Browser, report: Path, width_px: int) -> None:
    browser.open(report, width_px)
    slider = browser.one("#pairs .pair:not([hidden]) .slider")
    knob = slider.find_element(By.TAG_NAME, "input")
    cut = "return arguments[0].style.getPropertyValue('--cut')"
    browser.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", slider)
    assert browser.run(cut, slider) == "50%"
    quarter_px = slider.size["width"] // 4
    ActionChains(browser.driver).move_to_element(knob).click_and_hold().move_by_offset(
        quarter_px, 0
    ).release().perform()
    assert 73 <= float(str(browser.run(cut, slider)).rstrip("%")) <= 77
    knob.send_keys(Keys.HOME)
    assert browser.run(cut, slider) == "0%"
    knob.send_keys(Keys.ARROW_RIGHT)
    assert browser.run(cut, slider) == "1%"
    assert knob.get_attribute("aria-label")


@pytest.mark.parametrize("width_px", WIDTHS_PX)
def test_a_pair_is_enlarged_with_every_stage(browser: Browser, report: Path, width_px: int) -> None:
    browser.open(report, width_px)
    first, second = browser.pairs()[:2]
    browser.press("#pairs .pair:not([hidden]) .open")
    assert browser.one("#large .name").text == first
    captions = [caption.text for caption in browser.all("#large figcaption")]
    assert captions == ["person", "garment", "base 32×24", "sr64 64×48", "truth"]
    source = "return document.querySelector('#large .compare img.under').src"
    assert browser.run(source) == browser.run("return document.querySelectorAll('#large figure img')[3].src")
    browser.run("document.querySelectorAll('#large figure')[2].click()")
    assert browser.run(source) == browser.run("return document.querySelectorAll('#large figure img')[2].src")
    browser.press('#large [data-go="1"]')
    assert browser.one("#large .name").text == second
    assert browser.run(BROKEN) == 0
    assert browser.run("const box = document.querySelector('#large'); return box.scrollWidth <= box.clientWidth")
    browser.one("#large input").send_keys(Keys.ESCAPE)
    assert not browser.one("#large").is_displayed()


def test_printing_unfolds_every_section_and_clips_no_table(browser: Browser, report: Path) -> None:
    browser.open(report, 1060)  # about A4 landscape at 96 dpi within its margins
    closed = "return document.querySelectorAll('details:not([open])').length"
    before = browser.run(closed)
    assert before != 0
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run(closed) == 0
    clipped = """return [...document.querySelectorAll("table")]
        .filter(e => e.getBoundingClientRect().right > innerWidth).map(e => e.closest("section").id)"""
    assert browser.run(clipped) == []
    assert not browser.one(".filters").is_displayed()
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.run(closed) == before
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
