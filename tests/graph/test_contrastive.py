"""The command line of RouterDC alone: a training leaves what it says, and a checkpoint is measured file by file."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.errors import InputError
from graph import contrastive
from graph.contrastive import main
from graph.contrastive_model import ContrastiveModel
from graph.finetuning import training as encoder_training
from graph.tuned_encoder import HISTORY
from tests.graph.tiny_bert import WORDS, make_bert

LLMS = ("lab/alpha", "lab/beta", "lab/gamma")
SETTINGS = (
    "encoder.max_tokens=16", "encoder.dtype=float32", "encoder.trainable_layers=1", "encoder.cache=null",
    "encoder.contrastive.steps=40", "encoder.contrastive.evaluate_every=10", "encoder.contrastive.head_steps=100",
    "encoder.contrastive.learning_rate=0.01", "encoder.contrastive.side_dim=4", "encoder.contrastive.clusters=3",
    "output.plot_dpi=50", "tracking.progress=off",
)  # fmt: skip


def write_scores(file: Path, seed: int, count: int, llms: tuple[str, ...] = LLMS) -> Path:
    """A score list: the first LLM is right on texts of the words w0 … w9, the second on w10 … w19, the third else."""
    rng = np.random.default_rng(seed)
    records = []
    for number in range(count):
        kind = int(rng.integers(3))
        text = " ".join(rng.choice(WORDS[10 * kind : 10 * kind + 10], 5)) + f" of {file.stem} {number}"
        right = {llm: round(0.3 + 0.01 * number % 0.6, 3) if place == kind else 0.0 for place, llm in enumerate(llms)}
        records.append({"question": text, "scores": right})
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(records), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a transformer, two training sets, one test set of each kind, and a configuration."""
    folder = tmp_path_factory.mktemp("routerdc")
    make_bert(folder / "bert", 2, 0.1)
    write_scores(folder / "sets" / "mmlu_train.json", 0, 60)
    write_scores(folder / "sets" / "cmmlu_train.json", 1, 40)
    write_scores(folder / "tests" / "mmlu_test.json", 2, 30)
    write_scores(folder / "tests" / "ceval.json", 3, 30)
    text = f"name: small\ndata: {{source: routerdc, path: {folder}/sets}}\nencoder: {{model: {folder}/bert}}\n"
    (folder / "small.yaml").write_text(text, encoding="utf-8")
    return folder


def train_in(place: Path, output: Path, *settings: str, resume: bool = False) -> int:
    arguments = ["--config", str(place / "small.yaml"), "--output", str(output)]
    arguments += [part for setting in (*SETTINGS, *settings) for part in ("--set", setting)]
    return main(arguments + ["--resume"] * resume)


@pytest.fixture(scope="module")
def trained(place: Path) -> Path:
    assert train_in(place, place / "runs") == 0
    return place / "runs" / "small"


def test_a_training_leaves_encoder_history_clusters_and_a_table(place: Path, trained: Path, tmp_path: Path) -> None:
    files = {str(file.relative_to(trained)) for file in trained.rglob("*") if file.is_file()}
    assert files == {
        "contrastive.yaml", "history.csv", "validation.csv", "clusters.csv", "clusters.png",
        "encoder/manifest.json", "encoder/settings.json", "encoder/arrays.safetensors",
    }  # fmt: skip
    history = pd.read_csv(trained / "history.csv")
    assert history["step"].tolist()[:2] == [0, 10]
    assert tuple(history.columns) == HISTORY
    clusters = pd.read_csv(trained / "clusters.csv")
    assert {"query_id", "cluster", "x", "y"} <= set(clusters.columns)
    assert set(clusters["cluster"]) <= {0, 1, 2}
    table = pd.read_csv(trained / "validation.csv").set_index("name")
    assert table["queries"].to_dict() == {"cmmlu": 4, "mmlu": 6}
    assert (table["oracle"] == 1.0).all()
    assert "training: contrastive" in (trained / "contrastive.yaml").read_text(encoding="utf-8")


def test_a_training_prints_the_table_and_what_was_kept(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_in(place, tmp_path) == 0
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()[:4]] == ["validation", "cmmlu", "mmlu", "average"]
    assert "chosen on train queries" in said
    assert f"encoder: {tmp_path / 'small' / 'encoder'}" in said


def measured(checkpoint: Path, capsys: pytest.CaptureFixture[str], *data: Path) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["evaluate", "--checkpoint", str(checkpoint), "--json", "--data", *map(str, data)]) == 0
    return json.loads(capsys.readouterr().out)


def test_files_in_and_out_of_distribution_are_measured_apart(
    place: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = measured(trained / "encoder", capsys, place / "tests")
    assert report["llms"] == list(LLMS)
    for kind, name in (("in-distribution", "mmlu_test.json"), ("out-of-distribution", "ceval.json")):
        (file,) = report[kind]["files"]
        assert (file["name"], file["queries"], file["oracle"]) == (name, 30, 1.0)
        assert report[kind]["average"]["contrastive"] == file["contrastive"]
        # What suits is in the words: a trained encoder knows it, and on other tasks, too; a single LLM cannot.
        assert file["contrastive"] > file["own_best"] + 0.1
        assert file["best_single"] == file["own_best"], "of one file they are the same, in hindsight"
    assert main(["evaluate", "--checkpoint", str(trained / "encoder"), "--data", str(place / "tests")]) == 0
    said = capsys.readouterr().out
    assert said.index("in-distribution") < said.index("out-of-distribution")
    assert "in hindsight" in said


def test_the_artifact_and_its_base_are_all_that_is_needed(
    place: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (trained / "encoder").rename(tmp_path / "moved")
    try:
        model = ContrastiveModel.load(tmp_path / "moved", "cpu")
        report = measured(tmp_path / "moved", capsys, place / "tests" / "ceval.json")
    finally:
        (tmp_path / "moved").rename(trained / "encoder")
    assert "in-distribution" not in report
    records = json.loads((place / "tests" / "ceval.json").read_text(encoding="utf-8"))
    cosine = model.similarities(["ceval"] * len(records), [record["question"] for record in records])
    chosen = [model.llm_ids[row.argmax()] for row in cosine]
    right = np.mean([record["scores"][llm] > 0 for record, llm in zip(records, chosen, strict=True)])
    assert report["out-of-distribution"]["files"][0]["contrastive"] == pytest.approx(right)
    # A batch does not change what is read of a text.
    np.testing.assert_allclose(model.similarities(["ceval"], [records[3]["question"]])[0], cosine[3], atol=1e-5)


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda folder, place: write_scores(folder / "x.json", 0, 3, ("lab/alpha", "lab/delta")),
         ["x.json: expected scores of the LLMs", "lab/alpha, lab/beta, lab/gamma", "lab/alpha, lab/delta"]),
        (lambda folder, place: (folder / "x.json").write_text('{"a": 1}', encoding="utf-8"), ["x.json", "JSON list"]),
        (lambda folder, place: None, ["--data: expected", "nothing at", "x.json"]),
    ],
)  # fmt: skip
def test_wrong_files_are_refused(
    break_it: Any, said: list[str], place: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    break_it(tmp_path, place)
    assert main(["evaluate", "--checkpoint", str(trained / "encoder"), "--data", str(tmp_path / "x.json")]) == 2
    assert_one_line(capsys.readouterr().err, said)


def test_gaps_are_left_out_and_json_is_json(place: Path, trained: Path, tmp_path: Path, capsys: Any) -> None:
    records = json.loads((place / "tests" / "ceval.json").read_text(encoding="utf-8"))
    records[0]["scores"]["lab/beta"] = None
    (tmp_path / "CEVAL-test.json").write_text(json.dumps(records), encoding="utf-8")
    (file,) = measured(trained / "encoder", capsys, tmp_path)["out-of-distribution"]["files"]
    assert (file["queries"], file["left_out"]) == (29, 1)
    assert (file["scores"], file["scores_told_by"]) == ("probability", "task")
    assert file["best_single"] <= file["oracle"]


def test_a_task_is_known_in_any_spelling(place: Path, trained: Path, tmp_path: Path, capsys: Any) -> None:
    for name in ("m-mlu_test.json", "M.MLU.json", "mmlu2.json"):
        (tmp_path / name).write_bytes((place / "tests" / "mmlu_test.json").read_bytes())
    report = measured(trained / "encoder", capsys, tmp_path)
    assert [file["name"] for file in report["out-of-distribution"]["files"]] == ["mmlu2.json"]
    inside = measured(trained / "encoder", capsys, place / "tests" / "mmlu_test.json")["in-distribution"]["files"][0]
    for file in report["in-distribution"]["files"]:
        assert file["contrastive"] == inside["contrastive"]


def test_the_kind_of_scores_can_be_said(place: Path, trained: Path, capsys: Any) -> None:
    arguments = ["evaluate", "--checkpoint", str(trained / "encoder"), "--data", str(place / "tests")]
    capsys.readouterr()
    assert main([*arguments, "--scores", "ceval.json=multi_attempt", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["out-of-distribution"]["files"][0]["oracle"] < 0.7
    assert report["in-distribution"]["files"][0]["oracle"] == 1.0
    assert main([*arguments, "--scores", "ceval.json=share"]) == 2
    assert_one_line(capsys.readouterr().err, ["--scores: expected probability", "'ceval.json=share'"])


def assert_one_line(errors: str, said: list[str]) -> None:
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert errors.endswith(line + "\n")
    assert all(part in line for part in said), line


def test_wrong_checkpoints_are_refused(
    place: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(place / "tests")]
    assert main(["evaluate", "--checkpoint", str(tmp_path), *data]) == 2
    assert_one_line(capsys.readouterr().err, [str(tmp_path), "encoder/", "no manifest.json"])
    router = tmp_path / "router" / "encoder"
    router.mkdir(parents=True)
    (router.parent / "manifest.json").write_text("{}", encoding="utf-8")
    (router / "manifest.json").write_text(json.dumps({"kind": "encoder"}, indent=1), encoding="utf-8")
    assert main(["evaluate", "--checkpoint", str(router), *data]) == 2
    assert_one_line(capsys.readouterr().err, [str(router), "inside a router of run_exp.py", "graph.contrastive"])
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for file in (trained / "encoder").iterdir():
        (damaged / file.name).write_bytes(file.read_bytes())
    arrays = bytearray((damaged / "arrays.safetensors").read_bytes())
    arrays[-1] ^= 1
    (damaged / "arrays.safetensors").write_bytes(bytes(arrays))
    assert main(["evaluate", "--checkpoint", str(damaged), *data]) == 2
    assert_one_line(capsys.readouterr().err, ["arrays.safetensors: expected sha256"])


def test_a_device_that_is_not_there_is_refused_naming_the_option(
    place: Path, trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    arguments = ["--checkpoint", str(trained / "encoder"), "--data", str(place / "tests"), "--device", "cuda"]
    assert main(["evaluate", *arguments]) == 2
    assert_one_line(capsys.readouterr().err, ["--device: expected a CUDA device", "--device cpu"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda settings: settings["encoder"].update(pooling="max"), "encoder.pooling"),
        (lambda settings: settings.pop("task_ids"), "none named 'task_ids'"),
        (lambda settings: settings["tuned"]["tuning"].pop("history"), "none named 'history'"),
    ],
)
def test_settings_of_another_version_are_refused(change: Any, said: str, trained: Path) -> None:
    settings, arrays = ContrastiveModel.load(trained / "encoder", "cpu").state()
    change(settings)
    with pytest.raises(InputError, match=f"^here: .*{said}.*made by another version"):
        ContrastiveModel.from_state(settings, arrays, "here", "cpu")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("encoder.model=hashing:64", ["encoder.model: expected a transformer", "'hashing:64'"]),
        ("encoder.model=/nowhere", ["/nowhere"]),
        ("data.path=/nowhere", ["data.path", "/nowhere"]),
        ("encoder.contrastive.step=3", ["encoder.contrastive.step"]),
        ("seed=-1", ["seed: expected"]),
    ],
)
def test_wrong_settings_are_refused(
    setting: str, said: list[str], place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_in(place, tmp_path, setting) == 2
    assert_one_line(capsys.readouterr().err, said)
    assert not (tmp_path / "small" / "encoder").exists()


def test_a_training_that_was_cut_off_is_resumed_and_ends_the_same(
    place: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, looks = encoder_training.StepStore.save, []

    def interrupt_at_the_third(*arguments: Any) -> None:
        looks.append(real(*arguments))
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(encoder_training.StepStore, "save", interrupt_at_the_third)
    assert train_in(place, tmp_path) == 130
    assert "--resume" in capsys.readouterr().err
    assert not (tmp_path / "small" / "encoder").exists()
    monkeypatch.setattr(encoder_training.StepStore, "save", real)
    assert train_in(place, tmp_path, resume=True) == 0
    assert "resuming from step" in capsys.readouterr().err
    assert tuple(pd.read_csv(tmp_path / "small" / "history.csv").columns) == HISTORY
    assert not (tmp_path / "small" / "training").exists()
    whole, resumed = (ContrastiveModel.load(folder / "encoder", "cpu") for folder in (trained, tmp_path / "small"))
    assert whole.features.encoder.key == resumed.features.encoder.key
    np.testing.assert_array_equal(whole.similarities([""], ["w1 w2"]), resumed.similarities([""], ["w1 w2"]))


def test_nothing_to_resume_is_said(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train_in(place, tmp_path, resume=True) == 0
    assert "nothing to resume" in capsys.readouterr().err


@pytest.mark.parametrize("setting", ["data.path=/nowhere", "encoder.model=/nowhere", "encoder.trainable_layers=9"])
def test_a_wrong_setting_leaves_an_earlier_training_as_it_is(place: Path, tmp_path: Path, setting: str) -> None:
    run = tmp_path / "small"
    for name in ("encoder/manifest.json", "validation.csv", "config.yaml"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text("earlier", encoding="utf-8")
    assert train_in(place, tmp_path, setting) == 2
    assert {file.read_text(encoding="utf-8") for file in run.rglob("*") if file.is_file()} == {"earlier"}
    assert train_in(place, tmp_path, "encoder.contrastive.steps=2") == 0
    assert [file.name for file in run.rglob("*") if file.is_file() and file.read_bytes() == b"earlier"] == [
        "config.yaml"
    ]


def test_a_training_that_could_not_be_written_is_resumed_without_a_step(
    place: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise InputError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(ContrastiveModel, "save", full)
        assert train_in(place, tmp_path) == 2
    monkeypatch.setattr("graph.finetuning.run.Training._step", None)
    assert train_in(place, tmp_path, resume=True) == 0
    whole, resumed = (ContrastiveModel.load(folder / "encoder", "cpu") for folder in (trained, tmp_path / "small"))
    assert whole.features.encoder.key == resumed.features.encoder.key


def test_an_interrupt_before_any_state_says_that_nothing_is_kept(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("graph.finetuning.run.Training._step", interrupt)
    assert train_in(place, tmp_path) == 130
    last = capsys.readouterr().err.splitlines()[-1]
    assert "nothing of this training is kept" in last
    assert "--resume" not in last


def test_help_and_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in ((["--help"], "--resume"), (["evaluate", "--help"], "out-of-distribution")):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
        text = capsys.readouterr().out
        assert said in text
        assert "examples:" in text
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert "--config FILE" in capsys.readouterr().err


@pytest.mark.skipif(not os.environ.get("ROUTER_DATASETS"), reason="ROUTER_DATASETS is not set")
def test_the_published_sets_are_read_and_trained_on_jointly(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    published = Path(os.environ["ROUTER_DATASETS"]) / "routerdc"
    for file in (
        "arc_challenge_train.json",
        "humaneval_train.json",
    ):  # the small ones; the large ones differ in nothing
        (tmp_path / file).write_bytes((published / file).read_bytes())
    monkeypatch.setattr("graph.query_map.MAX_POINTS", 60)
    quick = ("encoder.style=false", "encoder.contrastive.steps=4", f"data.path={tmp_path}")
    assert train_in(place, tmp_path / "runs", *quick) == 0
    report = measured(
        tmp_path / "runs/small/encoder", capsys, tmp_path / "humaneval_train.json", published / "gsm8k-train.json"
    )
    inside, outside = report["in-distribution"], report["out-of-distribution"]
    assert inside["files"][0]["queries"] == 115
    # By hand, of the published scores: what the best LLM of HumanEval and of GSM8K reach.
    assert inside["average"]["own_best"] == pytest.approx(0.521, abs=0.001)
    assert outside["average"]["own_best"] == pytest.approx(0.824, abs=0.001)
    for part in (inside, outside):
        assert part["average"]["contrastive"] <= part["average"]["oracle"]


def test_the_rows_of_a_task_keep_their_places() -> None:
    from tests.contract import make_world

    data = make_world()[0]
    tasks = dict(zip(data.queries.query_ids, data.queries.task_ids, strict=True))
    for rows, item in contrastive.score_sets(data, tasks, {"code": "pass", "maths": "probability"}):
        assert {data.queries.task_ids[row] for row in rows} == {item.task_id}
        assert item.texts == tuple(data.queries.texts[row] for row in rows)
        np.testing.assert_array_equal(item.scores, data.performance[rows])
        if item.metric == "pass":
            np.testing.assert_array_equal(item.correct(), data.performance[rows])


def test_a_checkpoint_of_another_base_names_both(place: Path, tmp_path: Path) -> None:
    make_bert(tmp_path / "bert", 2, 0.1)
    assert train_in(place, tmp_path, f"encoder.model={tmp_path}/bert", "encoder.contrastive.steps=2") == 0
    before = ContrastiveModel.load(tmp_path / "small" / "encoder", "cpu").features.encoder.key.split("+")[0]
    make_bert(tmp_path / "bert", 2, 0.1, seed=5)
    with pytest.raises(InputError) as caught:
        ContrastiveModel.load(tmp_path / "small" / "encoder", "cpu")
    assert before in str(caught.value)
    assert str(tmp_path / "bert") in str(caught.value)
