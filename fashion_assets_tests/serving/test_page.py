"""The page at `/`, as people use it: in Chromium, on the real API of forty products."""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Error, Page, Playwright, Route, expect, sync_playwright

from fashion_assets.postgres.connections import connect
from fashion_assets.settings import Settings
from fashion_assets.warehouse import searches

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PHONE = {"width": 375, "height": 720}
HOSTILE = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no chromium here")


# Of this module alone: while the driver is there its thread has an event loop, beside which no test could run one of its own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    driver: Playwright
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def shared(api: httpx.Client, browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """One page for all tests, and what its console and scripts complained of."""
    context = browser.new_context(base_url=str(api.base_url), reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(15_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: complaints.append(message.text) if "Content Security" in message.text else None,
    )
    page.on(
        "request",
        lambda request: complaints.append(request.url) if leaves(request.url, str(api.base_url)) else None,
    )
    yield page, complaints
    context.close()


@pytest.fixture
def page(shared: tuple[Page, list[str]]) -> Iterator[Page]:
    """The page, opened anew; nothing went wrong in it, and nothing was asked of another host."""
    page, complaints = shared
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto("/")
    expect(cards(page).first).to_be_visible()
    yield page
    page.unroute_all(behavior="ignoreErrors")
    page.evaluate("sessionStorage.clear()")
    assert complaints == []


def leaves(url: str, base: str) -> bool:
    return not url.startswith((base, "data:", "blob:"))


def cards(page: Page) -> Any:
    return page.locator(".results .card:not(.skeleton)")


def settled(page: Page) -> None:
    """Wait until nothing is being asked for any more."""
    expect(page.locator("footer p")).to_be_visible()
    expect(page.locator("[aria-busy], .skeleton")).to_have_count(0)


def titles(page: Page) -> list[str]:
    return page.locator(".results .card:not(.skeleton) img").evaluate_all("all => all.map(each => each.alt)")


def test_typing_gives_results_and_the_address_of_them(page: Page):
    with page.expect_request("**/api/v1/search?q=blue&facets=*") as counted:
        page.locator("#words").press_sequentially("blue")
    # What somebody rests on is looked for; what is typed on is not.
    assert "purpose" not in counted.value.headers
    expect(page).to_have_url("/?q=blue")
    expect(page.locator(".results .card img").first).to_have_attribute("alt", "blue tshirts")
    # What is typed in one go is one step of the history.
    page.go_back()
    expect(page.locator("#words")).to_have_value("")
    expect(page.locator("h1")).to_contain_text("40 things")


def test_suggestions_are_chosen_by_the_keyboard(page: Page):
    field = page.locator("#words")
    field.press_sequentially("blu")
    settled(page)  # what was found has come, too
    first = page.locator("#suggestions").get_by_role("option").first
    expect(first).to_contain_text("blue")
    expect(field).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    expect(first).to_have_attribute("aria-selected", "true")
    expect(field).to_have_attribute("aria-activedescendant", first.get_attribute("id") or "")
    chosen = first.inner_text()  # before the list closes, when the first option is another list's
    page.keyboard.press("Enter")
    expect(field).to_have_value(chosen)


def test_what_was_misspelt_is_told(page: Page):
    page.locator("#words").fill("shirtt")
    expect(page.locator(".notes")).to_contain_text("Read as shirt")


def test_what_the_catalogue_lacks_is_told_with_links_to_what_is_near(page: Page):
    page.locator("#words").fill("teal tshirt")
    line = page.locator(".notes .lacking")
    expect(line).to_contain_text("We have no teal. Nearest: ")
    near = line.get_by_role("link").first
    value = near.inner_text()
    near.click()
    expect(page.locator("#words")).to_have_value(f"{value} tshirt")
    expect(line).to_have_count(0)
    # What matched is marked, as it stands there.
    expect(page.locator(".results .card mark").first).to_have_text(value, ignore_case=True)


def test_only_the_answer_to_the_last_question_is_shown(page: Page):
    """The first answer comes after the second: it is of a question nobody has any more."""
    held: list[Route] = []
    page.route("**/api/v1/search?q=green&*", lambda route: held.append(route))
    page.locator("#words").fill("green")
    expect(page).to_have_url("/?q=green")
    page.locator("#words").fill("blue")
    expect(page.locator(".results .card img").first).to_have_attribute("alt", "blue tshirts")
    assert held
    for route in held:
        with suppress(Error):  # the page has given it up, as it should
            route.continue_()
    page.wait_for_timeout(100)
    assert titles(page)[0] == "blue tshirts" and page.locator(".trouble").count() == 0


def test_a_filter_leaves_as_many_as_it_says(page: Page):
    red = page.get_by_role("checkbox", name="red")
    expect(red).to_be_visible()
    said = int(page.locator(".facet label", has_text="red").locator(".count").inner_text())
    red.check()
    expect(page).to_have_url("/?filter=colour=red")
    expect(cards(page)).to_have_count(said)
    expect(page.locator(".found strong")).to_have_text(f"{said} found")
    assert set(titles(page)) == {"red tshirts"} and said < 40
    expect(red).to_be_focused()
    page.get_by_role("button", name="Remove the filter colour: red").click()
    expect(page.locator(".chips .chip")).to_have_count(0)
    page.go_back()
    expect(red).to_be_checked()
    expect(cards(page)).to_have_count(said)


def test_a_picture_is_searched_by_and_words_beside_it(page: Page, tmp_path: Path):
    red = tmp_path / "red.png"
    Image.new("RGB", (1500, 1200), "red").save(red)
    with page.expect_response("**/api/v1/search") as sent:
        page.locator("#picture").set_input_files(red)
    assert sent.value.ok and sent.value.request.method == "POST"
    expect(page.get_by_role("button", name="Remove: This picture")).to_be_visible()
    with page.expect_response("**/api/v1/search") as sent:
        page.locator("#words").press_sequentially("b")
    assert sent.value.ok
    page.get_by_role("button", name="Remove: This picture").click()
    expect(page.locator(".part")).to_have_count(0)


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_picture_that_is_dropped_or_pasted_is_searched_by(page: Page, kind: str):
    # No browser's driver drops a file from outside, or holds a picture in the clipboard: the events are those it would send.
    carried = page.evaluate_handle(
        """async () => {
          const canvas = new OffscreenCanvas(64, 64);
          canvas.getContext("2d").fillRect(0, 0, 64, 64);
          const carried = new DataTransfer();
          carried.items.add(new File([await canvas.convertToBlob()], "black.png", { type: "image/png" }));
          return carried;
        }"""
    )
    if kind == "drop":
        page.dispatch_event("main", "dragover", {"dataTransfer": carried})
        expect(page.locator("#drop")).to_be_visible()
    with page.expect_response("**/api/v1/search") as sent:
        if kind == "drop":
            page.dispatch_event("main", "drop", {"dataTransfer": carried})
        else:
            page.evaluate(
                "carried => document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: carried, bubbles: true}))",
                carried,
            )
    assert sent.value.ok and sent.value.request.method == "POST"
    expect(page.get_by_role("button", name="Remove: This picture")).to_be_visible()
    expect(page.locator("#drop")).to_be_hidden()


def test_more_like_a_product_but_otherwise(page: Page):
    first = cards(page).first
    key = first.get_attribute("data-id")
    first.hover()
    first.get_by_role("button", name="More like").click()
    expect(page).to_have_url(f"/?like={key}")
    expect(page.locator(".part img")).to_be_visible()
    expect(page.locator(f".results [data-id='{key}']")).to_have_count(0)
    page.locator("#words").press_sequentially("red")
    expect(page).to_have_url(f"/?q=red&like={key}")


def test_a_product_has_an_address_and_the_back_button_leads_from_it(page: Page):
    cards(page).nth(1).locator("a").click()
    dialog = page.locator("dialog#product")
    expect(dialog.get_by_role("heading", level=2)).not_to_be_empty()
    expect(dialog.get_by_role("list", name="Similar").locator("li:not(.skeleton)").first).to_be_visible()
    address = page.url
    assert "product=" in address
    title = dialog.get_by_role("heading", level=2).inner_text()
    page.go_back()
    expect(dialog).not_to_be_visible()
    page.goto(address)
    expect(dialog.get_by_role("heading", level=2)).to_have_text(title)
    page.keyboard.press("Escape")
    expect(dialog).not_to_be_visible()
    expect(page).to_have_url("/")


def test_all_products_are_reached_by_the_keyboard_alone(page: Page):
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("/")
    expect(page.locator("#words")).to_be_focused()
    expect(page.locator("#words")).to_have_attribute("role", "combobox")
    more = page.get_by_role("button", name="Show more")
    more.focus()
    page.keyboard.press("Enter")
    expect(cards(page)).to_have_count(40)
    # The focus is on the first of those that came.
    assert page.evaluate(
        "document.activeElement.closest('.card') === document.querySelectorAll('.results .card')[24]"
    )
    page.keyboard.press("Enter")
    expect(page.locator("dialog#product")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog#product")).not_to_be_visible()
    assert page.evaluate("document.activeElement.closest('.card') !== null")


def test_a_phone_has_the_filters_in_a_sheet_and_nothing_beside_the_screen(page: Page):
    page.set_viewport_size(PHONE)
    for address in ("/?q=shirt&filter=colour=red,blue", "/?view=about", "/?view=people", "/?view=compare"):
        page.goto(address)
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], address
    page.goto("/?q=shirt")
    page.get_by_role("button", name="Filters").click()
    sheet = page.locator("dialog#sheet")
    sheet.get_by_role("checkbox", name="red").check()
    expect(page).to_have_url("/?q=shirt&filter=colour=red")
    sheet.get_by_role("button", name="Show").click()
    expect(page.locator(".chip", has_text="red")).to_be_visible()


def test_the_appearance_is_the_systems_or_the_one_chosen(page: Page):
    def paper() -> str:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    page.emulate_media(color_scheme="dark")
    dark = paper()
    page.emulate_media(color_scheme="light")
    light = paper()
    assert dark != light
    page.locator("#theme").click()
    assert paper() == dark
    page.reload()
    assert paper() == dark
    page.locator("#theme").click()
    assert paper() == light


@pytest.mark.parametrize(
    ("scheme", "addresses"),
    [
        ("light", ["/?q=shirt&filter=colour=red,blue", "/?view=compare&q=shirt", "/?view=about"]),
        ("dark", ["/?q=shirt", "/?q=shirt&product={}", "/?view=people", "/?view=merchant"]),
    ],
)
def test_axe_finds_nothing_serious(page: Page, scheme: Any, addresses: list[str]):
    product = cards(page).first.get_attribute("data-id")
    page.emulate_media(color_scheme=scheme)
    for address in addresses:
        page.goto(address.format(product))
        settled(page)
        assert serious(page) == {}, address


@pytest.fixture
def merchant(api: httpx.Client, served_settings: Settings, page: Page) -> Iterator[Page]:
    """The merchant's view, with somebody who found nothing, and nothing decided before or after."""

    def clear() -> None:
        for what in ("synonyms", "rules"):
            for each in api.get(f"/api/v1/merchant/{what}").json()[what]:
                api.delete(f"/api/v1/merchant/{what}/{each['id']}")

    clear()
    with connect(served_settings, vectors=False) as connection:
        key = searches.Key(date.today(), "fashion_sota_r0001", "words", "zzteal")
        searches.add(connection, {key: searches.Counts(5, 5)})
    page.goto("/?view=merchant")
    settled(page)
    yield page
    clear()


def test_what_found_nothing_becomes_a_synonym(merchant: Page):
    merchant.get_by_role("button", name="Make a synonym for zzteal").click()
    field = merchant.get_by_label("What zzteal also means")
    expect(field).to_be_focused()
    field.fill("zzteal")
    merchant.keyboard.press("Enter")
    expect(merchant.locator("#searches .complaint")).to_contain_text("'zzteal' cannot become itself")
    field.fill("blue")
    merchant.keyboard.press("Enter")
    expect(merchant.get_by_role("list", name="Synonyms")).to_contain_text("zzteal → blue")
    merchant.goto("/?q=zzteal")
    expect(merchant.locator(".notes")).to_contain_text("zzteal → blue")
    merchant.goto("/?view=merchant")
    merchant.get_by_role("button", name="Remove zzteal → blue").press("Enter")
    expect(merchant.locator("#synonyms")).to_contain_text("There are none yet.")


def test_products_are_arranged_beside_what_is_found(merchant: Page):
    merchant.get_by_label("For a search for").fill("shirt")
    merchant.keyboard.press("Enter")
    shown = merchant.locator(".arranged > li")
    expect(shown).to_have_count(12)
    third = shown.nth(2).locator(".soft").inner_text()
    shown.nth(2).get_by_role("button", name="first").press("Enter")
    expect(shown.first.locator(".badge")).to_have_text("Pinned at 1")
    expect(shown.first.locator(".soft")).to_have_text(third)
    shown.first.get_by_role("button", name="down").click()
    expect(shown.nth(1).locator(".badge")).to_have_text("Pinned at 2")
    hidden = shown.first.locator(".soft").inner_text()
    shown.first.get_by_role("button", name="Hide").click()
    expect(merchant.get_by_role("heading", name="Hidden for these words")).to_be_visible()
    expect(shown.first.locator(".soft")).not_to_have_text(hidden)
    merchant.get_by_label("Products that are").fill("shade=red")
    merchant.get_by_role("button", name="Boost").click()
    expect(merchant.locator("form", has_text="Boost").locator(".complaint")).to_contain_text("known filters")
    for width, scheme in ((PHONE["width"], "dark"), (1280, "light")):
        merchant.set_viewport_size({"width": width, "height": 800})
        merchant.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert merchant.evaluate("document.documentElement.scrollWidth") <= width
        assert serious(merchant) == {}


def serious(page: Page) -> dict[str, list[str]]:
    found = Axe().run(page).response["violations"]
    return {
        each["id"]: [node["html"] for node in each["nodes"][:3]]
        for each in found
        if each["impact"] in ("serious", "critical")
    }


def test_what_a_listing_says_stays_text(page: Page):
    def spoilt(route: Route) -> None:
        answer = route.fetch()
        said = answer.json()
        for hit in said["hits"]:
            hit["title"] = HOSTILE
            hit["attributes"]["brand"] = HOSTILE
            hit["image"] = "https://elsewhere.example/picture.jpg"
        said["understood"], said["notes"] = HOSTILE, [HOSTILE]
        said["facets"] = {"colour": [{"value": HOSTILE, "count": 1}, {"value": "b", "count": 1}]}
        route.fulfill(response=answer, json=said)

    page.route("**/api/v1/search?*", spoilt)
    page.locator("#words").fill("shirt")
    expect(page.locator(".card-title").first).to_have_text(HOSTILE)
    expect(page.locator(".facet .value").first).to_have_text(HOSTILE)
    assert page.locator("main script, main img").count() == 0 and "taken" not in page.title()


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (429, {"Retry-After": "1"}, "Too many questions at once."),
        (503, {}, "The catalogue is busy, or just starting."),
        (None, {}, "The catalogue cannot be reached."),
    ],
)
def test_what_went_wrong_is_told_and_tried_again(page: Page, status: int | None, headers: dict, told: str):
    def fail(route: Route) -> None:
        if status is None:
            route.abort()
        else:
            route.fulfill(status=status, headers=headers, json={"title": "no"})

    page.route("**/api/v1/search?*", fail)
    page.locator("#words").fill("shirt")
    expect(page.get_by_role("alert")).to_contain_text(told)
    page.unroute("**/api/v1/search?*")
    again = page.get_by_role("button", name="Try again", exact=True)
    again.click()
    expect(cards(page).first).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_key_is_asked_for_and_kept_in_the_tab(page: Page):
    keys: list[str | None] = []

    def closed(route: Route) -> None:
        keys.append(route.request.headers.get("authorization"))
        if keys[-1] is None:
            route.fulfill(status=401, json={"title": "no key", "detail": "give a key"})
        else:
            # The API here needs no key, and knows none.
            route.continue_(headers={**route.request.headers, "authorization": ""})

    page.route("**/api/v1/search?*", closed)
    page.locator("#words").fill("shirt")
    page.get_by_label("Key").fill("secret")
    page.get_by_role("button", name="Use this key").click()
    expect(page.locator(".trouble, #key")).to_have_count(0)
    expect(cards(page).first).to_be_visible()
    assert keys[0] is None and "Bearer secret" in keys
    assert page.evaluate("sessionStorage.getItem('key')") == "secret"


def test_the_page_says_what_is_live_and_what_did_not_come_with_it(page: Page):
    page.get_by_role("link", name="For people").click()
    expect(page.locator("main")).to_contain_text("No people came with this catalogue.")
    page.get_by_role("link", name="Merchant").click()
    expect(page.locator("main")).to_contain_text("Nothing was rejected.")
    page.get_by_role("link", name="About").click()
    expect(page.locator(".about")).to_contain_text("fashion_sota_r0001")
    expect(page.locator("footer")).to_contain_text("40 products")


def test_a_search_is_for_the_person_that_was_chosen(page: Page):
    with page.expect_response(lambda answer: "person=somebody" in answer.url) as asked:
        page.goto("/?q=shirt&person=somebody")
    assert asked.value.ok
    with page.expect_response(lambda answer: "/search" in answer.url and "person" not in answer.url):
        page.get_by_role("button", name="Remove: For somebody").click()
    expect(page).to_have_url(re.compile(r"\?q=shirt$"))


def test_a_heart_leads_to_recommendations_and_is_forgotten(page: Page):
    told = "**/api/v1/feedback"
    first = cards(page).first
    heart = first.get_by_role("button", name="I like")
    first.hover()
    with page.expect_response(told) as answer:
        heart.click()
    assert answer.value.json()["noted"] == 1
    expect(heart).to_have_attribute("aria-pressed", "true")
    page.locator("#words").fill("blue")
    expect(page).to_have_url("/?q=blue")
    settled(page)
    with page.expect_request(told) as opened:
        cards(page).nth(1).locator("a").press("Enter")
    said = opened.value.post_data_json
    assert (said["kind"], said["words"], said["by"], said["place"]) == ("click", "blue", "words", 2)
    assert said["product"] in page.url and said["release"] == "fashion_sota_r0001"
    page.goto("/?view=people")
    yours = page.get_by_role("list", name="For you")
    expect(yours.locator(".card").first).to_be_visible()
    # The other tests opened hits, too.
    expect(page.locator("main")).to_contain_text(re.compile(r"like 1 like and \d+ clicks?"))
    serious = [
        each["id"]
        for each in Axe().run(page).response["violations"]
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []
    page.goto("/?view=about")
    page.get_by_role("button", name="Forget what I liked").click()
    expect(page.locator("#liking")).to_contain_text("It is forgotten.")
    assert page.evaluate("localStorage.getItem('visit')") is None
    page.goto("/?view=people")
    expect(page.locator("main")).to_contain_text("Press the heart of something you like")


def test_nothing_is_told_once_that_is_switched_off(page: Page):
    told: list[str] = []
    page.on("request", lambda request: told.append(request.url) if "/feedback" in request.url else None)
    page.goto("/?view=about")
    switch = page.get_by_role("switch", name="Keep what I like and open")
    switch.press("Space")
    expect(switch).not_to_be_checked()
    page.goto("/")
    expect(cards(page).first).to_be_visible()
    expect(page.get_by_role("button", name="I like")).to_have_count(0)
    cards(page).first.locator("a").click()
    expect(page.locator("dialog#product").get_by_role("heading", level=2)).not_to_be_empty()
    page.evaluate("localStorage.clear()")
    page.evaluate("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    assert told == [] and page.evaluate("localStorage.getItem('visit')") is None
    asked = page.evaluate("import('./js/liking.js').then((liking) => liking.isOn())")
    assert asked is False
