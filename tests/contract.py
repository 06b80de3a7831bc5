"""The contract of every router, as one helper that runs any policy through the same checks, and worlds to run it on."""

from __future__ import annotations

import ast
import copy
import dataclasses
import inspect
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from configs.schema import Users
from data_processing.scaling import CostScaler
from data_processing.tables import conform, llm_text
from data_processing.users import make_users, simulate_interactions, thinned_interactions
from graph.policy import Policy
from graph.records import Queries, RoutingData
from graph.tuned_encoder import Learned

Make = Callable[[], Policy]
TASKS = ("code", "maths")
DIM = 6
STRANGER = "a user never seen"
TOLERANCE = 1e-5  # float32 sums in another order
ATTRIBUTES = ("length", "warmth")


def make_world(
    queries: int = 40,
    llms: int = 4,
    users: int = 3,
    hidden: float = 0.25,
    seed: int = 0,
    personas: bool = False,
    **choice: object,
) -> tuple[RoutingData, RoutingData]:
    """Return (train, validation): tasks and features that tell something, `hidden` the share of unobserved outcomes.

    `personas`: the users are personas, who pick among the answers' texts, on queries of both splits.
    """
    rng = np.random.default_rng(seed)
    count = queries + max(6, queries // 3)
    task = rng.integers(0, len(TASKS), count)
    x = rng.normal(size=(count, DIM)) + 2.0 * task[:, None] * np.eye(DIM)[0]
    skill = rng.normal(size=(DIM, llms))
    performance = 1 / (1 + np.exp(-(x @ skill) / 2 - rng.normal(size=llms)))
    dollars = 1e-4 * 3.0 ** np.arange(llms) * rng.uniform(0.5, 1.5, (count, llms))
    gone = rng.random((count, llms)) < hidden
    gone[np.arange(count), rng.integers(0, llms, count)] = False  # every query has an outcome
    performance, dollars = np.where(gone, np.nan, performance), np.where(gone, np.nan, dollars)
    names = [TASKS[t] for t in task]
    scaler = CostScaler.fit(names[:queries], dollars[:queries])
    cost = scaler.scale(names, dollars)
    ids = [f"q{number:03d}" for number in range(count)]
    llm_ids = [f"llm-{number}" for number in range(llms)]
    people = make_users(Users(preferences=tuple(np.linspace(0.2, 1.0, users).tolist())))
    behaviour = Users(**choice)
    made = simulate_interactions(
        people, ids[:queries], llm_ids, performance[:queries], cost[:queries], behaviour, seed
    )  # fmt: skip
    llm_table = conform(
        "llms",
        pd.DataFrame(
            {
                "llm_id": llm_ids,
                "family": [f"family-{number % 2}" for number in range(llms)],
                "input_price_usd_per_mtok": 3.0 ** np.arange(llms),
                "output_price_usd_per_mtok": 3.0 ** np.arange(llms),
            }
        ),
    )
    tasks = conform("tasks", pd.DataFrame({"task_id": TASKS}))

    def part(rows: slice) -> RoutingData:
        block = Queries(
            tuple(ids[rows]),
            tuple(names[rows]),
            tuple(f"w{task[row]} w{2 + row % 31} of {ids[row]}" for row in range(count)[rows]),
            x[rows].astype(np.float32),
            (DIM - 2, 2),
        )
        return RoutingData(
            llm_table,
            np.eye(llms, 8, dtype=np.float32),
            tasks,
            np.eye(len(TASKS), 8, dtype=np.float32),
            block,
            performance[rows],
            cost[rows],
            dollars[rows],
            people[["user_id", "kind"]].assign(preference=np.nan),
            made[made["query_id"].isin(ids[rows])].reset_index(drop=True),
        )

    splits = part(slice(0, queries)), part(slice(queries, count))
    return persona_world(splits, users, behaviour, seed) if personas else splits


def persona_world(
    splits: tuple[RoutingData, RoutingData], users: int, behaviour: Users, seed: int
) -> tuple[RoutingData, RoutingData]:
    """Return the splits with texts, some of them equal, and users who pick among them by length, warmth and chance."""
    rng = np.random.default_rng([seed, 7])
    people = pd.DataFrame(
        {"user_id": [f"user_{number + 1}" for number in range(users)], "kind": "persona", "preference": np.nan}
    )
    tastes = np.stack([np.linspace(-3, 3, users), rng.normal(size=users)], axis=1)
    made = []
    for data in splits:
        shape = data.performance.shape
        said = rng.integers(0, max(2, shape[1]), shape)  # two that draw one number gave one text
        answers = (said[:, :, None] == said[:, None, :]).argmax(axis=2)
        own = np.linspace(-1, 1, shape[1])[:, None] + rng.normal(size=(*shape, len(ATTRIBUTES)))
        attributes = np.take_along_axis(own, answers[..., None], axis=1)
        seen = np.isfinite(data.performance)
        attributes = np.where(seen[..., None], attributes, np.nan)
        rows = []
        for user, taste in zip(people["user_id"], tastes, strict=True):
            for row, query in enumerate(data.queries.query_ids):
                noise = rng.gumbel(size=shape[1])[answers[row]]  # one draw per text
                liked = np.where(seen[row], np.nan_to_num(attributes[row]) @ taste + noise, -np.inf)
                rows.append((user, query, data.llm_ids[int(liked.argmax())], np.nan))
        picked = pd.DataFrame(rows, columns=["user_id", "query_id", "llm_id", "reward"])
        made.append(
            dataclasses.replace(
                data,
                users=people,
                interactions=thinned_interactions(picked, behaviour, 1.0, seed),
                answers=answers,
                attributes=attributes,
                attribute_names=ATTRIBUTES,
            )
        )
    return made[0], made[1]


def learned_for(data: RoutingData, width: int = DIM - 2, side: int = 2) -> Learned:
    """Return what a training of the encoder could have left for the features of `make_world`, two blocks of columns."""
    rng = np.random.default_rng(0)
    texts = tuple(llm_text(llm) for _, llm in data.llms.iterrows())
    return Learned(
        weights={},
        llm_texts=texts,
        llm_vectors=rng.normal(size=(len(texts), width + side)).astype(np.float32),
        centres=np.zeros((2, width), dtype=np.float32),
        side=rng.normal(size=(2, side)).astype(np.float32),
    )


def check_policy(
    make: Make, train: RoutingData, validation: RoutingData, *, hindsight: bool = False, reorder: bool = True
) -> None:
    """Run the policy that `make` returns, unfitted, through every check of the contract.

    `hindsight`: the oracle, which knows the queries it was fitted on only, and scores −inf what was not observed.
    `reorder=False` leaves out fitting on permuted rows and columns, for learners that start from random weights per
    column; that no order reaches them through the tables is checked by `same_whatever_the_order_of_tables`.
    """
    check_constructor(make)
    before = copy.deepcopy((train, validation))
    policy = make()
    assert policy.fit(train, validation) is policy, "fit must return self"
    _assert_untouched(before, (train, validation))
    assert list(policy.llm_ids) == train.llm_ids
    asked, users = validation.queries, validation.user_ids
    check_shapes(policy, asked, users)
    check_finite(policy, asked, users, validation if hindsight else None)
    check_rows(policy, asked, users)
    check_strangers(policy, asked, validation if hindsight else None)
    check_determinism(make, policy, train, validation)
    check_saved(policy, asked, users)
    if reorder:
        check_order(make, train, validation)


def check_worlds(make: Make, *, hindsight: bool = False, personas: bool = False) -> None:
    """Fit on data with too little in it: one LLM, one user, one outcome per query, an LLM without any, one choice."""
    for arguments in (
        {"llms": 1},
        {"users": 1},
        {"hidden": 1.0},
        {"interactions_per_user": 1},
        {"feedback": "choice"},
        {"queries": 3},
        {"shuffled": True},
    ):
        train, validation = make_world(**arguments, personas=personas)
        policy = make().fit(train, validation)
        check_shapes(policy, validation.queries, validation.user_ids)
        check_finite(policy, validation.queries, validation.user_ids, validation if hindsight else None)
    train, validation = make_world(personas=personas)
    for matrix in (train.performance, train.cost, train.cost_usd):
        matrix[:, 1] = np.nan
    check_finite(
        make().fit(train, validation), validation.queries, validation.user_ids, validation if hindsight else None
    )
    if personas:
        silent = [dataclasses.replace(data, interactions=data.interactions[:0]) for data in make_world(personas=True)]
        for train, validation in (silent, (make_world(personas=True)[0], silent[1])):
            policy = make().fit(train, validation)
            check_finite(policy, validation.queries, [*validation.user_ids, STRANGER], None)


def check_constructor(make: Make) -> None:
    """Constructors only assign: no statement but `self.x = …`, and nothing of what `fit` sets."""
    policy = make()
    for name in ("llm_ids", "preferences", "model", "means"):
        assert not hasattr(policy, name), f"{name} is there before fit"
    source = textwrap.dedent(inspect.getsource(type(policy).__init__))
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    for statement in function.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        for target in targets:
            assert isinstance(target, ast.Attribute), f"not an assignment: {ast.unparse(statement)}"
            assert isinstance(target.value, ast.Name)
            assert target.value.id == "self"


def check_shapes(policy: Policy, asked: Queries, users: list[str]) -> None:
    width, count = len(policy.llm_ids), len(asked)
    each = [policy.scores(asked, [user] * count) for user in users]
    assert all(scores.shape == (count, width) for scores in each)
    grid = policy.grid(asked, users)
    assert grid.shape == (len(users), count, width)
    np.testing.assert_allclose(grid, np.stack(each), rtol=0, atol=1e-9)
    # Row i is query i for user i.
    mixed = [users[row % len(users)] for row in range(count)]
    picked = np.stack([grid[users.index(user), row] for row, user in enumerate(mixed)])
    np.testing.assert_allclose(policy.scores(asked, mixed), picked, rtol=0, atol=1e-9)


def check_finite(policy: Policy, asked: Queries, users: list[str], hindsight: RoutingData | None) -> None:
    scores = policy.grid(asked, users)
    if hindsight is None:
        assert np.isfinite(scores).all()
    else:
        seen = np.broadcast_to(np.isfinite(hindsight.performance), scores.shape)
        assert np.isfinite(scores[seen]).all()
        assert (scores[~seen] == -np.inf).all()


def check_rows(policy: Policy, asked: Queries, users: list[str]) -> None:
    """Query rows permuted, repeated or asked alone get the scores they had."""
    scores = policy.grid(asked, users)
    rows = np.random.default_rng(1).permutation(len(asked))
    for picked in (rows, [0], [1, 1, 0]):
        np.testing.assert_allclose(policy.grid(asked.take(picked), users), scores[:, picked], rtol=0, atol=TOLERANCE)


def check_strangers(policy: Policy, asked: Queries, hindsight: RoutingData | None) -> None:
    """Unknown users and unknown tasks are answered."""
    check_finite(policy, asked, [STRANGER, ""], hindsight)
    for task in ("", "a task never seen"):
        elsewhere = dataclasses.replace(asked, task_ids=(task,) * len(asked))
        check_finite(policy, elsewhere, [STRANGER], hindsight)


def check_determinism(make: Make, policy: Policy, train: RoutingData, validation: RoutingData) -> None:
    np.random.default_rng(5).random(3)
    again = make().fit(train, validation)
    asked, users = validation.queries, [*validation.user_ids, STRANGER]
    np.testing.assert_array_equal(again.grid(asked, users), policy.grid(asked, users))
    np.testing.assert_array_equal(policy.grid(asked, users), policy.grid(asked, users))


def check_saved(policy: Policy, asked: Queries, users: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        policy.save(Path(folder))
        assert {file.name for file in Path(folder).iterdir()} == {
            "settings.json",
            "arrays.safetensors",
            "manifest.json",
        }
        loaded = type(policy).load(Path(folder))
    assert list(loaded.llm_ids) == list(policy.llm_ids)
    users = [*users, STRANGER]
    np.testing.assert_allclose(loaded.grid(asked, users), policy.grid(asked, users), rtol=0, atol=1e-12)


def check_order(make: Make, train: RoutingData, validation: RoutingData) -> None:
    """Fitted on permuted LLM columns, query rows, users and interactions, the scores by id are the same."""
    users = validation.user_ids
    policy = make().fit(train, validation)
    other = make().fit(reordered(train, 3), reordered(validation, 3))
    assert list(other.llm_ids) != list(policy.llm_ids)
    back = [list(other.llm_ids).index(llm) for llm in policy.llm_ids]
    for user in (*users, STRANGER):
        found = other.grid(validation.queries, [user])[0][:, back]
        np.testing.assert_allclose(found, policy.grid(validation.queries, [user])[0], rtol=0, atol=TOLERANCE)


def reordered(data: RoutingData, seed: int) -> RoutingData:
    """Return the same data, every table in another order; the LLMs in the same other order for the same seed."""
    rng = np.random.default_rng(seed)
    llms = np.roll(np.arange(len(data.llms)), 1)
    rows = rng.permutation(len(data.queries))
    tasks = np.arange(len(data.tasks))[::-1]
    return dataclasses.replace(
        data,
        llms=data.llms.iloc[llms].reset_index(drop=True),
        llm_embeddings=data.llm_embeddings[llms],
        tasks=data.tasks.iloc[tasks].reset_index(drop=True),
        task_embeddings=data.task_embeddings[tasks],
        queries=data.queries.take(rows),
        performance=data.performance[rows][:, llms],
        cost=data.cost[rows][:, llms],
        cost_usd=data.cost_usd[rows][:, llms],
        users=data.users.iloc[::-1].reset_index(drop=True),
        interactions=data.interactions.iloc[rng.permutation(len(data.interactions))].reset_index(drop=True),
        answers=None if data.answers is None else data.answers[rows][:, llms],
        attributes=None if data.attributes is None else data.attributes[rows][:, llms],
    )


def _assert_untouched(before: tuple[RoutingData, ...], after: tuple[RoutingData, ...]) -> None:
    for old, new in zip(before, after, strict=True):
        for name in ("performance", "cost", "cost_usd", "llm_embeddings", "task_embeddings", "answers", "attributes"):
            np.testing.assert_array_equal(getattr(old, name), getattr(new, name), err_msg=f"fit changed {name}")
        np.testing.assert_array_equal(old.queries.embeddings, new.queries.embeddings)
        for name in ("users", "interactions", "llms", "tasks"):
            pd.testing.assert_frame_equal(getattr(old, name), getattr(new, name))
