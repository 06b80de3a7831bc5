"""The offline default: a seeded world of tasks, LLMs and written answers that the project makes itself."""

from data_processing.simulated.llm import SimulatedLLM
from data_processing.simulated.profiles import profiles
from data_processing.simulated.world import build_world

__all__ = ["SimulatedLLM", "build_world", "profiles"]
