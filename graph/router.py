"""The router as it is used: a question as text and a user in, a decision with its reasons out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from configs.errors import InputError, did_you_mean
from configs.preferences import parse_preference
from configs.schema import Encoder
from data_processing.scaling import CostScaler
from data_processing.tables import check_values, conform, llm_text
from graph.artifact import load_artifact, save_artifact
from graph.encoder import make_encoder
from graph.features import QueryFeatures
from graph.feedback import check_interactions, check_probes
from graph.graph_policy import GraphPolicy
from graph.records import UNKNOWN_TASK, Alternative, Decision, Queries, RoutingData
from graph.tuned_encoder import load_encoder, save_encoder

NUM_NEAREST = 3


@dataclasses.dataclass(frozen=True)
class Wish:
    """What a user wants: a preference, or None and a taste in words; and where it is known from."""

    preference: float | None
    source: str
    words: str


class Router:
    """A trained graph policy with everything that turns text into decisions; `save` and `load` make it a folder.

    `queries`: query_id, query, task_id of the train queries, in the order of the policy's graph.
    `about`: dataset, cost_kind, simulated, embedded in the artifact so that no number loses its meaning. `scaler`: from
    dollars to cost, as fitted on train rows. `llms`: the rows of table `llms` that the router chooses among.

    A router learns without training: `observe` users, `state_preference`, `add_llm`, `remove_llm`. `save` keeps it.
    """

    def __init__(
        self,
        policy: GraphPolicy,
        features: QueryFeatures,
        encoder: Encoder,
        queries: pd.DataFrame,
        about: dict[str, Any],
        scaler: CostScaler,
        llms: pd.DataFrame,
    ) -> None:
        self.policy = policy
        self.features = features
        self.encoder = encoder
        self.queries = queries
        self.about = about
        self.scaler = scaler
        self.llms = llms

    @property
    def llm_ids(self) -> list[str]:
        return self.policy.llm_ids

    @property
    def user_ids(self) -> list[str]:
        """The users with a belief of their own; any other id gets the population's answer."""
        tastes = self.policy.tastes.users if self.policy.tastes is not None else {}
        return sorted({*self.policy.preferences.log_likelihood, *self.policy.preferences.stated, *tastes})

    def route(
        self, query: str, user_id: str = "", task_id: str | None = None, preference: float | str | None = None
    ) -> Decision:
        """Return the decision for one query. See `route_batch`."""
        return self.route_batch([query], [user_id], [task_id], [preference])[0]

    def route_batch(
        self,
        queries: Sequence[str],
        user_ids: Sequence[str],
        task_ids: Sequence[str | None] | None = None,
        preferences: Sequence[float | str | None] | None = None,
    ) -> list[Decision]:
        """Return a decision per query. A preference given here wins over what is known of the user: a number in [0, 1],
        or one of `configs.preferences.PREFERENCE_WORDS` such as "cost first".

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
        stated = [None if said is None else parse_preference(said) for said in preferences or [None] * len(queries)]
        # The utilities that rank are those of `Policy.scores`: not clipped.
        scores = self.policy.utilities(batch, raw, user_ids, stated)
        sure = self.policy.probability(scores, user_ids, stated)
        return [
            self._decision(
                (user, queries[row], tasks[row], not given[row]), scores[row], values[row],
                self.wish(user, stated[row]), near[row][:NUM_NEAREST], float(sure[row]),
            )
            for row, user in enumerate(user_ids)
        ]  # fmt: skip

    def wish(self, user: str, given: float | None = None) -> Wish:
        """Return what is known of what the user wants, and from where; `given` with a request wins."""
        if given is not None:
            return Wish(given, "stated", "")
        preferences, tastes = self.policy.preferences, self.policy.tastes
        if tastes is None or user in preferences.stated:
            return Wish(float(preferences.mean([user])[0]), preferences.source(user), "")
        return Wish(None, tastes.source(user), tastes.words(user))

    def _decision(
        self,
        request: tuple[str, str, str, bool],
        scores: np.ndarray,
        values: np.ndarray,
        wish: Wish,
        near: np.ndarray,
        sure: float,
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
            None if np.isnan(sure) else sure,
            wish.preference,
            wish.source,
            nearest,
            explain(user, task, inferred_task, ranked, wish),
        )

    def observe(self, user_id: str, interactions: pd.DataFrame) -> None:
        """Learn from what a known or new user chose; nothing is trained.

        `interactions`: `llm_id`, the chosen LLM; `query_id` or `query`, a known query or a new text; and optionally
        `reward`, how well the answer pleased as a number in [−1, 1] (α·performance − (1−α)·cost), which a known query
        alone can make sense of. On a new text the user is taken to have chosen among the answers that are expected
        there. Raises `InputError` that names the first wrong row.
        """
        _check_user(user_id)
        table = check_interactions(interactions, self.llm_ids, self.queries)
        known = table["query_id"] != ""
        table = table.assign(user_id=user_id)
        memory = self.policy.remembered()
        policy = self.policy.observed(memory, table[known]) if known.any() else self.policy
        if not known.all():
            fresh = table[~known].reset_index(drop=True)
            expected = self._expected(fresh["query"].tolist(), memory)
            policy = policy.observed(expected, fresh.assign(query_id=list(expected.queries.query_ids)))
        self.policy = policy

    def _expected(self, texts: Sequence[str], memory: RoutingData) -> RoutingData:
        """Return new queries as if every LLM had answered them as expected, in the style of its answers nearby."""
        batch = self._featurise(texts, [UNKNOWN_TASK] * len(texts))
        values = self.policy.predictions(batch)
        attributes = None
        if memory.attributes is not None:
            near = self.policy.nearest(batch, self.policy.graph.neighbours)
            attributes = np.stack([_mean_of_known(memory.attributes[rows]) for rows in near])
        return dataclasses.replace(
            memory,
            queries=batch,
            performance=values[..., 0],
            cost=values[..., 1],
            cost_usd=values[..., 2],
            answers=None,
            attributes=attributes,
        )

    def state_preference(self, user_id: str, preference: float | str | None) -> None:
        """Keep what the user states: it wins over what was inferred. None goes back to what was inferred."""
        _check_user(user_id)
        stated = None if preference is None else parse_preference(preference)
        self.policy = self.policy.with_preference(user_id, stated)

    def add_llm(self, llm: Mapping[str, Any], probes: pd.DataFrame | None = None) -> None:
        """Choose from now on also among a new LLM; nothing is trained.

        `llm`: a row of table `llms`: `llm_id`, and as far as known `description`, `family`, prices. `probes`: its
        outcomes on known queries: `query_id` or `query`, `performance` in [0, 1], `cost_usd`. Without any it starts
        from the LLMs like it; some 50 spread over the tasks make a good start. Raises `InputError` for a wrong row.
        """
        row = conform("llms", pd.DataFrame([dict(llm)]), "the new LLM")
        check_values("llms", row)
        table = check_probes(probes, self.queries)
        text = llm_text(row.iloc[0])
        embedding = self.features.encoder.encode([text])[0]
        place = dict(zip(self.queries["query_id"], self.queries["task_id"], strict=True))
        dollars = table["cost_usd"].to_numpy(dtype=float)[:, None]
        cost = self.scaler.scale([place[query] for query in table["query_id"]], dollars)
        outcomes = np.column_stack([table["performance"].to_numpy(dtype=float), cost, dollars])
        self.policy = self.policy.with_llm(row.iloc[0], embedding, list(table["query_id"]), outcomes)
        self.llms = pd.concat([self.llms, row], ignore_index=True)

    def remove_llm(self, llm_id: str) -> None:
        """Never choose this LLM again. What users' choices of it said about the users stays."""
        self.policy = self.policy.without_llm(llm_id)
        self.llms = self.llms[self.llms["llm_id"] != llm_id].reset_index(drop=True)

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
        if self.encoder.training == "contrastive":
            save_encoder(self.features.encoder, folder / "encoder")
        settings = {
            "about": self.about,
            "encoder": self.encoder.model_dump(mode="json"),
            "encoder_key": self.features.encoder.key,
            "queries": self.queries.to_dict("list"),
            "scaler": self.scaler.to_json(),
            "llms": self.llms.astype(object).where(self.llms.notna(), None).to_dict("list"),
        }
        save_artifact(folder, "router", settings, {})

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> Self:
        """Read a router written by `save`; raise `InputError` where it is damaged or of another encoder."""
        folder = Path(folder)
        settings, _ = load_artifact(folder, "router")
        encoder_config = Encoder.model_validate(settings["encoder"])
        tuned = encoder_config.training == "contrastive"
        encoder = (
            load_encoder(folder / "encoder", encoder_config, device) if tuned else make_encoder(encoder_config, device)
        )
        if _weights(encoder.key) != _weights(settings["encoder_key"]):
            raise InputError(
                f"{folder}: expected the encoder {_weights(settings['encoder_key'])!r}, got {_weights(encoder.key)!r}; "
                "install the encoder it was trained with or train again"
            )
        features = QueryFeatures.from_state(encoder, *load_artifact(folder / "features", "features"))
        policy = GraphPolicy.load(folder / "policy")
        scaler, llms = CostScaler.from_json(settings["scaler"]), conform("llms", pd.DataFrame(settings["llms"]))
        queries = pd.DataFrame(settings["queries"])
        return cls(policy, features, encoder_config, queries, settings["about"], scaler, llms)


def explain(user: str, task: str, inferred_task: bool, ranked: Sequence[Alternative], wish: Wish) -> str:
    """Return one or two plain sentences: whose preference, what it weighs, and what decided against the runner-up."""
    alpha = wish.preference
    who = {
        "stated": "as stated",
        "inferred": f"as inferred from what {user} chose",
        "population": f"as of all users, for nothing is known of {user or 'this user'}",
    }[wish.source]
    if alpha is None:
        text = f"{wish.words}, {who}."
    else:
        text = f"Performance weighs {alpha:.2f} and cost {1 - alpha:.2f}, {who}."
    if task:
        text += f" Read as task {task}{', inferred from the nearest known queries' if inferred_task else ''}."
    if len(ranked) < 2:
        return text
    best, second = ranked[:2]
    lead = best.utility - second.utility
    if alpha is None:
        first, other = (min(max(item.utility, 0.0), 1.0) for item in (best, second))  # caution may push it below 0
        return (
            f"{text} The answer of {best.llm_id} is expected to be picked in {first:.0%} of cases, that of "
            f"{second.llm_id} in {other:.0%}."
        )
    gains = (
        ("performance", alpha * (best.expected_performance - second.expected_performance)),
        ("cost", (1 - alpha) * (second.expected_cost - best.expected_cost)),
    )
    name, _ = max(gains, key=lambda gain: gain[1])
    return f"{text} {best.llm_id} leads {second.llm_id} by {lead:.3f} utility, mostly on {name}."


def _mean_of_known(values: np.ndarray) -> np.ndarray:
    """Return the mean over the first axis of what is not NaN; 0 where all is."""
    known = np.isfinite(values)
    return np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)


def _check_user(user_id: str) -> None:
    if not user_id.strip():
        raise InputError("user: expected an id, got an empty one; give the user's id")


def _weights(key: str) -> str:
    """The part of an encoder's key that names weights: the number format may differ between machines."""
    return key.split("|")[0]
