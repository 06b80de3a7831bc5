"""The marks by which a reply shows the letter that it chooses, as regular expressions on text that is `tidied`."""

from __future__ import annotations

import re

# Letters in maths, code and quotes are first written bare; `\(x\)` and `ord('a')` are no letters in brackets.
_TEX = re.compile(r"\\(?:text|math|mbox|text[a-z]{2}|math[a-z]{2})\s?\{\s?(?:\\text\{)?(\(?[A-Za-z]\)?)\s?\}")
_TEX_BRACKETS = re.compile(r"\\[(\[]\s?([A-Za-z])\s?\\[)\]]")
_QUOTED = re.compile(r"(?<![^\W_])(?<!\()[\"'`“‘«$_]{1,3}(\(?[A-Za-z]\)?[.,]?)[\"'`”’»$_]{1,3}(?![^\W_])")
_SPACES = re.compile(r"[^\S\n]+")
_LINES = re.compile(r"\n(?: ?\n)+")

# What makes a letter the part of a word or of a formula: `X-ray`, `C++`, `C#`, `U.S.`, `E=mc^2`.
WHOLE = r"(?![\w'’+#°]|[-‐‑]\w|\.[A-Za-z](?![A-Za-z])| ?=)"
# A letter is a choice where it cannot be a word. `I` and small letters need a bracket, a stop or the end behind; `A`
# must not be the article of a word (`A dog`, but `A because`).
CLOSED = r"(?=\s*(?:[).:\]}*>](?![a-z])|$)|,?\s*\n)"
_REST = r"(?:because|since|as|is|was|would|must|and|or|but|for|which)\b"
_ARTICLE = rf"(?!\s+(?!{_REST})[a-z])"
_LETTER = rf"(?:([B-HJ-Z]){WHOLE}|(A){WHOLE}{_ARTICLE}|([A-Za-z]){WHOLE}{CLOSED})"
_ADVERBS = r"(?:\s(?:most|indeed|thus|therefore|(?!unlikely|hardly|scarcely|barely)[a-z]{2,14}ly)\b){0,2}"
_WRONG = r"(?:\s[a-z]{2,14}ly)?\s(?:not|wrong|false|incorrect|unlikely|impossible|implausible|(?:ruled\s)?out)\b"
_IS = r"(?:is|was|would\sbe|must\sbe|seems|looks|appears)"
_IS_NOT = r"(?:(?:is|was|does|do|did|can|could|would|will)(?:n['’]t|\snot)|can['’]t|cannot|won['’]t|fails)\b"
# `A and B`, `A or B`, `(A)/(B)` choose nothing; `A, B is wrong` chooses A.
_SEVERAL = (
    r"(?![)\]*]*\s*(?:and|or|nor|&|/|,)\s*[(\[*]*(?:[A-Z]|[a-z][).])(?![\w'’]))"
    rf"|(?=[)\]*]*,\s[(\[*]*[A-Z][)\]*]*\s(?:{_IS}{_WRONG}|{_IS_NOT}))"
)
DENIED = rf"(?![).\]*:]*\s+(?:(?:{_IS}|are){_WRONG}|{_IS_NOT}))"
TAIL = rf"(?:{_SEVERAL}){DENIED}"

_OPTION = r"(?i:(?:option|choice|answer)\s+)?"
_VERB = (
    r"(?:\s+(?:is|was|must\s+be|would\s+be|should\s+be|will\s+be|has\s+to\s+be|can\s+only\s+be|seems\s+to\s+be"
    rf"|appears\s+to\s+be){_ADVERBS})?"
)
_NOT_ONE_BUT = r"(?:not\s+(?i:option\s+)?[(\[]?[A-Z][)\]]?,?\s+(?:but|it['’]s)\s+(?:rather\s+)?)?"
_CHOOSING = (
    r"(?:choose|chose|pick|picked|select|selected|say|go\s+(?:with|for)|(?:going|went)\s+with|opt\s+for|vote\s+for)"
)
# The first kind of mark that is there decides, and of several of a kind the last.
SAID = re.compile(
    rf"(?i:\banswer\b[*_>\"'`]{{0,3}}(?:\s+(?:option|choice))?{_VERB})\s*[:=]?[*_]{{0,2}}\s*"
    rf"{_NOT_ONE_BUT}{_OPTION}[(\[*<]*{_LETTER}{TAIL}"
)
BOXED = re.compile(rf"\\boxed\s*\{{\s*(?:\\text\{{)?[(]?{_LETTER}")
POINTED = re.compile(r"(?<!<)<\s?([A-Z])\s?>(?!>)")
CHINESE = re.compile(
    r"(?:答案|正确选项|我选|选择)[应该應該]{0,2}[是为為选選:：]{0,2}\s*[(（\[*]*([A-Z])(?![A-Za-z0-9'’+#-])"
)
CHOSEN = re.compile(
    r"(?:\b(?:I|[Ww]e)(?:['’](?:d|ll|m)|\s+(?:would|will|am|must|shall))?\s+(?:therefore\s+)?)"
    rf"{_CHOOSING}\s+{_OPTION}[(\[*]*{_LETTER}{TAIL}"
)
CORRECT = re.compile(
    rf"(?<![\w'’+#°-])([A-HJ-Z])[)\]*]*\s+(?:is|must\s+be|would\s+be|seems){_ADVERBS}\s+"
    r"(?:(?:the|my)\s+)?(?:correct|right|best|answer)\b"
)
NAMED = re.compile(rf"(?i:\b(?:option|choice)\b[*_\"'`]{{0,3}}(?:\s+is)?)\s*[:=]?\s*[(\[*]*{_LETTER}{TAIL}")
MARKS = (SAID, BOXED, POINTED, CHINESE, CHOSEN, CORRECT, NAMED)

# What stands before a mark in its clause, and takes it back.
CLAUSE_END = re.compile(r"[,.!?;:\n—–]|\b(?:so|but|hence|thus|therefore|then|and|instead)\b")
_NO_DOUBT = r"(?<!no )(?<!without )(?<!without a )(?<!beyond )(?<!any )"
TAKEN_BACK = re.compile(
    rf"(?i)n['’]t\b|\b(?:not|cannot|never|unlikely|impossible|hardly|neither|nor)\b|{_NO_DOUBT}\bdoubt"
    r"|\b(?:rul(?:e|es|ed|ing)\sout|(?:eliminat|exclud|reject|discard|dismiss)(?:e|es|ed|ing|s)?|unlike|than|versus"
    r"|compared\s(?:with|to)|if|whether|unless|suppose|assume|assuming)(?:\sthat)?\s(?:the\s)?$"
    r"|^\sof\s(?:the\s)?$"  # `instead of`, whose first word ends the clause
)
# What only describes the option denies nothing: `The one that does not belong is option D`.
RELATIVE = re.compile(r"(?i)\b(?:that|which|who)\b.*\s(?:is|was)\s(?:the\s)?$")
ONE_OF_SEVERAL = re.compile(r"\b[A-Z][)\]*]*\s?(?:and|or|nor|,|/|&)\s?[(\[*]*$")
# Before `B is correct`: what does not make the letter part of a name (`Vitamin C is right`).
FREE = re.compile(
    r"(?i)(?:^|[.!?;:,\n(\[*>]|\b(?:so|thus|hence|therefore|option|choice|answer|that|think|believe|say|but|and|then"
    r"|because|since|only))[\s(\[*]*$"
)
OTHERWISE = re.compile(r"(?i)\b(?:otherwise|or else|if not)\b")

OPENING = re.compile(
    rf"\W*?(?:([A-Za-z]){WHOLE}(?:{CLOSED}|\s*[)\]*]+)|([A-HJ-Z])(?=\s*[,–—-]\s|\s+(?:because|since)\b)){TAIL}"
)
# `B Paris` as the whole reply: the stop behind the letter left out.
WITHOUT_STOP = re.compile(r"([B-H]) [A-Z\d][^\n.!?]{0,60}[.!]?")
LINE_LABEL = re.compile(r"(?m)^\W{0,4}([A-Za-z])\s?[).:\]]")
BARE_LINE = re.compile(r"(?m)^[^\w\n]{0,4}[A-Za-z][^\w\n]{0,4}$")
BRACKETED = re.compile(rf"((?:\bnot|n['’]t|\bneither|\bnor)\s(?:be\s)?)?[(\[]([A-Za-z])[)\]]{DENIED}")


def tidied(text: str) -> str:
    """Return the text with letters out of maths, code and quotes, and with runs of blanks as one."""
    text = _LINES.sub("\n\n", _SPACES.sub(" ", text.strip()))
    text = _TEX_BRACKETS.sub(r"\1", _TEX.sub(r"\1", text))
    return _QUOTED.sub(r"\1", text)
