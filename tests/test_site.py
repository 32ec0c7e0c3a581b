"""The site of the documentation, built as `make docs` builds it."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

ROOT = Path(__file__).parents[1]
LOADING = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}
"""Elements that make a browser fetch something, and the attribute that says what."""


class Page(HTMLParser):
    """What a page leads to, what it loads, and the places in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.places.add(values.get("id", ""))
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if LOADING.get(tag) in values and values.get("rel") != "canonical":
            self.loaded.append(values[LOADING[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Warnings are errors: a page without a place in the navigation, a link that leads nowhere."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        check=True,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


def test_every_page_is_in_the_navigation_once() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    listed = [page for group in nav for pages in group.values() for page in pages]
    assert sorted(listed) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))


def test_every_page_leads_to_every_other_one(site: Path, pages: dict[Path, Page]) -> None:
    names = {path.stem + ".html" for path in (ROOT / "docs").glob("*.md")}
    assert {path.name for path in pages} == names
    for path, page in pages.items():
        assert names - {path.name} <= {link.partition("#")[0] for link in page.links}, path.name


def test_every_link_and_every_anchor_leads_somewhere(pages: dict[Path, Page]) -> None:
    checked = 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file() or (target / "index.html").is_file(), f"{path.name}: {link}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].places, f"{path.name}: {link}"
                checked += 1
    assert checked > 50


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_what_the_files_beside_the_site_link_to_is_there(
    name: str, site: Path, pages: dict[Path, Page]
) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = ROOT / parts.path
        assert not parts.path or target.exists(), f"{name}: {link}"
        if parts.fragment and target.parent == ROOT / "docs":
            assert parts.fragment in pages[site / f"{target.stem}.html"].places, f"{name}: {link}"


def test_no_page_loads_anything_from_another_host(site: Path, pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        assert page.loaded, path.name
        for link in page.loaded:
            assert not urlsplit(link).netloc, f"{path.name}: {link}"
            assert (path.parent / urlsplit(link).path).is_file(), f"{path.name}: {link}"
    for path in site.rglob("*.css"):
        loaded = re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", path.read_text())
        assert not loaded, path.name


@pytest.mark.parametrize("name", ["first_ten_minutes", "limits"])
def test_the_pages_of_a_beginner_say_that_it_is_for_research(name: str, site: Path) -> None:
    texts = (site / "index.html").read_text(), (site / "limits.html").read_text()
    assert all("Research use only" in text for text in texts)
    assert "limits.html" in (site / f"{name}.html").read_text()
