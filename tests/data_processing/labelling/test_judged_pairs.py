from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from configs.errors import InputError
from data_processing.labelling.judged_pairs import WINNERS, read_votes
from tests.data_processing.mt_bench import judgements, row, write_jsonl, write_parquet

TEXT = "Compose a blog post about a trip to Hawaii."


def table_of(tmp_path: Path, *rows: dict[str, Any], turn: int = 1) -> pd.DataFrame:
    return read_votes([write_jsonl(tmp_path / "human.jsonl", rows)], turn).table


def test_json_lines_and_parquet_are_read_alike(tmp_path: Path) -> None:
    rows = judgements(200)
    one = read_votes([write_jsonl(tmp_path / "human.jsonl", rows)], 1)
    other = read_votes([write_parquet(tmp_path / "human.parquet", rows)], 1)
    pd.testing.assert_frame_equal(one.table.drop(columns="where"), other.table.drop(columns="where"))
    assert len(one.models) == 6
    assert one.notes[0] == "200 judgements of turn 1 read"


def test_several_files_are_one_set(tmp_path: Path) -> None:
    files = [write_jsonl(tmp_path / f"{n}.jsonl", judgements(40, seed=n)) for n in (1, 2)]
    assert read_votes(files, 1).table["where"].str.contains("2.jsonl").sum() == 40


@pytest.mark.parametrize(
    ("winner", "expected"),
    [("model_a", (1, 0, 0)), ("B", (0, 1, 0)), ("tie (bothbad)", (0, 0, 1)), ("tie (inconsistent)", (0, 0, 1))],
)
def test_spellings_of_the_winner(tmp_path: Path, winner: str, expected: tuple[int, int, int]) -> None:
    assert winner in WINNERS
    found = table_of(tmp_path, row(81, TEXT, "alpaca", "gpt-4", winner))
    assert tuple(found[["first_wins", "second_wins", "ties"]].iloc[0]) == expected
    # shown the other way round, the same result is of the same models
    turned = table_of(tmp_path, row(81, TEXT, "gpt-4", "alpaca", winner))
    assert (turned["first"].iloc[0], turned["second"].iloc[0]) == ("alpaca", "gpt-4")
    assert tuple(turned[["second_wins", "first_wins", "ties"]].iloc[0]) == expected


def test_a_judge_counts_once_per_question_and_pair(tmp_path: Path) -> None:
    rows = [
        row(81, TEXT, "alpaca", "gpt-4", "model_b"),
        row(81, TEXT, "gpt-4", "alpaca", "model_a"),  # the same judge says the same
        row(81, TEXT, "gpt-4", "alpaca", "tie"),
        row(81, TEXT, "gpt-4", "alpaca", "tie", turn=2),
        row(81, TEXT, "gpt-4", "alpaca", "tie", judge="author_2"),
        row(82, "Another one.", "gpt-4", "alpaca", "tie"),
    ]
    votes = read_votes([write_jsonl(tmp_path / "human.jsonl", rows)], 1)
    assert len(votes.table) == 3
    assert votes.table["second_wins"].iloc[0] == pytest.approx(2 / 3)
    assert votes.table["ties"].iloc[0] == pytest.approx(1 / 3)
    assert "2 repeated votes joined" in votes.notes[2]


def test_without_a_judges_name_every_vote_counts(tmp_path: Path) -> None:
    rows = [row(81, TEXT, "a", "b", "tie") | {"judge": None}] * 3
    assert len(table_of(tmp_path, *rows)) == 3


def test_the_question_is_what_the_user_said_up_to_the_turn(tmp_path: Path) -> None:
    rows = [row(81, TEXT, "a", "b", "tie", turn=turn) for turn in (1, 2)]
    assert table_of(tmp_path, *rows)["query"].tolist() == [TEXT]
    assert table_of(tmp_path, *rows, turn=2)["query"].tolist() == [f"{TEXT}\n\nSay it again."]
    with pytest.raises(InputError, match="expected judgements of turn 3, got only those of 1, 2"):
        table_of(tmp_path, *rows, turn=3)


def test_a_question_is_its_text_whatever_its_id(tmp_path: Path) -> None:
    rows = [
        row(81, TEXT, "a", "b", "tie"),
        row("f00", TEXT, "a", "c", "tie"),
        row(81, "Another text.", "a", "b", "model_a"),
    ]
    votes = read_votes([write_jsonl(tmp_path / "human.jsonl", rows)], 1)
    assert votes.table[["query", "question_id"]].drop_duplicates().to_numpy().tolist() == [
        [TEXT, "81"],
        ["Another text.", "81"],
    ]
    assert any("1 question id left out" in note for note in votes.notes)
    assert any("1 question id with several texts" in note for note in votes.notes)


GOOD = row(81, TEXT, "alpaca", "gpt-4", "tie")


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"winner": "modela"}, ["'winner'", "'model_a', 'model_b', 'tie'", "got 'modela'", "did you mean 'model_a'?"]),
        ({"winner": "Tie"}, ["got 'Tie'", "did you mean 'tie'?"]),
        ({"winner": "Model A"}, ["got 'Model A' (did you mean 'model_a'?)"]),
        ({"winner": "MODEL_A"}, ["got 'MODEL_A' (did you mean 'model_a'?)"]),
        ({"winner": "model-b"}, ["got 'model-b' (did you mean 'model_b'?)"]),
        ({"winner": "b"}, ["got 'b' (did you mean 'B'?)"]),
        ({"winner": "Tie (both bad)"}, ["(did you mean 'tie (bothbad)'?)"]),
        ({"winner": "modle_a"}, ["(did you mean 'model_a'?)"]),
        ({"winner": "model_1"}, ["got 'model_1'; mend the row"]),  # as near to the one as to the other
        ({"winner": "assistant_a"}, ["got 'assistant_a'; mend the row"]),
        ({"winner": None}, ["'winner'", "got None"]),
        ({"winner": 1}, ["got 1"]),
        ({"model_b": "alpaca"}, ["two different models", "'alpaca' twice"]),
        ({"model_b": " "}, ["a name in 'model_b'", "got ' '"]),
        ({"question_id": None}, ["a name in 'question_id'", "got None"]),
        ({"question_id": 81.5}, ["a name in 'question_id'", "got 81.5"]),
        ({"question_id": float("nan")}, ["a name in 'question_id'", "got nan"]),
        ({"model_b": 4.0}, ["a name in 'model_b'", "got 4.0"]),
        ({"turn": "first"}, ["a whole number in 'turn'", "got 'first'"]),
        ({"turn": 1.5}, ["a whole number in 'turn'", "got 1.5"]),
        ({"conversation_a": "hello"}, ["'conversation_a'", "a list of messages", "got str"]),
        ({"conversation_a": [{"role": "user", "content": " \n "}]}, ["a prompt of the user", "an empty one"]),
        ({"conversation_a": [{"role": "assistant", "content": "Hello"}]}, ["a prompt of the user", "or none"]),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, change: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        table_of(tmp_path, GOOD, GOOD | change)
    for part in ["human.jsonl", "line 2", *parts]:
        assert part in str(caught.value)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    bad = {("winer" if name == "winner" else name): value for name, value in GOOD.items()}
    with pytest.raises(InputError, match=r"line 1: expected a field 'winner' \(did you mean 'winer'\?\)"):
        table_of(tmp_path, bad)


def test_a_turn_may_be_written_as_a_float(tmp_path: Path) -> None:
    assert len(table_of(tmp_path, GOOD | {"turn": 1.0})) == 1


def test_a_question_id_may_be_written_as_a_float(tmp_path: Path) -> None:
    found = read_votes(
        [write_parquet(tmp_path / "human.parquet", [GOOD | {"question_id": 81.0}, GOOD | {"question_id": 82.0}])], 1
    )
    assert found.table["question_id"].tolist() == ["81"]
    assert any("1 question id left out" in note for note in found.notes)


def test_judgements_of_other_turns_are_told(tmp_path: Path) -> None:
    rows = [GOOD, GOOD | {"turn": 2, "judge": "b"}, GOOD | {"turn": 2}, GOOD | {"turn": 3}]
    file = write_jsonl(tmp_path / "human.jsonl", rows)
    assert read_votes([file], 2).notes[:2] == (
        "2 judgements of turn 2 read",
        "2 judgements of other turns left out; --turn chooses one",
    )
    assert not any("turns" in note for note in read_votes([write_jsonl(file, [GOOD])], 1).notes)


def test_half_a_character_is_replaced(tmp_path: Path) -> None:
    assert table_of(tmp_path, row(81, "Half \ud83d", "a", "b", "tie"))["query"].tolist() == ["Half �"]
