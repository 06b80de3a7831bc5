"""Draws: repeatable, independent of each other, and of the shape they claim."""

from data_processing.simulated.draws import Draws


def test_known_values_are_the_same_on_every_machine() -> None:
    draws = Draws(0, "llm", "prompt")
    assert [draws.between(0, 999) for _ in range(6)] == [273, 702, 655, 367, 279, 440]


def test_the_key_decides_and_the_order_of_streams_does_not() -> None:
    first, second = Draws(1, "a"), Draws(1, "b")
    mixed = [(first.uniform(), second.uniform()) for _ in range(20)]
    again = Draws(1, "b")
    assert [pair[1] for pair in mixed] == [again.uniform() for _ in range(20)]
    assert [pair[0] for pair in mixed] != [pair[1] for pair in mixed]
    assert Draws("ab", "c").uniform() != Draws("a", "bc").uniform()


def test_normal_and_uniform_have_the_moments_they_claim() -> None:
    draws = Draws("moments")
    normal = [draws.normal() for _ in range(4000)]
    mean = sum(normal) / len(normal)
    assert abs(mean) < 0.06
    assert abs(sum((x - mean) ** 2 for x in normal) / len(normal) - 1) < 0.08
    uniform = [draws.uniform() for _ in range(4000)]
    assert 0 <= min(uniform) < 0.01
    assert 0.99 < max(uniform) < 1


def test_sample_takes_each_option_once() -> None:
    draws = Draws("sample")
    assert sorted(draws.sample(range(5), 9)) == [0, 1, 2, 3, 4]
    seen = {tuple(draws.sample("abc", 2)) for _ in range(100)}
    assert len(seen) == 6
    assert {draws.between(3, 5) for _ in range(60)} == {3, 4, 5}
    assert not any(draws.chance(0.0) for _ in range(50))
    assert all(draws.chance(1.0) for _ in range(50))
