from pathlib import Path

import pytest

from configs.errors import InputError
from data_processing.labelling.labels import (
    INFERIOR,
    REPAIR,
    SUPERIOR,
    Example,
    LabelPrompt,
    parse_label,
    question,
    read_question,
)

NASTY = (
    'He said "no".\n{"prompt": "x", "label": "ROUTE_TO_INFERIOR"}\r\n\u2028\\ \t </p> 你好 {label}',
    '{"prompt": "a prompt that is an example", "label": "ROUTE_TO_SUPERIOR"}',
    "\ud83d half a character",
)
EXAMPLES = tuple(Example(text, label) for text, label in zip(NASTY, (INFERIOR, SUPERIOR, INFERIOR), strict=True))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_prompt_is_read_back_as_it_was_written(count: int) -> None:
    prompt = LabelPrompt.of(EXAMPLES[:count])
    read = LabelPrompt.parse(prompt.text(), "prompt.txt")
    assert read.examples == EXAMPLES[:count]
    assert read.text() == prompt.text()


@pytest.mark.parametrize(
    "text", ["{}\nROUTE_TO_INFERIOR or ROUTE_TO_SUPERIOR", "\n{}\n\n{}\nROUTE_TO_SUPERIOR", "{}{}"]
)
def test_a_prompt_of_ones_own_keeps_its_text(text: str) -> None:
    lines = [example.line() for example in EXAMPLES[:2]]
    own = text.format(*lines) if text != "{}{}" else "\n".join(lines) + "\n"
    read = LabelPrompt.parse(own, "own.txt")
    assert len(read.examples) == own.count('"prompt": "He said') + own.count('"prompt": "{')
    assert read.text().replace("\n", "") == own.replace("\n", "")


def test_another_order_has_the_same_examples_and_is_the_same_everywhere() -> None:
    prompt = LabelPrompt.of([Example(f"question {number}", INFERIOR) for number in range(8)])
    orders = [[example.query[-1] for example in prompt.shuffled(number).examples] for number in (0, 1, 2)]
    assert orders[0] == list("01234567")
    assert ["".join(order) for order in orders[1:]] == ["60417532", "04275136"]
    assert prompt.shuffled(1).text() != prompt.text()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["both labels", "an empty one"]),
        (" \n", ["an empty one"]),
        ("Say ROUTE_TO_INFERIOR.", ["one without ROUTE_TO_SUPERIOR"]),
        (f'{INFERIOR} {SUPERIOR}\n{{"prompt": "x", "label": "{INFERIOR}"', ["line 2", "an example as JSON"]),
        (f'{INFERIOR} {SUPERIOR}\n{{"prompt": " ", "label": "{INFERIOR}"}}', ["line 2", "an example as JSON"]),
        (
            f'{INFERIOR} {SUPERIOR}\n{{"prompt": "x", "label": "ROUTE_TO_SUPERIR"}}',
            ["line 2", "'ROUTE_TO_SUPERIR'", "did you mean 'ROUTE_TO_SUPERIOR'?"],
        ),
        (
            f"{EXAMPLES[0].line()}\nand another:\n{EXAMPLES[1].line()}\n",
            ["line 2", "nothing between examples", "'and another:'"],
        ),
    ],
)
def test_what_is_no_labelling_prompt_is_refused(tmp_path: Path, text: str, parts: list[str]) -> None:
    path = tmp_path / "prompt.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        LabelPrompt.read(path)
    for part in ["prompt.txt", *parts]:
        assert part in str(caught.value)


def test_a_prompt_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No such file.*data_processing.pairwise"):
        LabelPrompt.read(tmp_path / "none.txt")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="expected UTF-8"):
        LabelPrompt.read(tmp_path / "bytes.txt")


@pytest.mark.parametrize("text", [*NASTY, "<script>alert(1)</script> & more"])
def test_a_question_is_one_line_and_read_back(text: str) -> None:
    assert "\n" not in question(text)
    assert read_question(question(text)) == text


@pytest.mark.parametrize("text", ["", "hello", "[1]", '{"prompt": 3}', "{" * 100_000, REPAIR])
def test_other_messages_ask_nothing(text: str) -> None:
    assert read_question(text) is None


@pytest.mark.parametrize(
    ("reply", "label"),
    [
        ('{"label": "ROUTE_TO_INFERIOR"}', INFERIOR),
        ("ROUTE_TO_SUPERIOR", SUPERIOR),
        (" **route_to_superior**.\n", SUPERIOR),
        ("Label: ROUTE_TO_INFERIOR", INFERIOR),
        ('```json\n{"label": "ROUTE_TO_SUPERIOR"}\n```', SUPERIOR),
        ("<think>ROUTE_TO_INFERIOR? No, it is hard.</think>\nROUTE_TO_SUPERIOR", SUPERIOR),
        ("", None),
        ("Paris.", None),
        ("ROUTE_TO_INFERIOR or ROUTE_TO_SUPERIOR", None),
        ("not ROUTE_TO_INFERIOR", None),
        ("ROUTE_TO_", None),
        ("<think>ROUTE_TO_INFERIOR", None),
    ],
)
def test_only_a_label_alone_is_read(reply: str, label: str | None) -> None:
    assert parse_label(reply) == label
