"""The page in a real browser; the worker is a stand-in."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from slt.data.manifest import read_manifest
from tests.serve.browser import ThreadServer, chromium, needs_browser
from tests.serve.conftest import StandIn

pytestmark = [pytest.mark.slow, needs_browser]
STATIC = Path(__file__).parents[2] / "src" / "slt" / "serve" / "static"
CLIP = Path(__file__).parents[2] / "src" / "slt" / "demo" / "clips" / "videos" / "test" / "test-000000.mp4"
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr("slt.serve.scheduler.Engine", StandIn)
    server = ThreadServer(tmp_path / "data")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def page(browser, server):
    """A page at the server; whatever its console complains about fails the test."""
    context = browser.new_context(locale="en-GB", accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(60_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if "Security Policy" in said.text else None)
    page.goto(server.url)
    page.wait_for_selector("#new:not([hidden])")
    yield page
    assert not complaints
    context.close()


def choose(page, name: str = "clip.mp4", content: bytes | None = None) -> None:
    page.set_input_files("#file", {"name": name, "mimeType": "video/mp4", "buffer": content or CLIP.read_bytes()})


def until(page, condition: str) -> None:
    """Wait until a condition holds; Playwright's own way evaluates texts inside the page, whose policy forbids that."""
    deadline = time.monotonic() + 60
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(20)


def beyond(page, width: int) -> list[str]:
    """Return what reaches over the right edge of the screen."""
    right = "(one) => [one.outerHTML.slice(0, 80), one.getBoundingClientRect().right]"
    found = page.evaluate(f"[...document.querySelectorAll('body *')].map({right})")
    return [html for html, edge in found if edge > width + 1]


def serious(page) -> list[str]:
    """Return what axe finds serious or critical, or fails of WCAG 2.2 AA."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in ("serious", "critical")]


def test_upload_captions_seek_correct_download(page, server):
    choose(page)
    page.check("#lang-list input[value=deu_Latn]")
    page.check("input[name=mode][value=sentences]")
    page.select_option("#nbest", "2")
    page.click("#translate")
    page.wait_for_selector("#downloads a")
    assert page.inner_text("#result-title") == "clip.mp4"
    assert page.locator("#sentences > li").count() == 2
    until(page, "document.getElementById('video').readyState >= 1")
    page.click("#sentences > li:nth-child(2) .seek")
    until(page, "document.getElementById('video').currentTime >= 2")
    until(page, "document.querySelector('#captions').innerText.includes('deu_Latn 1 0')")
    assert page.get_attribute("#sentences > li:nth-child(2)", "aria-current") == "true"
    assert page.get_attribute("#captions p >> nth=1", "lang") == "de"
    page.click("#sentences > li:nth-child(2) [data-lang=deu_Latn] .row .correct")
    page.fill("textarea", "<b>Guten Tag</b>")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#sentences > li:nth-child(2) small:has-text('corrected')")
    assert page.inner_text("#sentences > li:nth-child(2) [data-lang=deu_Latn] .words") == "<b>Guten Tag</b>"
    page.check("#show-seen")
    assert "whole picture" in page.inner_text("#seen-note")
    with page.expect_download() as download:
        page.click("#downloads a[href*='srt?lang=deu_Latn']")
    assert "<b>Guten Tag</b>" in Path(download.value.path()).read_text("utf-8")
    assert download.value.suggested_filename == "clip.deu_Latn.srt"
    (clip,) = read_manifest(server.settings.data / "corrections" / "manifest.tsv").clips
    assert clip.text == "<b>Guten Tag</b>"
    page.reload()
    page.wait_for_selector("#downloads a")
    assert page.inner_text("#sentences > li:nth-child(2) [data-lang=deu_Latn] .words") == "<b>Guten Tag</b>"
    page.click("#another")
    page.wait_for_selector("#corrections:has-text('manifest.tsv: 1')")
    page.click("#delete-corrections")
    page.click("#confirm button[value=yes]")
    page.wait_for_selector("#corrections", state="hidden")
    assert read_manifest(server.settings.data / "corrections" / "manifest.tsv").clips == ()
    page.click("#recent-list a")
    page.wait_for_selector("#downloads a")
    page.click("#delete")
    page.click("#confirm button[value=yes]")
    page.wait_for_selector("#new:not([hidden])")
    until(page, "!document.getElementById('result').offsetParent")
    assert not list((server.settings.data / "jobs").iterdir())


def test_nothing_serious_is_found_by_axe_in_both_themes_and_languages(page):
    assert serious(page) == []
    page.select_option("#ui-theme", "dark")
    page.select_option("#ui-lang", "de")
    assert page.inner_text("#translate") == "Übersetzen"
    assert page.get_attribute("html", "lang") == "de"
    assert serious(page) == []
    choose(page)
    page.click("#translate")
    page.wait_for_selector("#downloads a")
    assert "Deutsch" not in page.inner_text("#texts"), "English alone was asked for"
    assert "Englisch" in page.inner_text("#texts")
    assert serious(page) == []
    page.set_viewport_size(PHONE)
    page.select_option("#ui-theme", "light")
    assert serious(page) == []
    assert beyond(page, PHONE["width"]) == []
    page.click("#another")
    assert beyond(page, PHONE["width"]) == []
    page.reload()
    page.wait_for_selector("#recent:not([hidden])")
    assert page.input_value("#ui-lang") == "de", "the browser remembers"


def test_by_keyboard_alone(page):
    choose(page)  # a browser's own dialogue, which no page can fill
    page.focus("#file")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "translate":
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("#downloads a")
    assert page.evaluate("document.activeElement.id") == "result-title"
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.textContent.trim()"))
        if seen[-1] == "Delete now":
            break
    assert {"▶ 0:00.0", "Copy", "Correct", "SRT", "Another video", "Delete now"} <= set(seen)
    page.keyboard.press("Enter")
    page.wait_for_selector("#confirm[open]")
    page.keyboard.press("Escape")
    assert page.is_visible("#result")


def test_cancel_wrong_file_and_a_server_that_goes_and_comes_back(page, server):
    choose(page, "slow.mp4")
    page.click("#translate")
    until(page, "document.getElementById('status').textContent.includes('windows')")
    page.click("#cancel")
    page.wait_for_selector("#outcome:has-text('Cancelled')")
    page.click("#another")
    choose(page, "broken.mp4", b"text")
    page.click("#translate")
    page.wait_for_selector("#outcome [role=alert]:has-text('broken.mp4 is not a video')")
    page.click("#another")
    page.click("#translate")
    assert page.inner_text("#problem") == "Choose a video first."
    choose(page, "slow again.mp4")
    page.click("#translate")
    until(page, "document.getElementById('status').textContent.includes('windows')")
    server.stop()
    page.wait_for_selector("#connection:not([hidden])")
    assert "does not answer" in page.inner_text("#connection")
    server.start()
    page.wait_for_selector("#connection", state="hidden")
    page.click("#cancel")
    page.wait_for_selector("#outcome:has-text('began again')")


def test_a_link_with_the_token_signs_in_and_leaves_no_trace(browser, tmp_path, monkeypatch):
    monkeypatch.setattr("slt.serve.scheduler.Engine", StandIn)
    monkeypatch.setattr("slt.serve.guard.WRONG_TOKEN_S", 0.05)
    server = ThreadServer(tmp_path / "data", token="a-token-that-is-long-enough")
    server.start()
    page = browser.new_context().new_page()
    page.goto(server.url)
    page.wait_for_selector("#sign-in:not([hidden])")
    page.fill("#token", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("#sign-in [role=alert]")
    assert serious(page) == []
    page.goto("about:blank")
    page.goto(f"{server.url}#token=a-token-that-is-long-enough")
    page.wait_for_selector("#new:not([hidden])")
    assert page.url == server.url
    server.stop()


def test_two_hundred_languages_are_searched_and_chosen(browser, tmp_path, monkeypatch):
    monkeypatch.setattr("slt.serve.scheduler.Engine", StandIn)
    server = ThreadServer(tmp_path / "data", models=("sonar-asl", "demo"))
    server.start()
    page = browser.new_context(locale="de-DE").new_page()
    page.goto(server.url)
    page.wait_for_selector("#new:not([hidden])")
    assert page.locator("#lang-list input").count() > 200
    page.fill("#lang-search", "franz")
    assert page.inner_text("#lang-list").strip().endswith("Französisch (fra_Latn)")
    page.check("#lang-list input[value=fra_Latn]")
    page.fill("#lang-search", "zho_Han")
    page.check("#lang-list input[value=zho_Hant]")
    assert page.inner_text("#chips").split("\n")[1:] == ["Französisch ✕", "Chinesisch (Traditionell) ✕"]
    assert serious(page) == []
    page.screenshot(path=str(tmp_path / "languages.png"))
    page.click("#chips button >> nth=0")
    choose(page)
    page.click("#translate")
    page.wait_for_selector("#downloads a")
    assert page.locator("#captions p, #sentences .words").all_inner_texts()[-2:] == ["fra_Latn 0 0", "zho_Hant 0 0"]
    page.click("#another")
    page.select_option("#model", "demo")
    assert page.locator("#lang-list input:checked").evaluate_all("them => them.map((one) => one.value)") == ["eng_Latn"]
    server.stop()


def test_a_full_queue_is_waited_for(browser, tmp_path, monkeypatch):
    monkeypatch.setattr("slt.serve.scheduler.Engine", StandIn)
    monkeypatch.setattr("slt.serve.scheduler.FIRST_GUESS_S", 1.0)
    server = ThreadServer(tmp_path / "data", max_queue=1)
    server.start()
    page = browser.new_context().new_page()
    page.goto(server.url)
    ids = []
    for name in ("slow 1.mp4", "slow 2.mp4"):
        page.wait_for_selector("#new:not([hidden])")
        choose(page, name)
        page.click("#translate")
        until(page, "location.hash.startsWith('#t=')")
        ids.append(page.url.partition("#t=")[2])
        if len(ids) == 1:
            until(page, "document.getElementById('status').textContent.includes('windows')")
        page.goto("about:blank")
        page.goto(server.url)
    page.wait_for_selector("#new:not([hidden])")
    choose(page, "waits.mp4")
    page.click("#translate")
    until(page, "document.getElementById('status').textContent.includes('Trying again in')")
    for job in ids:
        page.request.post(f"{server.url}api/v1/translations/{job}/cancel")
    page.wait_for_selector("#downloads a")
    server.stop()


def test_the_page_is_small_and_loads_nothing_from_elsewhere(page):
    assert page.title() == "slt"
    assert sum(path.stat().st_size for path in STATIC.iterdir()) <= 150_000
    for path in STATIC.iterdir():
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg|127\.0\.0\.1)", path.read_text("utf-8"))


def test_without_a_camera_or_a_model_that_spells_nothing_is_suggested(page, server):
    assert page.is_hidden("#spell"), "the model is demo"
    spelling = ThreadServer(server.settings.data / "spelling", models=("fingerspelling",))
    spelling.start()
    try:
        page.goto(spelling.url)
        page.wait_for_selector("#new:not([hidden])")
        assert page.evaluate("navigator.mediaDevices.enumerateDevices().then((all) => all.length)") == 0
        assert page.is_hidden("#spell")
    finally:
        spelling.stop()
