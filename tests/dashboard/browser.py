"""People in a real browser, over the store of a campaign that is finished."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from benchmarks.postgres import free_port
from dashboard.access.people import People
from dashboard.access.roles import Role
from fire_core.config.campaign import CampaignConfig
from fire_core.records import Failure, FailureKind
from fire_core.storage.claims import LeaseTerms
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "open sesame"
PAGES = ("Campaigns", "Structures", "Labels", "Approve", "Models", "Properties",
         "System")  # fmt: skip
QUIET = ("--no-sandbox", "--disable-background-networking", "--disable-sync",
         "--use-gl=angle", "--use-angle=swiftshader",
         "--enable-unsafe-swiftshader")  # fmt: skip
WAIT_MS = 60_000


def prepare(folder: Path, campaign: str) -> str:
    """Leave something to decide, to try again and to promote; return the theory."""
    from fire_core.campaign.campaign import Campaign
    from fire_core.campaign.reference import CampaignRef

    url, blobs = f"sqlite:///{folder}/.fire/fire.db", f"{folder}/.fire/blobs"
    with Store.open(url, blobs) as store:
        row = store.campaigns.get(campaign)
        assert row is not None
        config = CampaignConfig.model_validate_json(row.config_json)
        gates = config.evaluate.gates.model_copy(update={"required": ("reload",)})
        evaluate = config.evaluate.model_copy(update={"gates": gates})
        changed = config.model_copy(update={"evaluate": evaluate})
        store.campaigns.open(campaign, changed.model_dump_json())
        theory = store.theories.list()[0][0]
        unlabelled = store.selections.get(campaign, 0, "start")
        assert unlabelled is not None
        store.labels.want(unlabelled.keys, theory)
        terms = LeaseTerms(60, 3)
        for claim in store.labels.claim(theory, "worker", terms=terms):
            failure = Failure(FailureKind.CRASHED, "the code was killed", "last line")
            store.labels.fail(claim.label_id, "worker", failure, 1.0)
        store.approvals.ask(campaign, 2, "selected", 6, '{"core_hours": 1.5}')
    ref = CampaignRef(name=campaign, db=url, blobs=blobs)
    with Campaign.find(ref) as opened:
        assert all(result.passed for result in opened.check_gates("fire"))
    people = People(folder / "people")
    people.put("olga", Role.OPERATOR, PASSWORD)
    people.put("vera", Role.VIEWER, PASSWORD)
    return theory


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Run the dashboard of a folder's store; give its address."""
    port = free_port()
    command = [sys.executable, "-m", "cli.main", "dashboard", "--port", str(port)]
    command += ["--people", "people"]
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "FIRE_DB": f"sqlite:///{folder}/.fire/fire.db",
        "FIRE_BLOBS": f"{folder}/.fire/blobs",
    }
    with subprocess.Popen(command, cwd=folder, env=environment) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(240):
                try:
                    httpx.get(f"{address}/health", timeout=5)
                    break
                except httpx.HTTPError:
                    assert process.poll() is None
                    time.sleep(0.5)
            yield address
        finally:
            process.terminate()


@contextmanager
def open_browser() -> Iterator[Any]:
    """Start Chromium, or skip where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is absent: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=list(QUIET))
        yield browser
        browser.close()


def sign_in(page: Any, address: str, name: str, password: str) -> None:
    page.goto(f"{address}/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def use_dashboard(address: str, campaign: str, pictures: Path) -> None:
    """Go through every page, decide, try again, promote, download; be refused."""
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1300, "height": 1000})
        page.set_default_timeout(WAIT_MS)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: dialog.accept())
        sign_in(page, address, "olga", "a guess")
        page.get_by_role("alert").wait_for()
        assert "do not belong together" in page.inner_text("main")
        sign_in(page, address, "olga", PASSWORD)
        _see_everything(page, address, campaign, pictures)
        _act(page, address, campaign)
        page.get_by_role("button", name="Sign out").click()
        sign_in(page, address, "vera", PASSWORD)
        page.goto(f"{address}/models/{campaign}/fire")
        assert not page.get_by_role("button", name="Promote").count()
        _look_on_a_phone(browser, page, address, pictures)
        assert not errors


def _see_everything(page: Any, address: str, campaign: str, pictures: Path) -> None:
    for name in PAGES:
        page.get_by_role("navigation").get_by_role("link", name=name).click()
        page.get_by_role("heading", level=1, name=name).wait_for()
        page.screenshot(path=pictures / f"{name}.png", full_page=True)
    page.goto(f"{address}/campaigns/{campaign}")
    for plot in ("labels", "learning", "parity", "stability", "steps"):
        page.locator(f"#plot-{plot} .main-svg").first.wait_for()
    page.screenshot(path=pictures / "campaign.png", full_page=True)
    page.get_by_role("link", name="map and reasons").first.click()
    page.locator("main canvas").first.wait_for()
    page.screenshot(path=pictures / "map.png", full_page=True)
    page.goto(f"{address}/structures?campaign={campaign}")
    page.locator("table a").first.click()
    page.locator("main canvas").first.wait_for()
    page.screenshot(path=pictures / "structure.png", full_page=True)


def _act(page: Any, address: str, campaign: str) -> None:
    page.goto(f"{address}/approve")
    page.get_by_role("spinbutton").fill("4")
    page.get_by_label("Reason").fill("enough")
    page.get_by_role("button", name="Approve only the first").click()
    page.get_by_text("4 of 6").first.wait_for()
    page.goto(f"{address}/labels")
    page.get_by_role("button", name="Retry").first.click()
    page.get_by_role("status").first.wait_for()
    page.goto(f"{address}/models/{campaign}/fire")
    page.get_by_role("button", name="Promote to staging").click()
    page.get_by_text("staging").first.wait_for()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download").first.click()
    assert Path(waiting.value.path()).stat().st_size > 10_000


def _look_on_a_phone(browser: Any, page: Any, address: str, pictures: Path) -> None:
    phone = browser.new_context(
        viewport={"width": 390, "height": 800},
        color_scheme="dark",
        storage_state=page.context.storage_state(),
    ).new_page()
    for path in ("/", "/structures", "/labels", "/models", "/system"):
        phone.goto(f"{address}{path}")
        wide = phone.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, f"{path} is {wide} px wide"
    phone.screenshot(path=pictures / "phone.png", full_page=True)
