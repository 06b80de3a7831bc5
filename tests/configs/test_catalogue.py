import re
from pathlib import Path

import pytest

from configs.catalogue import find_task, read_llms, shipped_llms
from configs.errors import InputError


def test_shipped_llms_are_described_without_a_price() -> None:
    llms = shipped_llms()
    assert len(llms) == 19
    for entry in llms.values():
        assert entry.description
        assert entry.family
        assert not re.search(r"[$€£]|\bpric|\bcost|per million", entry.description)
        assert (entry.input_price_usd_per_mtok is None) == (entry.output_price_usd_per_mtok is None)


@pytest.mark.parametrize(
    "name",
    [
        "arc-challenge",
        "arc_challenge",
        "mbpp",
        "winogrande",
        "mmlu",
        "cmmlu",
        "gsm8k",
        "humaneval",
        "human_eval",
        "math",
        "agentverse-logicgrid",
        "agentverse-mgsm",
        "commongen",
        "commonsense_qa",
        "openbook_qa",
        "gpqa",
        "natural_qa",
        "trivia_qa",
        "alpaca_data",
        "GSM8K",
        "multi_news",
        "SQUAD",
    ],
)
def test_tasks_of_the_published_sets_are_known(name: str) -> None:
    entry = find_task(name)
    assert entry is not None
    assert entry.task_id == name
    assert entry.description
    assert entry.metric


def test_a_part_of_a_task_is_found_by_its_prefix() -> None:
    entry = find_task("mmlu_high_school_biology")
    assert entry is not None
    assert entry.description.endswith("This part: high school biology.")
    assert find_task("mmlux") is None
    assert find_task("") is None


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("llms: [{llm_id: a}, {llm_id: a}]", "'a' 2 times"),
        ("llms: [{llm_id: a, price: 1}]", "entry 1, price"),
        ("llms: [{llm_id: a, input_price_usd_per_mtok: -1}]", "input_price_usd_per_mtok"),
        ("llms: [{llm_id: a, input_price_usd_per_mtok: .inf}]", "input_price_usd_per_mtok"),
        ("llms: [{llm_id: 3}]", "llm_id"),
        ("llms: [3]", "entry 1"),
        ("llms: {a: {}}", "one list 'llms'"),
        ("a: [", "expected YAML"),
        ("", "got NoneType"),
    ],
)
def test_a_bad_file_is_named_in_one_line(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"mine\.yaml.*{match}") as err:
        read_llms(path)
    assert "\n" not in str(err.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: expected a YAML file"):
        read_llms(tmp_path / "none.yaml")
