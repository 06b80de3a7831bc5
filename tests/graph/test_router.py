"""The router as it is used: text and user in, decision and reasons out; taught, saved, loaded, damaged."""

import dataclasses
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs.errors import InputError
from configs.schema import Data
from graph.artifact import save_artifact
from graph.graph_policy import GraphPolicy
from graph.records import Alternative, Decision
from graph.router import Router, Wish, explain
from tests.graph.routers import WORLDS, assert_alike, decided, interactions, probes, router_of
from tests.graph.world import GRAPH, LLMS, TASKS, TRAIN, tiny_config, tiny_prepared, tiny_router

QUESTIONS = ["king treaty empire war 12?", "Write of moon verse.\nUse 3 words.", "sum root factor 5?"]
STRANGE = ["", " ", "🦊", "Wie heißt die Hauptstadt? 東京", "x" * 100_000, "\ud800 half", "king " * 20_000, "\x00"]


@pytest.fixture(scope="module")
def router() -> Router:
    return tiny_router()


@pytest.fixture
def folder(router: Router, tmp_path: Path) -> Path:
    router.save(tmp_path / "router")
    return tmp_path / "router"


def test_a_decision_ranks_all_llms_by_utility(router: Router) -> None:
    decision = router.route(QUESTIONS[0], "user_2", "history")
    assert (decision.query, decision.user_id, decision.task_id) == (QUESTIONS[0], "user_2", "history")
    utilities = [item.utility for item in decision.alternatives]
    assert utilities == sorted(utilities, reverse=True)
    assert sorted(item.llm_id for item in decision.alternatives) == sorted(LLMS)
    best = decision.alternatives[0]
    assert (decision.llm_id, decision.expected_performance, decision.expected_cost_usd) == (
        best.llm_id,
        best.expected_performance,
        best.expected_cost_usd,
    )
    assert decision.preference == pytest.approx(0.4, abs=1e-3)
    assert decision.preference_source == "inferred"


def test_the_router_decides_as_its_policy_scores(router: Router) -> None:
    prepared = tiny_prepared()
    queries, users = prepared.test.queries, ["user_1", "user_4"]
    scores = router.policy.grid(queries, users)
    for row, user in enumerate(users):
        decisions = router.route_batch(queries.texts, [user] * len(queries), queries.task_ids)
        for column, decision in enumerate(decisions):
            by_llm = {item.llm_id: item.utility for item in decision.alternatives}
            found = [by_llm[llm] for llm in router.llm_ids]
            np.testing.assert_allclose(found, scores[row, column], rtol=0, atol=1e-5)
            assert decision.llm_id == router.llm_ids[int(np.argmax(found))]


def test_a_batch_is_the_single_decisions(router: Router) -> None:
    users, tasks, preferences = ["user_1", "nobody", "user_4"], [None, "poetry", None], [None, None, 0.6]
    batch = router.route_batch(QUESTIONS, users, tasks, preferences)
    for number, decision in enumerate(batch):
        single = router.route(QUESTIONS[number], users[number], tasks[number], preferences[number])
        assert single.llm_id == decision.llm_id
        assert (single.task_id, single.preference, single.why) == (decision.task_id, decision.preference, decision.why)
        assert single.nearest_queries == decision.nearest_queries
        assert single.expected_performance == pytest.approx(decision.expected_performance, abs=1e-5)
    assert router.route_batch([], []) == []


def test_users_differ_and_the_unknown_one_is_the_population(router: Router) -> None:
    by_user = {user: router.route(QUESTIONS[2], user) for user in ("user_1", "user_4", "nobody", "")}
    assert by_user["user_1"].llm_id != by_user["user_4"].llm_id
    for user in ("nobody", ""):
        decision = by_user[user]
        assert decision.preference_source == "population"
        assert decision.preference == pytest.approx(float(router.policy.preferences.mean(["?"])[0]))
        assert f"nothing is known of {user or 'this user'}" in decision.why
    assert router.user_ids == ["user_1", "user_2", "user_3", "user_4"]


def test_a_stated_preference_wins(router: Router) -> None:
    cheap, good = (router.route(QUESTIONS[2], "user_4", preference=alpha) for alpha in (0.0, 1))
    assert cheap.preference_source == good.preference_source == "stated"
    assert (cheap.preference, good.preference) == (0.0, 1)
    assert cheap.llm_id == min(cheap.alternatives, key=lambda item: item.expected_cost).llm_id
    assert good.expected_performance == max(item.expected_performance for item in good.alternatives)
    assert good.expected_cost_usd > cheap.expected_cost_usd
    assert "as stated" in good.why


@pytest.mark.parametrize("preference", [-0.1, 1.5, float("nan"), float("inf")])
def test_a_preference_that_is_none_is_refused(router: Router, preference: float) -> None:
    with pytest.raises(InputError, match=r"preference: expected a number in \[0, 1\]"):
        router.route(QUESTIONS[0], preference=preference)


def test_an_unknown_task_is_refused_and_the_nearest_named(router: Router) -> None:
    with pytest.raises(InputError, match=r"task: expected one of algebra, history, poetry.*did you mean 'poetry'\?"):
        router.route(QUESTIONS[0], task_id="poetri")


@pytest.mark.parametrize(("question", "task"), zip(QUESTIONS, ("history", "poetry", "algebra"), strict=True))
def test_a_task_that_is_not_given_is_inferred_and_said_to_be(router: Router, question: str, task: str) -> None:
    decision = router.route(question, "user_1")
    assert decision.task_id == task
    assert f"Read as task {task}, inferred from the nearest known queries." in decision.why
    given = router.route(question, "user_1", task)
    assert f"Read as task {task}." in given.why
    assert "nearest" not in given.why


def test_the_nearest_queries_are_train_queries_nearest_first(router: Router) -> None:
    known = router.queries.iloc[7]
    decision = router.route(known["query"], "user_1")
    assert len(decision.nearest_queries) == 3
    assert decision.nearest_queries[0] == {
        "query_id": known["query_id"],
        "task_id": known["task_id"],
        "query": known["query"],
    }
    assert len({near["query_id"] for near in decision.nearest_queries}) == 3


@pytest.mark.parametrize("question", STRANGE, ids=lambda text: repr(text[:8]))
def test_any_text_gets_a_decision(router: Router, question: str) -> None:
    decision = router.route(question, "user_3")
    assert decision.llm_id in LLMS
    assert all(np.isfinite(item.utility) for item in decision.alternatives)
    assert decision.task_id in TASKS


def test_a_decision_is_json(router: Router) -> None:
    text = json.dumps(dataclasses.asdict(router.route(QUESTIONS[0], "user_1", preference=1)))
    assert json.loads(text)["alternatives"][0]["llm_id"] in LLMS


def test_without_tasks_none_is_asked_for_or_named() -> None:
    config = tiny_config(data=Data(use_tasks=False))
    prepared = tiny_prepared(config=config)
    policy = GraphPolicy(GRAPH, TRAIN).fit(prepared.train, prepared.validation)
    queries = prepared.train.queries
    table = pd.DataFrame({"query_id": queries.query_ids, "query": queries.texts, "task_id": queries.task_ids})
    parts = (policy, prepared.features, config.encoder, table, {}, prepared.scaler, prepared.train.llms)
    decision = Router(*parts).route(QUESTIONS[0], "user_1", "history")
    assert decision.task_id == ""
    assert "task" not in decision.why


def test_explain_names_what_decided() -> None:
    weak = Alternative("weak", 0.2, 0.5, 0.1, 0.001)
    strong = Alternative("strong", 0.3, 0.9, 0.8, 0.1)
    text = explain("ann", "algebra", False, (strong, weak), Wish(0.8, "inferred", ""))
    assert text == (
        "Performance weighs 0.80 and cost 0.20, as inferred from what ann chose. Read as task algebra. "
        "strong leads weak by 0.100 utility, mostly on performance."
    )
    cheap = dataclasses.replace(weak, utility=0.4)
    assert explain("ann", "", True, (cheap, strong), Wish(0.1, "stated", "")).endswith(
        "by 0.100 utility, mostly on cost."
    )
    assert explain("", "", True, (weak,), Wish(0.5, "population", "")) == (
        "Performance weighs 0.50 and cost 0.50, as of all users, for nothing is known of this user."
    )


def test_explain_puts_a_taste_into_words() -> None:
    second = Alternative("weak", -0.1, 0.5, 0.1, 0.001)
    best = Alternative("strong", 0.46, 0.9, 0.8, 0.1)
    wish = Wish(None, "inferred", "Likes performance, dislikes length")
    assert explain("ann", "algebra", True, (best, second), wish) == (
        "Likes performance, dislikes length, as inferred from what ann chose. Read as task algebra, inferred from the "
        "nearest known queries. The answer of strong is expected to be picked in 46% of cases, that of weak in 0%."
    )
    assert explain("", "", False, (best,), Wish(None, "population", "Has no marked taste")) == (
        "Has no marked taste, as of all users, for nothing is known of this user."
    )


def test_a_decision_for_a_persona_tells_its_taste_and_no_preference() -> None:
    router = router_of("persona")
    decision = router.route(QUESTIONS[0], "persona_0001")
    assert (decision.preference, decision.preference_source) == (None, "inferred")
    assert decision.why.startswith(f"{router.policy.tastes.words('persona_0001')}, as inferred from what persona_0001")
    assert "weighs" not in decision.why
    assert f"The answer of {decision.llm_id} is expected to be picked in " in decision.why
    stranger = router.route(QUESTIONS[0], "nobody")
    assert stranger.preference_source == "population"
    assert "nothing is known of nobody" in stranger.why
    assert router.user_ids == [f"persona_{number:04d}" for number in range(1, 6)]


@pytest.mark.parametrize("world", WORLDS)
def test_confidence_is_a_probability_and_that_of_the_policy(world: str) -> None:
    router = router_of(world)
    for decision in decided(router):
        assert 0 < decision.confidence < 1
        stated = None if decision.preference_source != "stated" else decision.preference
        row = {item.llm_id: item.utility for item in decision.alternatives}
        scores = np.array([[row[llm] for llm in router.llm_ids]])
        assert decision.confidence == pytest.approx(
            router.policy.probability(scores, [decision.user_id], [stated])[0], abs=1e-9
        )
    router.policy = router.policy.with_preference("user_1", None)
    router.policy.confidence = type(router.policy.confidence)(None, router.policy.confidence.weights)
    assert {decision.confidence for decision in decided(router)} == {None}, "nothing to calibrate on"


def decisions(router: Router) -> list[Decision]:
    questions = [*QUESTIONS, *STRANGE]
    users = [("user_1", "user_4", "nobody")[i % 3] for i in range(len(questions))]
    return router.route_batch(questions, users)


def test_saved_and_loaded_decides_identically(router: Router, folder: Path) -> None:
    back = Router.load(folder, device="cpu")
    assert decisions(back) == decisions(router)
    assert back.about == router.about
    assert back.user_ids == router.user_ids
    assert back.llm_ids == router.llm_ids


def test_the_router_may_be_moved(router: Router, folder: Path, tmp_path: Path) -> None:
    shutil.move(folder, tmp_path / "else where")
    assert decisions(Router.load(tmp_path / "else where")) == decisions(router)


def test_the_folder_holds_no_pickle_and_no_path(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}
    assert len(files) == 9
    for path in files:
        if path.suffix == ".json":
            assert str(folder.parent) not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("part", [".", "policy", "features"])
@pytest.mark.parametrize("name", ["arrays.safetensors", "settings.json", "manifest.json"])
@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_damage_anywhere_is_refused_and_named(folder: Path, part: str, name: str, how: str) -> None:
    file = folder / part / name
    if how == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-2] + b"?!")
    with pytest.raises(InputError, match=r"manifest\.json" if name == "manifest.json" else name):
        Router.load(folder)


@pytest.mark.parametrize("part", [".", "policy", "features"])
def test_another_format_version_is_refused(folder: Path, part: str) -> None:
    path = folder / part / "manifest.json"
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 99'))
    with pytest.raises(InputError, match="expected format_version 1, got 99"):
        Router.load(folder)


def test_another_encoder_is_refused(router: Router, folder: Path) -> None:
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    settings["encoder_key"] = settings["encoder_key"].replace("hashing:24", "hashing:25")
    save_artifact(folder, "router", settings, {})
    with pytest.raises(InputError, match=r"expected the encoder 'hashing:25', got 'hashing:24'"):
        Router.load(folder)


@pytest.mark.parametrize("folder_name", ["", "no such folder"])
def test_no_router_is_refused(tmp_path: Path, folder_name: str) -> None:
    with pytest.raises(InputError, match="expected a router folder"):
        Router.load(tmp_path / folder_name)


# ------------------------------------------------------------------------------------------------ learning about users


def utilities(router: Router, user: str, llm_id: str) -> np.ndarray:
    """Return what the user makes of the LLM, for every question."""
    found = router.route_batch(QUESTIONS, [user] * len(QUESTIONS))
    return np.array([item.utility for one in found for item in one.alternatives if item.llm_id == llm_id])


def by_id(router: Router, llm_id: str) -> pd.DataFrame:
    return interactions(router, llm_id)


def by_text(router: Router, llm_id: str) -> pd.DataFrame:
    return pd.DataFrame({"query": router.queries["query"].iloc[:30], "llm_id": llm_id})


def by_new_text(router: Router, llm_id: str) -> pd.DataFrame:
    texts = [f"{text} And what of {number}?" for number, text in enumerate(router.queries["query"].iloc[:30])]
    return pd.DataFrame({"query": texts, "llm_id": llm_id})


@pytest.mark.parametrize("table", [by_id, by_text, by_new_text])
@pytest.mark.parametrize("user", ["user_2", "new one"])
def test_who_takes_the_dear_llm_weighs_performance_more(
    table: Callable[[Router, str], pd.DataFrame], user: str
) -> None:
    others, found = ("user_1", "user_3", "nobody"), {}
    for llm_id in ("brook", "ocean"):
        router = router_of("choice")
        router.observe(user, table(router, llm_id))
        found[llm_id] = router.route(QUESTIONS[2], user)
        assert found[llm_id].preference_source == "inferred"
        assert user in router.user_ids
        assert decided(router, others) == decided(router_of("choice"), others), "what others get has changed"
    before = router_of("choice").route(QUESTIONS[2], user).preference
    assert found["brook"].preference < before < found["ocean"].preference
    assert found["brook"].preference < found["ocean"].preference - 0.2
    assert found["brook"].expected_cost_usd < found["ocean"].expected_cost_usd


@pytest.mark.parametrize("table", [by_id, by_text, by_new_text])
@pytest.mark.parametrize("user", ["persona_0002", "new one"])
def test_a_persona_who_picks_one_llm_is_expected_to_pick_it_again(
    table: Callable[[Router, str], pd.DataFrame], user: str
) -> None:
    others, found = ("persona_0001", "persona_0003"), {}
    for llm_id in router_of("persona").llm_ids:
        router = router_of("persona")
        router.observe(user, table(router, llm_id))
        found[llm_id] = router
        assert router.route(QUESTIONS[0], user).preference_source == "inferred"
        assert decided(router, others) == decided(router_of("persona"), others), "what others get has changed"
    for liked, router in found.items():
        for other in found.keys() - {liked}:
            assert (utilities(router, user, liked) > utilities(found[other], user, liked)).all()


@pytest.mark.parametrize("world", WORLDS)
def test_a_known_text_is_the_same_as_its_id_and_the_order_does_not_matter(world: str) -> None:
    first, second, third = (router_of(world) for _ in range(3))
    table = by_id(first, first.llm_ids[0])
    first.observe("me", table)
    second.observe("me", by_text(second, second.llm_ids[0]))
    third.observe("me", table.sample(frac=1, random_state=1))
    assert decided(first, ("me",)) == decided(second, ("me",))
    assert_alike(decided(third, ("me",)), decided(first, ("me",)))


def test_rewards_on_known_queries_reveal_the_preference() -> None:
    router = router_of()
    memory = router.policy.remembered()
    reward = 0.3 * memory.performance - 0.7 * memory.cost
    chosen = reward.argmax(axis=1)
    table = pd.DataFrame(
        {
            "query_id": memory.queries.query_ids,
            "llm_id": [router.llm_ids[column] for column in chosen],
            "reward": reward[np.arange(len(chosen)), chosen],
        }
    )
    router.observe("me", table.head(20))
    assert router.wish("me").preference == pytest.approx(0.3, abs=0.02)


def test_more_of_the_same_makes_surer_and_parts_add_up() -> None:
    few, parts, whole = (router_of() for _ in range(3))
    table = by_id(few, "brook")
    few.observe("me", table.head(2))
    parts.observe("me", table.head(2))
    parts.observe("me", table.tail(28))
    whole.observe("me", table)
    assert parts.wish("me").preference == pytest.approx(whole.wish("me").preference, abs=1e-9)
    assert whole.wish("me").preference < few.wish("me").preference < few.wish("nobody").preference


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("table", [by_id, by_new_text])
def test_what_was_learnt_is_kept(world: str, table: Callable[[Router, str], pd.DataFrame], tmp_path: Path) -> None:
    router = router_of(world)
    router.observe("me", table(router, router.llm_ids[0]))
    router.state_preference("you", "cost first")
    router.add_llm({"llm_id": "new/one", "family": "stream", "input_price_usd_per_mtok": 0.5}, probes(router, 9))
    router.remove_llm(router.llm_ids[1])
    router.save(tmp_path / "router")
    back = Router.load(tmp_path / "router", device="cpu")
    users = ("me", "you", "user_1", "nobody")
    assert decided(back, users) == decided(router, users)
    assert (back.user_ids, back.llm_ids) == (router.user_ids, router.llm_ids)
    pd.testing.assert_frame_equal(back.llms, router.llms)
    back.save(tmp_path / "again")
    for name in ("policy/settings.json", "policy/arrays.safetensors", "settings.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "router" / name).read_bytes()


@pytest.mark.parametrize("world", WORLDS)
def test_a_history_that_contradicts_itself_is_no_trouble(world: str) -> None:
    router = router_of(world)
    known = router.queries["query_id"].iloc[0]
    router.observe("me", pd.DataFrame({"query_id": known, "llm_id": router.llm_ids * 20}))
    texts = ["Same question?"] * len(router.llm_ids)
    router.observe("me", pd.DataFrame({"query": texts, "llm_id": router.llm_ids}))
    wish = router.wish("me")
    assert wish.source == "inferred"
    assert wish.preference is None or 0 <= wish.preference <= 1
    decided(router, ("me",))


@pytest.mark.parametrize("world", WORLDS)
def test_a_hundred_thousand_interactions_of_one_user_take_seconds(world: str) -> None:
    router = router_of(world)
    rng = np.random.default_rng(0)
    ids, llms = rng.choice(router.queries["query_id"], 100_000), rng.choice(router.llm_ids, 100_000)
    start = time.perf_counter()
    router.observe("busy", pd.DataFrame({"query_id": ids, "llm_id": llms}))
    assert time.perf_counter() - start < 10
    decided(router, ("busy",))


@pytest.mark.parametrize("world", WORLDS)
def test_texts_of_any_language_teach(world: str) -> None:
    router = router_of(world)
    texts = [text for text in STRANGE if text.strip() and "\ud800" not in text] + ["Ελληνικά;", "مرحبا؟", "नमस्ते"]
    router.observe("me", pd.DataFrame({"query": texts, "llm_id": router.llm_ids[0]}))
    assert router.wish("me").source == "inferred"
    decided(router, ("me",))


@pytest.mark.parametrize("world", WORLDS)
def test_an_empty_table_says_nothing(world: str) -> None:
    router = router_of(world)
    router.observe("me", pd.DataFrame(columns=["query_id", "llm_id", "reward"]))
    assert router.wish("me").source == "population"
    assert decided(router, ("me",)) == decided(router_of(world), ("me",))


@pytest.mark.parametrize("world", WORLDS)
def test_wrong_interactions_change_nothing(world: str) -> None:
    router = router_of(world)
    before = decided(router, ("me",))
    good = interactions(router, router.llm_ids[0], 5)
    with pytest.raises(InputError, match="row 6: expected one of the LLMs"):
        router.observe("me", pd.concat([good, pd.DataFrame({"query": ["new"], "llm_id": ["gpt"]})]))
    for user in ("", "  "):
        with pytest.raises(InputError, match="user: expected an id, got an empty one"):
            router.observe(user, good)
    assert decided(router, ("me",)) == before


# ------------------------------------------------------------------------------------------------ stated preferences


@pytest.mark.parametrize("world", WORLDS)
def test_what_a_user_states_wins_until_it_is_taken_back(world: str) -> None:
    router = router_of(world)
    user = router.user_ids[1]
    before = decided(router, (user,))
    for said, wanted in (("quality first", 0.9), ("Cost-First", 0.2), ("0.35", 0.35), (1, 1.0)):
        router.state_preference(user, said)
        decision = router.route(QUESTIONS[0], user)
        assert (decision.preference, decision.preference_source) == (wanted, "stated")
        given = router.route(QUESTIONS[0], "nobody", preference=wanted)
        assert [item.llm_id for item in given.alternatives] == [item.llm_id for item in decision.alternatives]
        assert f"Performance weighs {wanted:.2f}" in decision.why
        assert "as stated" in decision.why
    assert router.route(QUESTIONS[0], user, preference="balanced").preference == 0.5, "what the request says wins"
    router.observe(user, interactions(router, router.llm_ids[0]))
    assert router.route(QUESTIONS[0], user).preference == 1.0
    router.state_preference(user, None)
    assert router.route(QUESTIONS[0], user).preference_source == "inferred"
    other = router_of(world)
    other.observe(user, interactions(router, router.llm_ids[0]))
    assert decided(router, (user,)) == decided(other, (user,)), "what was seen meanwhile counts"
    assert decided(other, (user,)) != before


@pytest.mark.parametrize("world", WORLDS)
def test_a_stranger_may_state_and_take_back(world: str) -> None:
    router = router_of(world)
    before = decided(router, ("me",))
    router.state_preference("me", None)
    assert decided(router, ("me",)) == before
    router.state_preference("me", 0.0)
    assert "me" in router.user_ids
    cheapest = min(router.route(QUESTIONS[0], "me").alternatives, key=lambda item: item.expected_cost)
    assert router.route(QUESTIONS[0], "me").llm_id == cheapest.llm_id
    assert decided(router, ("you",)) == decided(router_of(world), ("you",))
    router.state_preference("me", None)
    assert "me" not in router.user_ids
    assert decided(router, ("me",)) == before


@pytest.mark.parametrize("said", ["cost frist", "", "1.5", -0.1, "-0.1", float("nan")])
def test_a_wrong_statement_is_refused_and_forgotten(said: float | str) -> None:
    router = router_of()
    with pytest.raises(InputError, match=r"preference: expected a number in \[0, 1\].*or one of quality first"):
        router.state_preference("user_1", said)
    assert router.wish("user_1").source == "inferred"
    with pytest.raises(InputError, match="user: expected an id"):
        router.state_preference(" ", 0.5)


# ------------------------------------------------------------------------------------------------ LLMs come and go


def of_one_task(router: Router) -> pd.DataFrame:
    queries = router.queries
    first = queries[queries["task_id"] == queries["task_id"].iloc[0]]
    return pd.DataFrame({"query": first["query"], "performance": 1.0, "cost_usd": 0.0})


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("table", [lambda _: None, lambda r: probes(r, 0), lambda r: probes(r, 1), of_one_task,
                                   lambda r: probes(r, 20, 0.0, 1e6)])  # fmt: skip
def test_a_new_llm_is_one_of_the_alternatives(world: str, table: Callable[[Router], pd.DataFrame | None]) -> None:
    router = router_of(world)
    old = router.llm_ids
    router.add_llm({"llm_id": "new/one", "description": "Small and fast."}, table(router))
    assert router.llm_ids == [*old, "new/one"]
    assert router.llms["llm_id"].tolist() == router.llm_ids
    decided(router, (*router.user_ids, "nobody"))
    assert router_of(world).llm_ids == old, "other routers are not touched"
    router.observe("me", interactions(router, "new/one", 3))
    router.observe("me", pd.DataFrame({"query": ["A new text."], "llm_id": ["new/one"]}))
    decided(router, ("me",))


def test_a_good_new_llm_is_chosen_a_bad_or_unknown_one_is_not() -> None:
    count = len(router_of().queries)
    chosen = {}
    for name, outcomes in {"good": (count, 1.0, 0.0), "bad": (count, 0.0, 1.0), "unknown": (0, 0.0, 0.0)}.items():
        router = router_of()
        router.add_llm({"llm_id": "new"}, probes(router, *outcomes))
        chosen[name] = {decision.llm_id for decision in decided(router, (*router.user_ids, "nobody"))}
    assert chosen["good"] == {"new"}
    assert "new" not in chosen["bad"] | chosen["unknown"]


def test_the_cost_of_a_new_llm_is_scaled_as_that_of_the_others() -> None:
    router = router_of()
    memory = router.policy.remembered()
    ids, column = list(memory.queries.query_ids), router.llm_ids.index("delta")
    table = pd.DataFrame(
        {"query_id": ids, "performance": memory.performance[:, column], "cost_usd": memory.cost_usd[:, column]}
    )
    router.add_llm({"llm_id": "twin"}, table.sample(frac=1, random_state=0))
    after = router.policy.remembered()
    np.testing.assert_allclose(after.performance[:, -1], memory.performance[:, column], atol=1e-6)
    np.testing.assert_allclose(after.cost[:, -1], memory.cost[:, column], atol=1e-5)
    np.testing.assert_allclose(after.cost_usd[:, -1], memory.cost_usd[:, column], rtol=1e-5)


@pytest.mark.parametrize("world", WORLDS)
def test_two_llms_of_one_description_are_two(world: str) -> None:
    router = router_of(world)
    for number in range(2):
        router.add_llm({"llm_id": f"twin-{number}", "description": "The same.", "family": "f"}, probes(router, 9))
    decided(router)
    router.remove_llm("twin-0")
    decided(router)
    assert "twin-1" in router.llm_ids
    assert "twin-0" not in router.llm_ids


def test_new_llms_that_are_refused_change_nothing() -> None:
    router = router_of()
    before, llms = decided(router), router.llms
    new = {"llm_id": "new"}
    for llm, table, says in (
        ({"llm_id": "delta"}, None, "llm: expected an id that is not taken, got 'delta'"),
        ({"description": "x"}, None, "expected a column 'llm_id'"),
        ({"llm_id": " "}, None, "expected a non-empty id in 'llm_id'"),
        ({**new, "price": 1}, None, "unknown column 'price'"),
        ({**new, "input_price_usd_per_mtok": -1}, None, "expected a number >= 0 in 'input_price_usd_per_mtok'"),
        ({**new, "output_price_usd_per_mtok": np.inf}, None, "expected a finite number"),
        ({**new, "output_price_usd_per_mtok": "dear"}, None, "expected a number in column 'output_price"),
        (new, probes(router, 3, performance=1.2), r"row 1: expected a number in \[0, 1\] in 'performance'"),
        (new, probes(router, 3, cost_usd=-1.0), "row 1: expected a number >= 0 in 'cost_usd'"),
        (new, probes(router, 3).assign(query_id="nowhere"), "row 1: expected the id of one of the router's"),
    ):
        with pytest.raises(InputError, match=says):
            router.add_llm(llm, table)
    assert decided(router) == before
    assert router.llms is llms


@pytest.mark.parametrize("world", WORLDS)
def test_an_llm_that_is_liked_may_go(world: str) -> None:
    router = router_of(world)
    users = tuple(router.user_ids)
    wishes = [router.wish(user) for user in users]
    chosen = pd.Series([decision.llm_id for decision in decided(router, users)])
    liked = chosen.mode()[0]
    router.remove_llm(liked)
    assert liked not in router.llm_ids
    assert router.llms["llm_id"].tolist() == router.llm_ids
    after = decided(router, users)
    assert liked not in {decision.llm_id for decision in after}
    assert [router.wish(user) for user in users] == wishes, "what its choices said about the users stays"
    with pytest.raises(InputError, match=f"expected one of the LLMs .* got '{liked}'"):
        router.observe("me", pd.DataFrame({"query": ["x"], "llm_id": [liked]}))


@pytest.mark.parametrize("world", WORLDS)
def test_all_but_the_last_llm_may_go_even_where_nothing_is_known_of_it(world: str) -> None:
    router = router_of(world)
    router.add_llm({"llm_id": "new"})
    for llm_id in router.llm_ids[:-1]:
        router.remove_llm(llm_id)
        decided(router, (router.user_ids[0], "nobody"))
    for decision in decided(router):
        assert (decision.llm_id, decision.confidence) == ("new", 1.0)
    with pytest.raises(InputError, match="expected another LLM to remain, got the only one, 'new'"):
        router.remove_llm("new")
    router.observe("me", interactions(router, "new", 4))
    router.observe("me", pd.DataFrame({"query": ["A new text."], "llm_id": ["new"]}))
    router.add_llm({"llm_id": "newer"}, probes(router, 9))
    assert len(decided(router, ("me",))) == len(QUESTIONS)


def test_an_unknown_llm_cannot_go_and_the_nearest_is_named() -> None:
    router = router_of()
    with pytest.raises(InputError, match=r"llm: expected one of brook, .* got 'dleta' \(did you mean 'delta'\?\)"):
        router.remove_llm("dleta")
    assert router.llm_ids == list(LLMS)


@pytest.mark.parametrize("world", WORLDS)
def test_an_llm_that_comes_and_goes_leaves_no_trace(world: str) -> None:
    router = router_of(world)
    users = (*router.user_ids, "nobody")
    before = decided(router, users)
    router.add_llm({"llm_id": "guest"}, probes(router, 12))
    assert decided(router, users) != before
    router.remove_llm("guest")
    assert_alike(decided(router, users), before, 1e-5)
