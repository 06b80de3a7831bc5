"""The server in a process of its own: started when needed, gone when not."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import openai
import pandas as pd
import psutil
import pydantic
import pytest

from configs.errors import InputError
from configs.schema import Build, Config, Endpoint, SimulatedWorld
from data_processing.simulated.faults import Faults
from data_processing.simulated.server import ServerSettings, endpoints_up, serving
from data_processing.simulated.world import build_world
from data_processing.workspace import Workspace
from tests.data_processing.simulated.over_http import ask, get, hosted

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(ServerSettings()) as base_url:
        yield base_url


def test_the_server_is_gone_afterwards(url: str) -> None:
    with serving(ServerSettings()) as other:
        (child,) = [p for p in psutil.Process().children() if _listens(p, other)]
        assert other != url
    assert not child.is_running()
    with pytest.raises(urllib.error.URLError):
        get(other, "/health")


def test_the_server_ends_with_a_parent_that_is_killed() -> None:
    script = (
        "import sys, time\n"
        "from data_processing.simulated.server import ServerSettings, serving\n"
        "with serving(ServerSettings()) as url:\n"
        "    print(url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert parent.stdout is not None
    assert parent.stderr is not None
    url = parent.stdout.readline().strip()
    (child,) = psutil.Process(parent.pid).children()
    assert get(url, "/health") == {"status": "ok"}
    parent.kill()
    parent.wait()
    # the pipe of stderr, which the child shares, ends when both are gone
    assert parent.stderr.read() == ""
    assert parent.stdout.read() == ""
    parent.stdout.close()
    parent.stderr.close()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running()


def test_what_keeps_it_from_starting_is_said(tmp_path: Path, url: str) -> None:
    port = int(url.split(":")[2].split("/")[0])
    with (
        pytest.raises(InputError, match=f"--port {port}: expected to listen on 127.0.0.1, got: "),
        serving(ServerSettings(port=port)),
    ):
        pass
    for settings, message in (
        (ServerSettings(answer_key=tmp_path / "none.csv"), r"none\.csv: expected a file, found none"),
        (ServerSettings(log=tmp_path / "nowhere" / "calls.jsonl"), r"calls\.jsonl: expected to write a log"),
    ):
        with pytest.raises(InputError, match=message), hosted(settings):
            pass


def _config(*endpoints: Endpoint) -> Config:
    config = Config()
    world = config.data.model_copy(update={"simulated": SimulatedWorld(llms=4, seed=5)})
    return config.model_copy(update={"data": world, "build": Build(endpoints=endpoints)})


def test_simulated_endpoints_get_an_address(tmp_path: Path) -> None:
    simulated, other = (
        Endpoint(name="a", base_url="simulated", concurrency=3),
        Endpoint(name="b", base_url="https://example.org/v1"),
    )
    workspace = Workspace(tmp_path)
    truth = "because the earth turns"
    tasks = pd.DataFrame({"task_id": ["t"], "description": ["x"], "metric": ["f1_score"]})
    queries = {"query_id": ["1"], "task_id": ["t"], "query": ["Why is it dark?"], "ground_truth": [truth]}
    workspace.write("tasks", tasks)
    workspace.write("queries", pd.DataFrame(queries))
    config = _config(simulated, other)
    with endpoints_up(config, workspace) as up:
        one, two = up.build.endpoints
        assert two == other
        assert one == simulated.model_copy(update={"base_url": one.base_url})
        with openai.OpenAI(base_url=one.base_url, api_key="none") as client:
            names = [model.id for model in client.models.list()]
            said = [
                ask(client, model=name, messages=[{"role": "user", "content": "Why is it dark?"}])
                for name in names
                if "judge" not in name and "hashing" not in name
            ]
            row = build_world(20, 4, seed=5).outcomes.iloc[0]
            query = build_world(20, 4, seed=5).queries.set_index("query_id")["query"][row["query_id"]]
            same = ask(client, model=row["llm_id"], messages=[{"role": "user", "content": query}])
    assert sum(truth in done.choices[0].message.content for done in said) >= 3
    assert same.choices[0].message.content == row["response"]
    assert config == _config(simulated, other)


def test_without_a_simulated_endpoint_nothing_starts(tmp_path: Path) -> None:
    config = _config(Endpoint(name="b", base_url="https://example.org/v1"))
    before = psutil.Process().children()
    with endpoints_up(config, Workspace(tmp_path)) as up:
        assert up is config
        assert psutil.Process().children() == before


def _listens(process: psutil.Process, url: str) -> bool:
    port = int(url.split(":")[2].split("/")[0])
    return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in process.net_connections())


def test_settings_cross_the_pipe_unchanged() -> None:
    adapter = pydantic.TypeAdapter(ServerSettings)
    settings = dataclasses.replace(ServerSettings(), faults=Faults({"server": 0.1}, 3), log=Path("x"), api_key="é")
    assert adapter.validate_json(adapter.dump_json(settings)) == settings
