from pathlib import Path
from typing import Any

import pytest

from configs.errors import InputError
from configs.schema import Build, Config, Data, Endpoint, Judging, SimulatedWorld
from data_processing.judging.plan import Asking
from data_processing.judging.replies import Judge
from data_processing.judging.shown_answers import ShownAnswers
from data_processing.labelling.calls import Labelling
from data_processing.labelling.labels import LabelPrompt
from data_processing.personas import Persona
from data_processing.responses import answer_call
from data_processing.roster import SIMULATED_JUDGE, asked_llms, judge_llm
from data_processing.simulated.profiles import profiles

NEAR = Endpoint(name="near", base_url="http://127.0.0.1:1/v1", api_key_env="NEAR_KEY")
FAR = Endpoint(name="far", base_url="https://far.example/v1")
LLMS = """llms:
  - {llm_id: small, api_model: maker/small, endpoint: near, input_price_usd_per_mtok: 0.1,
     output_price_usd_per_mtok: 0.2}
  - {llm_id: twin, api_model: maker/small, endpoint: far, input_price_usd_per_mtok: 0.1, output_price_usd_per_mtok: 0.2}
  - {llm_id: free, input_price_usd_per_mtok: 0, output_price_usd_per_mtok: 0, endpoint: far}
  - {llm_id: halfpriced, input_price_usd_per_mtok: 1.0, endpoint: far}
  - {llm_id: homeless, input_price_usd_per_mtok: 1.0, output_price_usd_per_mtok: 1.0}
  - {llm_id: lost, endpoint: nowhere, input_price_usd_per_mtok: 1.0, output_price_usd_per_mtok: 1.0}
"""


@pytest.fixture
def config_of(tmp_path: Path) -> Any:
    path = tmp_path / "llms.yaml"
    path.write_text(LLMS, encoding="utf-8")

    def make(llms: tuple[str, ...], endpoints: tuple[Endpoint, ...] = (NEAR, FAR), **build: Any) -> Config:
        return Config(data=Data(llms_file=str(path)), build=Build(llms=llms, endpoints=endpoints, **build))

    return make


def test_llms_come_with_model_prices_and_endpoint(config_of: Any) -> None:
    free, small = asked_llms(config_of(("free", "small")))
    assert (small.api_model, small.endpoint) == ("maker/small", NEAR)
    assert (free.api_model, free.endpoint, free.input_price_usd_per_mtok) == ("free", FAR, 0.0)
    call = small.call((("user", "2 + 2?"),), {"seed": 1})
    assert (call.llm_id, call.endpoint) == ("small", "near")
    assert call.cost_of(1e6, 2e6) == pytest.approx(0.1 + 2 * 0.2)


def test_one_endpoint_needs_no_name(config_of: Any) -> None:
    assert asked_llms(config_of(("homeless",), (FAR,)))[0].endpoint == FAR


@pytest.mark.parametrize(
    ("llms", "parts"),
    [
        (("smal",), ["build.llms", "'smal'", "did you mean 'small'?", "llms.yaml"]),
        (("halfpriced",), ["'halfpriced'", "output_price_usd_per_mtok", "llms.yaml", "before anything is spent"]),
        (("homeless",), ["'homeless'", "near, far", "got None"]),
        (("lost",), ["'lost'", "near, far", "'nowhere'"]),
        (("small", "free", "small"), ["build.llms: expected each LLM once", "'small' 2 times"]),
        (("small", "twin"), ["'maker/small'", "'small' and 'twin'"]),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(config_of: Any, llms: tuple[str, ...], parts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        asked_llms(config_of(llms))
    for part in parts:
        assert part in str(caught.value)


def test_without_names_the_simulated_llms_are_asked() -> None:
    config = Config(data=Data(simulated=SimulatedWorld(llms=3, seed=4)))
    cast = profiles(3, 4)
    llms = asked_llms(config)
    assert [llm.llm_id for llm in llms] == [profile.llm_id for profile in cast]
    assert [llm.api_model for llm in llms] == [f"simulated/{profile.llm_id}" for profile in cast]
    assert [llm.output_price_usd_per_mtok for llm in llms] == [profile.output_price_usd_per_mtok for profile in cast]
    assert judge_llm(config).api_model == SIMULATED_JUDGE.api_model


def test_a_simulated_server_of_ones_own_is_found_by_name() -> None:
    own = Endpoint(name="simulated", base_url="http://127.0.0.1:8001/v1")
    assert asked_llms(Config(build=Build(endpoints=(FAR, own))))[0].endpoint == own
    with pytest.raises(InputError, match=r"build\.llms.*named simulated|build\.llms.*simulated"):
        asked_llms(Config(build=Build(endpoints=(FAR,))))


def test_the_judge_is_described_like_the_others(config_of: Any) -> None:
    config = config_of(("free",), judge=Judging(llm="small"))
    assert judge_llm(config).api_model == "maker/small"
    wrong = config_of(("free",), judge=Judging(llm="lage"))
    with pytest.raises(InputError, match=r"build\.judge\.llm.*'lage'"):
        judge_llm(wrong)


def test_every_call_names_its_longest_answer_as_the_endpoint_does(config_of: Any) -> None:
    newer = FAR.model_copy(update={"max_tokens_name": "max_completion_tokens"})
    settings = config_of(("free", "small"), (NEAR, newer))
    free, small = asked_llms(settings)
    persona, shown = Persona("p", "Someone.", ()), ShownAnswers("q", "2 + 2?", ("a", "b"), ("4", "5"))
    prompt = LabelPrompt.parse("Say ROUTE_TO_INFERIOR or ROUTE_TO_SUPERIOR.", "own")
    for llm, name in ((free, "max_completion_tokens"), (small, "max_tokens")):
        made = {
            512: answer_call(llm, "2 + 2?", settings.build.answers),
            64: Judge(llm, settings.build.judge, False).call(Asking(persona, shown, (0, 1))),
        }
        for longest, call in made.items():
            assert {key: value for key, value in call.parameters.items() if "max" in key} == {name: longest}
        labelling = Labelling.of(settings, llm, prompt, ["2 + 2?"], 1, 100)
        assert labelling.parameters[0][name] == 64
        assert labelling.cost(None).most_output_tokens == 2 * 64
