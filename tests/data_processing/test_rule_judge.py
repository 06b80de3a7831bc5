import dataclasses
import math
import time

import numpy as np
import pandas as pd
import pytest

from configs.errors import InputError
from data_processing.importers import load_source
from data_processing.personas import Persona, generated_personas
from data_processing.response_features import FEATURES
from data_processing.rule_judge import COLDEST, HOTTEST, RuleJudge
from data_processing.simulated import build_world
from data_processing.tables import Dataset, conform, empty, validate
from tests.data_processing.importers.helpers import data, real

NAN = float("nan")
LLMS = ["a", "b", "c", "d"]
SUBJECTS = ["the cat", "a dog", "this perhaps", "my great friend", "x = 3"]


def persona(user_id: str = "u", **weights: float) -> Persona:
    return Persona(user_id, "You read.", tuple(weights.get(feature, 0.0) for feature in FEATURES))


def dataset(cells: dict[tuple[str, str], tuple]) -> Dataset:
    """Build a dataset from (query, LLM) -> (response, performance[, cost_usd])."""
    outcomes = [
        {"query_id": q, "llm_id": m, "response": v[0], "performance": v[1], "cost_usd": v[2] if len(v) > 2 else 1.0}
        for (q, m), v in cells.items()
    ]
    queries = [{"query_id": q, "task_id": "t", "query": f"What is {q}?"} for q in dict.fromkeys(q for q, _ in cells)]
    return Dataset(
        "made",
        conform("llms", pd.DataFrame({"llm_id": list(dict.fromkeys(m for _, m in cells))})),
        conform("tasks", pd.DataFrame({"task_id": ["t"]})),
        conform("queries", pd.DataFrame(queries)),
        conform("outcomes", pd.DataFrame(outcomes)),
        empty("users"),
        empty("interactions"),
        "published",
    )


def random_world(queries: int = 120, seed: int = 0, repeats: float = 0.0) -> Dataset:
    """Answers of random style; a share `repeats` of them repeats the answer of the LLM before, in other letters."""
    rng = np.random.default_rng(seed)
    cells: dict = {}
    for q in range(queries):
        text = ""
        for number, llm in enumerate(LLMS):
            if number and rng.random() < repeats:
                text = f" {text.upper()}\n"
            else:
                parts = rng.choice(SUBJECTS, rng.integers(1, 9))
                text = f"{llm}{q} " + " ".join(parts) + rng.choice(["!", ".", "?"])
            cells[f"q{q:03d}", llm] = (text, float(rng.integers(0, 2)), float(rng.integers(1, 4)))
    return dataset(cells)


def shuffled(data: Dataset, seed: int) -> Dataset:
    tables = {
        name: getattr(data, name).sample(frac=1, random_state=seed).reset_index(drop=True)
        for name in ("llms", "queries", "outcomes")
    }
    return dataclasses.replace(data, **tables)


def texts_of(data: Dataset) -> dict[tuple[str, str], str]:
    rows = zip(data.outcomes["query_id"], data.outcomes["llm_id"], data.outcomes["response"], strict=True)
    return {(q, m): " ".join(text.split()).lower() for q, m, text in rows}


def test_asked_twice_personas_agree_with_themselves_as_often_as_set() -> None:
    world, personas = random_world(200), generated_personas(80, 0)
    first, second = (RuleJudge.of(world, personas, 0.8, seed) for seed in (1, 2))
    np.testing.assert_allclose(first.agreement, 0.8, atol=1e-3)
    np.testing.assert_allclose(first.temperature, second.temperature)  # fewer queries than are sampled: all of them
    same = first.choices() == second.choices()
    assert abs(same.mean() - 0.8) < 0.02
    assert (np.abs(same.mean(axis=1) - 0.8) < 0.12).all()  # each persona, by 200 queries


def test_self_agreement_of_a_sample_of_queries_holds_for_all() -> None:
    judge = RuleJudge.of(random_world(500), generated_personas(20, 0), 0.6, 0)
    np.testing.assert_allclose(judge.agreement, 0.6, atol=0.03)


def test_agreement_and_ceiling_of_two_texts_by_hand() -> None:
    judge = RuleJudge.of(dataset({("q", "a"): ("yes", 1), ("q", "b"): ("no", 0)}), [persona(correctness=3)], 0.8, 0)
    likelier = (1 + math.sqrt(2 * 0.8 - 1)) / 2  # p² + (1 - p)² = 0.8
    assert judge.ceiling() == pytest.approx(np.array([[likelier]]), abs=1e-4)
    # Standardised, the two stand at 1 and -1: p = 1 / (1 + exp(-2 / temperature)).
    assert judge.temperature[0] == pytest.approx(2 / math.log(likelier / (1 - likelier)), rel=1e-3)


def test_the_ceiling_is_what_the_likeliest_text_is_chosen_at() -> None:
    world = random_world(60, repeats=0.3)
    judge = RuleJudge.of(world, generated_personas(3, 0), 0.7, 0)
    drawn = np.stack([dataclasses.replace(judge, seed=seed).choices() for seed in range(200)])
    likeliest = np.array([[np.bincount(drawn[:, u, q]).max() for q in range(60)] for u in range(3)]) / 200
    assert abs((likeliest - judge.ceiling()).mean()) < 0.015


def test_unreachable_self_agreement_takes_the_nearest_end() -> None:
    tied = {(f"q{i}", m): (f"text {m}", 1.0) for i in range(9) for m in LLMS}
    below = RuleJudge.of(dataset(tied), [persona(correctness=1)], 0.8, 0)
    assert below.agreement == pytest.approx([0.25])
    assert below.temperature == pytest.approx([COLDEST], rel=1e-3)
    single = {(f"q{i}", m): ("the same", float(m == "a")) for i in range(9) for m in LLMS}
    above = RuleJudge.of(dataset(single), [persona(correctness=1)], 0.8, 0)
    assert above.agreement == pytest.approx([1])
    assert above.temperature == pytest.approx([HOTTEST], rel=1e-3)
    assert (above.choices() == 0).all()


def test_choices_do_not_depend_on_the_order_of_anything_or_on_who_else_is_asked() -> None:
    world, personas = random_world(400, repeats=0.2), generated_personas(70, 3)
    judge = RuleJudge.of(world, personas, 0.8, 4)
    other = RuleJudge.of(shuffled(world, 1), personas[::-1], 0.8, 4)
    alone = RuleJudge.of(shuffled(world, 2), personas[13:14], 0.8, 4)
    np.testing.assert_array_equal(judge.choices(), other.choices()[::-1])
    np.testing.assert_array_equal(judge.temperature, other.temperature[::-1])
    np.testing.assert_array_equal(judge.choices()[13], alone.choices()[0])
    assert judge.query_ids == sorted(judge.query_ids)
    assert judge.llm_ids == LLMS


def test_noise_differs_between_personas_queries_texts_and_seeds() -> None:
    tied = dataset({(f"q{i}", m): (f"text {m}", 1.0) for i in range(300) for m in LLMS})
    twins = [persona("u1", correctness=1), persona("u2", correctness=1)]
    chosen = RuleJudge.of(tied, twins, 0.8, 0).choices()
    assert 0.15 < (chosen[0] == chosen[1]).mean() < 0.35
    assert 0.15 < (chosen == RuleJudge.of(tied, twins, 0.8, 1).choices()).mean() < 0.35
    np.testing.assert_allclose(np.bincount(chosen.ravel(), minlength=4) / 600, 0.25, atol=0.06)


def test_equal_texts_are_never_told_apart() -> None:
    cells: dict = {}
    for i in range(300):
        cells[f"q{i}", "a"] = ("The same answer", 1.0, 3.0)
        cells[f"q{i}", "b"] = (" the SAME\nanswer ", 0.0, 2.0)
        cells[f"q{i}", "c"] = ("Another one", 0.0, 1.0)
        cells[f"q{i}", "d"] = ("the same answer", 1.0, 2.0)
    coin = persona(warmth=1)  # neither text is warm: a coin between two texts, not four LLMs
    judge = RuleJudge.of(dataset(cells), [coin], 0.8, 0)
    chosen = judge.choices()[0]
    assert set(chosen) == {1, 2}  # b is the cheapest of its text, before d by id
    assert judge.agreement == pytest.approx([0.5])
    without_b = np.ones((300, 4), dtype=bool)
    without_b[:, 1] = False
    np.testing.assert_array_equal(judge.choices(without_b)[0], np.where(chosen == 1, 3, chosen))
    # A twin answer more or less changes nothing: the text is chosen, not the LLM.
    fewer = {key: value for key, value in cells.items() if key[1] != "d"}
    both = [RuleJudge.of(dataset(part), [coin], 0.8, 0).choices() for part in (cells, fewer)]
    np.testing.assert_array_equal(*both)
    assert 0.4 < (both[0] == 1).mean() < 0.6


def test_performances_of_one_text_that_differ_please_as_their_mean() -> None:
    cells: dict = {}
    for i in range(200):
        cells[f"q{i}", "a"] = ("same", 1.0, 1.0)
        cells[f"q{i}", "b"] = ("same", 0.8, 2.0)
        cells[f"q{i}", "c"] = ("good", 1.0, 3.0)
        cells[f"q{i}", "d"] = ("else", 0.0, 3.0)
    judge = RuleJudge.of(dataset(cells), [persona(correctness=1)], 0.95, 0)
    assert (judge.choices() == 2).mean() > 0.9


def test_an_unknown_cost_is_never_the_cheapest() -> None:
    judge = RuleJudge.of(dataset({("q", "a"): ("x", 1, NAN), ("q", "b"): ("x", 1, 5.0)}), [persona(length=1)], 0.8, 0)
    assert judge.choices().tolist() == [[1]]
    assert judge.choices(np.array([[True, False]])).tolist() == [[0]]
    assert judge.choices(np.array([[False, False]])).tolist() == [[-1]]


def test_thinning_picks_observed_answers_and_changes_no_choice_that_stays_observed() -> None:
    world = random_world(150, repeats=0.3)
    judge = RuleJudge.of(world, generated_personas(30, 0), 0.8, 0)
    observed = np.random.default_rng(0).random((150, 4)) < 0.4
    full, thin, texts = judge.choices(), judge.choices(observed), texts_of(world)
    some = observed.any(axis=1)
    assert (~some).any()
    assert (thin[:, ~some] == -1).all()
    assert (thin[:, some] >= 0).all()
    rows = np.flatnonzero(some)
    assert np.take_along_axis(observed[rows], thin[:, rows].T.astype(int), axis=1).all()
    for u, q in np.argwhere((full >= 0) & observed[np.arange(150), full]):
        name = judge.query_ids[q]
        assert texts[name, LLMS[thin[u, q]]] == texts[name, LLMS[full[u, q]]]


def test_who_wants_right_answers_only_picks_one() -> None:
    cells = {(f"q{i}", m): (f"text {m}", float(m in ("b", "c"))) for i in range(200) for m in LLMS}
    two_right = RuleJudge.of(dataset(cells), [persona(correctness=1)], 0.8, 0)
    assert set(two_right.choices().ravel()) == {1, 2}
    one_right = {key: (text, float(key[1] == "c")) for key, (text, _) in cells.items()}
    judge = RuleJudge.of(dataset(one_right), [persona(correctness=1)], 0.999, 0)
    assert (judge.choices() == 2).mean() > 0.99


@pytest.mark.parametrize(
    ("taste", "llm"),
    [({"length": 1}, "b"), ({"length": -1}, "a"), ({"warmth": 1}, "c"), ({"hedging": 1}, "d"), ({"hedging": 9}, "d")],
)
def test_tastes_pick_the_style_they_like(taste: dict, llm: str) -> None:
    texts = {
        "a": "No.",
        "b": "the cat sat on the mat and slept",
        "c": "Great question, friend!",
        "d": "It may, perhaps.",
    }
    cells = {(f"q{i}", m): (text, 1.0) for i in range(100) for m, text in texts.items()}
    judge = RuleJudge.of(dataset(cells), [persona(**taste)], 0.99, 0)
    assert (judge.choices() == LLMS.index(llm)).mean() > 0.97


def test_blank_answers_and_answers_without_performance_are_not_judged() -> None:
    cells: dict = {}
    for i in range(40):
        cells[f"q{i}", "a"] = ("  \n", 1.0)
        cells[f"q{i}", "b"] = ("A long answer, word by word", 0.0)
        cells[f"q{i}", "c"] = ("short", NAN)
    cells |= {("q-blank", m): ("", 1.0) for m in LLMS[:3]}
    judge = RuleJudge.of(dataset(cells), [persona(length=-1, correctness=1)], 0.5, 0)
    row = judge.query_ids.index("q-blank")
    chosen = judge.choices()[0]
    assert chosen[row] == -1
    assert set(np.delete(chosen, row)) == {1}
    assert np.isnan(judge.ceiling()[0]).tolist() == [number == row for number in range(41)]
    assert "q-blank" not in set(judge.interactions()["query_id"])


def test_texts_in_other_scripts_are_judged() -> None:
    cells = {
        ("q1", "a"): ("Это верно, потому что так.", 1.0), ("q1", "b"): ("不。", 0.0),
        ("q2", "a"): ("نعم", 1.0), ("q2", "b"): ("", 0.0), ("q2", "c"): ("Fußgänger 🙂", 0.5),
    }  # fmt: skip
    judge = RuleJudge.of(dataset(cells), generated_personas(20, 0), 0.8, 0)
    assert np.isfinite(judge.temperature).all()
    assert np.isfinite(judge.ceiling()).all()
    assert (judge.choices() >= 0).all()


def test_interactions_are_the_choices_as_a_table() -> None:
    world, personas = random_world(50, repeats=0.2), generated_personas(6, 0)
    judge = RuleJudge.of(world, personas, 0.8, 0)
    observed = np.random.default_rng(1).random((50, 4)) < 0.3
    wanted = judge.query_ids[30:10:-1]
    kept = observed.copy()
    table = judge.interactions(observed, wanted)
    np.testing.assert_array_equal(observed, kept)
    pd.testing.assert_frame_equal(table, conform("interactions", table))
    assert table["reward"].isna().all()
    assert (table["judge_reply"] == "").all()
    chosen = judge.choices(observed)
    expected = {
        (p.user_id, q): LLMS[chosen[u, judge.query_ids.index(q)]]
        for u, p in enumerate(personas)
        for q in wanted
        if chosen[u, judge.query_ids.index(q)] >= 0
    }
    made = dict(zip(zip(table["user_id"], table["query_id"], strict=True), table["llm_id"], strict=True))
    assert made == expected
    assert len(table) == len(expected) < 6 * len(wanted)
    everything = judge.interactions()
    assert len(everything) == 300
    users = conform("users", pd.DataFrame({"user_id": [p.user_id for p in personas], "kind": "persona"}))
    validate(dataclasses.replace(world, users=users, interactions=everything))
    assert judge.interactions(None, []).empty
    with pytest.raises(InputError, match="'nowhere'"):
        judge.interactions(None, ["q001", "nowhere"])


def test_a_source_without_texts_or_performances_is_refused() -> None:
    with pytest.raises(InputError, match=r"made: expected answers as text .*llm_as_judge.*none in 2 rows.*simulated"):
        RuleJudge.of(dataset({("q", "a"): ("", 1), ("q", "b"): (" ", 0)}), [persona(length=1)], 0.8, 0)
    with pytest.raises(InputError, match=r"made: expected a performance .*llm_as_judge needs answers as text"):
        RuleJudge.of(dataset({("q", "a"): ("x", NAN), ("q", "b"): (" ", 0)}), [persona(length=1)], 0.8, 0)


def test_a_simulated_world_is_judged_fast_by_many() -> None:
    start = time.perf_counter()
    judge = RuleJudge.of(build_world(120, 8, 0), generated_personas(2000, 0), 0.8, 0)
    assert len(judge.interactions()) == 2000 * 120
    assert time.perf_counter() - start < 8  # about 0.5 s on one core
    np.testing.assert_allclose(judge.agreement, 0.8, atol=0.01)


@pytest.mark.parametrize(("folder", "judged"), [("routerbench", 1.0), ("routellm", 0.1)])
def test_published_answers_are_judged(folder: str, judged: float) -> None:
    """Of RouteLLM's set only GSM8K has texts; the other queries have no choice."""
    published = load_source(data(folder, real(folder))).dataset
    judge = RuleJudge.of(published, generated_personas(40, 0), 0.8, 0)
    assert abs(judge.agreement.mean() - 0.8) < 0.02
    chosen = judge.choices()
    has_text = published.outcomes.loc[published.outcomes["response"].str.strip() != "", "query_id"]
    np.testing.assert_array_equal(chosen[0] >= 0, np.isin(judge.query_ids, has_text.unique()))
    assert (chosen[0] >= 0).mean() == pytest.approx(judged, abs=0.03)
    assert ((chosen >= 0) == np.isfinite(judge.ceiling())).all()
