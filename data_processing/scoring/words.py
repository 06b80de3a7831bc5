"""Metrics that compare words: exact match, token F1, ROUGE-L."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter

_ARTICLES = re.compile(r"\b(a|an|the)\b")
# SQuAD drops ASCII punctuation; quotes and dashes that LLMs set in type (`it’s`) must not make a difference either.
# What makes a number or a name another one stays: `12.50` is not 1250, `1/2` not 12, `-3` not 3, `3-4` not 34, `.5`
# not 5, `C++` not C. Commas between groups of three digits mean nothing, others between digits do.
_THOUSANDS = re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3})++(?!\d|,\d)")
_PUNCTUATION = re.compile(
    r"(?<=\d)(?P<inner>[./:,+*^=<>])(?=\d)|(?<=\d)(?P<dash>[-−‐‑–—])(?=\d)|(?P<point>(?<![\w.])\.)(?=\d)"
    r"|(?<![^\s(\[\"'$€£])(?P<sign>[-−–])(?=[$€£]?\.?\d)|(?<=[^\W_])(?P<name>\++|#)"
    rf"|[{re.escape(string.punctuation)}‘’“”„«»‐‑–—…]"
)
_WORD = re.compile(r"[^\W_]+")
_VERDICT = re.compile(
    r"(?i)\W*(?:the\s+answer\s+is\b|(?:final\s+)?answer\s*:)?\W*(yes|no)\b(?=\s*(?:[.,;:!)*\"'’”\n–—-]|$))"
)
# The other verdict, alone between stops or after a word that takes something back.
_TURN = re.compile(
    r"(?i)(?:[.,;:!?…—–\n]|\b(?:but|or|actually|wait|sorry|rather|mean)\b)\s{0,9}(yes|no)\b"
    r"(?=\s{0,9}(?:[.,;:!?…—–\n*)]|$|wait\b))"
)


def normalised(text: str) -> str:
    """Return the text as SQuAD compares it: lower case, no punctuation, no articles, single spaces.

    Source: the official SQuAD v1.1 evaluation (Rajpurkar et al., arXiv 1606.05250), with three differences: what stands
    inside a number (`12.50`, `3-4`, `1,2`), its sign, and `+` and `#` behind a name stay; typographic quotes and dashes
    count as punctuation; and an accented letter is the same in both of its Unicode forms.
    """
    plain = _THOUSANDS.sub(lambda m: m[0].replace(",", ""), unicodedata.normalize("NFC", text).lower())
    plain = _PUNCTUATION.sub(_kept, plain)
    return " ".join(_ARTICLES.sub(" ", plain).split())


def _kept(mark: re.Match[str]) -> str:
    """Return what is left of a mark; `.5` is written 0.5, and every dash as `-`."""
    if mark["sign"] or mark["dash"]:
        return "-"
    return "0." if mark["point"] else mark["inner"] or mark["name"] or ""


def exact_match(prediction: str, ground_truth: str) -> float:
    """Return 1 where both texts are equal once normalised, else 0: the whole reply has to be the answer.

    Where nothing is left of the ground truth (it is only articles or punctuation), the raw words are compared.
    """
    said, truth = _words(prediction, ground_truth)
    return float(bool(said) and said == truth)


def f1_score(prediction: str, ground_truth: str) -> float:
    """Return the F1 of the normalised words, counted with repeats, as SQuAD does.

    Where the ground truth is `yes` or `no`, a prediction that does not open with just that verdict, or takes it back
    (`Yes... no wait, no.`), scores 0: sharing the word is not enough (`No idea, sorry`). HotpotQA's evaluation (arXiv
    1809.09600) does so too, more strictly. Where nothing is left of the ground truth (it is only articles or
    punctuation), the raw words are compared.
    """
    said, truth = _words(prediction, ground_truth)
    if truth in (["yes"], ["no"]) and _verdict(prediction) != truth[0]:
        return 0.0
    common = sum((Counter(truth) & Counter(said)).values())
    return 2 * common / (len(truth) + len(said)) if common else 0.0


def _verdict(prediction: str) -> str | None:
    """Return the `yes` or `no` that a reply opens with, or None where it has none or gives the other one later."""
    opening = _VERDICT.match(prediction)
    if opening is None:
        return None
    said = opening[1].lower()
    return said if all(other.lower() == said for other in _TURN.findall(prediction, opening.end())) else None


def _words(prediction: str, ground_truth: str) -> tuple[list[str], list[str]]:
    said, truth = normalised(prediction).split(), normalised(ground_truth).split()
    return (said, truth) if truth else (prediction.lower().split(), ground_truth.lower().split())


def rouge_l(prediction: str, ground_truth: str) -> float:
    """Return ROUGE-L: the F1 of the longest common subsequence of words (Lin, 2004; lower case, no stemming)."""
    said, truth = _WORD.findall(prediction.lower()), _WORD.findall(ground_truth.lower())
    if not said or not truth:
        return 0.0
    return 2 * common_subsequence(said, truth) / (len(said) + len(truth))


def common_subsequence(first: list[str], second: list[str]) -> int:
    """Return the length of the longest common subsequence, one big-integer step per word of `second`.

    Source: Hyyrö, "Bit-parallel LCS-length computation revisited" (2004). A zero bit marks a step of the LCS table.
    """
    places: dict[str, int] = {}
    for i, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << i
    everything = (1 << len(first)) - 1
    rows = everything
    for word in second:
        hits = rows & places.get(word, 0)
        rows = ((rows + hits) | (rows - hits)) & everything
    return len(first) - rows.bit_count()
