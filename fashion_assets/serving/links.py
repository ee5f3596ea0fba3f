"""Where a page of this installation is found by a browser.

What belongs here: addresses. What does not: the pages (`pages`), and anything that takes long to import: assets name
their reports by this.
"""

from pathlib import Path
from urllib.parse import quote, urlsplit

from fashion_assets.settings import CODE_LOCATION, Settings

PAGES = "/fashion-assets"
"""Everything below it is ours; all other paths of the UI are Dagster's."""

REPORTS = f"{PAGES}/reports"

EXPECTATIONS = f"{PAGES}/expectations"
"""Below it, by a release's name: what the suite found of it. The page's own address is longer than a window of the UI is wide."""


def path_prefix(settings: Settings) -> str:
    """The path below which the UI answers: that of `ui_url`, or nothing."""
    return urlsplit(settings.ui_url or "").path.rstrip("/")


def report_path(settings: Settings, page: Path) -> str:
    """Where a page below `settings.reports` is given out, below the UI's own path. Raises `ValueError` for a page that lies somewhere else."""
    return f"{REPORTS}/{quote(page.relative_to(settings.reports).as_posix())}"


def report_link(settings: Settings, page: Path, *, absolute: bool = False) -> str:
    """Where a page below `settings.reports` opens. In the UI a path is enough and good for whatever name the UI is reached
    by; `absolute` is for those who read it elsewhere. Raises `ValueError` for a page that lies somewhere else."""
    path = report_path(settings, page)
    return f"{settings.ui_address}{path}" if absolute or settings.ui_url else path


def expectations_link(settings: Settings, release: str) -> str:
    """Where the newest page of the Data Docs on a release opens, as `report_link`."""
    path = f"{EXPECTATIONS}/{quote(release)}"
    return f"{settings.ui_address}{path}" if settings.ui_url else path


def job_link(settings: Settings, job: str) -> str:
    """Where a job of ours, and its runs, are looked at."""
    return f"{settings.ui_address}/locations/{CODE_LOCATION}/jobs/{quote(job)}"


def run_link(settings: Settings, run_id: str) -> str:
    """Where a Dagster run is looked at."""
    return f"{settings.ui_address}/runs/{quote(run_id)}"
