"""What the page shows of claim 2: its tables, and the figures beside them."""

from fake_study import signals

from srez.report.indicator_figures import across_panels, curve_panels, relation_panels
from srez.report.indicator_tables import claim_2, left_out
from srez.report.relations import Relations
from srez.report.text import DASH


def test_tables(tmp_path):
    """The estimates are LPIPS itself and cost nothing; that of the GAN's critic is none of a distance."""
    found = claim_2(Relations(signals(tmp_path)))
    assert found["truths"] == ["LPIPS", "exact transport"]
    titles = ["critic's own estimate", "critic's estimate on held-out faces", "estimate of fresh critics"]
    assert [title for title, _ in found["answers"]] == [*titles, "exact transport"]
    assert found["answers"][0][1] == ["all samples", "holds here (1 of 1)", DASH]
    groups = {group.title: group.rows for group in found["relations"]["LPIPS"]}
    assert [row[:2] for row in groups[titles[0]]] == [["wgan-gp", "all samples"], ["wgan-gp", "moments"]]
    assert [row[:2] for row in groups[titles[2]]] == [["gan", "moments"], ["wgan-gp", "moments"]]
    assert [row[-1] for row in groups["clock"]] == ["4", "8"]
    assert found["objectives"] == ["gan", "wgan-gp"]
    at_all, at_moments = ({name: rest for name, *rest in group.rows} for group in found["regrets"])
    assert at_all[titles[0]] == [DASH, "0.0 [0.0, 0.0]"]
    assert at_moments[titles[2]] == ["0.0 [0.0, 0.0]", "0.0 [0.0, 0.0]"]
    assert at_moments["the last sample (clock)"] != at_moments[titles[2]]
    assert titles[2] not in at_all


def test_what_does_not_count_is_named_with_its_reason(tmp_path):
    relations = Relations(signals(tmp_path, fresh_gradient_penalty=0.2))
    reason = "its critic's gradient penalty is 0.200"
    names = ["gan / resnet", "wgan-gp / resnet", "wgan-gp / deconv"]
    assert list(left_out(relations)) == [(f"fresh critics of {name}", reason) for name in names]


def test_figures_say_in_words_what_they_show(tmp_path):
    relations = Relations(signals(tmp_path, -1))
    excess, r = relation_panels(relations)
    assert (excess.name, r.name) == ("indicators_excess", "indicators_r")
    assert "own estimate of wgan-gp \N{MINUS SIGN}1.00 [" in r.alt
    assert "exact transport at moments of gan +" in r.alt
    assert [panel.name for panel in curve_panels(relations.results)] == ["signals_gan", "signals_wgangp"]
    assert [panel.name for panel in across_panels(relations)] == [
        "across_transport",
        "across_freshwassersteinestimate",
    ]
