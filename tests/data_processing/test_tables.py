"""Preferences in words, in a table of users."""

import pandas as pd
import pytest

from configs.errors import InputError
from data_processing.tables import conform


def users(*preferences: object) -> pd.DataFrame:
    ids = [f"user_{number}" for number in range(len(preferences))]
    return pd.DataFrame({"user_id": ids, "kind": "preference", "preference": list(preferences)})


def test_words_and_numbers_may_stand_side_by_side() -> None:
    table = conform("users", users("balanced", 0.3, "Quality First", "cost-first", " COST_first ", "0.7", 1))
    assert table["preference"].tolist() == [0.5, 0.3, 0.9, 0.2, 0.2, 0.7, 1.0]
    assert table["preference"].dtype == "float64"


def test_missing_preferences_stay_missing() -> None:
    assert conform("users", users("balanced", None, ""))["preference"].isna().tolist() == [False, True, True]
    assert conform("users", users(0.5, 1.0).drop(columns="preference"))["preference"].isna().all()


def test_other_words_are_named_by_row() -> None:
    with pytest.raises(InputError, match=r"expected a number in column 'preference', row 2 has 'ballanced'"):
        conform("users", users("balanced", "ballanced"))
    with pytest.raises(InputError, match=r"expected a number in column 'reward', row 1 has 'balanced'"):
        conform(
            "interactions", pd.DataFrame({"user_id": ["u"], "query_id": ["q"], "llm_id": ["a"], "reward": "balanced"})
        )
