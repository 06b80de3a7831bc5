"""The offline world: questions, answers, performance and cost as one `Dataset`."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from configs.errors import InputError
from data_processing.cost import cost_usd
from data_processing.scoring import score
from data_processing.simulated.draws import Draws
from data_processing.simulated.llm import TASKS, SimulatedLLM
from data_processing.simulated.names import REGISTERS
from data_processing.simulated.profiles import Profile, profiles
from data_processing.simulated.question import Question, SimulatedTask
from data_processing.simulated.topics import TOPICS
from data_processing.tables import Dataset, conform, empty, query_id, validate

MAX_ATTEMPTS = 200
NOTE = "simulated: questions, LLMs, answers and prices are made up by the project; only the metrics are real"


def build_world(queries: int, llms: int, seed: int) -> Dataset:
    """Return the simulated world: `queries` questions split evenly over 4 tasks, answered by `llms` LLMs.

    The same arguments give the same tables on every machine, and a larger world begins with the questions of a smaller
    one, task by task. Raises `InputError` where `queries` or `llms` is below 1, or where a task runs out of new texts.
    """
    for name, value in (("queries", queries), ("llms", llms)):
        if value < 1:
            raise InputError(f"simulated world: expected {name} >= 1, got {value}; raise data.simulated.{name}")
    cast = profiles(llms, seed)
    asked = world_questions(queries, seed)
    dataset = Dataset(
        name="simulated",
        llms=conform("llms", _llm_table(cast)),
        tasks=world_tasks(),
        queries=conform("queries", pd.DataFrame([_query_row(question) for question in asked])),
        outcomes=conform("outcomes", _outcomes(asked, cast, seed)),
        users=empty("users"),
        interactions=empty("interactions"),
        cost_kind="computed",
        simulated=True,
        notes=(NOTE,),
    )
    validate(dataset)
    return dataset


def world_questions(queries: int, seed: int) -> list[Question]:
    """Return the questions of the world, split evenly over its tasks; nobody answers them."""
    shares = [queries // len(TASKS) + (i < queries % len(TASKS)) for i in range(len(TASKS))]
    return [question for task, share in zip(TASKS, shares, strict=True) for question in questions(task, share, seed)]


def world_tasks() -> pd.DataFrame:
    """Return table `tasks` of the world."""
    return conform("tasks", pd.DataFrame([_task_row(task) for task in TASKS]))


def questions(task: SimulatedTask, count: int, seed: int) -> list[Question]:
    """Return `count` different questions of one task; topics, difficulties and registers are about equally frequent."""
    out: dict[str, Question] = {}
    topics = list(TOPICS.values())
    for i in range(count):
        for attempt in range(MAX_ATTEMPTS):
            draws = Draws(seed, task.task_id, i, attempt)
            # topics in turn: even a small world has every topic in every task
            topic = topics[i % len(topics)]
            question = task.write(draws, topic, draws.between(1, 4), draws.choice(REGISTERS))
            if question.query not in out:
                out[question.query] = question
                break
        else:
            raise InputError(
                f"simulated world: expected {count} different questions of task {task.task_id!r}, found {len(out)}; "
                "lower data.simulated.queries"
            )
    return list(out.values())


def _llm_table(cast: Sequence[Profile]) -> pd.DataFrame:
    rows = [
        {
            "llm_id": profile.llm_id,
            "description": profile.description,
            "family": profile.family,
            "api_model": f"simulated/{profile.llm_id}",
            "input_price_usd_per_mtok": profile.input_price_usd_per_mtok,
            "output_price_usd_per_mtok": profile.output_price_usd_per_mtok,
        }
        for profile in cast
    ]
    return pd.DataFrame(rows)


def _task_row(task: SimulatedTask) -> dict[str, str]:
    return {"task_id": task.task_id, "description": task.description, "metric": task.metric}


def _query_row(question: Question) -> dict[str, str]:
    return {
        "query_id": query_id(question.task_id, question.query),
        "task_id": question.task_id,
        "query": question.query,
        "ground_truth": question.ground_truth,
        "choices": "",
    }


def _outcomes(asked: Sequence[Question], cast: Sequence[Profile], seed: int) -> pd.DataFrame:
    model = SimulatedLLM(cast)
    metrics = {task.task_id: task.metric for task in TASKS}
    rows = []
    for question in asked:
        for profile in cast:
            done = model.complete(profile.llm_id, question.query, seed=seed)
            rows.append(
                {
                    "query_id": query_id(question.task_id, question.query),
                    "llm_id": profile.llm_id,
                    "response": done.text,
                    "performance": score(metrics[question.task_id], done.text, question.ground_truth),
                    "input_tokens": done.input_tokens,
                    "output_tokens": done.output_tokens,
                    "latency_s": done.latency_s,
                    "error": "",
                }
            )
    table = pd.DataFrame(rows)
    prices = _llm_table(cast).set_index("llm_id").loc[table["llm_id"]]
    table["cost_usd"] = cost_usd(
        table["input_tokens"].to_numpy(),
        table["output_tokens"].to_numpy(),
        prices["input_price_usd_per_mtok"].to_numpy(),
        prices["output_price_usd_per_mtok"].to_numpy(),
    )
    return table
