"""README and docs/: short enough, links that lead somewhere, contents lists, pages made from the code."""

import re
from pathlib import Path

import pytest
from helpers import ROOT

from scripts.update_docs import anchor, method_page, options_page
from srez.report.verdicts import VERDICTS

DOCS = sorted(ROOT.glob("docs/*.md"))
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md")]
PAGES += [*DOCS, ROOT / "docs" / "study" / "README.md", ROOT / "srez" / "pretrained" / "README.md"]


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def headings(page: Path, level: str = "#+") -> list[str]:
    return re.findall(rf"^{level} (.+)$", page.read_text(), re.MULTILINE)


def test_readme_is_short():
    assert 100 < len((ROOT / "README.md").read_text().splitlines()) <= 200


def test_readme_leads_to_every_page():
    linked = re.findall(r"\]\((docs/[\w/]+\.md)\)", (ROOT / "README.md").read_text())
    assert {named(page) for page in DOCS} - set(linked) == set()


@pytest.mark.parametrize(
    ("heading", "link"),
    [
        ("CelebA, and a GPU", "celeba-and-a-gpu"),
        ("Claim 1: WGAN-GP trains", "claim-1-wgan-gp-trains"),
        ("Does an indicator tell quality?", "does-an-indicator-tell-quality"),
    ],
)
def test_anchors_are_githubs(heading, link):
    assert anchor(heading) == link


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_to_files_and_headings(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    bad = []
    for link in links:
        if link.startswith("https://"):
            continue
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (heading and heading not in map(anchor, headings(target))):
            bad.append(link)
    assert bad == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_files_that_are_named_are_there(page):
    paths = re.findall(r"`((?:srez|tests|bench|docs|scripts)/[\w/.-]+\.\w+)\b", page.read_text())
    assert [path for path in paths if "NAME" not in path and not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", DOCS, ids=named)
def test_a_page_begins_with_its_contents(page):
    before = page.read_text().split("\n## ")[0]
    contents = re.findall(r"^- \[(.+)\]\(#(.+)\)$", before, re.MULTILINE)
    assert contents == [(heading, anchor(heading)) for heading in headings(page, "##")]
    assert len(contents) > 1


def test_pages_made_from_the_code_are_as_it_makes_them():
    again = "run: python3 scripts/update_docs.py"
    options, method = ((ROOT / "docs" / f"{name}.md").read_text() for name in ("options", "method"))
    assert options == options_page(options), again
    assert method == method_page(), again
    assert all(rule.text in method for rule in VERDICTS.values())
