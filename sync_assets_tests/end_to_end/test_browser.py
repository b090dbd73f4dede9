"""The Dagster UI as people see it: a real webserver and daemon, looked at in Chromium.

`pytest sync_assets_tests/end_to_end/test_browser.py --screenshots FOLDER` keeps the pictures.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Response, expect, sync_playwright

from sync_assets.demo.server import DemoServers
from sync_assets.sources import SOURCE_NAMES
from sync_assets_tests.dagster_assets.world import TENANTS
from sync_assets_tests.end_to_end.deployment import REPOSITORY, Deployment
from sync_assets_tests.postgres import fresh_database

FIRST, LAST = "2026-11-10", "2026-11-12"
PARTITION = f"{LAST}|acme"
# Pages load their parts one after the other on a busy machine.
MILLISECONDS = 60_000

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_ALARMING = re.compile(
    r"unexpected error|something went wrong|could not be (found|loaded)|failed to load|daemons? .*not running",
    re.IGNORECASE,
)

_BACKFILLS = "{ partitionBackfillsOrError { ... on PartitionBackfills { results { id } } } }"

pytestmark = pytest.mark.skipif(_CHROMIUM is None, reason="Chromium is not installed (Debian's package `chromium`)")


@pytest.fixture(scope="module")
def deployment(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment in which some days of Freshdesk were synced."""
    home = tmp_path_factory.mktemp("browser") / "home"
    with DemoServers() as servers, fresh_database(postgres_url) as url, Deployment(home, url, servers) as deployment:
        # Who opens the UI for the first time is asked to join the community, over whatever stands there.
        (deployment.home / ".nux").mkdir()
        (deployment.home / ".nux" / "nux.yaml").write_text("seen: 1\n")
        deployment.command("sync", "--source", "freshdesk", "--from", FIRST, "--to", LAST)
        yield deployment


class Browser:
    """A page of the UI that collects what goes wrong on it."""

    def __init__(self, page: Page, url: str, pictures: Path) -> None:
        self.page = page
        self.wrong: list[str] = []
        self._url = url
        self._pictures = pictures
        page.set_default_timeout(MILLISECONDS)
        page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))
        page.on("response", self._check)

    def open(self, path: str) -> Page:
        self.page.goto(f"{self._url}{path}")
        return self.page

    def keep(self, name: str) -> None:
        """Take a picture of what stands there, which must be without any alarm."""
        self.page.wait_for_load_state("networkidle")  # edges, statuses and the last rows come late
        self.page.screenshot(path=self._pictures / f"{name}.png", animations="disabled")
        shown = self.page.locator("body").inner_text()
        assert not (found := _ALARMING.search(shown)), f"{found and found.group()} in: {shown}"
        assert self.wrong == []

    def _check(self, response: Response) -> None:
        if response.status >= 400:
            self.wrong.append(f"{response.status} {response.url}")
        elif response.url.endswith("/graphql") or "/graphql?" in response.url:
            answer = response.text()
            if json.loads(answer).get("errors") or '"__typename":"PythonError"' in answer.replace(" ", ""):
                self.wrong.append(answer[:2000])


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    expect.set_options(timeout=MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def browser(chromium: Any, deployment: Deployment, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Browser]:
    with chromium.new_context(viewport={"width": 1600, "height": 1000}) as context:
        yield Browser(context.new_page(), deployment.url, Path(request.config.getoption("--screenshots") or tmp_path))


def test_every_source_is_a_group_of_the_lineage(browser: Browser) -> None:
    page = browser.open("/asset-groups")
    for name in (*SOURCE_NAMES, "graph"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    expect(page.get_by_text("fetching statuses")).to_have_count(0)
    browser.keep("lineage")


def test_a_group_shows_the_way_from_upstream_to_the_stores(browser: Browser) -> None:
    page = browser.open(f"/locations/{_location()}/asset-groups/freshdesk/lineage")
    for name in ("upstream", "raw", "documents", "chunks", "embeddings", "qdrant", "pgvector", "graph"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    browser.keep("group")


def test_the_lineage_of_a_store_ends_at_the_system_upstream(browser: Browser) -> None:
    page = browser.open("/assets/freshdesk/tickets/qdrant?view=lineage&lineageScope=upstream&lineageDepth=5")
    expect(page.get_by_text("upstream", exact=True).first).to_be_visible()
    browser.keep("upstream")


def test_the_page_of_an_asset_plots_its_counts_over_the_partitions(browser: Browser) -> None:
    page = browser.open("/assets/freshdesk/tickets/embeddings?view=overview")
    page.get_by_text("Plots", exact=True).click()
    for name in ("documents", "chunks", "tokens", "embedded", "reused"):
        expect(page.get_by_text(name, exact=True).last).to_be_visible()
    expect(page.locator("canvas").nth(4)).to_be_visible()
    browser.keep("asset")


def test_a_partition_shows_its_counts_and_a_preview_of_its_documents(browser: Browser) -> None:
    partition = PARTITION.replace("|", "%7C")
    page = browser.open(f"/assets/freshdesk/tickets/documents?view=partitions&partition={partition}")
    expect(page.get_by_text(PARTITION, exact=True).first).to_be_visible()
    expect(page.get_by_text("preview", exact=True).first).to_be_visible()
    expect(page.get_by_text("Materialized", exact=True).first).to_be_visible()
    expect(page.locator("table table tr").nth(1)).to_be_visible()
    browser.keep("partitions")


def test_a_backfill_is_launched_with_a_few_clicks_and_listed(browser: Browser, deployment: Deployment) -> None:
    page = browser.open(f"/locations/{_location()}/asset-groups/freshdesk/lineage")
    page.get_by_text("Materialize all").click()
    page.get_by_placeholder("ex: ").fill(FIRST)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="All", exact=True).last.click()
    launch = page.get_by_role("button", name="Launch backfill")
    expect(launch).to_be_enabled()
    browser.keep("launch")
    launch.click()
    deployment.wait(lambda: deployment.query(_BACKFILLS)["results"], "the backfill was asked for", seconds=30)
    page = browser.open("/runs?view=backfills")
    expect(page.get_by_text(f"{len(TENANTS)} partitions", exact=True)).to_be_visible()
    browser.keep("backfills")
    page.get_by_role("link", name="View", exact=True).click()
    expect(page.get_by_text("Asset name", exact=True)).to_be_visible()
    for stage in ("raw", "documents", "chunks", "embeddings", "qdrant", "pgvector", "graph"):
        expect(page.get_by_text(re.compile(f"/ {stage}$")).first).to_be_visible()
    browser.keep("backfill")


def test_checks_say_what_they_check_and_that_they_passed(browser: Browser) -> None:
    page = browser.open("/assets/freshdesk/tickets/raw?view=checks")
    for name in ("quarantine", "sweep"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    expect(page.get_by_text("Passed", exact=True).first).to_be_visible()
    browser.keep("checks")


def test_every_source_has_something_to_turn_on(browser: Browser) -> None:
    browser.page.set_viewport_size({"width": 1600, "height": 2600})  # only rows in view are there
    page = browser.open("/automation")
    for name in SOURCE_NAMES:
        expect(page.get_by_text(re.compile(f"^{name}_")).first).to_be_visible()
    expect(page.get_by_text(re.compile("past the hour")).first).to_be_visible()
    browser.keep("automation")


def _location() -> str:
    return f"{REPOSITORY['repositoryName']}@{REPOSITORY['repositoryLocationName']}"
