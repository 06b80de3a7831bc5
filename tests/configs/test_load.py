"""Loading: what is accepted, what is refused and in which words, and the files that are shipped."""

import os
from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from configs.describe import fields, literals, section_of
from configs.errors import InputError
from configs.load import dump_config, load_config
from configs.schema import Config, project_root
from configs.yaml_dialect import Loader

FOLDER = project_root() / "configs"
KEYS = {key for key, _ in fields(Config)}
SOURCES = {
    "routerbench": "routerbench", "llmrouter": "llmrouter", "routellm": "routellm", "routerdc": "routerdc",
    "ablation": "routerbench", "thin_logs": "routerbench", "new_users": "routerbench", "new_llms": "llmrouter",
}  # fmt: skip
EXPERIMENTS = list(SOURCES)
ENTRY = "build: {{endpoints: [{{name: a, base_url: simulated, {}}}]}}"


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def _write(text: str | bytes) -> Path:
        path = tmp_path / "some.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return _write


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(InputError) as error:
        load_config(path, overrides)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_values_are_read_and_the_rest_keeps_its_default(write: Any) -> None:
    config = load_config(write("name: x\nusers: {preferences: [0, 0.5]}\ntrain:\n  learning_rate: 1e-3\n"))
    assert config.name == "x"
    assert config.users.preferences == (0.0, 0.5)
    assert config.train.learning_rate == 0.001
    assert config.data == Config().data


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("data: {sorce: x}", ["data.sorce: unknown key", "did you mean 'source'?"]),
        ("dta: {}", ["dta: unknown key", "did you mean 'data'?"]),
        ("repeats: 5", ["repeats: unknown key", "did you mean 'evaluate.repeats'?"]),
        ("seed: '1'", ["seed: expected a whole number", "got '1'"]),
        ("seed: true", ["seed: expected a whole number", "got true"]),
        ("seed: 1.0", ["seed: expected a whole number", "got 1.0"]),
        ("output: {plots: 'true'}", ["output.plots: expected true or false, got 'true'"]),
        ("output: {plots: 1}", ["output.plots: expected true or false, got 1"]),
        ("output: {plot_dpi: 10}", ["output.plot_dpi: expected a whole number >= 50 and <= 400, got 10"]),
        ("data: {source: mars}", ["data.source: expected one of 'simulated', 'routerbench'", "got 'mars'"]),
        ("data: {observed_llms_per_query: 0}", ["expected a whole number > 0 or null, got 0"]),
        ("users: {preferences: [0.5, 1.5]}", ["users.preferences[1]: expected a number >= 0 and <= 1, got 1.5"]),
        ("users: {preferences: []}", ["users.preferences: expected a list of at least 1 (", "got []"]),
        ("users: {preferences: 0.5}", ["users.preferences: expected a list", "got 0.5"]),
        ("evaluate: {policies: [graph, knm]}", ["evaluate.policies[1]: expected one of 'graph'", "got 'knm'"]),
        ("train: {learning_rate: .nan}", ["train.learning_rate: expected a number > 0, got nan"]),
        ("data: {split: {train: 0.5}}", ["data.split: train + validation + test must be 1, got 0.8"]),
        ("data:", ["data: expected a section with source,", "got null"]),
        (ENTRY.format("concurrency: 0"), ["build.endpoints[0].concurrency: expected a whole number > 0, got 0"]),
        (ENTRY.format("retries: -1"), ["build.endpoints[0].retries: expected a whole number >= 0, got -1"]),
        (
            ENTRY.format("concurency: 2"),
            ["build.endpoints[0].concurency: unknown key (did you mean 'concurrency'?), known here: name, base_url,"],
        ),
        (
            ENTRY.format("max_tokens_name: tokens"),
            ["build.endpoints[0].max_tokens_name: expected one of 'max_tokens',"],
        ),
        ("build: {endpoints: [{name: a}]}", ["build.endpoints[0].base_url: expected text that matches", "got nothing"]),
        ("build: {endpoints: [5]}", ["build.endpoints[0]: expected a section with name, base_url,", "got 5"]),
        ("build: {endpoints: []}", ["build.endpoints: expected a list of at least 1", "got []"]),
        ("evaluate: {ablations: [{name: a, sets: []}]}", ["evaluate.ablations[0].sets: unknown key", "'set'"]),
        ("evaluate: {ablations: [{name: a, set: [3]}]}", ["evaluate.ablations[0].set[0]: expected text, got 3"]),
        ("evaluate: {ablations: [{name: a}]}", ["evaluate.ablations[0]: a variant must change something"]),
        ("name: ../x", ["name: expected text that matches", "got '../x'"]),
        ("name: null", ["name: expected text", "got null"]),
        ("seed: x\nnam: y\ndata: {use_tasks: 3}", ["seed: expected", "; data.use_tasks: expected", "; nam: unknown"]),
        ("", ["at the top, got an empty file"]),
        ("# only a comment", ["at the top, got an empty file"]),
        ("- a\n- b", ["at the top, got a list"]),
        ("just text", ["at the top, got a str"]),
        ("a: [", ["expected YAML"]),
        ("seed: 1\nseed: 2", ["line 2, column 1: key 'seed' stands twice"]),
        ("data: &a\n  split: *a", ["expected YAML", "recursive"]),
        (b"name: \xff\xfe", ["expected UTF-8"]),
    ],
)
def test_refusals_say_file_key_value_and_what_is_allowed(write: Any, text: str | bytes, parts: list[str]) -> None:
    path = write(text)
    message = refusal(path)
    assert message.startswith(f"{path}: ")
    for part in parts:
        assert part in message


def test_a_list_with_a_wrong_item_is_not_called_too_short(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(ENTRY.format("concurrency: 0"), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_config(path)
    assert "build.endpoints[0].concurrency" in str(caught.value)
    assert "at least 1 (" not in str(caught.value)


def test_missing_file_and_folder_are_told_apart(tmp_path: Path) -> None:
    assert "found no file" in refusal(tmp_path / "absent.yaml")
    assert "got a folder" in refusal(tmp_path)


def test_overrides_win_and_need_no_section(write: Any) -> None:
    path = write("train: {epochs: 7}\ndata:\n")
    config = load_config(
        path,
        ["train.epochs=9", "data.split.train=0.6", "data.split.test=0.3", "users.preferences=[1, 0.5]", "data.path="],
    )
    assert (config.train.epochs, config.data.split.train, config.users.preferences) == (9, 0.6, (1.0, 0.5))
    assert config.data.path is None
    assert load_config(path, ["data={}", "train.epochs=1", "train.epochs=2"]).train.epochs == 2
    assert load_config(path, ["data={}", "data.path=a=b"]).data.path == "a=b"


def test_an_override_does_not_reach_through_an_alias(write: Any) -> None:
    path = write("data: &d {path: a, split: {train: 0.5, test: 0.4}}\n")
    assert load_config(path, ["data.split.train=0.4", "data.split.test=0.5"]).data.split.train == 0.4


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("train.epoch=3", ["--set train.epoch: train.epoch: unknown key (did you mean 'epochs'?)"]),
        ("trian.epochs=3", ["--set trian.epochs: trian: unknown key (did you mean 'train'?)"]),
        ("seed.x=3", ["--set seed.x: seed has no keys below it"]),
        ("seed", ["--set: expected key=value", "'seed'"]),
        ("=3", ["--set: expected key=value"]),
        ("seed=[1", ["--set seed: expected a YAML value"]),
        ("seed=abc", ["seed: expected a whole number >= 0 and <= 1000000000, got 'abc'"]),
        ("users.preferences=[2]", ["users.preferences[0]: expected a number >= 0 and <= 1, got 2"]),
        ("output.plots=yes", ["output.plots: expected true or false, got 'yes'"]),
        ("data.split.train=0.9", ["expected a section 'data' in the file", "got 5"]),
    ],
)
def test_bad_overrides(write: Any, override: str, parts: list[str]) -> None:
    message = refusal(write("data: 5" if "split" in override else "name: x"), override)
    for part in parts:
        assert part in message


def test_variables_are_filled_in_as_text(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUN", "123")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("OUTER", "${RUN}")
    monkeypatch.delenv("ABSENT", raising=False)
    path = write(
        "name: ${RUN}\noutput: {folder: '${EMPTY:-a}/${ABSENT:-b}${ABSENT:-}'}\n"
        "data: {path: '$${RUN} $RUN', test_path: '${OUTER}'}"
    )
    config = load_config(path)
    assert (config.name, config.output.folder) == ("123", "a/b")
    assert (config.data.path, config.data.test_path) == ("${RUN} $RUN", "${RUN}")
    assert "seed: expected a whole number >= 0 and <= 1000000000, got '123'" in refusal(write("seed: ${RUN}"))


@pytest.mark.parametrize("name", ["ABSENT", "EMPTY"])
def test_an_absent_variable_names_file_key_variable_and_both_remedies(
    write: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ABSENT", raising=False)
    monkeypatch.setenv("EMPTY", "")
    path = write("data: {path: '${" + name + "}/x'}")
    message = refusal(path)
    for part in (f"{path}: data.path:", f"variable {name}", f"export {name}=", "--set data.path="):
        assert part in message


@pytest.mark.parametrize("text", ["${", "${A", "a ${1B}", "${A-b}", "${}"])
def test_a_malformed_variable_is_refused(write: Any, text: str) -> None:
    assert "data.path: expected ${NAME}" in refusal(write(f"data: {{path: '{text}'}}"))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_shipped_experiments_load(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_DATASETS", "/some/where")
    config = load_config(FOLDER / f"{name}.yaml")
    source = SOURCES[name]
    assert (config.name, config.data.source, config.data.path) == (name, source, f"/some/where/{source}")
    assert config.evaluate.repeats == (3 if name in ("thin_logs", "routerdc") else 5)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_shipped_experiments_say_what_to_do_without_the_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROUTER_DATASETS", raising=False)
    message = refusal(FOLDER / f"{name}.yaml")
    assert "data.path: expected the environment variable ROUTER_DATASETS, which is not set" in message
    assert "--set data.path=" in message
    assert load_config(FOLDER / f"{name}.yaml", ["data.path=elsewhere"]).data.path == "elsewhere"


def test_every_shipped_config_is_under_test() -> None:
    catalogues = {"llms", "tasks", "personas", "judge"}
    assert {path.stem for path in FOLDER.glob("*.yaml")} - catalogues >= {"default", *EXPERIMENTS}


def _leaves(node: yaml.Node, prefix: str = "") -> dict[str, tuple[int, int]]:
    """Dotted key -> (first line, last line) of every key of a mapping, sections included."""
    found = {}
    assert isinstance(node, yaml.MappingNode)
    for key, value in node.value:
        name = prefix + key.value
        found[name] = (key.start_mark.line, value.start_mark.line)
        if isinstance(value, yaml.MappingNode):
            found.update(_leaves(value, f"{name}."))
    return found


def _comments() -> dict[str, str]:
    """Dotted key -> the comment lines right above it."""
    text = (FOLDER / "default.yaml").read_text(encoding="utf-8")
    lines = text.splitlines()
    node = yaml.compose(text, Loader=Loader)
    assert node is not None
    comments = {}
    for key, (line, _) in _leaves(node).items():
        above = []
        while line and lines[line - 1].lstrip().startswith("#"):
            line -= 1
            above.append(lines[line].lstrip(" #"))
        comments[key] = " ".join(reversed(above))
    return comments


def test_default_yaml_holds_exactly_the_schema() -> None:
    assert set(_comments()) == KEYS


def test_default_yaml_equals_the_defaults() -> None:
    assert load_config(FOLDER / "default.yaml") == Config()


@pytest.mark.parametrize(("key", "field"), list(fields(Config)))
def test_default_yaml_explains_every_key_with_what_it_allows(key: str, field: FieldInfo) -> None:
    comment = _comments().get(key, "")
    assert len(comment) > 10, f"{key} needs a comment above it in default.yaml"
    if section_of(field) is not None:
        return
    bounds = [getattr(rule, name) for rule in field.metadata for name in ("ge", "le") if hasattr(rule, name)]
    for value in [*literals(field), *(str(bound) for bound in bounds)]:
        assert str(value) in comment, f"the comment of {key} in default.yaml should name {value}"


def test_dump_holds_every_key_and_reads_back_equal(tmp_path: Path) -> None:
    path = tmp_path / "dump.yaml"
    path.write_text(dump_config(Config()))
    assert load_config(path) == Config()
    node = yaml.compose(path.read_text(), Loader=Loader)
    assert node is not None
    assert set(_leaves(node)) == KEYS


@settings(max_examples=40, deadline=None)
@given(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=15)
    | st.sampled_from(["on", "1e3", "${A}", "$${", "null"]),
    st.lists(st.floats(0, 1), min_size=1, max_size=4),
    st.floats(1e-12, 1e6),
    st.integers(0, 10**9),
)
def test_any_config_survives_dump_and_load(
    tmp_path_factory: pytest.TempPathFactory, text: str, preferences: list[float], rate: float, seed: int
) -> None:
    config = Config.model_validate(
        {
            "seed": seed,
            "data": {"path": text, "llms_file": f"{text}/x"},
            "users": {"preferences": tuple(preferences)},
            "train": {"learning_rate": rate},
        }
    )
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(dump_config(config), encoding="utf-8", newline="")
    assert load_config(path) == config


def test_config_is_frozen() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        Config().seed = 3


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_an_input_error(write: Any) -> None:
    path = write("name: x")
    path.chmod(0)
    assert "check its permissions" in refusal(path)
