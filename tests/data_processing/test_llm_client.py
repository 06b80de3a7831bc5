"""The client interface: the simulated LLM fits it."""

from data_processing.llm_client import ChatModel, Completion
from data_processing.simulated import SimulatedLLM, profiles


def test_the_simulated_llm_is_a_chat_model() -> None:
    model: ChatModel = SimulatedLLM(profiles(2, seed=0))
    done = model.complete("nimbus-8b", "Hello there", seed=1)
    assert isinstance(done, Completion)
    assert done.text
    assert done.input_tokens > 0
    assert done.output_tokens > 0
    assert done.latency_s > 0
