"""Which persona sees what in which order: drawn from names alone, so that nothing else moves it."""

import collections
import dataclasses

import numpy as np
from scipy import stats

from data_processing.judging.plan import Judgement, JudgePlan
from data_processing.judging.shown_answers import ShownAnswers
from data_processing.personas import generated_personas

LLMS = ("a", "b", "c", "d")


def shown(queries: int, llm_ids: tuple[str, ...] = LLMS) -> list[ShownAnswers]:
    return [ShownAnswers(f"q{i:03d}", f"Question {i}?", llm_ids, tuple(x * 3 for x in llm_ids)) for i in range(queries)]


def plan(
    personas: int = 3, queries: int = 40, limit: int | None = None, share: float = 0.25, seed: int = 0
) -> JudgePlan:
    return JudgePlan(generated_personas(personas, 0), shown(queries), limit, share, seed)


def named(judgements: JudgePlan) -> dict[tuple[str, str], Judgement]:
    return {(item.first.persona.user_id, item.first.answers.query_id): item for item in judgements}


def test_every_pair_is_judged_once_and_the_counts_are_right() -> None:
    for limit in (None, 7, 40, 100):
        made = plan(limit=limit)
        assert len(named(made)) == len(made) == len(list(made))
        assert made.count_askings() == len(list(made.askings()))
        assert list(made) == list(made)


def test_a_judgement_does_not_depend_on_the_others() -> None:
    few, many = named(plan(personas=2, queries=30)), named(plan(personas=5, queries=40))
    assert few.items() <= many.items()
    limited = named(plan(personas=2, limit=10))
    assert limited.items() <= named(plan(personas=5, limit=10)).items()
    assert len({query for _, query in limited}) > 10  # each persona has queries of its own


def test_orders_are_random_and_differ_between_users_queries_and_seeds() -> None:
    orders = [item.first.order for item in plan(personas=10, queries=240)]
    counts = collections.Counter(orders)
    assert len(counts) == 24
    assert stats.chisquare(list(counts.values())).pvalue > 0.001
    other = [item.first.order for item in plan(personas=10, queries=240, seed=1)]
    assert np.mean([a == b for a, b in zip(orders, other, strict=True)]) < 0.1


def test_again_is_the_share_set_and_another_order() -> None:
    items = list(plan(personas=10, queries=200, share=0.25))
    again = [item for item in items if item.again is not None]
    assert abs(len(again) / len(items) - 0.25) < 0.04
    for item in again:
        assert item.again is not None
        assert item.again.order != item.first.order
        assert sorted(item.again.order) == sorted(item.first.order)
    assert not any(item.again for item in plan(share=0.0))
    assert all(item.again for item in plan(share=1.0))


def test_of_two_answers_the_other_order_is_the_reverse() -> None:
    made = dataclasses.replace(plan(share=1.0), answers=shown(20, ("a", "b")))
    assert all(item.again is not None and item.again.order == item.first.order[::-1] for item in made)
