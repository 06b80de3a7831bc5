"""Accuracy as the paper counts it, against counts by hand and a slow double loop; files are read as they are."""

import json
from pathlib import Path

import numpy as np
import pytest

from configs.errors import InputError
from graph.routerdc_accuracy import ScoreSet, accuracy_table, as_text, kinds_of, read_score_sets

LLMS = ("a/one", "b/two", "c/three")


def score_set(name: str, metric: str, scores: list[list[float]]) -> ScoreSet:
    return ScoreSet(name, name, metric, tuple(str(i) for i in range(len(scores))), LLMS, np.array(scores, dtype=float))


def write(path: Path, rows: list[dict[str, float | None]]) -> Path:
    """Write a score list, every second record with its LLMs in another order."""
    records = [
        {"question": f"question {n} of {path.stem}", "scores": dict(sorted(row.items(), reverse=n % 2 == 1))}
        for n, row in enumerate(rows)
    ]
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def test_probabilities_count_above_zero_and_attempts_as_they_are() -> None:
    # Chosen: three, one, one. As probabilities: right, wrong, right; as attempts 0.2 + 0 + 0.9.
    scores = [[0.0, 0.5, 0.2], [0.0, 0.7, 0.0], [0.9, 0.0, 0.0]]
    similarity = np.array([[0.1, 0.2, 0.3], [0.9, 0.2, 0.3], [0.5, 0.2, 0.3]])
    for metric, mine, own, oracle in (
        ("probability", 2 / 3, 2 / 3, 1.0),
        ("multi_attempt", 1.1 / 3, 1.2 / 3, 2.1 / 3),
        ("f1", 1.1 / 3, 1.2 / 3, 2.1 / 3),
    ):
        table, single = accuracy_table([score_set("x", metric, scores)], [similarity])
        row = table.iloc[0]
        assert single == row["own_best_llm"] == "b/two"
        found = row[["contrastive", "best_single", "own_best", "oracle"]].astype(float).tolist()
        assert found == pytest.approx([mine, own, own, oracle])


def test_the_table_against_a_slow_double_loop() -> None:
    rng = np.random.default_rng(0)
    sets, similarities = [], []
    for name, metric in (("p", "probability"), ("m", "multi_attempt")):
        scores = rng.random((30, 3)).round(1) * (rng.random((30, 3)) > 0.4)
        scores[rng.random((30, 3)) < 0.2] = np.nan
        sets.append(score_set(name, metric, scores.tolist()))
        similarities.append(rng.normal(size=(30, 3)))
    table, single = accuracy_table(sets, similarities)
    averages = np.zeros(3)
    for row, item, similarity in zip(table.to_dict("records"), sets, similarities, strict=True):
        mine, best = [], []
        columns: list[list[float]] = [[], [], []]
        for score, cosine in zip(item.scores, similarity, strict=True):
            if any(s != s for s in score):
                continue
            counted = [float(s > 0) if item.metric == "probability" else s for s in score]
            mine.append(counted[max(range(3), key=lambda i: cosine[i])])
            best.append(max(counted))
            for i, value in enumerate(counted):
                columns[i].append(value)
        means = [float(np.mean(column)) for column in columns]
        averages += np.array(means) / 2
        assert (row["queries"], row["left_out"]) == (len(mine), 30 - len(mine))
        assert 0 < row["left_out"] < 30
        assert row["scores"] == item.metric
        assert row["contrastive"] == pytest.approx(np.mean(mine))
        assert row["oracle"] == pytest.approx(np.mean(best))
        assert row["oracle"] >= row["own_best"] == pytest.approx(max(means))
        assert row["own_best_llm"] == LLMS[int(np.argmax(means))]
    assert single == LLMS[int(averages.argmax())]
    text = as_text(table, "file", single, hindsight=True).splitlines()[-1]
    assert text.startswith(f"left out, for an LLM has no score there: {table['left_out'][0]} of p, ")


def test_a_task_without_train_rows_has_the_best_llms_of_all_train_rows() -> None:
    known = [score_set("x", "f1", [[1.0, 0, 0.1]] * 3), score_set("y", "f1", [[0.0, 0.2, 0.1]])]
    sets = [score_set(name, "f1", [[0.3, 0.6, 0.9]]) for name in ("x", "y", "z")]
    table, _ = accuracy_table(sets, [np.zeros((1, 3))] * 3, known)
    assert table["own_best_llm"].tolist() == ["a/one", "b/two", "a/one"]


def test_a_set_without_a_whole_row_is_a_gap_and_not_in_the_average() -> None:
    sets = [score_set("x", "f1", [[0.5, 0, 0]]), score_set("y", "f1", [[1.0, np.nan, 0]])]
    table, single = accuracy_table(sets, [np.zeros((1, 3))] * 2, sets)
    lines = as_text(table, "validation", single, hindsight=False).splitlines()
    assert lines[2].split() == ["y", "f1", "0", "-", "-", "-", "-"]
    assert lines[3].split() == ["average", "of", "1", "1", "50.00", "50.00", "50.00", "50.00"]


def test_the_best_llms_are_told_from_what_is_known_and_not_from_what_is_measured() -> None:
    known = score_set("x", "multi_attempt", [[1.0, 0.0, 0.0]])
    measured = score_set("x", "multi_attempt", [[0.0, 1.0, 0.0], [0.2, 1.0, 0.0]])
    table, single = accuracy_table([measured], [np.zeros((2, 3))], [known])
    assert single == table["own_best_llm"][0] == "a/one"
    assert table["best_single"][0] == table["own_best"][0] == pytest.approx(0.1)


def test_the_average_is_over_sets_whatever_their_size() -> None:
    sets = [score_set("small", "f1", [[1.0, 0, 0]]), score_set("large", "f1", [[0.0, 0, 0]] * 9)]
    table, single = accuracy_table(sets, [np.zeros((1, 3)), np.zeros((9, 3))])
    lines = as_text(table, "file", single, hindsight=True).splitlines()
    assert lines[-2].split()[:5] == ["average", "of", "2", "10", "50.00"]
    assert "in hindsight" in lines[-1]
    assert single in lines[-1]
    assert len({len(line) for line in lines[:-1]}) == 1, "columns line up"


def test_files_are_read_by_name_each_as_its_task(tmp_path: Path) -> None:
    write(tmp_path / "mmlu_test.json", [{"a/one": 0.0, "b/two": 0.3, "c/three": None}, dict.fromkeys(LLMS, 0.5)])
    write(tmp_path / "gsm8k-test.json", [{"a/one": 0.1, "b/two": 0.0, "c/three": 1.0}])
    write(tmp_path / "own_task.json", [{"a/one": 0.123, "b/two": 0.0, "c/three": 1.0}])
    sets = {item.name: item for item in read_score_sets([tmp_path], LLMS[::-1])}
    assert {name: (item.task_id, item.metric) for name, item in sets.items()} == {
        "mmlu_test.json": ("mmlu", "probability"),
        "gsm8k-test.json": ("gsm8k", "multi_attempt"),
        "own_task.json": ("own_task", "probability"),
    }
    assert sets["mmlu_test.json"].texts == ("question 0 of mmlu_test", "question 1 of mmlu_test")
    np.testing.assert_array_equal(sets["mmlu_test.json"].scores, [[np.nan, 0.3, 0.0], [0.5] * 3])
    once = read_score_sets([tmp_path / "mmlu_test.json", tmp_path], LLMS)
    assert len(once) == 3, "a file given twice is one"


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ({"a/one": 1.0, "b/two": 0.0}, ["(a/one, b/two, c/three)", "got scores of a/one, b/two;"]),
        ({"a/one": 1.0, "b/two": 0.0, "d/four": 0.5}, ["c/three)", "a/one, b/two, d/four;"]),
        ({"a/one": None, "b/two": None, "c/three": None}, ["score of every LLM", "no score of a/one, b/two, c/three;"]),
        ({"a/one": 0.2, "b/two": None, "c/three": 0.0}, ["score of every LLM", "no score of b/two;"]),
    ],
)
def test_files_of_other_llms_or_without_scores_are_refused(
    tmp_path: Path, scores: dict[str, float | None], said: list[str]
) -> None:
    file = write(tmp_path / "mmlu_test.json", [scores])
    with pytest.raises(InputError) as caught:
        read_score_sets([file], LLMS)
    assert str(caught.value).startswith(str(file))
    assert all(part in str(caught.value) for part in said)
    assert "\n" not in str(caught.value)


def test_what_scores_are_is_said_by_the_option_then_the_task_then_the_values(tmp_path: Path) -> None:
    thirds = [{"a/one": 1 / 3, "b/two": 2 / 3, "c/three": 1.0}]
    for name in ("mine.json", "mmlu.json", "other.json"):
        write(tmp_path / name, thirds)

    def told(*said: str) -> list[tuple[str, str]]:
        return [(item.metric, item.told_by) for item in read_score_sets([tmp_path], LLMS, kinds_of(said))]

    by_values = ("multi_attempt", "values")
    assert told() == [by_values, ("probability", "task"), by_values]
    assert told("multi_attempt") == [("multi_attempt", "option")] * 3
    assert told("mmlu.json=multi_attempt") == [by_values, ("multi_attempt", "option"), by_values]
    assert told("multi_attempt", f"{tmp_path}/mine.json=probability")[0] == ("probability", "option")
    with pytest.raises(InputError, match=r"one of the files \(mine.json, mmlu.json, other.json\), got 'nine.json'"):
        told("nine.json=probability")
    for said in ("attempts", "mine.json=", "=x"):
        with pytest.raises(InputError, match=rf"--scores: expected probability or multi_attempt, .* got '{said}'"):
            kinds_of([said])


def test_rows_that_each_lack_a_score_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "x.json", [{**dict.fromkeys(LLMS, 0.5), llm: None} for llm in LLMS])
    with pytest.raises(InputError, match="got 3 rows that each lack one"):
        read_score_sets([file], LLMS)


def test_a_guess_is_marked() -> None:
    table, single = accuracy_table([score_set(name, "f1", [[1.0, 0, 0]]) for name in "ab"], [np.zeros((1, 3))] * 2)
    lines = as_text(table, "file", single, hindsight=True, guessed=["b"]).splitlines()
    assert [line.split()[1] for line in lines[1:3]] == ["f1", "f1?"]
    assert "--scores" in lines[-1]
