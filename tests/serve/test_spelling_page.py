"""The page where there is a camera: spell your name. A browser of its own, whose camera is pretended."""

from __future__ import annotations

import pytest

from tests.serve.browser import ThreadServer, chromium, needs_browser
from tests.serve.conftest import StandIn
from tests.serve.test_page import serious, until

pytestmark = [pytest.mark.slow, needs_browser]

CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
# Notes every track that the page is given; before the next, it waits for what `window.wait` promises.
TRACKS = """
  window.tracks = [];
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await ask(wanted);
    window.tracks.push(...stream.getTracks());
    await window.wait;
    return stream;
  };
"""
STATES = "window.tracks.map((track) => track.readyState)"


@pytest.fixture
def page(tmp_path, monkeypatch):
    """The page of a server that has both shipped models, in a browser with a camera."""
    monkeypatch.setattr("slt.serve.scheduler.Engine", StandIn)
    server = ThreadServer(tmp_path / "data", models=("demo", "fingerspelling"))
    server.start()
    try:
        with chromium(*CAMERA) as browser:
            page = browser.new_context(permissions=["camera"], locale="en-GB").new_page()
            page.set_default_timeout(60_000)
            page.add_init_script(TRACKS)
            page.goto(server.url)
            yield page
    finally:
        server.stop()


def test_where_there_is_a_camera_the_first_suggestion_is_to_spell_ones_name(page):
    page.click("#spell-start")
    page.wait_for_selector("#record:not([hidden])")
    assert page.input_value("#model") == "fingerspelling"
    assert page.is_checked("input[name=source][value=camera]")
    assert "palm to the camera" in page.inner_text("#camera-note")
    assert serious(page) == []
    page.click("#record")
    until(page, "document.getElementById('countdown').classList.contains('recording')")
    page.wait_for_timeout(500)
    page.click("#stop")
    page.wait_for_selector("#recorded:not([hidden])")
    page.click("#translate")
    page.wait_for_selector("#downloads a")
    assert page.locator(".letters li").all_inner_texts() == ["A\n98 %", "J\n41 %"]
    assert page.get_attribute(".letters li.unsure", "aria-label") == "J, 41 %"
    assert serious(page) == []


def test_a_second_click_opens_no_second_camera_and_keeps_what_is_recorded(page):
    page.check("input[name=source][value=camera]")
    page.click("#camera-start")
    page.wait_for_selector("#record:not([hidden])")
    page.click("#spell-start")
    assert "palm to the camera" in page.inner_text("#camera-note")
    assert page.is_visible("#record")
    page.click("#record")
    page.click("#spell-start")
    assert page.is_visible("#stop"), "a count-down goes on"
    until(page, "document.getElementById('countdown').classList.contains('recording')")
    page.click("#spell-start")
    assert page.is_visible("#stop"), "a recording goes on"
    page.wait_for_timeout(500)
    page.click("#stop")
    page.wait_for_selector("#recorded:not([hidden])")
    page.click("#spell-start")
    assert page.is_visible("#recorded")
    assert "what will be sent" in page.inner_text("#camera-note")
    assert page.evaluate(STATES) == ["live"]
    page.click("#camera-off")
    assert page.evaluate(STATES) == ["ended"]
    # One that is given after it was turned away from goes off at once.
    page.evaluate("() => { window.wait = new Promise((done) => { window.give = done; }); }")
    page.click("#spell-start")
    until(page, "window.tracks.length === 2")
    page.check("input[name=source][value=file]")
    page.evaluate("window.give()")
    until(page, "window.tracks[1].readyState === 'ended'")
    assert page.is_hidden("#camera-frame")
