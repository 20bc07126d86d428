"""Make the pages that are made from the code anew: the tables of docs/options.md, and docs/method.md.

python3 scripts/update_docs.py
"""

import re
from pathlib import Path

from srez.options.flags import options_table
from srez.report.method import SECTIONS
from srez.system import files

DOCS = Path(__file__).resolve().parent.parent / "docs"
MADE = "<!-- made from here on by scripts/update_docs.py -->\n"
METHOD = """
# How a study is judged

`scripts/update_docs.py` makes this page from `srez/report/method.py`; every report of a study has the same.
"""


def anchor(heading: str) -> str:
    """What a link to a heading ends with, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def options_page(page: str) -> str:
    """docs/options.md with its tables made anew; what is before them stays."""
    return page.split(MADE)[0] + MADE + "\n" + options_table().rstrip() + "\n"


def method_page() -> str:
    """docs/method.md."""
    contents = [f"- [{section.heading}](#{anchor(section.heading)})" for section in SECTIONS]
    blocks = [METHOD.strip(), "\n".join(contents)]
    for section in SECTIONS:
        blocks += [f"## {section.heading}", *map(str.strip, section.paragraphs)]
        if section.terms:
            rows = [f"| {name} | {text} |" for name, text in section.terms.items()]
            blocks.append("\n".join(["| | |", "|---|---|", *rows]))
    return "\n\n".join(blocks) + "\n"


if __name__ == "__main__":
    options = DOCS / "options.md"
    files.write_whole(str(options), options_page(options.read_text()).encode())
    files.write_whole(str(DOCS / "method.md"), method_page().encode())
