"""What users may say instead of a number when they state how they weigh performance against cost."""

from __future__ import annotations

from configs.errors import InputError, did_you_mean

# The weight on performance; the rest is on cost.
PREFERENCE_WORDS = {"quality first": 0.9, "balanced": 0.5, "cost first": 0.2}


def in_numbers(said: object) -> object:
    """Return the preference that words stand for, in any case and with hyphens or underscores; others as they are."""
    words = said.replace("_", " ").replace("-", " ").split() if isinstance(said, str) else []
    return PREFERENCE_WORDS.get(" ".join(words).casefold(), said)


def parse_preference(value: float | str, where: str = "preference") -> float:
    """Return a preference in [0, 1] from a number, a number as text, or one of `PREFERENCE_WORDS`.

    Raises `InputError`, opened by `where`, for anything else.
    """
    words = list(PREFERENCE_WORDS)
    try:
        number = float(in_numbers(value))  # type: ignore[arg-type]
    except ValueError:
        raise InputError(
            f"{where}: expected a number in [0, 1] (1: performance only) or one of {', '.join(words)}, got "
            f"{value!r}{did_you_mean(str(value).casefold(), words)}; mend it"
        ) from None
    if not 0 <= number <= 1:
        raise InputError(
            f"{where}: expected a number in [0, 1] (1: performance only) or one of {', '.join(words)}, got {value!r}; "
            "mend it"
        )
    return number
