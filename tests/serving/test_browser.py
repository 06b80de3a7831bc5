"""The page as people use it: in headless Chromium. `PAGE_SCREENSHOTS=runs/page` keeps the pictures there."""

import asyncio
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from configs.errors import InputError
from serving.__main__ import _free_port
from serving.answer import Answer, Answerer
from serving.desk import Desk
from serving.gradio_page import build_help, build_page, open_page
from serving.pair import Pair
from serving.personal import Personal
from tests.graph.routers import router_of
from tests.serving.classifiers import Hard

pytest.importorskip("gradio", reason="the page needs requirements-serving.txt")
playwright = pytest.importorskip("playwright.sync_api", reason="driving a browser needs Playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="driving a browser needs one: apt-get install chromium")
PROMPT, RESULT, NUMBER = "#prompt textarea", "#result", "#wish input[type=number]"
ATTACK = "king war <img src=x onerror='document.title=1'><script>document.title=1</script> ${document.title=1} {{7*7}}"


class Parrot(Answerer):
    """Answers with the question."""

    async def ask(self, llm_id: str, question: str) -> Answer:
        await asyncio.sleep(1 if "slow" in question else 0)
        if "fail" in question:
            raise InputError(f"{llm_id}: expected an answer, got none")
        return Answer(llm_id, question, 0.1, 3, 1e-4)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    desk = Desk(Personal(router_of("choice")), Parrot({}, (), None))  # type: ignore[arg-type]
    desk.warm()
    blocks = build_page(desk)
    yield open_page(blocks, "127.0.0.1", _free_port("127.0.0.1"))
    blocks.close(verbose=False)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(chromium: Any, address: str, width: int = 1280, scheme: str = "light") -> Any:
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.requested, page.troubles = [], []
    page.on("pageerror", lambda error: page.troubles.append(str(error)))
    page.on("console", lambda line: page.troubles.append(line.text) if line.type == "error" else None)
    page.on("response", lambda reply: page.troubles.append(reply.url) if reply.status >= 500 else None)
    page.on("request", lambda request: page.requested.append(request.url))
    page.goto(address)
    page.wait_for_selector(PROMPT)
    playwright.expect(page.locator("#spoken")).to_have_attribute("aria-live", "polite")
    page.wait_for_load_state("networkidle")
    return page


def says(page: Any, text: str, where: str = RESULT) -> None:
    playwright.expect(page.locator(where)).to_contain_text(text)


def keep(page: Any, folder: Path, name: str) -> None:
    target = Path(os.environ.get("PAGE_SCREENSHOTS", folder))
    target.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=target / f"{name}.png", full_page=True)
    assert (target / f"{name}.png").stat().st_size > 10_000


def test_typing_moving_the_slider_and_picking_a_user_change_the_decision(
    chromium: Any, address: str, tmp_path: Path
) -> None:
    page = opened(chromium, address)
    says(page, "Simulated LLMs", "body")
    page.locator(PROMPT).press_sequentially("king treaty empire war 12?")
    says(page, "The router picks")
    slider = page.locator("#wish input[type=range]")
    slider.press("Home")
    says(page, "Performance weighs 0.00")
    cheap = page.inner_text("h2.chosen")
    playwright.expect(page.locator("#who input")).to_have_value("My own wish: the slider")
    slider.press("End")
    says(page, "Performance weighs 1.00")
    assert page.inner_text("h2.chosen") != cheap
    page.click("#who input")
    page.get_by_role("option", name="user_2").click()
    says(page, "as inferred from what user_2 chose")
    keep(page, tmp_path, "desktop-light")
    assert {url.split("/")[2] for url in page.requested if not url.startswith("data:")} == {address.split("/")[2]}


def test_keys_alone_are_enough(chromium: Any, address: str) -> None:
    page = opened(chromium, address)
    page.focus(PROMPT)
    page.keyboard.type("king war")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("12")
    assert page.input_value(PROMPT) == "king war\n12"
    page.keyboard.press("Enter")
    says(page, "answers", "#answer")
    assert page.input_value(PROMPT) == "king war\n12"
    page.keyboard.type(" fail")
    page.keyboard.press("Control+Enter")
    says(page, "expected an answer, got none", "#answer")
    places = []
    for _ in range(5):
        page.keyboard.press("Tab")
        places.append(page.evaluate("document.activeElement.closest('#who, #wish, #send, #example')?.id"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert list(dict.fromkeys(places)) == ["who", "wish", "send", "example"]


def test_html_in_a_prompt_is_text(chromium: Any, address: str) -> None:
    page = opened(chromium, address)
    page.fill(PROMPT, ATTACK)
    page.click("#send")
    says(page, ATTACK, "#answer")
    assert page.locator("#answer img, #answer script, #result img, #result script").count() == 0
    assert page.title() == "Which LLM should answer?"


def test_an_empty_and_a_huge_prompt(chromium: Any, address: str) -> None:
    page = opened(chromium, address)
    page.click("#send")
    says(page, "Please type one first")
    page.fill(PROMPT, "king war " * 12_000)
    says(page, "108,000 characters")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_scrolling_sideways(chromium: Any, address: str, scheme: str, tmp_path: Path) -> None:
    page = opened(chromium, address, 360, scheme)
    page.click("#example")
    says(page, "The router picks")
    page.fill(PROMPT, "w" * 300)
    says(page, "The router picks")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    ground, ink = page.evaluate(
        "[getComputedStyle(document.querySelector('.card')).backgroundColor,"
        " getComputedStyle(document.querySelector('h2.chosen')).color]"
    )
    assert contrast(ground, ink) > 7
    assert (luminance(ground) < luminance(ink)) == (scheme == "dark")
    keep(page, tmp_path, f"phone-{scheme}")


def test_a_decision_follows_a_keystroke_at_once(chromium: Any, address: str) -> None:
    page = opened(chromium, address)
    page.fill(PROMPT, "king")
    says(page, "The router picks")
    waits = []
    for number in range(5):
        start = time.perf_counter()
        with page.expect_response("**/run/predict"):
            page.locator(PROMPT).press(str(number))
        waits.append(time.perf_counter() - start)
    assert min(waits) < 0.5  # on an idle machine some 0.03 s; the browser's share included


def moved(page: Any, value: str) -> None:
    playwright.expect(page.locator("#wish input[type=range]")).to_have_js_property("value", value)


@pytest.mark.parametrize(("typed", "counts"), [("7", "1"), ("-3", "0"), ("1.5", "1")])
def test_a_number_outside_the_slider_is_its_nearer_end(
    chromium: Any, address: str, typed: str, counts: str, capfd: pytest.CaptureFixture[str]
) -> None:
    page = opened(chromium, address)
    page.fill(PROMPT, "king war 12")
    says(page, "The router picks")
    page.fill(NUMBER, "0.4")
    says(page, "Performance weighs 0.40")
    page.locator(NUMBER).press("Control+A")
    page.keyboard.type(typed)
    says(page, f"Performance weighs {counts}.00")
    page.keyboard.press("Tab")
    moved(page, counts)
    untroubled(page, capfd)


def test_an_emptied_number_keeps_the_last_one(chromium: Any, address: str, capfd: pytest.CaptureFixture[str]) -> None:
    page = opened(chromium, address)
    page.fill(PROMPT, "king war 12")
    page.fill(NUMBER, "0.4")
    says(page, "Performance weighs 0.40")
    page.locator(NUMBER).press("Control+A")
    page.keyboard.press("Delete")
    page.keyboard.press("Tab")
    page.click("#send")
    says(page, "king war 12", "#answer")
    says(page, "Performance weighs 0.40")
    assert page.input_value(NUMBER) == "0.4"
    untroubled(page, capfd)


def untroubled(page: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """Assert that neither the page nor the server's log has an error."""
    page.wait_for_load_state("networkidle")
    assert page.troubles == []
    assert "Traceback" not in "".join(capfd.readouterr())
    assert page.get_by_text("Error", exact=True).count() == 0


def test_leaving_the_picker_moves_nothing_and_keys_can_pick(chromium: Any, address: str) -> None:
    page = opened(chromium, address)
    page.fill(PROMPT, "king war 12")
    says(page, "The router picks")
    page.locator("#wish input[type=range]").press("End")
    says(page, "Performance weighs 1.00")
    page.click("#who input")
    page.get_by_role("option", name="user_2").click()
    says(page, "as inferred from what user_2 chose")
    wish = re.search(r"Performance weighs ([\d.]+)", page.inner_text(RESULT))
    assert wish is not None
    playwright.expect(page.locator(NUMBER)).to_have_value(re.compile(f"^{float(wish[1]):g}$"))
    # Whoever leaves the picker asks nothing anew.
    sent = len(page.requested)
    page.focus("#who input")
    page.keyboard.press("Tab")
    page.wait_for_timeout(300)
    assert len(page.requested) == sent
    page.locator("#wish input[type=range]").press("End")
    says(page, "Performance weighs 1.00")
    page.focus("#who input")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#who input")).not_to_have_value("My own wish: the slider")
    playwright.expect(page.locator(NUMBER)).not_to_have_value("1")


def test_a_late_wish_does_not_undo_a_move(chromium: Any, address: str) -> None:
    page = opened(chromium, address)
    page.fill(PROMPT, "king war 12")
    says(page, "The router picks")
    held: list[Any] = []
    holding = True

    def hold(route: Any) -> None:
        held.append(route) if holding else route.continue_()

    page.route("**/run/predict", hold)
    page.click("#who input")
    page.get_by_role("option", name="user_2").click()
    page.wait_for_timeout(200)
    assert held
    page.locator("#wish input[type=range]").press("End")
    page.wait_for_timeout(200)
    holding = False
    for route in held:
        route.continue_()
    page.wait_for_load_state("networkidle")
    says(page, "Performance weighs 1.00")
    moved(page, "1")


def test_what_changes_is_said_to_readers_of_screens(chromium: Any, address: str) -> None:
    page = opened(chromium, address)
    page.focus(PROMPT)
    page.keyboard.press("Enter")
    says(page, "There is no question yet", "#spoken")
    for region in ("#spoken", "#answer"):
        found = page.locator(region)
        playwright.expect(found).to_have_attribute("aria-live", "polite")
        assert found.evaluate("node => getComputedStyle(node).display") != "none"
    page.fill(PROMPT, "king war")
    says(page, "The router picks", "#spoken")


def test_an_answer_goes_with_its_question(chromium: Any, address: str) -> None:
    page = opened(chromium, address)
    page.fill(PROMPT, "king war")
    page.click("#send")
    says(page, "king war", "#answer")
    page.locator(PROMPT).press("x")
    playwright.expect(page.locator("#answer section")).to_have_count(0)
    page.fill(PROMPT, "slow king")
    page.click("#send")
    says(page, "Waiting for the answer", "#answer")
    page.fill(PROMPT, "another king")
    playwright.expect(page.locator("#answer section")).to_have_count(0)
    page.wait_for_timeout(1500)
    assert page.locator("#answer section").count() == 0


@pytest.mark.parametrize("width", [1280, 375])
def test_a_classifier_sends_to_the_strong_llm_from_the_slider_on(chromium: Any, width: int, tmp_path: Path) -> None:
    blocks = build_page(Desk(Pair(Hard(), 256)))
    page = opened(chromium, open_page(blocks, "127.0.0.1", _free_port("127.0.0.1")), width)
    assert page.locator("#who").count() == 0 or not page.locator("#who").is_visible()
    page.fill(PROMPT, "a hard one")
    says(page, "large", "h2.chosen")
    says(page, "0.900")
    page.locator("#wish input[type=range]").press("End")
    says(page, "small", "h2.chosen")
    page.fill(NUMBER, "0.9")
    says(page, "large", "h2.chosen")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    keep(page, tmp_path, f"pair-{width}")
    page.fill(PROMPT, "")
    page.click("#send")
    says(page, "Please type one first")
    assert page.troubles == []
    blocks.close(verbose=False)


def test_without_a_router_the_page_says_how_to_make_one(chromium: Any, tmp_path: Path) -> None:
    blocks = build_help("expected a router folder, found none", tmp_path)
    address = open_page(blocks, "127.0.0.1", _free_port("127.0.0.1"))
    page = chromium.new_page()
    page.goto(address)
    says(page, "python run_exp.py --config configs/default.yaml", "body")
    blocks.close(verbose=False)


def luminance(colour: str) -> float:
    """Return the relative luminance of `rgb(r, g, b)` (WCAG 2)."""
    parts = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, 1 to 21 (WCAG 2)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
