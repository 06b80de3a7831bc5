import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_processing.scaling import GLOBAL, CostScaler

DOLLARS = st.one_of(st.just(float("nan")), st.integers(0, 10_000).map(lambda n: n / 1e5))
ROWS = st.lists(st.tuples(st.sampled_from("abc"), DOLLARS, DOLLARS), min_size=1, max_size=12)


def matrix(rows: list[tuple[str, float, float]]) -> tuple[list[str], np.ndarray]:
    return [row[0] for row in rows], np.array([row[1:] for row in rows])


def slow_bounds(rows: list[tuple[str, float, float]], task: str) -> tuple[float, float] | None:
    values = [v for name, *pair in rows for v in pair if (task == GLOBAL or name == task) and v == v]
    return (min(values), max(values)) if values else None


@settings(max_examples=100, deadline=None)
@given(ROWS, ROWS, st.booleans())
def test_scaling_is_min_max_of_the_train_rows_of_the_task(train: list, other: list, per_task: bool) -> None:
    scaler = CostScaler.fit(*matrix(train), per_task)
    tasks, dollars = matrix(other)
    scaled = scaler.scale(tasks, dollars)
    for row, task in enumerate(tasks):
        bounds = (slow_bounds(train, task) if per_task else None) or slow_bounds(train, GLOBAL) or (0.0, 0.0)
        for column in range(2):
            value = dollars[row, column]
            if value != value:
                assert np.isnan(scaled[row, column])
            elif bounds[1] == bounds[0]:
                assert scaled[row, column] == 0
            else:
                wanted = min(max((value - bounds[0]) / (bounds[1] - bounds[0]), 0.0), 1.0)
                assert scaled[row, column] == pytest.approx(wanted, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_dollars_are_the_inverse_inside_the_bounds(train: list) -> None:
    tasks, dollars = matrix(train)
    scaler = CostScaler.fit(tasks, dollars)
    scaled = scaler.scale(tasks, dollars)
    np.testing.assert_allclose(scaler.dollars(tasks, scaled), dollars, atol=1e-7)
    seen = scaled[np.isfinite(scaled)]
    assert ((seen >= 0) & (seen <= 1)).all()
    again = CostScaler.from_json(scaler.to_json())
    np.testing.assert_array_equal(again.scale(tasks, dollars), scaled)


def test_values_outside_the_train_bounds_are_clipped() -> None:
    scaler = CostScaler.fit(["a", "a"], np.array([[1.0], [3.0]]))
    assert scaler.scale(["a"] * 4, np.array([[0.0], [2.0], [3.0], [99.0]])).ravel().tolist() == [0, 0.5, 1, 1]


def test_an_unknown_task_has_the_bounds_of_all() -> None:
    scaler = CostScaler.fit(["a", "b"], np.array([[0.0, 1.0], [2.0, 4.0]]))
    assert scaler.scale(["new", "a", "b"], np.array([[1.0], [1.0], [3.0]])).ravel().tolist() == [0.25, 1, 0.5]
    everywhere = CostScaler.fit(["a", "b"], np.array([[0.0, 1.0], [2.0, 4.0]]), per_task=False)
    assert list(everywhere.bounds) == [GLOBAL]


def test_constant_costs_and_no_costs_scale_to_zero() -> None:
    scaler = CostScaler.fit(["a", "a"], np.array([[2.0, 2.0], [2.0, np.nan]]))
    scaled = scaler.scale(["a", "a", "new"], np.array([[2.0, 7.0], [0.0, np.nan], [2.0, 2.0]]))
    np.testing.assert_array_equal(scaled, [[0, 0], [0, np.nan], [0, 0]])
    nothing = CostScaler.fit(["a"], np.array([[np.nan]]))
    assert nothing.scale(["a"], np.array([[3.0]])).tolist() == [[0]]
    assert scaler.scale([], np.empty((0, 2))).shape == (0, 2)
