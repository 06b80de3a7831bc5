import re
from pathlib import Path

import pytest

from configs.catalogue import find_task, read_llms, read_tasks, shipped_llms, shipped_tasks
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


TASK = "tasks:\n- task_id: t\n  description: d\n  metric: m\n"


def test_shipped_sources() -> None:
    sources = {entry.task_id: entry.source for entry in shipped_tasks().values() if entry.source is not None}
    assert set(sources) == {"alpaca_data", "arc_challenge", "gsm8k", "mmlu", "multi_news", "squad"}
    assert "{context}" in sources["squad"].query
    for source in sources.values():
        # a commit, not a branch: the same questions for everyone
        assert source.hub is None or re.fullmatch("[0-9a-f]{40}", source.hub.revision)


def test_a_part_of_a_task_has_not_its_questions() -> None:
    whole, part = find_task("MMLU"), find_task("mmlu_anatomy")
    assert whole is not None
    assert part is not None
    assert whole.source is not None
    assert part.source is None


def test_tasks_are_read_by_their_spelling(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(TASK.replace("task_id: t", "task_id: My-Task"))
    assert list(read_tasks(path)) == ["mytask"]
    path.write_text(TASK + TASK.replace("tasks:\n", "").replace("task_id: t", "task_id: _T"))
    with pytest.raises(InputError, match=r"mine\.yaml: expected each task once, got 't' and '_T', which are one"):
        read_tasks(path)


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("{query: q, ground_truth: a}", "source: expected either file or hub, got neither"),
        (
            "{file: f, hub: {dataset: a/b, revision: r, file: f}, query: q, ground_truth: a}",
            "source: expected either file or hub, got both",
        ),
        (
            "{file: f, qeury: q, ground_truth: a}",
            r"source\.qeury: unknown key \(did you mean 'source\.query'",
        ),
        ("{file: f, query: q, ground_truth: a, qery: q}", r"source\.qery: unknown key \(did you mean 'source\.query'"),
        ("{file: f, query: q, ground_truth: ''}", r"source\.ground_truth: String should have at least 1"),
        ("{file: f, query: 3, ground_truth: a}", r"source\.query: Input should be a valid string"),
        ("{hub: {dataset: a/b, file: f}, query: q, ground_truth: a}", r"source\.hub\.revision: Field required"),
        (
            "{hub: {dataset: a/b, revision: r, file: f, sha256: abc}, query: q, ground_truth: a}",
            r"source\.hub\.sha256",
        ),
        ("{hub: {dataset: a b, revision: r, file: f}, query: q, ground_truth: a}", r"source\.hub\.dataset"),
        ("{file: f, query: q, ground_truth: a, choices: [one]}", r"source\.choices"),
        (
            "{file: f, query: q, ground_truth: a, truth_is: index}",
            "source: truth_is says which of the choices is right, expected choices beside it",
        ),
        ("{file: f, query: q, ground_truth: a, choices: c, truth_is: position}", r"source\.truth_is"),
    ],
)
def test_a_wrong_source_is_named(tmp_path: Path, source: str, match: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"{TASK}  source: {source}\n")
    with pytest.raises(InputError, match=rf"mine\.yaml: tasks entry 1, {match}") as err:
        read_tasks(path)
    assert "\n" not in str(err.value)
