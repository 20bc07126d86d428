"""What the page shows of claim 2: its tables, and the figures beside them."""

from fake_study import signals

from srez.report.indicator_figures import across_panels, curve_panels, relation_panels
from srez.report.indicator_tables import claim_2, left_out
from srez.report.relations import Relations
from srez.report.text import DASH, MINUS


def test_tables(tmp_path):
    """The estimates are LPIPS itself and cost nothing; that of the GAN's critic is none of a distance."""
    found = claim_2(Relations(signals(tmp_path)))
    assert found["truths"] == ["LPIPS", "exact transport"]
    titles = ["critic's own estimate", "critic's estimate on held-out faces", "estimate of fresh critics"]
    size = "size of the critic's own estimate"
    rows = [title for title in (titles[0], size, *titles[1:]) for _ in range(2)]
    assert [title for title, _ in found["answers"]] == [*rows, "exact transport"]
    for (_, words), rule in zip(found["answers"], ("by the rule", "whatever the penalty"), strict=False):
        assert words == ["all samples", rule, "holds here (1 of 1)", DASH]
    groups = {group.title: group.rows for group in found["relations"]["LPIPS"]}
    assert [row[:2] for row in groups[titles[0]]] == [["wgan-gp", "all samples"], ["wgan-gp", "moments"]]
    assert [row[:2] for row in groups[size]] == [["wgan-gp", "all samples"]]
    assert [row[:2] for row in groups[titles[2]]] == [["gan", "moments"], ["wgan-gp", "moments"]]
    assert [row[-1] for row in groups["clock"]] == ["4", "4", "8", "8"]
    # the estimates are LPIPS: never below 0, and at the last moment what fresh critics say
    assert found["validity"] == [
        ["wgan-gp", title, "0", "100.0% (100.0 to 100.0)", "8"] for title in titles[:2]
    ]
    fresh = found["across"][0]  # means of cells are alike
    assert (fresh[:2], fresh[3:]) == ([titles[2], "12 in 3"], [DASH, "+1.00 (+1.00 to +1.00)"])
    assert found["objectives"] == ["gan", "wgan-gp"]
    more = "more than the last sample costs"
    kinds = ["all samples", f"all samples, {more}", "moments", f"moments, {more}"]
    assert [group.title for group in found["regrets"]] == kinds
    at_all, _, at_moments, more = ({name: rest for name, *rest in group.rows} for group in found["regrets"])
    assert at_all[titles[0]] == [DASH, "0.0 (0.0 to 0.0), 8"]
    assert at_moments[titles[2]] == ["0.0 (0.0 to 0.0), 4", "0.0 (0.0 to 0.0), 8"]
    # what costs nothing costs as much less as the last sample costs at most
    most = at_moments["the last sample (clock)"][0].split(" to ")[1].split(")")[0]
    assert float(most) > 0
    assert f"({MINUS}{most} to " in more[titles[2]][0]
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
        "across_freshwassersteinestimate",
        "across_transport",
    ]
