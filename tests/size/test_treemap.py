"""The treemap in a real browser: Debian's Chromium, headless, driven by selenium with the chromedriver beside it.

selenium, since it takes the machine's own browser and driver as they are, of whatever version the two have, and is
Python; Playwright would bring a driver of its own, made for one version of the browsers that it downloads.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oslet.cli.treemap import page
from oslet.cli.treemap.data import embedded
from oslet.model.tree import Tree

from .world import API, HOSTILE, LIB, LOCK, ODD, SSL_PY, SSL_SO, TREE, file

webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium here")

from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("chromium") and shutil.which("chromedriver")),
        reason="no Chromium here (Debian: chromium, chromium-driver)",
    ),
]
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
)


class Browser:
    """The page in a window, and what a person does with it."""

    def __init__(self, folder: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in (*FLAGS.split(), f"--user-data-dir={folder / 'profile'}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        environment = {**os.environ, "HOME": str(folder), "TMPDIR": str(folder)}
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver"), env=environment))
        self.address = (folder / "page.html").as_uri()
        (folder / "page.html").write_text(page("world", TREE, LOCK), "utf-8")

    def open(self, width: int = 1280, height: int = 800, fragment: str = "") -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.get("about:blank")
        self.logged("browser"), self.logged("performance")
        self.driver.get(self.address + fragment)

    def logged(self, kind: str) -> list[Any]:
        return list(self.driver.get_log(kind))

    def run(self, script: str, *given: object) -> Any:
        return self.driver.execute_script(script, *given)

    def all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def one(self, selector: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def cell(self, path: str) -> Any:
        (found,) = (e for e in self.all("[data-path]") if e.get_attribute("data-path") == path)
        return found

    def click(self, path: str) -> None:
        self.cell(path).click()

    def choose(self, control: str, value: str) -> None:
        self.one(f'#{control} [value="{value}"]').find_element(By.XPATH, "./following-sibling::span").click()

    def select(self, control: str, value: str) -> None:
        from selenium.webdriver.support.select import Select

        Select(self.one(f"#{control}")).select_by_value(value)

    def keys(self, *keys: str) -> None:
        self.driver.switch_to.active_element.send_keys(*keys)

    @property
    def title(self) -> str:
        return str(self.one("#panel h2").text)

    @property
    def chain(self) -> list[str]:
        return [e.text.replace("\n", ": ") for e in self.all(".chain li")]

    @property
    def crumbs(self) -> list[str]:
        return [e.text for e in self.all("#crumbs button")]

    @property
    def bright(self) -> set[str]:
        return {e.get_attribute("data-path") for e in self.all("[data-path]:not(.dim)")}


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("chromium")
    browser = Browser(folder)
    yield browser
    browser.driver.quit()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def browser(window: Browser) -> Iterator[Browser]:
    """The page, freshly opened; at the end nothing was complained of, and nothing but the page was asked for."""
    window.open()
    yield window
    assert window.logged("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in window.logged("performance")]
    asked = {m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"}
    assert {url.partition("#")[0] for url in asked} == {window.address}


def test_a_click_on_a_rectangle_shows_its_chain(browser: Browser) -> None:
    browser.click(f"{LIB}/libc.so.6")
    assert browser.title == f"{LIB}/libc.so.6"
    assert browser.one("#panel .badge").text == "✓ kept"
    assert browser.chain == [
        "this path: libssl.so.3 links libc.so.6 (DT_NEEDED), found by ld.so.conf",
        f"{LIB}/libssl.so.3: {SSL_SO.rpartition('/')[2]} links libssl.so.3 (DT_NEEDED), found by ld.so.conf",
        f"{SSL_SO}: ssl.py imports _ssl",
        f"{SSL_PY}: main.py imports ssl",
        f"{API}: app.py imports api.main",
        "/app/app.py: the declaration puts it there (files)",
        "the declaration",
    ]
    assert {SSL_SO, SSL_PY, API} <= {e.get_attribute("data-path") for e in browser.all(".trail")}


def test_each_hop_leads_on(browser: Browser) -> None:
    browser.click(f"{LIB}/libc.so.6")
    browser.one(".chain li:nth-child(1) a").click()
    assert browser.title == f"{LIB}/libssl.so.3"
    browser.click("/usr/bin/python3.13")
    assert browser.chain == ["this path: python3 is named by the declaration (python3)", "the declaration"]
    browser.one(".chain li a").click()
    assert browser.title == "python3 1.2" and browser.crumbs == ["world", "python3"]


def test_a_package_says_who_brings_it(browser: Browser) -> None:
    browser.run("openOrigin(model.origins.findIndex(([name]) => name === 'libc6'))")
    assert browser.title == "libc6 1.2"
    assert browser.chain == [
        "libc6 is needed by libssl3 (libc6 (>= 2.38))",
        "libssl3 is needed by python3 (libssl3 (>= 3))",
        "python3 is named by the declaration (python3)",
        "the declaration",
    ]
    browser.run("openOrigin(model.origins.findIndex(([name]) => name === 'hollow'))")
    assert browser.title == "hollow 1.2" and len(browser.chain) == 5, "one that holds nothing answers too"


def test_zoom_and_the_way_back(browser: Browser) -> None:
    browser.one(".group .name").click()
    assert browser.crumbs == ["world", "python3"] and browser.title == "python3 1.2"
    assert {e.get_attribute("data-path") for e in browser.all("[data-path]")} == {
        "/usr/bin/python3.13",
        SSL_PY,
        SSL_SO,
    }
    browser.one("#crumbs button").click()
    assert browser.crumbs == ["world"] and browser.cell(API).is_displayed()


def test_search_finds_dims_and_leads_there(browser: Browser) -> None:
    browser.keys("/")
    browser.keys("SSL")
    assert [e.text.split("\n")[0] for e in browser.all("#found [role=option]")] == [
        f"{LIB}/libssl.so.3",
        SSL_SO,
        SSL_PY,
    ]
    assert browser.bright == {f"{LIB}/libssl.so.3", SSL_SO, SSL_PY}
    browser.keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert browser.one("#search").get_attribute("aria-activedescendant") == "found-1"
    browser.keys(Keys.ENTER)
    assert browser.title == SSL_SO and not browser.one("#found").is_displayed()
    browser.keys(Keys.ESCAPE)
    assert browser.one("#search").get_attribute("value") == "" and len(browser.bright) > 3


def test_what_was_left_out_is_found_and_says_why(browser: Browser) -> None:
    left_out = [f"{LIB}/libthread_db.so.1", "/usr/share/man/man1/python3.1.gz"]
    browser.one("#search").send_keys("libthread", Keys.ENTER)
    assert browser.one("#panel .badge").text == "✕ left out"
    assert browser.chain[0] == "this path is not in the image: unreached: nothing that stays links or loads it"
    assert browser.run("return state.show") == "both", "a path that was left out can be seen on the map"
    assert browser.cell(f"{LIB}/libthread_db.so.1").get_attribute("aria-selected") == "true"
    assert [e.get_attribute("data-path") for e in browser.all("#map .gone[data-path]")] == left_out[::-1]
    browser.choose("show", "dropped")
    assert [e.get_attribute("data-path") for e in browser.all("#map [data-path]")] == left_out
    browser.choose("show", "kept")
    assert not {*left_out} & {e.get_attribute("data-path") for e in browser.all("#map [data-path]")}


def test_a_path_without_bytes_has_its_chain_too(browser: Browser) -> None:
    for text, chain in (("/usr/share/empty", 4), ("/lib", 2)):
        browser.run("chosenPath(model.places.get(arguments[0]))", text)
        assert browser.title == text and len(browser.chain) == chain


def test_hostile_names_stay_text(browser: Browser) -> None:
    browser.click(HOSTILE)
    assert browser.title == HOSTILE and HOSTILE in browser.chain[0]
    browser.one("#search").send_keys("<img")
    assert browser.one("#found [role=option] bdi").text == HOSTILE
    browser.run("chosenPath(model.places.get(arguments[0]))", ODD)
    assert browser.title == "/srv/\\u202egnp.\\u001b[2J\\u000aexe", "what can't be seen is spelled out"
    for way in ("package", "folder", "type", "reason"):
        browser.select("group", way)
    assert browser.run("return [window.broken ?? 0, document.images.length, document.scripts.length]") == [0, 0, 2]


def test_paths_arrive_as_they_are(browser: Browser) -> None:
    paths = ["/a/🚀/one", "/a/🚀/onest", "/a/🚀/🛰", "/a/\ue000", "/a/ü", f"/a/{HOSTILE}", "/__proto__/constructor"]
    tree = Tree(tuple(file(path, 1, "__proto__", f"{path} is {path}", "/a/ü") for path in paths))
    script = "const m = decode(arguments[0]); return m.paths.map((p, i) => [p, reason(m, i)])"
    arrived = browser.run(script, embedded("world", tree, LOCK))
    assert [path for path, _ in arrived] == sorted(paths)
    assert [said for _, said in arrived if "\ufffd" not in said] == [
        f"{p} is {p}" for p in sorted(paths) if "\ue000" not in p
    ]


def test_even_a_script_that_got_in_would_not_run(window: Browser) -> None:
    window.open()
    window.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.broken=1\">')")
    window.run(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.broken=1'}))"
    )
    blocked = "return fetch(location.href).then(() => 'fetched', () => 'refused')"
    assert window.run(blocked) == "refused"
    assert window.run("return window.broken ?? 'whole'") == "whole"


def test_the_keyboard_goes_everywhere(browser: Browser) -> None:
    browser.run("document.querySelector('#map [tabindex=\"0\"]').focus()")
    browser.keys(Keys.ENTER)
    assert browser.crumbs == ["world", "python3"]
    for _ in range(4):
        browser.keys(Keys.ARROW_DOWN)
    focused = browser.run("return document.activeElement.dataset.path")
    browser.keys(Keys.ENTER)
    assert browser.title == focused == browser.run("return document.activeElement.dataset.path")
    browser.keys(Keys.ESCAPE)
    assert browser.title == "python3 1.2"
    browser.keys(Keys.ESCAPE)
    assert browser.crumbs == ["world"]


def test_groups_and_colours(browser: Browser) -> None:
    for way, first in (("folder", "/usr"), ("type", "program"), ("reason", "named by the declaration")):
        browser.select("group", way)
        assert browser.one("#panel .part .label").text.startswith(first)
    browser.select("colour", "package")
    names = [e.text for e in browser.all("#legend bdi")]
    assert names == ["python3", "libc6", "libssl3", "wheel:api", "files"]
    browser.one('#legend [data-hue="2"]').click()
    assert browser.bright == {f"{LIB}/libssl.so.3"}
    browser.one('#legend [data-hue="2"]').click()
    assert len(browser.bright) > 3
    prints = browser.run(
        "return Array.from({length: HUES}, (_, n) => document.body.appendChild(make('i', {class: `hue${n}`})))"
        ".map((e) => getComputedStyle(e).backgroundImage + getComputedStyle(e).backgroundSize)"
    )
    assert len(set(prints)) == len(prints) == 12, "each colour has a print of its own"


def test_rectangles_fill_the_map_and_none_is_lost(browser: Browser) -> None:
    """Layout, on trees of all shapes: areas add up, none overlaps its neighbour's, each file is drawn or bundled."""
    faults = browser.run("""
        const faults = [];
        for (const sizes of [[1], [1, 1], [9, 3, 3, 1, 0], Array(60000).fill(7), [1e9, ...Array(3000).fill(1)]]) {
          const root = group("root", null);
          const leaf = { up: root, count: 1, out: 0, children: [] };
          root.children = sizes.map((size, at) => ({ ...leaf, label: `${at}`, at, size }));
          root.size = sizes.reduce((a, b) => a + b);
          const cells = plot(root, 800, 500);
          const area = cells.reduce((sum, cell) => sum + cell.w * cell.h, 0);
          const drawn = cells.reduce((sum, cell) => sum + cell.node.count, 0);
          const inside = cells.every((c) => c.x >= -.01 && c.y >= -.01 && c.x + c.w <= 800.01 && c.y + c.h <= 500.01);
          if (Math.abs(area - 400000) > 1) faults.push(`area ${area} of ${sizes.length}`);
          if (drawn !== sizes.filter(Boolean).length) faults.push(`${drawn} of ${sizes.length} drawn`);
          if (!inside) faults.push("outside");
          if (cells.length > MOST_CELLS) faults.push(`${cells.length} cells`);
        }
        return faults""")
    assert faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_labels_can_be_read(browser: Browser, scheme: str) -> None:
    """WCAG 2.2, 1.4.3: a contrast of 4.5 at least, for each colour of the map and the panel's own texts."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    colours = browser.run(
        "const s = getComputedStyle(document.documentElement);"
        "return Object.fromEntries(arguments[0].map((n) => [n, s.getPropertyValue('--' + n).trim()]))",
        ["page", "card", "head", "ink", "quiet", "strong", "cell", "out", "in", *(f"h{n}" for n in range(12))],
    )
    pairs = [("cell", f"h{n}") for n in range(12)]
    pairs += [(ink, paper) for ink in ("ink", "quiet", "strong") for paper in ("page", "card", "head")]
    for ink, paper in (*pairs, ("in", "card"), ("out", "card")):
        assert contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = (int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5))
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_it_fits_a_phone_and_a_link_leads_into_it(browser: Browser) -> None:
    browser.open(360, 740, f"#{API}")
    assert browser.title == API and len(browser.chain) == 3
    assert browser.run("return document.documentElement.scrollWidth") == 360
    assert browser.run("return document.querySelector('#panel').getBoundingClientRect().top < innerHeight")


def test_everything_has_a_name_for_those_who_do_not_see_it(browser: Browser) -> None:
    unnamed = browser.run(
        "return [...document.querySelectorAll('button, input, select, [role=treeitem], a')].filter((e) =>"
        "!(e.ariaLabel || e.textContent.trim() || e.labels?.length)).length"
    )
    assert unnamed == 0
    assert len(browser.all('#map [tabindex="0"]')) == 1, "one stop for the Tab key, the arrows do the rest"
