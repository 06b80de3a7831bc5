"""The command that finds a threshold: for both kinds of routers, with what is expected there, and on wrong input."""

import json
from pathlib import Path

import numpy as np
import pytest

from baselines import binary
from configs.errors import InputError
from evaluation import calibrate
from graph.needs import GraphPair
from graph.threshold import Threshold
from tests.baselines.test_binary import CONFIG, rows_of, written
from tests.graph.routers import router_of


class Fixed:
    """Two LLMs whose need is the number in the prompt; the strong one is right in 9 of 10, the weak one less need."""

    weak_id, strong_id = "weak", "strong"

    def need(self, texts: list[str]) -> np.ndarray:
        return np.array([float(text) for text in texts])

    def expected(self, texts: list[str]) -> np.ndarray:
        need = self.need(texts)
        performance = np.stack([0.9 - need, np.full(len(need), 0.9)], axis=1)
        return np.stack([performance, np.broadcast_to([1.0, 10.0], performance.shape)], axis=-1)


def test_by_hand() -> None:
    found = calibrate.calibrate(Fixed(), ["0.8", "0.4", "0.4", "0.4", "0.0"], 0.4)
    assert (found["threshold"], found["share_above"], found["share_at"]) == (0.4, 0.2, 0.8)
    assert found["coin"] == pytest.approx(1 / 3)
    assert found["mean_need"] == pytest.approx(0.4)
    assert found["needed_served"] == pytest.approx((0.8 + 0.4) / 2.0)
    assert found["performance"] == pytest.approx({"routed": 0.9 - 0.8 / 5, "weak": 0.5, "strong": 0.9})
    assert found["cost_usd"] == pytest.approx({"routed": 1 + 0.4 * 9, "weak": 1.0, "strong": 10.0})
    assert found["saved"] == pytest.approx(1 - 4.6 / 10)


@pytest.mark.parametrize(("share", "name"), [(0.0, "weak"), (1.0, "strong")])
def test_the_ends_are_always_weak_and_always_strong(share: float, name: str) -> None:
    found = calibrate.calibrate(Fixed(), ["0.1", "0.2", "0.2"], share)
    for key in ("performance", "cost_usd"):
        assert found[key]["routed"] == pytest.approx(found[key][name])


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_never_and_always_are_written_as_json_and_told_in_words(share: float, tmp_path: Path) -> None:
    found = calibrate.calibrate(Fixed(), ["0.1", "0.2"], share)
    path = tmp_path / "threshold.json"
    path.write_text(json.dumps(found, allow_nan=False), encoding="utf-8")
    threshold = calibrate.read_calibration(path, Fixed()).threshold
    assert list(threshold.strong(["a", "b"], [0.0, 1.0])) == [bool(share)] * 2
    assert ("all are above" if share else "none is above") in "\n".join(calibrate.told(found))


def test_a_repeated_prompt_counts_each_time(tmp_path: Path) -> None:
    router = router_of()
    router.save(tmp_path / "router")
    prompts, out = tmp_path / "prompts.txt", tmp_path / "threshold.json"
    prompts.write_text("\n".join(["the same"] * 6 + [f"king treaty {n}" for n in range(4)]), encoding="utf-8")
    arguments = ["--router", str(tmp_path / "router"), "--prompts", str(prompts), "--strong-model-pct", "0.3"]
    assert calibrate.main([*arguments, "--output", str(out)]) == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    need = GraphPair.of(router).need(prompts.read_text(encoding="utf-8").split("\n"))
    assert found["prompts"] == 10
    assert calibrate.read_calibration(out, GraphPair.of(router)).threshold.expected(need).mean() == pytest.approx(
        0.3, abs=0.01
    )


def test_unknown_costs_and_swapped_llms_are_said() -> None:
    class Odd(Fixed):
        def expected(self, texts: list[str]) -> np.ndarray:
            worse = super().expected(texts)[:, ::-1].copy()
            worse[..., 1] = 0.0
            return worse

    found = calibrate.calibrate(Odd(), ["0.8", "0.4"], 0.5)
    told = "\n".join(calibrate.told(found))
    assert found["cost_usd"] is None
    assert "costs of these LLMs are not known" in told
    assert "swapped" in told


def test_a_run_is_no_router_and_the_router_in_it_is_named(tmp_path: Path) -> None:
    router_of().save(tmp_path / "router")
    with pytest.raises(InputError, match=r"expected a router folder.*did you mean .*router\?"):
        calibrate.load_pair(tmp_path)


def test_no_prompt_has_no_threshold() -> None:
    with pytest.raises(InputError, match="at least one prompt"):
        calibrate.calibrate(Fixed(), [], 0.3)


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prompts")
    path = folder / "prompts.txt"
    path.write_text("\n".join([f"king treaty {n}" for n in range(40)] + ["<b>solve</b>", "x" * 5000, ""]), "utf-8")
    return path


def test_a_graph_router(tmp_path: Path, prompts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    router = router_of()
    router.save(tmp_path / "router")
    out = tmp_path / "threshold.json"
    arguments = ["--router", str(tmp_path / "router"), "--prompts", str(prompts), "--strong-model-pct", "0.3"]
    assert calibrate.main([*arguments, "--output", str(out)]) == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["prompts"] == 42
    texts = prompts.read_text(encoding="utf-8").split("\n")[:-1]
    need = GraphPair.of(router).need(texts)
    threshold = Threshold(found["threshold"], found["coin"])
    assert threshold.expected(need).mean() == pytest.approx(0.3, abs=0.03)  # the batch may move last digits
    assert found["cost_usd"]["weak"] < found["cost_usd"]["routed"] < found["cost_usd"]["strong"]
    told = capsys.readouterr().out
    assert f"{found['strong_id']} for 30.0% of 42 prompts, else {found['weak_id']}" in told
    assert "saved" in told
    assert f"written: {out}" in told
    assert calibrate.main([*arguments, "--weak", "delta", "--strong", "fjord"]) == 0
    assert "fjord for 30.0% of 42 prompts, else delta" in capsys.readouterr().out


def test_a_classifier_of_labels_knows_no_cost(
    tmp_path: Path, prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    labels = written(tmp_path, rows_of())
    binary.main(["--labels", str(labels), "--config", str(config), "--output", str(tmp_path / "out")])
    capsys.readouterr()
    arguments = ["--router", str(tmp_path / "out" / "router"), "--prompts", str(prompts), "--strong-model-pct", "0.5"]
    assert calibrate.main(arguments) == 0
    told = capsys.readouterr().out
    assert "superior for 50.0% of 42 prompts" in told
    assert "expected performance and saving: not known" in told
    assert "$" not in told
    assert calibrate.main([*arguments, "--weak", "gpt"]) == 2
    assert "--weak: expected 'inferior'" in capsys.readouterr().err


def test_wrong_requests_are_named(tmp_path: Path, prompts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = ["--router", str(tmp_path), "--prompts", str(prompts)]
    assert calibrate.main([*there, "--strong-model-pct", "30"]) == 2
    assert "--strong-model-pct: expected a share from 0 to 1, got 30" in capsys.readouterr().err
    assert calibrate.main([*there, "--strong-model-pct", "0.3"]) == 2
    assert "expected a router folder" in capsys.readouterr().err
    blank = written(tmp_path, [{"query": "a"}, {"query": " "}], "prompts.jsonl")
    assert calibrate.main(["--router", str(tmp_path), "--prompts", str(blank), "--strong-model-pct", "0.3"]) == 2
    assert "line 2" in capsys.readouterr().err
