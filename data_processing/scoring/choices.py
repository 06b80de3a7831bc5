"""The letter that a reply chooses, and the metric that compares it."""

from __future__ import annotations

import re

from data_processing.scoring.words import exact_match

# A letter is a choice where it cannot be a word. `I` and small letters need a bracket, a stop or the end behind; `A`
# must not be the article of a word (`A dog`, but `A because`).
_CLOSED = r"(?=\s*(?:[).:\]}*>](?![a-z])|$)|,?\s*\n)"
_REST = r"(?:because|since|as|is|was|and|or|for)\b"
_LETTER = rf"(?:([B-HJ-Z])(?![\w'’])|(A)(?![\w'’])(?!\s+(?!{_REST})[a-z])|([A-Za-z]){_CLOSED})"
# `A and B`, `A or B`, `(A)/(B)` choose nothing.
_SEVERAL = r"(?![)\]*]*\s*(?:and|or|nor|&|/|,)\s*[(\[*]*(?:[A-Z]|[a-z][).])(?![\w'’]))"
_DENIED = r"(?![)\]*]*\s+(?:is|was|are)\s+(?:not\b|wrong\b|false\b|incorrect\b))"
_TAIL = _SEVERAL + _DENIED
# The first kind of mark that is there decides, and of several of a kind the last.
_MARKS = (
    re.compile(r"(?i:\banswer\b[*_>]{0,2}(?:\s+(?:option|choice))?(?:\s+is)?)\s*[:=]?[*_]{0,2}\s*"
               r"(?i:(?:option|choice)\s+)?[(\[*<]*" + _LETTER + _TAIL),
    re.compile(r"\\boxed\s*\{\s*(?:\\text\{)?[(]?" + _LETTER),
    re.compile(r"(?<!<)<\s?([A-Z])\s?>(?!>)"),
    re.compile(r"(?i:\b(?:option|choice)\b(?:\s+is)?)\s*[:=]?\s*[(\[*]*" + _LETTER + _TAIL),
)  # fmt: skip
_OPENING = re.compile(
    rf"\W*?[(\[*]*(?:([A-Za-z])(?:{_CLOSED}|\s*[)\]*]+)|([A-HJ-Z])(?=\s*[,–—-]\s|\s+(?:because|since)\b)){_TAIL}"
)
_LINE_LABEL = re.compile(r"(?m)^\W{0,4}([A-Za-z])\s?[).:\]]")
_BRACKETED = re.compile(r"((?:\bnot|n['’]t|\bneither|\bnor)\s(?:be\s)?)?[(\[]([A-Za-z])[)\]]" + _DENIED)
_SENTENCE_END = re.compile(r"[.!?;]\s|\n")
_LABELLED = re.compile(r"\W*[A-Za-z]\s*[).:\]]\s*(\S.*)", re.DOTALL)
_SAYING = re.compile(r"(?i)\W*(?:the\s+(?:correct\s+)?answer\s+is|answer\s*:)\s*")


def multiple_choice(prediction: str, ground_truth: str) -> float:
    """Return 1 where the chosen letter equals the ground truth's (`B`, `(B)`, `B. text`, `answer is B`), else 0.

    A reply that names no letter is right where it is the text of the right option, which the ground truth must then
    give beside its letter (`B. text`). Two letters (`A or B`), a list of all options and a letter that is a word (`A
    dog`, `I think`) choose nothing. Where the ground truth is no letter, the texts must match exactly once normalised.
    """
    truth = chosen_letter(ground_truth)
    if truth is None:
        return exact_match(prediction, ground_truth)
    chosen = chosen_letter(prediction)
    option = _LABELLED.fullmatch(ground_truth.strip())
    if chosen is None and option is not None and not _LINE_LABEL.match(prediction):
        return exact_match(_SAYING.sub("", prediction, count=1), option[1])
    return float(chosen == truth)


def chosen_letter(text: str) -> str | None:
    """Return the capital letter of the option that a reply chooses, or None where it chooses none or several."""
    text = text.strip()
    for mark in _MARKS:
        found = mark.findall(text)
        if found:
            return "".join(found[-1]).upper()
    opening = _OPENING.match(text)
    if opening is not None and not _tells_the_options(text):
        return (opening[1] or opening[2]).upper()
    return _last_bracketed(text)


def _tells_the_options(text: str) -> bool:
    """Return whether a reply has labels before two or more lines, or three or more letters in brackets."""
    labels = {letter.upper() for letter in _LINE_LABEL.findall(text)}
    return len(labels) > 1 or len({m[2].upper() for m in _BRACKETED.finditer(text)}) > 2


def _last_bracketed(text: str) -> str | None:
    """Return the letter in brackets of the last sentence that has any, where it has just one that is not denied."""
    sentences = [list(_BRACKETED.finditer(part)) for part in _SENTENCE_END.split(text)]
    last = next((found for found in reversed(sentences) if found), [])
    letters = {m[2].upper() for m in last if not m[1]}
    return letters.pop() if len(letters) == 1 else None
