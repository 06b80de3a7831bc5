"""The one error for input, configuration or files that a person has to mend."""

import difflib


class InputError(ValueError):
    """Wrong input, file or configuration.

    The message is one line that says what was expected, the name (file, row or key), what was got, and the
    remedy. Command lines print it to stderr without a traceback and exit with code 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def did_you_mean(name: str, known: list[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the nearest known name, or an empty string where none is near."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""
