"""Shared words: enough of them, and none twice."""

import re

from data_processing.simulated import names
from data_processing.simulated.draws import Draws


def test_lists_have_no_duplicates() -> None:
    for words in (names.FIRST_NAMES, names.SURNAMES, names.TOWNS, names.DAYS, names.MONTHS, names.AUDIENCES):
        assert len(set(words)) == len(words)
    assert (len(names.DAYS), len(names.MONTHS)) == (7, 12)


def test_people_and_dates() -> None:
    people = {names.person(Draws(i)) for i in range(200)}
    assert len(people) > 150
    for i in range(50):
        found = re.fullmatch(r"(\d{1,2}) [A-Z][a-z]+ (\d{4})", names.date(Draws(i), 1978))
        assert found is not None
        assert 1 <= int(found[1]) <= 28
        assert 1978 <= int(found[2]) <= 2019
