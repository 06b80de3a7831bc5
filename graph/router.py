"""The router as it is used: a question as text and a user in, a decision with its reasons out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from configs.errors import InputError, did_you_mean
from configs.schema import Encoder
from graph.artifact import load_artifact, save_artifact
from graph.encoder import make_encoder
from graph.features import QueryFeatures
from graph.graph_policy import GraphPolicy
from graph.policy import utility
from graph.records import UNKNOWN_TASK, Alternative, Decision, Queries

NUM_NEAREST = 3


class Router:
    """A trained graph policy with everything that turns text into decisions; `save` and `load` make it a folder.

    `queries`: query_id, query, task_id of the train queries, in the order of the policy's graph.
    `about`: dataset, cost_kind, simulated, embedded in the artifact so that no number loses its meaning.
    """

    def __init__(
        self,
        policy: GraphPolicy,
        features: QueryFeatures,
        encoder: Encoder,
        queries: pd.DataFrame,
        about: dict[str, Any],
    ) -> None:
        self.policy = policy
        self.features = features
        self.encoder = encoder
        self.queries = queries
        self.about = about

    @property
    def llm_ids(self) -> list[str]:
        return self.policy.llm_ids

    @property
    def user_ids(self) -> list[str]:
        """The users with a belief of their own; any other id gets the population's answer."""
        return sorted({*self.policy.preferences.log_likelihood, *self.policy.preferences.stated})

    def route(
        self, query: str, user_id: str = "", task_id: str | None = None, preference: float | None = None
    ) -> Decision:
        """Return the decision for one query. See `route_batch`."""
        return self.route_batch([query], [user_id], [task_id], [preference])[0]

    def route_batch(
        self,
        queries: Sequence[str],
        user_ids: Sequence[str],
        task_ids: Sequence[str | None] | None = None,
        preferences: Sequence[float | None] | None = None,
    ) -> list[Decision]:
        """Return a decision per query. A `preference` in [0, 1] given here wins over what is known of the user.

        A task that is not given is inferred from the nearest train queries; raises `InputError` for an unknown one.
        """
        if not queries:
            return []
        given = [self._known_task(task) for task in task_ids or [None] * len(queries)]
        batch = self._featurise(queries, given)
        near = self.policy.nearest(batch, self.policy.graph.neighbours)
        tasks = [task or self._vote(rows) for task, rows in zip(given, near, strict=True)]
        batch = Queries(batch.query_ids, tuple(tasks), batch.texts, batch.embeddings, batch.blocks)
        raw = self.policy.raw_predictions(batch)
        values = self.policy.in_range(raw)
        stated = [_checked(value) for value in preferences or [None] * len(queries)]
        alphas = [
            float(self.policy.preferences.mean([user])[0]) if alpha is None else alpha
            for user, alpha in zip(user_ids, stated, strict=True)
        ]
        # The utilities that rank are those of `Policy.scores`: not clipped.
        scores = utility(raw, np.array(alphas)[:, None])
        decisions = []
        for row, user in enumerate(user_ids):
            source = "stated" if stated[row] is not None else self.policy.preferences.source(user)
            decisions.append(
                self._decision(
                    (user, queries[row], tasks[row], not given[row]), scores[row], values[row],
                    (alphas[row], source), near[row][:NUM_NEAREST],
                )
            )  # fmt: skip
        return decisions

    def _decision(
        self,
        request: tuple[str, str, str, bool],
        scores: np.ndarray,
        values: np.ndarray,
        preference: tuple[float, str],
        near: np.ndarray,
    ) -> Decision:
        user, query, task, inferred_task = request
        order = np.argsort(-scores, kind="stable")
        ranked = tuple(Alternative(self.llm_ids[i], float(scores[i]), *map(float, values[i])) for i in order)
        nearest = tuple(
            {"query_id": str(row.query_id), "task_id": str(row.task_id), "query": str(row.query)}
            for row in self.queries.iloc[near].itertuples()
        )
        best = ranked[0]
        return Decision(
            user,
            query,
            task,
            best.llm_id,
            best.expected_performance,
            best.expected_cost_usd,
            ranked,
            *preference,
            nearest,
            explain(user, task, inferred_task, ranked, preference),
        )

    def _featurise(self, queries: Sequence[str], tasks: Sequence[str]) -> Queries:
        ids = [f"new-{number}" for number in range(len(queries))]
        return self.features.transform(ids, list(tasks), list(queries))

    def _known_task(self, task_id: str | None) -> str:
        known = self.policy.graph.task_ids
        if task_id is None or not known:
            return UNKNOWN_TASK
        if task_id not in known:
            raise InputError(
                f"task: expected one of {', '.join(known)}, got {task_id!r}{did_you_mean(task_id, known)}; "
                "leave it out to have it inferred"
            )
        return task_id

    def _vote(self, rows: np.ndarray) -> str:
        """The task of most of the near train queries, near ones counting more."""
        if not self.policy.graph.task_ids:
            return UNKNOWN_TASK
        votes = pd.Series(1.0 / (1.0 + np.arange(len(rows)))).groupby(self.queries["task_id"].iloc[rows].to_numpy())
        return str(votes.sum().idxmax())

    def save(self, folder: Path) -> None:
        """Write the router: `policy/`, `features/`, and the manifest that makes it whole, last."""
        folder = Path(folder)
        self.policy.save(folder / "policy")
        save_artifact(folder / "features", "features", *self.features.state())
        settings = {
            "about": self.about,
            "encoder": self.encoder.model_dump(mode="json"),
            "encoder_key": self.features.encoder.key,
            "queries": self.queries.to_dict("list"),
        }
        save_artifact(folder, "router", settings, {})

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> Self:
        """Read a router written by `save`; raise `InputError` where it is damaged or of another encoder."""
        folder = Path(folder)
        settings, _ = load_artifact(folder, "router")
        encoder_config = Encoder.model_validate(settings["encoder"])
        encoder = make_encoder(encoder_config, device)
        if _weights(encoder.key) != _weights(settings["encoder_key"]):
            raise InputError(
                f"{folder}: expected the encoder {_weights(settings['encoder_key'])!r}, got {_weights(encoder.key)!r}; "
                "install the encoder it was trained with or train again"
            )
        features = QueryFeatures.from_state(encoder, *load_artifact(folder / "features", "features"))
        policy = GraphPolicy.load(folder / "policy")
        return cls(policy, features, encoder_config, pd.DataFrame(settings["queries"]), settings["about"])


def explain(
    user: str, task: str, inferred_task: bool, ranked: Sequence[Alternative], preference: tuple[float, str]
) -> str:
    """Return one or two plain sentences: whose preference, what it weighs, and what decided against the runner-up."""
    alpha, source = preference
    who = {
        "stated": "as stated",
        "inferred": f"as inferred from what {user} chose",
        "population": f"as of all users, for nothing is known of {user or 'this user'}",
    }[source]
    text = f"Performance weighs {alpha:.2f} and cost {1 - alpha:.2f}, {who}."
    if task:
        text += f" Read as task {task}{', inferred from the nearest known queries' if inferred_task else ''}."
    if len(ranked) < 2:
        return text
    best, second = ranked[:2]
    gains = (
        ("performance", alpha * (best.expected_performance - second.expected_performance)),
        ("cost", (1 - alpha) * (second.expected_cost - best.expected_cost)),
    )
    name, _ = max(gains, key=lambda gain: gain[1])
    return (
        f"{text} {best.llm_id} leads {second.llm_id} by {best.utility - second.utility:.3f} utility, mostly on {name}."
    )


def _checked(preference: float | None) -> float | None:
    if preference is not None and not 0 <= preference <= 1:
        raise InputError(f"preference: expected a number in [0, 1] (1: performance only), got {preference!r}; mend it")
    return preference


def _weights(key: str) -> str:
    """The part of an encoder's key that names weights: the number format may differ between machines."""
    return key.split("|")[0]
