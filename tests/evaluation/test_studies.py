"""Which studies a run makes, what is refused before anything is trained, and that repeats add up."""

import pandas as pd
import pytest

from configs.errors import InputError
from configs.schema import Config, Evaluate, NewLlms, NewUsers, ThinLogs, Variant
from data_processing.simulated import build_world
from evaluation.evaluate import evaluate
from evaluation.new_users import held_out
from evaluation.results import STUDY_COLUMNS
from evaluation.studies import STUDIES, asked_for, check_studies, gather, run_studies
from tests.evaluation.study_world import make_judged_setting, make_setting
from tests.graph.world import tiny_dataset

EVERY = {
    "thin_logs": ThinLogs(observed_llms_per_query=(1,), policies=("knn",)),
    "new_users": NewUsers(fraction=0.5, shots=(0, 2)),
    "new_llms": NewLlms(llms=("ocean",), probes=(3,)),
    "ablations": (Variant(name="no topics", set=("graph.topics=[]",)),),
}


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({}, []),
        (EVERY, list(STUDIES)),
        ({"thin_logs": ThinLogs(interactions_per_user=(None,))}, ["thin_logs"]),
        ({"new_users": NewUsers(users=("user_1",))}, ["new_users"]),
        ({"new_users": NewUsers(shots=(1,)), "new_llms": NewLlms(probes=(1,))}, []),
    ],
)
def test_a_study_is_made_where_it_is_asked_for(keys: dict, wanted: list[str]) -> None:
    assert asked_for(Config(evaluate=Evaluate(**keys))) == wanted


@pytest.mark.parametrize("name", ["ablations", "new_users", "new_llms"])
def test_studies_of_the_router_need_the_router(name: str) -> None:
    config = Config(evaluate=Evaluate(policies=("knn", "oracle"), **{name: EVERY[name]}))
    with pytest.raises(InputError, match=rf"evaluate\.{name}: expected 'graph' among .*, got knn, oracle; add it"):
        check_studies(config, tiny_dataset())


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"new_users": NewUsers(users=("user_x",))}, "got 'user_x'"),
        ({"new_llms": NewLlms(llms=("river",))}, "got 'river'"),
        ({"ablations": (Variant(name="x", set=("seed=1",)),)}, "got seed"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(keys: dict, text: str) -> None:
    with pytest.raises(InputError, match=text):
        check_studies(Config(evaluate=Evaluate(**keys)), tiny_dataset())


def test_what_can_be_done_is_accepted() -> None:
    check_studies(Config(evaluate=Evaluate(**EVERY)), tiny_dataset())
    check_studies(Config(evaluate=Evaluate(policies=("knn",), thin_logs=EVERY["thin_logs"])), tiny_dataset())


def test_all_studies_run_and_repeats_add_up() -> None:
    parts = []
    for repeat in range(2):
        s = make_setting(seed=repeat, repeat=repeat, **EVERY)
        parts.append(run_studies(s.config, s.prepare_with, s.prepared, s.fitted, s.seed, s.repeat))
    assert list(parts[0]) == list(STUDIES)
    tables = gather(parts)
    for name, table in tables.items():
        assert list(table.columns) == STUDY_COLUMNS
        assert len(table) == sum(len(part[name]) for part in parts)
        assert set(table["repeat"]) == {0, 1}
        assert not table.duplicated(["panel", "series", "x", "repeat"]).any()
        assert table["reward"].notna().all()
    assert gather([]) == {}
    assert run_studies(Config(), s.prepare_with, s.prepared, s.fitted, 0, 0) == {}
    pd.testing.assert_frame_equal(gather([parts[0], {}])["ablation"], parts[0]["ablation"])


def test_personas_are_scored_by_what_they_picked() -> None:
    llm = build_world(100, 4, 0).llms["llm_id"].iloc[0]
    s = make_judged_setting(**{**EVERY, "new_llms": NewLlms(llms=(llm,), probes=(3, 60))})
    assert s.prepared.train.judged
    assert s.prepared.train.attributes is not None
    tables = run_studies(s.config, s.prepare_with, s.prepared, s.fitted, s.seed, s.repeat)
    for table in tables.values():
        assert table["reward"].isna().all()
        assert table["accuracy"].between(0, 1).all()
    decisions = evaluate(s.prepared, s.fitted, s.config, 0).decisions
    full = decisions.loc[decisions["policy"] == "graph", "best"].mean()
    assert tables["ablation"]["accuracy"][0] == tables["ablation"]["reference"][0] == pytest.approx(full)
    new = held_out(s.config.evaluate.new_users, list(s.prepared.true_users["user_id"]), s.seed)
    mine = decisions[(decisions["policy"] == "graph") & decisions["user_id"].isin(new)]
    assert tables["new_users"]["reference"].tolist() == pytest.approx([mine["best"].mean()] * 4)
