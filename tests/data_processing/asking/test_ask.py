"""Asking many calls: what is asked, what is stored, what stops it, over real HTTP."""

import asyncio
import gc
import itertools
import resource
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from configs.errors import InputError
from configs.schema import Endpoint
from data_processing.asking import ask, openai_client
from data_processing.asking.ask import Asked, ask_all
from data_processing.asking.budget import worst_case_usd
from data_processing.cache import Outcome, ResponseStore
from data_processing.llm_client import BudgetReachedError, Call
from data_processing.responses import told
from tests.data_processing.scripted_api import Api, Reply, answer, call, echo, refusal, serving, some_calls

ROOT = Path(__file__).resolve().parents[3]
# Asks 40 questions of the API at the URL given second, with the store at the path given first.
ASKER = """
import sys
from configs.schema import Endpoint
from data_processing.asking import ask
from data_processing.cache import ResponseStore
from tests.data_processing.scripted_api import some_calls
ask.CHUNK, ask.WINDOW = 5, 10
with ResponseStore(sys.argv[1]) as store:
    endpoint = Endpoint(name="api", base_url=sys.argv[2], concurrency=4, retries=0)
    asked = ask.ask_all(some_calls(40), store, [endpoint], total=40, progress="off")
    print(asked.answered, asked.stored, asked.failed)
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ResponseStore]:
    with ResponseStore(tmp_path / "responses.sqlite") as opened:
        yield opened


def run(calls: Iterable[Call], store: ResponseStore, endpoint: Endpoint, **fields: Any) -> Asked:
    return ask_all(calls, store, [endpoint], progress="off", **fields)


def start(path: Path, api: Api) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ASKER, str(path), api.url]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def counts(asked: Asked) -> tuple[int, int, int]:
    return asked.answered, asked.failed, asked.stored


def test_each_call_is_asked_once_ever(store: ResponseStore) -> None:
    with serving(echo) as api:
        first = run(some_calls(30), store, api.endpoint(), total=30)
        again = run(some_calls(32), store, api.endpoint(), total=32)
    assert counts(first) == (30, 0, 0)
    assert counts(again) == (2, 0, 30)
    assert Counter(api.prompts).most_common(1)[0][1] == 1
    answers = [store.get(one.key) for one in some_calls(32)]
    assert [found.text for found in answers if found] == [f"echo question {number}" for number in range(32)]
    assert first.spent_usd == pytest.approx(30 * 15e-6)
    assert again.spent_usd == pytest.approx(2 * 15e-6)
    assert store.spent_usd() == pytest.approx(32 * 15e-6)


def test_the_collector_is_as_it_was_afterwards(store: ResponseStore) -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    with serving(echo) as api:
        run(some_calls(2), store, api.endpoint(), total=2)
    assert (gc.get_threshold(), gc.get_freeze_count()) == before


def test_equal_calls_are_asked_once(store: ResponseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "CHUNK", 4)
    calls = [call(f"{number % 3}") for number in range(20)]
    with serving(echo) as api:
        asked = run(calls, store, api.endpoint(), total=20)
    assert sorted(api.prompts) == ["0", "1", "2"]
    assert counts(asked) == (3, 0, 17)


def test_failures_are_stored_and_asked_again_by_the_next_run(
    store: ResponseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {"question 3", "question 7"}

    async def handler(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        prompt = body["messages"][0]["content"]
        return refusal(500, "broken") if prompt in broken else answer(prompt)

    with serving(handler) as api:
        with monkeypatch.context() as small:
            small.setattr(ask, "CHUNK", 10)
            small.setattr(ask, "WINDOW", 1)  # the second ten are looked at when the first ten are done
            asked = run(itertools.chain(some_calls(10), some_calls(10)), store, api.endpoint(retries=0))
        assert asked.answered == 8
        assert set(asked.errors) == {"server"}
        assert sum(counts(asked)) == 20
        assert store.error(call("question 3").key) == ("server", "HTTP 500: broken")
        assert api.prompts.count("question 3") == 1, "asked again within one run"
        broken.clear()
        asked = run(some_calls(10), store, api.endpoint())
    assert counts(asked) == (2, 0, 8)
    assert store.error(call("question 3").key) is None


def test_what_fails_for_a_while_is_answered_in_the_end(store: ResponseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_client.OpenAIClient, "_wait_s", lambda *_: 0.0)
    tries: Counter[str] = Counter()
    faults: list[Callable[[], Reply]] = [
        lambda: refusal(429, "slow down", **{"Retry-After": "9"}),
        lambda: web.Response(body=b"{", content_type="application/json"),
        lambda: answer(""),
        lambda: refusal(503, "busy"),
    ]

    async def handler(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        prompt = body["messages"][0]["content"]
        tries[prompt] += 1
        return faults[tries[prompt] - 1]() if tries[prompt] <= len(faults) else answer(prompt)

    with serving(handler) as api:
        asked = run(some_calls(20), store, api.endpoint(retries=4))
    assert counts(asked) == (20, 0, 0)
    # The empty answer was billed, too.
    assert asked.spent_usd == pytest.approx(20 * 30e-6)
    assert store.spent_usd() == pytest.approx(20 * 30e-6)


def test_a_slow_endpoint_holds_up_no_other(store: ResponseStore) -> None:
    release = threading.Event()

    async def slow(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        await asyncio.get_running_loop().run_in_executor(None, release.wait)
        return answer("slow")

    async def fast(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        if len(api.bodies) == 50:
            release.set()  # only now may the slow one answer
        return answer("fast")

    with serving(slow) as first, serving(fast) as second:
        calls = [call(f"{number}", endpoint=name, llm_id=name) for number in range(50) for name in ("slow", "fast")]
        endpoints = [first.endpoint(name="slow", concurrency=2), second.endpoint(name="fast", concurrency=2)]
        asked = ask_all(calls, store, endpoints, progress="off")
    assert asked.answered == 100


def test_calls_are_read_as_they_are_needed(store: ResponseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "CHUNK", 5)
    monkeypatch.setattr(ask, "WINDOW", 20)
    read = 0
    lead: list[int] = []

    def calls() -> Iterator[Call]:
        nonlocal read
        for one in some_calls(300):
            read += 1
            yield one

    async def handler(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        lead.append(read - len(api.bodies))
        return answer("yes")

    with serving(handler) as api:
        assert run(calls(), store, api.endpoint(concurrency=4)).answered == 300
    assert max(lead) <= 30


def test_memory_does_not_grow_with_the_number_of_calls(store: ResponseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "CHUNK", 32)
    monkeypatch.setattr(ask, "WINDOW", 64)
    padding = "x" * 100_000  # all prompts together are 60 MB
    peaks: list[int] = []

    def calls() -> Iterator[Call]:
        for number in range(600):
            if number in (150, 599):
                peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
            yield call(f"{number} {padding}")

    async def handler(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        api.bodies.clear()
        api.headers.clear()
        return answer("yes")

    with serving(handler) as api:
        run(calls(), store, api.endpoint())
    assert peaks[1] - peaks[0] < 20_000  # KiB


def test_the_budget_is_never_exceeded_and_used_as_far_as_it_goes(store: ResponseStore) -> None:
    worst = worst_case_usd(call("question 0"))
    budget = 10 * 15e-6 + worst

    def hundred() -> Iterator[Call]:
        return (call(f"question {number % 10}", seed=number) for number in range(100))

    async def handler(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        return answer("yes", (10, 5))

    with serving(handler) as api:
        with pytest.raises(BudgetReachedError, match=r"build\.max_usd.*of 100 calls are left.*--max-usd"):
            run(hundred(), store, api.endpoint(), total=100, max_usd=budget)
        assert store.spent_usd() <= budget
        assert len(api.bodies) == 11  # what is left then is less than the greatest cost of one more
        with pytest.raises(BudgetReachedError, match="89 of 100"):
            run(hundred(), store, api.endpoint(), total=100, max_usd=0.0)
        assert len(api.bodies) == 11
        asked = run(hundred(), store, api.endpoint(), max_usd=1.0)
    assert counts(asked) == (89, 0, 11)


@pytest.mark.parametrize("concurrency", [1, 7, 50])
def test_a_budget_holds_where_every_answer_costs_the_most(store: ResponseStore, concurrency: int) -> None:
    """Answers of full length, prompts billed by the byte: nothing is left of what was reserved."""
    worst = worst_case_usd(call("question 10"))
    tokens = round(worst * 1e6) - 5

    async def handler(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        return answer("yes", (tokens, 5))

    calls = (call(f"question {number}") for number in range(10, 99))
    with serving(handler) as api, pytest.raises(BudgetReachedError):
        run(calls, store, api.endpoint(concurrency=concurrency), max_usd=20.5 * worst)
    assert len(api.bodies) == 20
    assert store.spent_usd() <= 20.5 * worst


def test_billed_failures_count_against_the_budget(store: ResponseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_client.OpenAIClient, "_wait_s", lambda *_: 0.0)

    async def handler(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        return answer("", (90, 5))

    worst = worst_case_usd(call("question 0"))
    with serving(handler) as api, pytest.raises(BudgetReachedError):
        run(some_calls(5), store, api.endpoint(retries=100, concurrency=2), max_usd=20 * worst)
    assert store.spent_usd() == pytest.approx(len(api.bodies) * 95e-6)
    assert store.spent_usd() <= 20 * worst


def test_a_budget_needs_a_greatest_cost(store: ResponseStore) -> None:
    with serving(echo) as api:
        with pytest.raises(InputError, match=r"'m'.*max_tokens"):
            run([call("a", max_tokens=None)], store, api.endpoint(), max_usd=1.0)
        assert not api.bodies
        assert run([call("a", max_tokens=None, price=0.0)], store, api.endpoint(), max_usd=1.0).answered == 1


def test_a_refused_key_stops_the_run(store: ResponseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-secret")

    async def handler(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        return refusal(401, "Incorrect key sk-secret") if len(api.bodies) > 5 else answer("yes")

    with serving(handler) as api:
        with pytest.raises(InputError, match=r"'api'.*401.*SOME_KEY") as caught:
            run(some_calls(500), store, api.endpoint(api_key_env="SOME_KEY", concurrency=2))
        assert len(api.bodies) < 10
    assert "sk-secret" not in str(caught.value)
    assert len(store.known(one.key for one in some_calls(500))) == 5


def test_an_unknown_model_stops_the_run(store: ResponseStore) -> None:
    async def handler(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        return refusal(404, "no such model") if body["model"] == "wrong" else answer("yes")

    calls = [call(f"{n}", llm_id=name) for n in range(50) for name in ("right", "wrong")]
    with serving(handler) as api:
        with pytest.raises(InputError, match=r"'wrong'.*404.*no such model.*api_model"):
            run(calls, store, api.endpoint(concurrency=2))
        assert len(api.bodies) < 10


def test_one_refused_text_does_not_stop_the_run_and_many_in_a_row_do(store: ResponseStore) -> None:
    async def handler(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        number = int(body["messages"][0]["content"].split()[1])
        return refusal(400, "not that") if number % 5 == 0 or number > 40 else answer("yes")

    with serving(handler) as api, pytest.raises(InputError, match=r"'m'.*not that.*parameters"):
        run(some_calls(100), store, api.endpoint(concurrency=1))
    assert 45 <= len(api.bodies) <= 48


def test_an_llm_that_asks_for_another_name_of_max_tokens_is_told_of_the_key(store: ResponseStore) -> None:
    async def handler(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        return refusal(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")

    with serving(handler) as api, pytest.raises(InputError, match=r"max_tokens_name: max_completion_tokens at 'api'"):
        run(some_calls(50), store, api.endpoint(concurrency=1))
    assert len(api.bodies) == 5


def test_an_endpoint_that_nobody_serves_stops_the_run(store: ResponseStore) -> None:
    with serving(echo) as api:
        endpoint = api.endpoint(retries=0, concurrency=1)
    with pytest.raises(InputError, match=r"'api'.*127\.0\.0\.1.*base_url"):
        run(some_calls(1000), store, endpoint)


def test_an_endpoint_that_is_no_api_stops_the_run_and_is_quoted(store: ResponseStore) -> None:
    async def page(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        return web.Response(text="<html>Welcome</html>", content_type="text/html")

    said = r"'api'.*OpenAI-compatible.*127\.0\.0\.1.*10 calls in a row.*expected JSON, got '<html>Welcome.*base_url"
    with serving(page) as api:
        with pytest.raises(InputError, match=said):
            run(some_calls(500), store, api.endpoint(concurrency=2))
        assert len(api.bodies) < 15


def test_malformed_replies_of_an_endpoint_that_has_answered_are_counted_and_quoted(store: ResponseStore) -> None:
    async def handler(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        return answer("yes") if len(api.bodies) == 1 else web.Response(text=f"no {len(api.bodies)}")

    with serving(handler) as api:
        asked = run(some_calls(40), store, api.endpoint(concurrency=1))
    assert counts(asked) == (1, 39, 0)
    assert asked.messages["malformed"].startswith("expected JSON, got 'no 2'")
    line = told(asked, "answer")
    assert "39 calls failed (malformed 39)" in line
    assert "malformed: expected JSON, got 'no 2'" in line


def test_a_failed_write_keeps_what_came_back_and_is_reported(
    store: ResponseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_all, failures = store.put_all, iter([InputError("the disk is away")])

    def away_once(outcomes: Sequence[Outcome]) -> None:
        for failure in failures:
            raise failure
        put_all(outcomes)

    monkeypatch.setattr(store, "put_all", away_once)
    monkeypatch.setattr(ask, "SAVE_AT", 1)
    with serving(echo) as api, pytest.raises(InputError, match="the disk is away"):
        run(some_calls(3), store, api.endpoint(concurrency=1))
    assert len(store.known(one.key for one in some_calls(3))) == len(api.bodies) > 0


def test_a_usage_beyond_sense_loses_no_other_answer(store: ResponseStore) -> None:
    async def handler(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        return answer("yes", (10**30, 1) if body["messages"][0]["content"] == "question 5" else (10, 5))

    with serving(handler) as api:
        asked = run(some_calls(20), store, api.endpoint(), max_usd=1.0)
    assert counts(asked) == (20, 0, 0)
    strange = store.get(call("question 5").key)
    assert strange is not None
    assert strange.estimated
    assert strange.input_tokens < 10


def test_a_missing_key_and_an_unknown_endpoint_ask_nothing(store: ResponseStore) -> None:
    with serving(echo) as api:
        with pytest.raises(InputError, match="NO_SUCH_VARIABLE_HERE"):
            run(some_calls(3), store, api.endpoint(api_key_env="NO_SUCH_VARIABLE_HERE"))
        with pytest.raises(InputError, match="'elsewhere'"):
            run(some_calls(3, endpoint="elsewhere"), store, api.endpoint())
        assert not api.bodies
        assert run(some_calls(3), store, api.endpoint()).answered == 3  # no claim is left behind


def test_a_full_disk_stops_the_run_and_what_was_stored_counts(store: ResponseStore) -> None:
    store._open.execute("PRAGMA max_page_count = 300")  # 1.2 MB: more than what is saved at once, less than all answers

    async def handler(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        return answer("long " * 2000)

    with serving(handler) as api:
        with pytest.raises(InputError, match=r"responses\.sqlite.*full.*free some space"):
            run(some_calls(300), store, api.endpoint(concurrency=2))
        kept = len(store.known(one.key for one in some_calls(300)))
        assert kept > 0
        assert len(api.bodies) < 300
        store._open.execute("PRAGMA max_page_count = 100000")
        assert run(some_calls(300), store, api.endpoint()).stored == kept


def test_an_error_in_the_callers_generator_comes_through(store: ResponseStore) -> None:
    def calls() -> Iterator[Call]:
        yield from some_calls(3)
        raise KeyError("mine")

    with serving(echo) as api, pytest.raises(KeyError, match="mine"):
        run(calls(), store, api.endpoint())


def test_two_processes_share_a_store_and_pay_nothing_twice(tmp_path: Path) -> None:
    path = tmp_path / "responses.sqlite"
    both = asyncio.Event()

    async def handler(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        if api.under_way == 8:  # each process has 4 under way
            both.set()
        await both.wait()
        return answer("yes")

    with serving(handler) as api:
        processes = [start(path, api), start(path, api)]
        outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    found = [tuple(map(int, out.split())) for out, _ in outputs]
    assert all(answered + stored == 40 and failed == 0 for answered, stored, failed in found)
    assert sum(answered for answered, _, _ in found) == 40
    assert all(answered >= 4 for answered, _, _ in found)
    assert sorted(api.prompts) == sorted(one.messages[0][1] for one in some_calls(40))


def test_a_second_process_takes_over_what_a_killed_one_was_asking(tmp_path: Path) -> None:
    path = tmp_path / "responses.sqlite"
    hold, held = threading.Event(), threading.Event()

    async def handler(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        if len(api.bodies) > 20 and not hold.is_set():
            held.set()
            await asyncio.get_running_loop().run_in_executor(None, hold.wait)
        return answer("yes")

    with serving(handler) as api:
        first = start(path, api)
        assert held.wait(30)
        second = start(path, api)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        hold.set()
        out, err = second.communicate()
        assert out.split()[2] == "0", err
    with ResponseStore(path) as store:
        assert len(store.known(one.key for one in some_calls(40))) == 40
    twice = [prompt for prompt, times in Counter(api.prompts).items() if times > 1]
    assert len(twice) <= 4 + 64, "more was paid twice than what was under way"


def test_kill_9_loses_at_most_what_was_under_way(tmp_path: Path) -> None:
    path = tmp_path / "responses.sqlite"
    hold, held = threading.Event(), threading.Event()

    async def handler(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        if len(api.bodies) > 20 and not hold.is_set():
            if api.under_way == 4:
                held.set()
            await asyncio.get_running_loop().run_in_executor(None, hold.wait)
        return answer("yes")

    with serving(handler) as api:
        process = start(path, api)
        assert held.wait(30)
        with ResponseStore(path) as store:  # the 20 that were answered are saved within moments
            while len(store.known(one.key for one in some_calls(40))) < 20:
                assert process.poll() is None
        process.kill()
        process.communicate()
        hold.set()
        with ResponseStore(path) as store:
            asked = run(some_calls(40), store, api.endpoint())
    assert counts(asked) == (20, 0, 20)
    assert len(api.bodies) == 44


def test_ctrl_c_keeps_what_came_back_and_is_passed_on(tmp_path: Path) -> None:
    path = tmp_path / "responses.sqlite"
    hold, held = threading.Event(), threading.Event()

    async def handler(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        if len(api.bodies) > 10:
            if api.under_way == 4:  # so the client has received the ten before
                held.set()
            await asyncio.get_running_loop().run_in_executor(None, hold.wait)
        return answer("yes")

    with serving(handler) as api:
        process = start(path, api)
        assert held.wait(30)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
        hold.set()
    assert process.returncode != 0
    assert err.rstrip().endswith("KeyboardInterrupt")
    with ResponseStore(path) as store:
        assert len(store.known(one.key for one in some_calls(40))) == 10
        assert store._open.execute("SELECT COUNT(*) FROM claims").fetchone() == (0,)


def test_progress_goes_to_stderr_and_says_rate_dollars_and_failures(
    store: ResponseStore, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(echo) as api:
        ask_all(some_calls(5), store, [api.endpoint()], total=5, label="answers", progress="on")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "answers: 100%" in shown.err
    assert "5/5" in shown.err
    assert "$0.0001, 0 failed" in shown.err


def test_no_progress_is_shown_where_stderr_is_no_terminal(
    store: ResponseStore, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(echo) as api:
        ask_all(some_calls(2), store, [api.endpoint()], progress="auto")
    assert capsys.readouterr().err == ""
