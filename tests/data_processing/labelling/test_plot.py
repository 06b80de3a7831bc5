import io
import itertools

import pandas as pd
import pytest

from data_processing.labelling.difficulty import rank
from data_processing.labelling.plot import MANY, draw
from data_processing.pairwise import strength_table
from tests.data_processing.nasty_names import NASTY, as_read, texts_of


def some_votes(count: int, names: tuple[str, ...]) -> pd.DataFrame:
    rows = []
    for number, (first, second) in itertools.product(range(count), itertools.combinations(sorted(names), 2)):
        won = (number + len(first)) % 3 == 0
        result = {"first_wins": float(not won), "second_wins": float(won), "ties": 0.0}
        rows.append({"query": f"q{number}", "question_id": str(number), "first": first, "second": second, **result})
    return pd.DataFrame(rows)


@pytest.mark.parametrize("count", [3, MANY + 50])
def test_every_model_and_question_is_drawn(count: int) -> None:
    names = ("strong", "weak", "a model whose name is far too long for the axis of a figure")
    votes = some_votes(count, names)
    strengths = strength_table(votes)
    difficulty = rank(votes, set(strengths.loc[strengths["side"] == "inferior", "model"]))
    figure = draw(strengths, difficulty)
    models, questions = figure.axes
    shown = [label.get_text() for label in models.get_yticklabels()]
    assert len(shown) == 3
    assert max(map(len, shown)) <= 28
    assert sum(len(points.get_offsets()) for points in questions.collections if hasattr(points, "get_sizes")) >= count
    figure.savefig(io.BytesIO(), format="png", dpi=40)


@pytest.mark.filterwarnings("ignore:Glyph")
def test_names_are_shown_as_they_are() -> None:
    strengths = strength_table(some_votes(3, NASTY))
    difficulty = rank(some_votes(3, NASTY), set(strengths.loc[strengths["side"] == "inferior", "model"]))
    assert set(map(as_read, NASTY)) <= set(texts_of(draw(strengths, difficulty)))
