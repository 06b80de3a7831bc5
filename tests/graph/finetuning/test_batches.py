"""Batches: no row twice, groups alike, the number of the step decides."""

from collections import Counter

import numpy as np

from graph.finetuning.batches import draw_batch
from graph.finetuning.run import pace


def test_every_row_comes_and_none_twice_in_a_batch() -> None:
    batches = [draw_batch(10, 4, None, np.random.default_rng(step)) for step in range(50)]
    assert all(len(set(batch.tolist())) == 4 for batch in batches)
    assert set(np.concatenate(batches).tolist()) == set(range(10))
    assert sorted(draw_batch(3, 16, None, np.random.default_rng(0)).tolist()) == [0, 1, 2]


def test_groups_come_alike_whatever_their_size() -> None:
    groups = np.array(["small"] * 20 + ["large"] * 980)
    seen: Counter[str] = Counter()
    for step in range(200):
        batch = draw_batch(1000, 10, groups, np.random.default_rng(step))
        assert len(set(batch.tolist())) == len(batch) == 10
        seen.update(groups[batch].tolist())
    assert 900 < seen["small"] < 1100
    lonely = draw_batch(5, 16, np.array(["a", "b", "b", "b", "b"]), np.random.default_rng(0))
    assert sorted(lonely.tolist()) == [0, 1, 2, 3, 4]


def test_the_step_size_rises_and_falls() -> None:
    rates = [pace(step, 100) for step in range(101)]
    assert np.isclose(rates[0], 0.1)
    assert max(rates) == rates[9] == 1.0
    assert rates[100] == 0
    assert all(np.diff(rates[10:]) <= 0)
