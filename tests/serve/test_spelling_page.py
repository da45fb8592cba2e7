"""The page where there is a camera: spell your name. A browser of its own, whose camera is pretended."""

from __future__ import annotations

import pytest

from tests.serve.browser import ThreadServer, chromium, needs_browser
from tests.serve.conftest import StandIn
from tests.serve.test_page import serious, until

pytestmark = [pytest.mark.slow, needs_browser]


def test_where_there_is_a_camera_the_first_suggestion_is_to_spell_ones_name(tmp_path, monkeypatch):
    monkeypatch.setattr("slt.serve.scheduler.Engine", StandIn)
    server = ThreadServer(tmp_path / "data", models=("demo", "fingerspelling"))
    server.start()
    try:
        with chromium("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream") as browser:
            page = browser.new_context(permissions=["camera"], locale="en-GB").new_page()
            page.goto(server.url)
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
    finally:
        server.stop()
