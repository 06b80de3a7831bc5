"""The rule-based judge: personas who read all answers to a query and pick one, without a judge LLM.

A persona's utility of an answer is its weights times the answer's standardised features, plus noise. The noise is what
makes people disagree with themselves: its size is set so that a persona, asked twice, picks the same text as often as
`users.self_agreement` says. Choices are made between distinct texts, for nobody can prefer one of two equal ones.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator

import numpy as np
import pandas as pd

from configs.errors import InputError
from data_processing.personas import Persona
from data_processing.response_features import answer_classes, answer_features, standardise
from data_processing.tables import COLUMNS, Dataset

SAMPLED_QUERIES = 300  # on which the size of the noise is found
COLDEST, HOTTEST = 1e-4, 1e3  # sizes of the noise, where weights sum to 1: never and always random
HALVINGS = 20  # of the log of that range: the size of the noise to a part in 60,000
BLOCK = 2**18  # numbers per array: small enough for the cache, and memory does not grow with the users
_KEY_BITS = 12  # dropped from a 64-bit key: the 52 that are left and a half are exact as a float, and below 1


@dataclasses.dataclass(frozen=True)
class Texts:
    """The distinct answers (N of them) that can be told apart, ordered by query.

    `row` (N,) is the query's row; `features` (N, F) the mean over the LLMs that gave the text, `key` (N,) what its
    noise is drawn from. `number` (Q, L) says which text an LLM gave, -1 where none can be judged.
    """

    row: np.ndarray
    features: np.ndarray
    key: np.ndarray
    number: np.ndarray


@dataclasses.dataclass(frozen=True)
class RuleJudge:
    """The choices of U personas between the answers of L LLMs to Q queries.

    Rows are `query_ids`, columns `llm_ids`, both sorted. Only an answer with a text and a performance is judged; a
    query without one has no choice. `weights` (U, F) sum to 1 in size; `temperature` (U,) is the size of the noise;
    `agreement` (U,) is how often the persona agrees with itself, the mean over all judged queries: `self_agreement`,
    or the nearest to it that ties between texts allow.
    """

    user_ids: list[str]
    query_ids: list[str]
    llm_ids: list[str]
    weights: np.ndarray
    texts: Texts
    cost_usd: np.ndarray
    temperature: np.ndarray
    agreement: np.ndarray
    seed: int

    @classmethod
    def of(cls, dataset: Dataset, personas: list[Persona], self_agreement: float, seed: int) -> RuleJudge:
        """Measure the answers and find the noise of each persona.

        Raises `InputError` where the dataset has no answers as text or no performances.
        """
        check_answers(dataset)
        query_ids, llm_ids = sorted(dataset.queries["query_id"]), sorted(dataset.llms["llm_id"])
        texts = _texts(dataset, query_ids, llm_ids)
        weights = np.array([persona.weights for persona in personas], dtype=float)
        weights /= np.abs(weights).sum(axis=1, keepdims=True)
        sample = _sample(np.unique(texts.row), seed)
        temperature = _temperatures(weights, texts, np.isin(texts.row, sample), self_agreement)
        return cls(
            [persona.user_id for persona in personas],
            query_ids,
            llm_ids,
            weights,
            texts,
            _costs(dataset.outcomes, query_ids, llm_ids),
            temperature,
            _agreement(weights, texts, temperature),
            seed,
        )

    def choices(self, observed: np.ndarray | None = None) -> np.ndarray:
        """Return (U, Q) int32: the column of the chosen LLM, -1 where the query has no observed answer to judge.

        `observed` (Q, L) bool restricts what the personas see; None shows all. Taking an answer away changes nothing
        about how the others please. If several LLMs gave the chosen text, the cheapest stands for it, then the first.
        """
        giver = self._givers(observed)
        groups = _Groups.of(self.texts.row, giver >= 0)
        chosen = np.full((len(self.user_ids), len(self.query_ids)), -1, dtype=np.int32)
        users = np.array([_key(f"{self.seed}\x1f{user_id}") for user_id in self.user_ids], dtype=np.uint64)
        for block in _blocks(len(users), groups.size):
            best = np.full((len(users[block]), len(groups.rows)), -np.inf)
            column = np.zeros(best.shape, dtype=np.int32)
            for texts in groups.slots:
                value = _utility(self.weights[block], self.texts.features[texts])
                value += self.temperature[block, None] * _gumbel(users[block, None] ^ self.texts.key[None, texts])
                better = value > best[:, : len(texts)]
                np.copyto(best[:, : len(texts)], value, where=better)
                np.copyto(column[:, : len(texts)], giver[texts].astype(np.int32)[None], where=better)
            chosen[block, groups.rows] = column
        return chosen

    def interactions(self, observed: np.ndarray | None = None, query_ids: list[str] | None = None) -> pd.DataFrame:
        """Return the table `interactions`: what each persona chose for these queries (None: all), by user and query.

        Queries without an observed answer to judge have no row. The choice is all a persona tells: `reward` is NaN.
        """
        rows = self._rows(query_ids)
        seen = np.ones((len(self.query_ids), len(self.llm_ids)), bool) if observed is None else observed.copy()
        seen[np.setdiff1d(np.arange(len(self.query_ids)), rows)] = False
        chosen = self.choices(seen)[:, rows]
        user, query = np.nonzero(chosen >= 0)
        columns = {
            "user_id": _named(self.user_ids, user),
            "query_id": _named(self.query_ids, rows[query]),
            "llm_id": _named(self.llm_ids, chosen[user, query]),
            "reward": np.full(len(user), np.nan),
            "judge_reply": _named([""], np.zeros(len(user), dtype=np.int64)),
        }
        return pd.DataFrame({name: columns[name] for name in COLUMNS["interactions"]})

    def ceiling(self) -> np.ndarray:
        """Return (U, Q): the probability of the likeliest text, NaN for queries without an answer to judge.

        A router that knew the persona and all answers could foresee no more of the choices than this.
        """
        groups = _Groups.of(self.texts.row)
        ceiling = np.full((len(self.user_ids), len(self.query_ids)), np.nan)
        for block in _blocks(len(self.user_ids), groups.size):
            gaps = _gaps(self.weights[block], self.texts.features, groups)
            total, _ = _partition(gaps, self.temperature[block], groups)
            ceiling[block, groups.rows] = 1 / total
        return ceiling

    def _givers(self, observed: np.ndarray | None) -> np.ndarray:
        """Return (N,) the column of the LLM that stands for each text among those observed, -1 where there is none."""
        shown = self.texts.number >= 0 if observed is None else (self.texts.number >= 0) & observed
        rows, columns = np.nonzero(shown)
        # Filled from the dearest and last to the cheapest and first, so that the latter stays.
        order = np.lexsort((columns, self.cost_usd[rows, columns]))[::-1]
        giver = np.full(len(self.texts.row), -1, dtype=np.int64)
        for_text, by = self.texts.number[rows, columns][order], columns[order]
        _, last = np.unique(for_text[::-1], return_index=True)
        kept = len(order) - 1 - last
        giver[for_text[kept]] = by[kept]
        return giver

    def _rows(self, query_ids: list[str] | None) -> np.ndarray:
        if query_ids is None:
            return np.arange(len(self.query_ids))
        rows = pd.Index(self.query_ids).get_indexer(pd.Index(query_ids))
        if (rows < 0).any():
            unknown = query_ids[int(np.argmin(rows))]
            raise InputError(f"query_ids: expected queries of the judged dataset, got {unknown!r}; leave it out")
        return np.unique(rows)


def check_answers(dataset: Dataset) -> None:
    """Raise `InputError` where there is nothing to judge: no answers as text, or no performances."""
    outcomes = dataset.outcomes
    has_text = (outcomes["response"].str.strip() != "").to_numpy(dtype=bool)
    has_performance = outcomes["performance"].notna().to_numpy(dtype=bool)
    remedy = "or set users.strategy to multi_cost_efficiency"
    if not has_text.any():
        raise InputError(
            f"{dataset.name}: expected answers as text in column 'response' of table 'outcomes', which "
            f"users.strategy llm_as_judge reads, got none in {len(outcomes)} rows; take a source that has them "
            f"(simulated, routerbench, routellm, or data.source tables with a column 'response'), {remedy}"
        )
    if not (has_text & has_performance).any():
        raise InputError(
            f"{dataset.name}: expected a performance beside an answer as text in table 'outcomes', for "
            f"users.strategy llm_as_judge needs answers as text and whether they are right, got none in "
            f"{len(outcomes)} rows; score the answers first, {remedy}"
        )


@dataclasses.dataclass(frozen=True)
class _Groups:
    """Texts laid out so that a loop over at most L slots replaces one over queries.

    `rows` (J,) are the queries, those with most texts first; slot number s holds the s-th text of every query that has
    one, which are the first `len(slots[s])` of `rows`.
    """

    rows: np.ndarray
    slots: list[np.ndarray]
    size: int

    @classmethod
    def of(cls, row: np.ndarray, wanted: np.ndarray | None = None) -> _Groups:
        texts = np.arange(len(row)) if wanted is None else np.flatnonzero(wanted)
        rows, starts, counts = np.unique(row[texts], return_index=True, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        rows, starts, counts = rows[order], starts[order], counts[order]
        slots = [texts[starts[counts > slot] + slot] for slot in range(counts.max(initial=0))]
        return cls(rows, slots, len(texts))


def _texts(dataset: Dataset, query_ids: list[str], llm_ids: list[str]) -> Texts:
    features = answer_features(dataset.queries, dataset.outcomes, query_ids, llm_ids)
    classes = answer_classes(dataset.outcomes, query_ids, llm_ids)
    classes[~_has_text(dataset.outcomes, query_ids, llm_ids) | np.isnan(features).any(axis=2)] = -1
    features[classes < 0] = np.nan
    features = standardise(features)
    rows, columns = np.nonzero(classes >= 0)
    distinct, first, number = np.unique(
        rows * (len(llm_ids) + 1) + classes[rows, columns], return_index=True, return_inverse=True
    )
    mean = np.zeros((len(distinct), features.shape[2]))
    # Equal texts please equally, whatever performance their LLMs were given for them.
    np.add.at(mean, number, features[rows, columns])
    mean /= np.bincount(number, minlength=len(distinct))[:, None]
    names = [f"{query_ids[rows[i]]}\x1f{llm_ids[columns[i]]}" for i in first]
    numbers = np.full(classes.shape, -1, dtype=np.int64)
    numbers[rows, columns] = number
    return Texts(rows[first], mean, np.array([_key(name) for name in names], dtype=np.uint64), numbers)


def _has_text(outcomes: pd.DataFrame, query_ids: list[str], llm_ids: list[str]) -> np.ndarray:
    return _matrix((outcomes["response"].str.strip() != "").astype(float), outcomes, query_ids, llm_ids) == 1


def _costs(outcomes: pd.DataFrame, query_ids: list[str], llm_ids: list[str]) -> np.ndarray:
    costs = _matrix(outcomes["cost_usd"], outcomes, query_ids, llm_ids)
    return np.where(np.isnan(costs), np.inf, costs)  # an unknown cost is never the cheapest


def _matrix(values: pd.Series, outcomes: pd.DataFrame, query_ids: list[str], llm_ids: list[str]) -> np.ndarray:
    matrix = np.full((len(query_ids), len(llm_ids)), np.nan)
    rows = pd.Index(query_ids).get_indexer(pd.Index(outcomes["query_id"]))
    matrix[rows, pd.Index(llm_ids).get_indexer(pd.Index(outcomes["llm_id"]))] = values.to_numpy(dtype=float)
    return matrix


def _sample(rows: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(_key(str(seed)))
    return rng.choice(rows, size=min(SAMPLED_QUERIES, len(rows)), replace=False)


def _temperatures(weights: np.ndarray, texts: Texts, sampled: np.ndarray, target: float) -> np.ndarray:
    """Return (U,) the noise at which the mean agreement is `target`, found by bisection: more noise, less agreement.

    Where no noise gives it (ties between texts keep it below, queries with a single text above), bisection ends at the
    end of the range that is nearest to it.
    """
    groups = _Groups.of(texts.row, sampled)
    low, high = np.full(len(weights), np.log(COLDEST)), np.full(len(weights), np.log(HOTTEST))
    for block in _blocks(len(weights), groups.size):
        # float32 halves the time; its error is far below that of 300 queries.
        gaps = [gap.astype(np.float32) for gap in _gaps(weights[block], texts.features, groups)]
        for _ in range(HALVINGS):
            middle = (low[block] + high[block]) / 2
            agrees = _mean_agreement(gaps, np.exp(middle), groups) > target
            low[block] = np.where(agrees, middle, low[block])
            high[block] = np.where(agrees, high[block], middle)
    return np.exp((low + high) / 2)


def _agreement(weights: np.ndarray, texts: Texts, temperature: np.ndarray) -> np.ndarray:
    groups = _Groups.of(texts.row)
    agreement = np.empty(len(weights))
    for block in _blocks(len(weights), groups.size):
        gaps = _gaps(weights[block], texts.features, groups)
        agreement[block] = _mean_agreement(gaps, temperature[block], groups)
    return agreement


def _mean_agreement(gaps: list[np.ndarray], temperature: np.ndarray, groups: _Groups) -> np.ndarray:
    """Return (B,) the mean over queries of the summed squared probabilities of the texts."""
    total, squares = _partition(gaps, temperature, groups)
    return (squares / total**2).mean(axis=1, dtype=np.float64)


def _partition(gaps: list[np.ndarray], temperature: np.ndarray, groups: _Groups) -> tuple[np.ndarray, np.ndarray]:
    """Return (B, J) sums over texts of exp(gap / temperature), and of its square."""
    inverse = (1 / temperature).astype(gaps[0].dtype)[:, None]
    total = np.zeros((len(temperature), len(groups.rows)), dtype=gaps[0].dtype)
    squares = np.zeros_like(total)
    for gap in gaps:
        weight = np.exp(np.maximum(gap * inverse, -80.0))  # e⁻⁸⁰ is as good as 0 and does not underflow
        total[:, : gap.shape[1]] += weight
        squares[:, : gap.shape[1]] += weight**2
    return total, squares


def _gaps(weights: np.ndarray, features: np.ndarray, groups: _Groups) -> list[np.ndarray]:
    """Return for each slot (B, n) how far a text's utility is below that of the query's best text; at most 0."""
    utilities = [_utility(weights, features[texts]) for texts in groups.slots]
    best = utilities[0].copy()
    for utility in utilities[1:]:
        np.maximum(best[:, : utility.shape[1]], utility, out=best[:, : utility.shape[1]])
    return [utility - best[:, : utility.shape[1]] for utility in utilities]


def _utility(weights: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Return (B, n) weights · features, summed in a fixed order: a matrix product's rounding varies with its shape."""
    utility = np.zeros((len(weights), len(features)))
    for feature in range(features.shape[1]):
        utility += weights[:, feature, None] * features[None, :, feature]
    return utility


def _gumbel(key: np.ndarray) -> np.ndarray:
    """Return standard Gumbel noise, one number per 64-bit key: the same key, the same noise, in any order.

    The key is scrambled as in splitmix64 (Steele, Lea, Flood 2014, doi 10.1145/2660193.2660195).
    """
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    uniform = ((key ^ (key >> np.uint64(31))) >> np.uint64(_KEY_BITS)).astype(np.float64)
    uniform += 0.5
    uniform *= 2.0 ** (_KEY_BITS - 64)
    return -np.log(-np.log(uniform))


def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _blocks(count: int, width: int) -> Iterator[slice]:
    """Yield slices over `count` users, so many that a block of users × `width` numbers stays small."""
    step = max(1, BLOCK // max(width, 1))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def _named(ids: list[str], numbers: np.ndarray) -> pd.api.extensions.ExtensionArray:
    return pd.array(ids, dtype="str").take(numbers)
