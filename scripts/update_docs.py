"""Make the pages that are made from the code anew: README's option tables, docs/study_method.md."""

from srez.options.flags import options_table
from srez.report.method import DOCS, markdown
from srez.system import files


def update_readme(path: str = "README.md") -> None:
    """Write the option tables between README's two marks."""
    with open(path) as file:
        before, rest = file.read().split("<!-- options -->\n")
    after = rest.split("<!-- end of options -->")[1]
    files.write_whole(
        path, f"{before}<!-- options -->\n{options_table()}<!-- end of options -->{after}".encode()
    )


def update_docs() -> None:
    """Write docs/study_method.md anew."""
    files.write_whole(str(DOCS), markdown().encode())


if __name__ == "__main__":
    update_readme()
    update_docs()
