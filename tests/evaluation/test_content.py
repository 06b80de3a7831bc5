import pytest

from evaluation.content import CAPTIONS, build_content
from evaluation.plots import PLOTS
from evaluation.summary import summarise
from tests.evaluation.fake_results import make_results


def content_of(**size):
    results = make_results(users=2, queries=8, **size)
    return build_content(results, summarise(results, resamples=20))


def test_every_plot_has_a_caption():
    assert set(CAPTIONS) == {*PLOTS, "query_map"}, "the map is drawn where the encoder was trained"


def test_simulated_answers_are_announced_first():
    assert content_of(simulated=True).banners[0].startswith("Simulated answers")
    assert not any("Simulated" in banner for banner in content_of().banners)


@pytest.mark.parametrize(
    ("kind", "text"), [("computed", "list prices"), ("relative", "relative unit"), ("none", "no costs")]
)
def test_costs_that_are_no_dollars_are_announced(kind, text):
    assert any(text in banner for banner in content_of(cost_kind=kind).banners)


def test_published_costs_need_no_banner():
    assert content_of().banners == ()


def test_absent_policies_are_announced():
    assert any("Not run: oracle" in banner for banner in content_of(policies=("graph", "best_single_per_user")).banners)
    assert any("Not run: graph, oracle" in banner for banner in content_of(policies=("random",)).banners)


def test_tiles_follow_the_metrics():
    results = make_results(users=2, queries=8)
    metrics = summarise(results, 0)
    tiles = dict(reversed(tile) for tile in build_content(results, metrics).tiles)
    assert tiles["mean reward"] == f"{metrics['policies']['graph']['reward']['mean']:.3f}"
    assert tiles["for 1,000 queries"].startswith("$")
    assert "mean reward" not in dict(reversed(tile) for tile in content_of(kind="persona").tiles)
    assert content_of(policies=("random",)).tiles == ()
