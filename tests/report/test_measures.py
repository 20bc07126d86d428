"""The table of what each measure sees, and what follows from it."""

from srez.report.measures import BICUBIC, NEAREST, orders
from srez.report.results import METRICS
from srez.report.verdicts import LEVELS


def test_a_measure_that_decides_verdicts_finds_nearest_worse_than_bicubic():
    found = orders()
    assert set(LEVELS) == {"lpips", "alexnet_frechet", "ssim", "psnr"}
    for name in LEVELS:
        figures = dict(found[METRICS[name].short])
        names = list(figures)
        assert names.index(NEAREST) > names.index(BICUBIC), name
        assert figures[NEAREST] != figures[BICUBIC]
        assert names[0] == "the faces themselves"


def test_those_that_may_not_find_it_better():
    for name in ("swd", "consistency"):
        names = [pictures for pictures, _ in orders()[METRICS[name].short]]
        assert names.index(NEAREST) < names.index(BICUBIC), name


def test_every_measure_orders_all_the_pictures():
    found = orders()
    assert len(found) == 11
    assert {len(order) for order in found.values()} == {10}
    assert dict(found["PSNR"])["the faces themselves"] == "100.0"
