"""Made-up tables of every study, of any size, as `evaluation.study` makes them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evaluation.results import STUDY_COLUMNS
from tests.evaluation.fake_results import LLM_NAMES

NAN, ALL = float("nan"), float("inf")


def make_studies(repeats: int = 3, llms: int = 9, persona: bool = False, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Return study -> its table; with `persona` there are accuracies only."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list[tuple]] = {"thin_logs": [], "ablation": [], "new_users": [], "new_llms": []}
    for repeat in range(repeats):

        def add(
            study: str, panel: str, series: str, x: float, value: float, reference: float, repeat: int = repeat
        ) -> None:
            value = float(np.clip(value + rng.normal(0, 0.004), 0, 1))
            reward, accuracy = (NAN, value) if persona else (value, value + 0.2)
            rows[study].append((panel, series, x, repeat, reward, accuracy, reference))

        for number, panel in enumerate(("1 LLM", "2 LLMs", "4 LLMs", "all LLMs")):
            for x in (1.0, 5.0, 20.0, ALL):
                for place, policy in enumerate(("graph", "knn", "linear", "factorization")):
                    value = 0.4 - 0.015 * place + 0.02 * number + 0.01 * np.log1p(min(x, 60))
                    add("thin_logs", f"{panel} per query", policy, x, value, 0.5)
        add("ablation", "", "full model", NAN, 0.5, 0.5)
        for place, name in enumerate(("without users", "without tasks", "without topics", "another encoder")):
            add("ablation", "", name, NAN, 0.45 + 0.02 * place, 0.5)
        for x in (0.0, 1.0, 5.0, 20.0):
            add("new_users", "new users", "graph", x, 0.5 - 0.08 / (1 + x), 0.5)
            add("new_users", "new users", "best_single", x, 0.39, 0.5)
        names = [*LLM_NAMES, *(f"vendor/model-{i}" for i in range(llms))][:llms]
        for place, llm in enumerate(names):
            missed = 0.08 / (1 + place)
            add("new_llms", "without it", llm, NAN, 0.5 - missed, 0.5)
            for x in (0.0, 20.0, 50.0, 200.0):
                add("new_llms", "with it", llm, x, 0.5 - missed / (1 + x / 15), 0.5)
    return {name: pd.DataFrame(values, columns=STUDY_COLUMNS) for name, values in rows.items()}
