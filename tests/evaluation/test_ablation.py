"""Ablation: each variant is fitted as it says, compared with the full model, and refused where it has no effect."""

import dataclasses

import pandas as pd
import pytest

from configs.errors import InputError
from configs.load import load_config
from configs.schema import Config, Evaluate, Variant, project_root
from evaluation.ablation import FULL, ablation, check_ablations, varied
from evaluation.study import Setting, fit, fit_graph, judged_by, score
from graph.routing_data import PreparedData
from tests.evaluation.study_world import make_setting

VARIANTS = (
    Variant(name="nobody", set=("graph.relations.user_query=false",)),
    Variant(name="small encoder", set=("encoder.model=hashing:8", "encoder.style=false")),
)


@pytest.fixture(scope="module")
def setting() -> Setting:
    return make_setting(ablations=VARIANTS)


@pytest.fixture(scope="module")
def table(setting: Setting) -> pd.DataFrame:
    return ablation(setting)


def test_the_full_model_comes_first_and_is_the_reference(setting: Setting, table: pd.DataFrame) -> None:
    assert table["series"].tolist() == [FULL, "nobody", "small encoder"]
    full = score(setting.graph, setting.prepared)
    assert (table["reward"][0], table["accuracy"][0]) == (full.reward, full.accuracy)
    assert set(table["reference"]) == {full.reward}
    assert table["x"].isna().all()


def test_each_variant_is_fitted_under_its_own_configuration(setting: Setting, table: pd.DataFrame) -> None:
    for variant, reward in zip(VARIANTS, table["reward"][1:], strict=True):
        config = varied(setting.config, variant)
        prepared = setting.prepare_with(config)
        graph = fit_graph(setting, prepared, config)
        assert reward == score(graph, judged_by(setting.prepared, prepared)).reward
    assert table["reward"][1] < table["reward"][0] - 0.005, "without user edges nobody gets their own answer"


def test_the_data_of_a_variant_are_prepared_again(setting: Setting) -> None:
    seen: list[Config] = []

    def prepare_with(config: Config) -> PreparedData:
        seen.append(config)
        return setting.prepare_with(config)

    ablation(dataclasses.replace(setting, prepare_with=prepare_with))
    assert [config.encoder.model for config in seen] == ["hashing:24", "hashing:8"]
    assert [config.graph.relations.user_query for config in seen] == [False, True]


@pytest.mark.parametrize(
    ("name", "key", "parts"),
    [
        ("x", "graph.topix=[2]", ["graph.topix: unknown key", "did you mean 'topics'?"]),
        ("x", "graph.neighbours=0", ["evaluate.ablations, 'x': graph.neighbours: expected a whole number > 0"]),
        ("x", "seed=3", ["evaluate.ablations, 'x': expected keys of", "got seed, which is the same for all variants"]),
        ("x", "users.preferences=[0.1]", ["got users.preferences,"]),
        ("x", "data.source=routerbench", ["got data.source,"]),
        ("nobody", "graph.topics=[]", ["expected different names", "got 'nobody' again"]),
        (FULL, "graph.topics=[]", ["expected different names, none of them 'full model', got 'full model' again"]),
    ],
)
def test_a_variant_without_effect_is_refused(name: str, key: str, parts: list[str]) -> None:
    variants = (*VARIANTS, Variant(name=name, set=(key,)))
    with pytest.raises(InputError) as error:
        check_ablations(Config(evaluate=Evaluate(ablations=variants)))
    assert all(part in str(error.value) for part in parts), str(error.value)


def test_the_shipped_variants_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_DATASETS", "somewhere")
    for name, count in (("ablation", 11), ("routerdc", 4)):
        config = load_config(project_root() / "configs" / f"{name}.yaml")
        assert len(config.evaluate.ablations) == count
        check_ablations(config)
        for variant in config.evaluate.ablations:
            differs = varied(config, variant) != config or variant.policy != "graph"
            assert differs, f"{variant.name} changes nothing"


def test_a_variant_may_be_another_router_with_keys_or_without(setting: Setting) -> None:
    variants = (
        Variant(name="ridge", policy="linear"),
        Variant(name="near", policy="knn", set=("encoder.style=false",)),
    )
    evaluate = setting.config.evaluate.model_copy(update={"ablations": variants})
    asked = dataclasses.replace(setting, config=setting.config.model_copy(update={"evaluate": evaluate}))
    table = ablation(asked).set_index("series")
    plain = varied(asked.config, variants[1])
    near = fit("knn", setting, setting.prepare_with(plain), plain)
    prepared = judged_by(setting.prepared, setting.prepare_with(plain))
    assert table["reward"]["ridge"] == score(fit("linear", setting, setting.prepared), setting.prepared).reward
    assert table["reward"]["near"] == score(near, prepared).reward
    assert table["reward"]["near"] != score(setting.fitted["knn"].policy, setting.prepared).reward


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        (Variant(name="x", policy="oracle"), "evaluate.ablations, 'x': expected a policy that is fitted, got 'oracle'"),
        (Variant(name="x", policy="contrastive", set=("encoder.model=hashing",)), "encoder.model: expected a transfor"),
    ],
)
def test_a_router_that_cannot_be_fitted_is_refused(variant: Variant, said: str) -> None:
    with pytest.raises(InputError) as error:
        check_ablations(Config(evaluate=Evaluate(ablations=(variant,))))
    assert str(error.value).startswith(said)


def test_a_variant_that_is_the_experiment_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="must change something"):
        Variant(name="same")
