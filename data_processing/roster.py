"""Who is asked: the LLMs of a configuration with their prices and endpoints, and the LLM that judges."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from configs.catalogue import LlmEntry, read_llms, shipped_llms, task_spelling
from configs.errors import InputError, did_you_mean
from configs.schema import Build, Config, Endpoint
from data_processing.importers.describe import prices_file
from data_processing.llm_client import Call
from data_processing.simulated.profiles import profiles
from data_processing.simulated.world import world_tasks
from data_processing.workspace import Workspace

SIMULATED_JUDGE = LlmEntry(
    llm_id="simulated-judge",
    description="A simulated LLM that reads a persona and picks one of the answers it is shown.",
    family="simulated",
    api_model="simulated/judge",
    input_price_usd_per_mtok=0.1,
    output_price_usd_per_mtok=0.4,
)
SIMULATED_LABELLER = LlmEntry(
    llm_id="simulated-labeller",
    description="A simulated LLM that reads labelled prompts and labels another one as the most similar ones are.",
    family="simulated",
    api_model="simulated/labeller",
    input_price_usd_per_mtok=0.1,
    output_price_usd_per_mtok=0.4,
)


@dataclasses.dataclass(frozen=True)
class AskedLLM:
    """One LLM and where it is asked. Prices are US dollars per million tokens."""

    entry: LlmEntry
    endpoint: Endpoint
    api_model: str
    input_price_usd_per_mtok: float
    output_price_usd_per_mtok: float

    @property
    def llm_id(self) -> str:
        """Return the id that tables use."""
        return self.entry.llm_id

    def call(self, messages: tuple[tuple[str, str], ...], parameters: dict) -> Call:
        """Return a call of this LLM."""
        return Call(
            self.llm_id,
            self.api_model,
            self.endpoint.name,
            messages,
            parameters,
            self.input_price_usd_per_mtok,
            self.output_price_usd_per_mtok,
        )


def asked_llms(config: Config) -> list[AskedLLM]:
    """Return the LLMs that answer, in the order of `build.llms`.

    Raises `InputError` before anything is paid: an LLM that nobody describes, without a price, without an endpoint,
    named twice, or two that are one model to the API (their answers could not be told apart).
    """
    named = config.build.llms
    twice = next((llm_id for llm_id in named if named.count(llm_id) > 1), None)
    if twice is not None:
        raise InputError(
            f"build.llms: expected each LLM once, got {twice!r} {named.count(twice)} times; leave out the repeats"
        )
    if not config.build.llms:
        world = config.data.simulated
        llms = [
            _simulated(_profile_entry(profile), config.build, "build.llms")
            for profile in profiles(world.llms, world.seed)
        ]
    else:
        llms = [_asked(llm_id, "build.llms", config) for llm_id in config.build.llms]
    models: dict[str, str] = {}
    for llm in llms:
        other = models.setdefault(llm.api_model, llm.llm_id)
        if other != llm.llm_id:
            raise InputError(
                f"build.llms: expected a different api_model for each LLM, got {llm.api_model!r} for {other!r} and "
                f"{llm.llm_id!r}; leave one out, or give the model other names at its endpoint"
            )
    return llms


def unified_llms(config: Config, workspace: Workspace) -> list[AskedLLM]:
    """Return `asked_llms`; `InputError` where the tables of `unify` lack one of them, or are of other tasks."""
    llms = asked_llms(config)
    there = set(workspace.read("llms", "unify")["llm_id"])
    lacking = [llm.llm_id for llm in llms if llm.llm_id not in there]
    if lacking:
        raise _made_for_others(workspace, f"llms.parquet: expected LLM {lacking[0]!r} of build.llms, got none")
    named = config.build.tasks or tuple(world_tasks()["task_id"])
    tabled = workspace.read("tasks", "unify")["task_id"].tolist()
    wanted, found = ({task_spelling(task_id): task_id for task_id in tasks} for tasks in (named, tabled))
    for key in wanted:
        if key not in found:
            raise _made_for_others(workspace, f"tasks.parquet: expected task {wanted[key]!r} of build.tasks, got none")
    for key in found:
        if key not in wanted:
            raise _made_for_others(workspace, f"tasks.parquet: expected tasks of build.tasks, got {found[key]!r}")
    return llms


def _made_for_others(workspace: Workspace, problem: str) -> InputError:
    return InputError(
        f"{workspace.tables}/{problem}; the tables were made for other settings; run again: "
        "python -m data_processing.unify"
    )


def all_asked(config: Config, llms: Sequence[AskedLLM]) -> list[AskedLLM]:
    """Return these LLMs, and the one that judges where it will be asked. Raises `InputError` as `asked_llms`."""
    return [*llms, judge_llm(config)] if judged_by_llm(config) else list(llms)


def judge_llm(config: Config) -> AskedLLM:
    """Return the LLM that judges: `build.judge.llm`, or the simulated judge. Raises `InputError` as `asked_llms`."""
    if config.build.judge.llm is None:
        return _simulated(SIMULATED_JUDGE, config.build, "build.judge.llm")
    return _asked(config.build.judge.llm, "build.judge.llm", config)


def judged_by_llm(config: Config) -> bool:
    """Return whether `judge_llm` will be asked."""
    return config.users.strategy == "llm_as_judge" and config.build.judge.by == "llm"


def endpoints_of(config: Config, llms: Sequence[AskedLLM]) -> list[Endpoint]:
    """Return the endpoints of these LLMs; the key of another one need not be there."""
    names = {llm.endpoint.name for llm in llms}
    return [endpoint for endpoint in config.build.endpoints if endpoint.name in names]


def labelling_llm(config: Config, llm_id: str | None) -> AskedLLM:
    """Return the LLM that labels prompts, None: the simulated labeller. Raises `InputError` as `asked_llms`."""
    if llm_id is None:
        return _simulated(SIMULATED_LABELLER, config.build, "--llm")
    return _asked(llm_id, "--llm", config)


def _profile_entry(profile: object) -> LlmEntry:
    fields = ("llm_id", "description", "family", "input_price_usd_per_mtok", "output_price_usd_per_mtok")
    values = {name: getattr(profile, name) for name in fields}
    return LlmEntry(**values, api_model=f"simulated/{values['llm_id']}")


def _simulated(entry: LlmEntry, build: Build, key: str) -> AskedLLM:
    endpoint = next((endpoint for endpoint in build.endpoints if endpoint.base_url == "simulated"), None)
    if endpoint is None:
        # An endpoint of the simulated server that somebody else runs has a usual address.
        endpoint = next((endpoint for endpoint in build.endpoints if endpoint.name == "simulated"), None)
    if endpoint is None:
        raise InputError(
            f"{key}: expected whom to ask, got none, which means a simulated LLM, but no entry of build.endpoints is "
            f"named simulated; name your LLMs in {key}"
        )
    return _with_endpoint(entry, endpoint, "data_processing/simulated/profiles.py")


def _asked(llm_id: str, key: str, config: Config) -> AskedLLM:
    own = read_llms(Path(config.data.llms_file).expanduser()) if config.data.llms_file else {}
    known = {**shipped_llms(), **own}
    entry = known.get(llm_id)
    where = prices_file(config.data)
    if entry is None:
        raise InputError(
            f"{key}: expected an LLM described in {where}, got {llm_id!r}{did_you_mean(llm_id, list(known))}; add it "
            "there with api_model, endpoint and prices"
        )
    return _with_endpoint(entry, _endpoint(entry, config.build, where), where)


def _endpoint(entry: LlmEntry, build: Build, where: str) -> Endpoint:
    names = [endpoint.name for endpoint in build.endpoints]
    if entry.endpoint is None and len(names) == 1:
        return build.endpoints[0]
    if entry.endpoint not in names:
        raise InputError(
            f"{where}: LLM {entry.llm_id!r}: expected an endpoint of build.endpoints ({', '.join(names)}), got "
            f"{entry.endpoint!r}; set its `endpoint`, or add the endpoint to the configuration"
        )
    return build.endpoints[names.index(entry.endpoint)]


def _with_endpoint(entry: LlmEntry, endpoint: Endpoint, where: str) -> AskedLLM:
    input_price, output_price = entry.input_price_usd_per_mtok, entry.output_price_usd_per_mtok
    if input_price is None or output_price is None:
        missing = "input_price_usd_per_mtok" if input_price is None else "output_price_usd_per_mtok"
        raise InputError(
            f"{where}: LLM {entry.llm_id!r}: expected a price in {missing}, got none; add it before anything is spent "
            "(0 for an LLM that costs nothing)"
        )
    return AskedLLM(entry, endpoint, entry.api_model or entry.llm_id, input_price, output_price)
