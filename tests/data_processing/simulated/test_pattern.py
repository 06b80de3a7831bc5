"""Patterns: what was written can be read back."""

from data_processing.simulated.pattern import Pattern, capitalised, sentences


def test_slots_are_written_and_read_back() -> None:
    pattern = Pattern("{who} buys {n_a} {things} on {w_day} (again).")
    slots = {"who": "Ada Vance", "n_a": "1,250", "things": "jars of jam", "w_day": "Monday"}
    assert pattern.read(pattern.write(**slots)) == slots


def test_what_does_not_fit_is_not_read() -> None:
    pattern = Pattern("{n_a} of {things}.")
    assert pattern.read("many of them.") is None
    assert pattern.read("3 of them. Really.") == {"n_a": "3", "things": "them. Really"}
    assert pattern.read("3 of them") is None


def test_sentences_leave_decimals_and_versions_whole() -> None:
    assert sentences("It costs 2.75 dollars. Version 1.0 is out!  Is it?\nYes.") == [
        "It costs 2.75 dollars.",
        "Version 1.0 is out!",
        "Is it?",
        "Yes.",
    ]


def test_capitalised_touches_the_first_letter_only() -> None:
    assert capitalised("the API of NASA") == "The API of NASA"
