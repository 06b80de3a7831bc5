"""The letter that a reply chooses, and the metric that compares it."""

from __future__ import annotations

import re

from data_processing.scoring import choice_marks as marks
from data_processing.scoring.words import exact_match

_BEFORE = 90  # characters before a mark that are looked at for what takes it back
_SENTENCE_END = re.compile(r"[.!?;]\s|\n")
_LABELLED = re.compile(r"\W*[A-Za-z]\s*[).:\]]\s*(\S.*)", re.DOTALL)
_SAYING = re.compile(r"(?i)\A\W*(?:the\s+(?:correct\s+)?answer\s+is|answer\s*:)\s*")


def multiple_choice(prediction: str, ground_truth: str) -> float:
    """Return 1 where the chosen letter equals the ground truth's (`B`, `(B)`, `B. text`, `answer is B`), else 0.

    A reply that names no letter is right where it is the text of the right option, which the ground truth must then
    give beside its letter (`B. text`). Two letters (`A or B`), a list of all options and a letter that is a word or
    part of one (`A dog`, `I think`, `X-ray`) choose nothing, nor does one that is denied or doubted. Where the ground
    truth is no letter, the texts must match exactly once normalised.
    """
    truth = chosen_letter(ground_truth)
    if truth is None:
        return exact_match(prediction, ground_truth)
    chosen = chosen_letter(prediction)
    option = _LABELLED.fullmatch(ground_truth.strip())
    if chosen is None and option is not None and not marks.LINE_LABEL.match(prediction):
        return exact_match(_SAYING.sub("", prediction, count=1), option[1])
    return float(chosen == truth)


def chosen_letter(text: str) -> str | None:
    """Return the capital letter of the option that a reply chooses, or None where it chooses none or several."""
    text = marks.tidied(text)
    for mark in marks.MARKS:
        found = [match for match in mark.finditer(text) if not _taken_back(match)]
        letters = {_letter(match) for match in found}
        if len(letters) > 1 and any(marks.OTHERWISE.search(_before(match)) for match in found):
            return None  # `if x the answer is A; otherwise the answer is B`
        if found:
            return _letter(found[-1])
    return _opening(text) or _last_bracketed(text)


def _letter(match: re.Match[str]) -> str:
    return "".join(group or "" for group in match.groups()).upper()


def _before(match: re.Match[str]) -> str:
    """Return what stands before a mark in its clause."""
    before = match.string[max(0, match.start() - _BEFORE) : match.start()]
    return marks.CLAUSE_END.split(before)[-1]


def _taken_back(match: re.Match[str]) -> bool:
    """Return whether the words before a mark deny it (`I doubt the answer is B`), or make it one of several."""
    if match.re in (marks.BOXED, marks.POINTED, marks.CHINESE):
        return False
    if marks.TAKEN_BACK.search(marks.RELATIVE.sub("", _before(match))):
        return True
    before = match.string[max(0, match.start() - _BEFORE) : match.start()]
    return match.re is marks.CORRECT and (
        marks.ONE_OF_SEVERAL.search(before) is not None or marks.FREE.search(before) is None
    )


def _opening(text: str) -> str | None:
    """Return the letter that a reply opens with, where it does not go on to list the options."""
    whole = marks.WITHOUT_STOP.fullmatch(text)
    if whole is not None:
        return whole[1]
    opening = marks.OPENING.match(text)
    if opening is None or (_tells_the_options(text) and not _stands_alone(text)):
        return None
    return (opening[1] or opening[2]).upper()


def _stands_alone(text: str) -> bool:
    """Return whether the first line, and no other, is nothing but a letter: what follows then explains the choice."""
    lines = marks.BARE_LINE.findall(text)
    return len(lines) == 1 and marks.BARE_LINE.match(text) is not None


def _tells_the_options(text: str) -> bool:
    """Return whether a reply has labels before two or more lines, or three or more letters in brackets."""
    labels = {letter.upper() for letter in marks.LINE_LABEL.findall(text)}
    return len(labels) > 1 or len({m[2].upper() for m in marks.BRACKETED.finditer(text)}) > 2


def _last_bracketed(text: str) -> str | None:
    """Return the letter in brackets of the last sentence that has any, where it has just one that is not denied."""
    sentences = [list(marks.BRACKETED.finditer(part)) for part in _SENTENCE_END.split(text)]
    last = next((found for found in reversed(sentences) if found), [])
    letters = {m[2].upper() for m in last if not m[1]}
    return letters.pop() if len(letters) == 1 else None
