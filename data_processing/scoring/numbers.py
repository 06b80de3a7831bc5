"""The final number of a reply, however it is written, and the metric that compares it."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from fractions import Fraction

from configs.errors import InputError

_LONGEST_NUMBER = 300  # characters; what is longer is noise, and Python refuses to convert beyond 4,300 digits
_LARGEST_EXPONENT = 300
_LONGEST_BARE = 400  # characters of a line that is looked at as nothing but a number
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PERCENT = Fraction(1, 100)

# What is written in many ways is first written in one way; see `_plain`.
_TEX = (("{,}", ","), ("\\$", "$"), ("\\%", "%"), ("\\,", "\u202f"), ("⁄", "/"))
_TEX_FRACTION = re.compile(r"(\d?)\\[dt]?frac\s?(?:\{\s?([-−]?\d{1,100})\s?\}\s?\{\s?(\d{1,100})\s?\}|(\d)(\d))")
_VULGAR = re.compile(r"(\d?)([¼-¾⅐-⅞])")
_TIMES_TEN = re.compile(r"(?<=\d)\s?(?:×|\*|x|·|\\times|\\cdot)\s?10\s?(?:\^|\*\*)\s?\{?([-−+]?\d{1,9})\}?")
_UNIT_POWER = re.compile(r"(?<=[^\W\d_])\}?\^\{?\d{1,2}\}?|\^\{?\\circ\}?")
_POWER = re.compile(r"(?<!\d)(\d++)\s?\^\s?\{?([-−]?\d*)\}?")
_GOES_ON_AS_NUMBER = re.compile(r"[./]\d|\^")
_PART_OF_A_NAME = re.compile(r"[\w.,]")  # before the base: `x2^3`, `1.5^2` and `1,000^2` are not worked out
_GROUPS = re.compile(r"(?<![\w.,])(\d{1,3}(?:['’_\u00a0\u2009\u202f]\d{3})++)(?!\d)")
_SPACED = re.compile(r"(?<![\w.,])(?<!\d )(\d{1,3}(?: \d{3})++)(?!\d)")
_EUROPEAN = re.compile(r"(?<![\w.,])(\d{1,3}(?:\.\d{3})+|\d++),(\d{1,2})(?!\d|,\d)")

# Signs in words: `minus` is one only where nothing stands before it that it could be taken from (`20 minus 2`).
_NEGATIVE = re.compile(r"(?i)\bnegative\s{1,3}(?=[$€£¥]?\.?\d)")
_MINUS = re.compile(
    r"(?i)((?:^|[=≈:(\[{*>$\n]|\b(?:is|was|be|of|to|at|equals|gives|get|makes))\s{0,3})minus\s{1,3}(?=[$€£¥]?\.?\d)"
)
_DENIED = re.compile(r"(?i)(\bnot|n['’]t)\s{1,3}[$€£¥*-]{0,3}\d\S*")  # `It is not 20` says another number

# A sign counts only where it touches the number and nothing touches the sign: `5-3` and `5 - 3` end in 3, `= -3` in -3.
# Digits behind a letter (`GPT4`) are no number; a unit may follow (`12kg`). Commas count only between groups of three.
_NUMBER = re.compile(
    r"(?<![\w.])(?P<sign>[-−–+]?[$€£¥]?|[$€£¥][-−–])"
    r"(?:(?<!/)(?:(?P<whole>\d{1,3})\s)?(?P<top>\d++)\s?/\s?(?P<bottom>\d++)(?!\s?/)"
    r"|(?P<digits>\d{1,3}(?:,\d{3})++(?!\d)(?:\.\d++)?|\d++(?:\.\d++)?|\.\d++)(?:[eE](?P<exponent>[-−+]?\d++)(?!\w))?)"
    r"(?:\s?(?P<scale>%|per\s?cent\b|thousand\b|million\b|billion\b|trillion\b))?"
)
# Lines and bold text count only where they open with a number, as headings (`#### Step 1`, `#### 1. Add`) do not.
_BARE_MARK = re.compile(r"####\s*([^\n]*)")
_MARKED = (
    re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}"),
    re.compile(r"(?<!<)<\s?([-−–+$€£¥]{0,2}\d[\d.,'’_/ \u00a0\u2009\u202f]{0,40}\s?[\w$€£¥%]{0,20})\s?>(?!>)"),
    re.compile(r"(?i)\banswer[*_]{0,2}\s*(?:is|:|=)+(?!\s*not\b|n['’]t\b)\s*([^\n]*)"),
    re.compile(r"(?m)^[ \t*_>]{0,8}A[*_]{0,2}[ \t]?:\s*([^\n]*)"),
    re.compile(r"(?<!\S)(\S{1,40}(?: [A-Za-z]\w{0,20})?) is (?:the|our|my) (?:correct |final |right )?answer\b"),
)
_BOLD = re.compile(r"\*\*([^*\n]{1,80})\*\*")
_GOES_ON = re.compile(r"(?i)[=≈]|\b(?:so|then|thus|hence|therefore|altogether|finally)\b")  # a bold number was a step
# Where a marked place holds a calculation, its result counts: what is behind the last of these.
_EQUALS = re.compile(
    r"[=≈]|(?<=\d)\s(?:minus|plus|times|divided by|multiplied by|[-+*×÷−])\s[$€£¥]?\d[\d.,]{0,30}[^\d\n.;=≈]{0,40}"
    r"\b(?:is|equals|gives|makes)\b"
)
_LABEL_BEHIND = re.compile(r"[.):]\s*\w|[\W_]*[A-Z][a-z]")  # `1. First`, `1 First`: the number of a heading
_LONGEST_BOLD = 6  # words, of a number and its unit
# Behind these the answer is explained, no longer given.
_REASON = re.compile(r"\b(?:because|since)\b|[.!?;](?:\s|$)")
_ALONE = re.compile(r"[^\w\n]*\d{1,3}(?: \d{3})+(?!\d)(?:\.\d+)?\D*")


@dataclasses.dataclass(frozen=True)
class _Number:
    """`factor`: what a percent sign or `million` behind the number stands for."""

    value: Fraction
    factor: Fraction | int = 1

    @property
    def readings(self) -> set[Fraction]:
        """Return what it may mean: `3 million` is 3,000,000, and 3 where millions are asked for; `50%` is 0.5 or 50."""
        return {self.value, self.value * self.factor}


def gsm8k(prediction: str, ground_truth: str) -> float:
    """Return 1 where the final number of the prediction equals that of the ground truth, else 0.

    Commas, signs, currency, decimals, fractions, powers and units are understood: `1,250` = `1250.0`, `1/2` = `0.5`,
    `minus 5` = `-5`; `12.50` is not `1250`. A percent sign or a `million` counts as a factor or as a unit, whichever
    fits. Numbers in words (`twelve`) are not read. Raises `InputError` where the ground truth has no number: nothing
    could be right.
    """
    truth, said = _final(ground_truth), _final(prediction)
    if truth is None:
        raise InputError(f"metric 'gsm8k': expected a number in ground_truth, got {ground_truth[:60]!r}; mend the row")
    return float(said is not None and not said.readings.isdisjoint(truth.readings))


def final_number(text: str) -> Fraction | None:
    """Return the number a text ends on: after `####`, in a box, in `<…>`, after "answer is" or `A:`, else the last one.

    A line behind `####` counts where it opens with the number. Without a mark the one number set in bold
    counts, where the reply does not go on to conclude. Of a marked place the first number counts, or the first one
    behind its last `=`; of several marks the last. A percent sign or a `million` behind the number is taken as a unit.
    """
    number = _final(text)
    return None if number is None else number.value


def _final(text: str) -> _Number | None:
    for found in reversed(_BARE_MARK.findall(text)):
        number = _bare(found)
        if number is not None:
            return number
    for mark in _MARKED:
        for found in reversed(mark.findall(text)):
            number = _given(_plain(found, spaced=True))
            if number is not None:
                return number
    number = _bold(text)
    if number is not None:
        return number
    numbers = _numbers(_plain(text, spaced=_ALONE.fullmatch(text) is not None))
    return numbers[-1] if numbers else None


def _given(text: str) -> _Number | None:
    """Return the number that a marked place gives."""
    for part in (_REASON.split(text, maxsplit=1)[0], text):
        numbers = _numbers(_EQUALS.split(part)[-1]) or _numbers(part)
        if numbers:
            return numbers[0]
    return None


def _bare(text: str) -> _Number | None:
    """Return the number that a text opens with, where no word stands before it and it numbers no heading."""
    text = _EQUALS.split(_plain(text[:_LONGEST_BARE], spaced=True))[-1]
    match = _NUMBER.search(text)
    if match is None or re.search(r"[^\W_]", text[: match.start()]):
        return None
    return None if _LABEL_BEHIND.match(text, match.end()) else _number(match)


def _bold(text: str) -> _Number | None:
    """Return the number in bold, where there is one such and no conclusion behind it, else None."""
    found = list(_BOLD.finditer(text))
    short = (match[1] for match in found if len(match[1].split()) <= _LONGEST_BOLD)
    numbers = [number for number in map(_bare, short) if number is not None]
    if not numbers or len({number.value for number in numbers}) > 1 or _GOES_ON.search(text, found[-1].end()):
        return None
    return numbers[-1]


def _plain(text: str, spaced: bool) -> str:
    """Return the text with numbers written in one way: `1,250.5`, `1/2`, `1.5e3`.

    `spaced`: whether a plain space may hold groups of three digits together, as it may not in `in 2 100 ml cups`.
    """
    for tex, plain in _TEX:
        text = text.replace(tex, plain)
    text = _TEX_FRACTION.sub(lambda m: f"{_apart(m[1])}{m[2] or m[4]}/{m[3] or m[5]}", text)
    text = _VULGAR.sub(lambda m: _apart(m[1]) + unicodedata.normalize("NFKC", m[2]).replace("⁄", "/"), text)
    text = _TIMES_TEN.sub(r"e\1", text)
    text = _POWER.sub(_worked_out, _UNIT_POWER.sub("", text))
    text = _MINUS.sub(r"\1-", _NEGATIVE.sub("-", _DENIED.sub(r"\1", text)))
    text = _EUROPEAN.sub(lambda m: f"{m[1].replace('.', '')}.{m[2]}", text)
    for groups in (_GROUPS, _SPACED) if spaced else (_GROUPS,):
        text = groups.sub(lambda m: re.sub(r"\D", ",", m[1]), text)
    return text


def _worked_out(power: re.Match[str]) -> str:
    """Return the value of `10^3`, or a blank where it is part of something else or too large."""
    before = power.string[power.start() - 1 : power.start()]
    base, exponent = power[1], power[2].replace("−", "-")
    partly = power[0].count("{") != power[0].count("}") or _GOES_ON_AS_NUMBER.match(power.string, power.end())
    if partly or _PART_OF_A_NAME.match(before) or not exponent.strip("-") or len(exponent) > 3 or len(base) > 12:
        return " "
    size, times = int(base), int(exponent)
    return str(size**times) if times >= 0 else f"1/{size**-times}"


def _apart(digit: str) -> str:
    """Return the digit before a fraction with a space behind it: `2½` is 2 1/2."""
    return f"{digit} " if digit else ""


def _numbers(text: str) -> list[_Number]:
    """Return the numbers of a plain text, in order; what is too long or divides by 0 is none."""
    found = (_number(match) for match in _NUMBER.finditer(text))
    return [number for number in found if number is not None]


def _number(match: re.Match[str]) -> _Number | None:
    size = _size(match)
    if size is None:
        return None
    return _Number(-size if set("-−–") & set(match["sign"]) else size, _factor(match["scale"]))


def _size(match: re.Match[str]) -> Fraction | None:
    if len(match[0]) > _LONGEST_NUMBER:
        return None
    if match["digits"] is None:
        bottom = int(match["bottom"])
        return int(match["whole"] or 0) + Fraction(int(match["top"]), bottom) if bottom else None
    exponent = (match["exponent"] or "0").replace("−", "-")
    # The length first: a number of a hundred digits need not be made to see that it is too large.
    if len(exponent) > 5 or abs(int(exponent)) > _LARGEST_EXPONENT:
        return None
    return Fraction(match["digits"].replace(",", "")) * Fraction(10) ** int(exponent)


def _factor(scale: str | None) -> Fraction | int:
    if scale is None:
        return 1
    return _SCALES.get(scale, _PERCENT)
