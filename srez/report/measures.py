"""What each measure of quality sees: the order in which it puts pictures whose order is plain to the eye."""

from importlib import resources

FILE = "measures.md"  # as bench/bench_measures.py prints it; an arrow points to what is better
FACES = 240  # of CelebA, held out
NEAREST, BICUBIC = "nearest", "bicubic"


def orders() -> dict[str, list[tuple[str, str]]]:
    """What every measure makes of the pictures: its name -> their names with its figures, best first."""
    lines = resources.files("srez.report").joinpath(FILE).read_text(encoding="utf-8").splitlines()
    head, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    found = {}
    for column, title in enumerate(head[1:], 1):
        name, arrow = title.rsplit(" ", 1)
        of_pictures = [(row[0], row[column]) for row in rows]
        found[name] = sorted(of_pictures, key=lambda pair: float(pair[1]), reverse=arrow == "↑")
    return found


TERMS = {measure: ", ".join(map(" ".join, order)) for measure, order in orders().items()}
