"""The report of a study, of whatever is finished or under way: page, tables, figures, HParams."""

import os

import matplotlib

import srez_files
import srez_study_curves as curves
import srez_study_figures as draw
from srez_study_claims import ESTIMATE, claims
from srez_study_faces import gallery
from srez_study_figures import Panel
from srez_study_folder import correlation_rows, read, run_rows, write_csv
from srez_study_hparams import write_hparams
from srez_study_indicator import INDICATORS
from srez_study_page import Pictures, render
from srez_study_results import FIGURES
from srez_study_store import StudyStore

PAGE, TABLE, CORRELATIONS, PICTURES = "report.html", "results.csv", "correlations.csv", "figures"


def write_report(study_dir: str, faces: bool = True) -> str:
    """Write the report of a study; the path of its page.

    STUDY_DIR/report.html, results.csv, correlations.csv, figures/*.svg, figures/*.png and hparams/. Without
    `faces` the page holds no picture of any face: plots only, to be published. Raises UserError where the
    folder holds no study, OSError where it cannot be written.
    """
    results = read(study_dir)
    with matplotlib.rc_context(draw.STYLE):
        outcomes = draw.outcome_panel(results)
        pictures = Pictures(
            _full({n: curves.quality_panels(results, n) for n in FIGURES if n in results.recorded}),
            _full({quality: draw.correlation_panels(results, quality) for quality in results.qualities}),
            list(draw.scatter_panels(results, ESTIMATE)),
            _full({about.title: curves.indicator_panels(results, n) for n, about in INDICATORS.items()}),
            gallery(results, StudyStore(study_dir)) if faces else None,
        )
    _save_figures(study_dir, outcomes, pictures)
    write_csv(os.path.join(study_dir, TABLE), run_rows(results))
    write_csv(os.path.join(study_dir, CORRELATIONS), correlation_rows(results))
    write_hparams(results, study_dir)
    path = os.path.join(study_dir, PAGE)
    srez_files.write_whole(path, render(results, claims(results), pictures).encode())
    return path


def _full(panels: dict) -> dict[str, list[Panel]]:
    """Panels by name, of those names that have any."""
    found = {name: list(those) for name, those in panels.items()}
    return {name: those for name, those in found.items() if those}


def _save_figures(study_dir: str, outcomes: Panel, pictures: Pictures) -> None:
    folder = os.path.join(study_dir, PICTURES)
    srez_files.make_folder(folder)
    named = (pictures.quality, pictures.losses, pictures.correlation)
    groups = [pictures.scatter, *(panels for group in named for panels in group.values())]
    for panel in [outcomes, *(panel for group in groups for panel in group)]:
        for ending, data in {"svg": panel.svg, "png": panel.png}.items():
            srez_files.write_whole(os.path.join(folder, f"{panel.name}.{ending}"), data)
