"""The command that trains the classifier: from labels and from outcomes, to a folder that can be used."""

import json
from pathlib import Path

import numpy as np
import pytest

from baselines import binary
from baselines.binary_plot import draw, wilson
from baselines.binary_router import BinaryRouter
from configs.errors import InputError
from data_processing.labelling.labels import INFERIOR, SUPERIOR
from data_processing.simulated import build_world
from graph.threshold import Threshold
from tests.graph.tiny_bert import make_bert

CONFIG = """
seed: 1
data: {simulated: {queries: 200, llms: 2}}
encoder: {model: "hashing:64", cache: null, style: false}
train: {device: cpu}
"""
TOPICS = {INFERIOR: "what is the colour of the sky", SUPERIOR: "prove the theorem about groups of prime order"}


def written(folder: Path, rows: list[dict[str, object]], name: str = "labels.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def rows_of(count: int = 120) -> list[dict[str, object]]:
    labels = [SUPERIOR if number % 4 == 0 else INFERIOR for number in range(count)]
    return [{"query": f"{TOPICS[label]} {number}?", "label": label} for number, label in enumerate(labels)]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def test_labels_to_a_router(tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = rows_of()
    path = written(tmp_path, [*rows, rows[0]])
    assert binary.main(["--labels", str(path), "--config", str(config), "--output", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "1 repeated prompt left out" in told
    assert "AUROC 1.000" in told
    found = json.loads((tmp_path / "out" / "quality.json").read_text(encoding="utf-8"))
    assert found["auroc"] == 1.0
    assert found["positives"] == pytest.approx(0.25, abs=0.05)
    assert sum(found["reliability"]["count"]) == found["test_prompts"] == pytest.approx(24, abs=2)
    assert (tmp_path / "out" / "reliability.png").read_bytes().startswith(b"\x89PNG")
    router = BinaryRouter.load(tmp_path / "out" / "router")
    need = router.need([TOPICS[INFERIOR], TOPICS[SUPERIOR]])
    assert need[0] < 0.3 < need[1]
    assert router.expected(["anything"]) is None
    assert router.need(["", "x" * 100_000, "<script>", "東京 🦊"]).shape == (4,)


def test_training_is_repeatable(tmp_path: Path, config: Path) -> None:
    path = written(tmp_path, rows_of())
    for name in ("one", "two"):
        binary.main(["--labels", str(path), "--config", str(config), "--output", str(tmp_path / name)])
    files = [(tmp_path / name / "router" / "arrays.safetensors").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]


def test_outcomes_to_a_router(tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert binary.main(["--config", str(config), "--output", str(tmp_path / "out")]) == 0
    router = BinaryRouter.load(tmp_path / "out" / "router")
    assert f"weak {router.weak_id}, strong {router.strong_id}" in capsys.readouterr().out
    expected = router.expected(["solve 2 + 2", "write a poem"])
    assert expected is not None
    assert expected.shape == (2, 2, 2)
    assert (expected[:, 1, 1] > expected[:, 0, 1]).all(), "the strong one is dearer"
    assert np.isfinite(expected).all()


@pytest.mark.parametrize("weak_performance", [1, 0])
def test_outcomes_of_one_class_are_refused(
    weak_performance: int, tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["query,llm_id,performance,cost_usd"]
    for number in range(40):
        lines += [f"How much is {number}?,small,{weak_performance},0.1", f"How much is {number}?,large,1,1.0"]
    (tmp_path / "own.csv").write_text("\n".join(lines), encoding="utf-8")
    sets = ["--set", "data.source=tables", "--set", f"data.path={tmp_path / 'own.csv'}"]
    assert binary.main(["--config", str(config), *sets, "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "some need large rather than small and others do not" in error
    assert f"all have the same {1 - weak_performance}" in error
    assert not (tmp_path / "out" / "router").exists()


def test_the_top_layers_are_tuned_on_labels(tmp_path: Path) -> None:
    model = make_bert(tmp_path / "bert", 2, 0.0)
    tuned = {"model": str(model), "training": "contrastive", "trainable_layers": 1, "dtype": "float32", "cache": None}
    tuned |= {"max_tokens": 16, "style": False}
    short = {"steps": 4, "head_steps": 4, "evaluate_every": 2, "side_dim": 0, "caution": 0}
    path = tmp_path / "config.json.yaml"
    content = {"encoder": tuned | {"contrastive": short}, "train": {"device": "cpu"}}
    path.write_text(json.dumps(content), encoding="utf-8")
    labels = written(tmp_path, rows_of(60))
    assert binary.main(["--labels", str(labels), "--config", str(path), "--output", str(tmp_path / "out")]) == 0
    router = BinaryRouter.load(tmp_path / "out" / "router", "cpu")
    assert (tmp_path / "out" / "router" / "encoder").is_dir()
    assert router.need(["one", "two"]).shape == (2,)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"query": "a", "label": INFERIOR}, {"query": "b", "label": INFERIOR}], f"none with {SUPERIOR}"),
        ([{"query": "a", "label": INFERIOR}, {"query": "  ", "label": SUPERIOR}], "line 2: expected a prompt"),
        ([{"query": "a", "label": "ROUTE_TO_SUPERIER"}], "did you mean 'ROUTE_TO_SUPERIOR'"),
        ([{"query": "a"}], "line 1: expected a label"),
        ([{"query": "a", "label": INFERIOR}, {"query": "a", "label": SUPERIOR}], "line 2: expected one label"),
        ([], "expected at least one"),
        (
            [{"query": f"a {n}", "label": INFERIOR} for n in range(20)] + [{"query": "b", "label": SUPERIOR}],
            "of one label",
        ),
    ],
)
def test_wrong_labels_are_named(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str], rows: list[dict[str, object]], says: str
) -> None:
    path = written(tmp_path, rows)
    assert binary.main(["--labels", str(path), "--config", str(config), "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_changed_file_is_found(tmp_path: Path, config: Path) -> None:
    binary.main(["--config", str(config), "--output", str(tmp_path / "out")])
    (tmp_path / "out" / "router" / "settings.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="missing or changed"):
        BinaryRouter.load(tmp_path / "out" / "router")


def test_the_figure_shows_what_was_observed() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random(500)
    figure = draw(probability, (rng.random(500) < probability).astype(float))
    observed = figure.axes[0].lines[1]
    np.testing.assert_allclose(observed.get_xdata(), observed.get_ydata(), atol=0.2)
    assert next(text.get_text() for text in figure.axes[1].get_legend().get_texts()).startswith("weak suffices")
    draw(np.array([0.3]), np.array([1.0]))


def test_wilsons_interval_by_hand() -> None:
    low, high = wilson(np.array([0.5, 0.0]), np.array([100, 10]))
    np.testing.assert_allclose([low[0], high[0]], [0.4038, 0.5962], atol=1e-4)
    np.testing.assert_allclose([low[1], high[1]], [0.0, 0.2775], atol=1e-4)


def test_the_wanted_share_holds_on_other_prompts(tmp_path: Path) -> None:
    path = tmp_path / "world.yaml"
    path.write_text(CONFIG.replace("queries: 200", "queries: 400"), encoding="utf-8")
    binary.main(["--config", str(path), "--output", str(tmp_path / "out")])
    router = BinaryRouter.load(tmp_path / "out" / "router")
    texts = np.array(list(dict.fromkeys(build_world(2000, 2, 9).queries["query"])), dtype=object)
    halves = np.array_split(np.random.default_rng(0).permutation(texts), 2)
    needs = [router.need(list(half)) for half in halves]
    sent = Threshold.for_share(needs[0], 0.3).strong(list(halves[1]), needs[1])
    assert sent.mean() == pytest.approx(0.3, abs=0.03)
