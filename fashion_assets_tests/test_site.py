"""The documentation's site is built by the rules of mkdocs.yml: links lead somewhere, or the build fails."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fashion_assets.places import CHECKOUT


def build(folder: Path, page: str) -> subprocess.CompletedProcess[str]:
    """A project of one page, and of a file beside the pages, built as ours is."""
    assert CHECKOUT is not None
    rules = yaml.safe_load((CHECKOUT / "mkdocs.yml").read_text())
    rules |= {"nav": [{"Home": "index.md"}], "hooks": [str(CHECKOUT / "docs" / "linked.py")], "extra_css": []}
    (folder / "docs").mkdir()
    (folder / "docs" / "index.md").write_text(f"# Here\n\n{page}\n")
    (folder / "code.py").write_text("answer = 42\n")
    (folder / "mkdocs.yml").write_text(yaml.safe_dump(rules))
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_files_beside_the_pages_are_shown_where_pages_link_to_them(tmp_path: Path):
    done = build(tmp_path, "[the code](../code.py) and [here](#here)")
    assert done.returncode == 0, done.stderr
    site = tmp_path / "build" / "site"
    assert 'href="files/code.py.html"' in (site / "index.html").read_text()
    assert "answer" in (site / "files" / "code.py.html").read_text()


@pytest.mark.parametrize(
    "link", ["nowhere.md", "#nothing", "../nothing.py", "/absolute.md", "../../outside.py"]
)
def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path, link: str):
    done = build(tmp_path, f"[x]({link})")
    assert done.returncode == 1 and link in done.stderr


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_links_of_the_papers_lead_to_what_is_there(page: str):
    assert CHECKOUT is not None
    links = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", (CHECKOUT / page).read_text())
    assert [link for link in links if not (CHECKOUT / link).exists()] == []


def test_the_site_fetches_nothing_from_elsewhere(tmp_path: Path):
    assert build(tmp_path, "Words.").returncode == 0
    page = (tmp_path / "build" / "site" / "index.html").read_text()
    assert 'src="http' not in page and '<link rel="stylesheet" href="http' not in page
