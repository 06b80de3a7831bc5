"""The configuration: one pydantic model per section, strict about keys and values.

Every field is explained, with its unit, in `configs/default.yaml`; defaults live here only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Source = Literal["simulated", "routerbench", "routerdc", "llmrouter", "routellm", "personalizedrouter", "tables"]
PolicyName = Literal[
    "graph",
    "oracle",
    "random",
    "cheapest",
    "best_single",
    "best_single_per_user",
    "best_single_per_task",
    "knn",
    "linear",
    "mlp",
    "factorization",
    "elo",
    "contrastive",
    "binary",
]
Unit = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
# What every library takes, with room for repeats and clusterings that count up from it: numpy takes none below 0,
# scikit-learn none above 2³².
Seed = Annotated[int, Field(ge=0, le=10**9)]


class Section(BaseModel):
    """A section that refuses unknown keys and silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class SplitShares(Section):
    train: Share = 0.7
    validation: Share = 0.1
    test: Share = 0.2

    @model_validator(mode="after")
    def _sum_to_one(self) -> SplitShares:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train + validation + test must be 1, got {total:g}")
        return self


class SimulatedWorld(Section):
    queries: Annotated[int, Field(ge=20)] = 240
    llms: Annotated[int, Field(ge=2)] = 10
    seed: int = 0


class Data(Section):
    source: Source = "simulated"
    path: str | None = None
    test_path: str | None = None
    use_tasks: bool = True
    split: SplitShares = SplitShares()
    observed_llms_per_query: PositiveInt | None = None
    cost_scaling: Literal["per_task", "global"] = "per_task"
    scores: Literal["published", "counted"] = "published"
    output_tokens: Annotated[int, Field(ge=0)] = 256
    llms_file: str | None = None
    simulated: SimulatedWorld = SimulatedWorld()


class Users(Section):
    strategy: Literal["multi_cost_efficiency", "llm_as_judge"] = "multi_cost_efficiency"
    preferences: Annotated[tuple[Unit, ...], Field(min_length=1)] = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    interactions_per_user: PositiveInt | None = None
    feedback: Literal["reward", "choice"] = "reward"
    preference_stated: bool = False
    personas: PositiveInt | None = None
    personas_file: str | None = None
    self_agreement: Share = 0.8
    persona_seed: int = 0
    shuffled: bool = False


class Contrastive(Section):
    loss: Literal["pairs", "listwise"] = "listwise"
    target: Literal["performance", "reward"] = "performance"
    preference: Unit = 0.5
    smoothing: Unit = 0.9
    target_temperature: PositiveFloat = 0.03
    balanced: bool = True
    steps: PositiveInt = 300
    head_steps: Annotated[int, Field(ge=0)] = 1000
    batch_size: Annotated[int, Field(ge=2)] = 16
    accumulate: PositiveInt = 1
    learning_rate: PositiveFloat = 5e-5
    head_learning_rate: PositiveFloat = 1e-3
    temperature: PositiveFloat = 0.1
    positives: PositiveInt = 3
    negatives: PositiveInt = 3
    sample_weight: Annotated[float, Field(ge=0)] = 1.0
    clusters: PositiveInt = 8
    side_dim: Annotated[int, Field(ge=0)] = 32
    llm_start: Literal["descriptions", "random"] = "descriptions"
    evaluate_every: PositiveInt = 50
    patience: PositiveInt = 3
    caution: Annotated[float, Field(ge=0)] = 1.0
    tensorboard: str | None = None


class Encoder(Section):
    model: str = "sentence-transformers/all-MiniLM-L6-v2"
    revision: str | None = None
    max_tokens: Annotated[int, Field(ge=8)] = 256
    batch_size: PositiveInt = 32
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    drop_boilerplate: bool = True
    style: bool = True
    training: Literal["frozen", "contrastive"] = "frozen"
    trainable_layers: PositiveInt | Literal["all"] = 2
    contrastive: Contrastive = Contrastive()
    cache: str | None = "data/cache/embeddings"


class Endpoint(Section):
    """One OpenAI-compatible API. `api_key_env` names the environment variable that holds the key; the key itself is
    never part of a configuration."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    base_url: Annotated[str, Field(pattern=r"^(simulated|https?://\S+)$")]
    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    concurrency: PositiveInt = 16
    requests_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    timeout_s: PositiveFloat = 120.0
    retries: Annotated[int, Field(ge=0)] = 6
    max_tokens_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"


class Answers(Section):
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 0.0
    seed: int | None = 0
    max_tokens: PositiveInt | None = 512
    system_prompt: str | None = None


class Judging(Section):
    by: Literal["llm", "rules"] = "llm"
    llm: str | None = None
    structured: bool = True
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 0.0
    max_tokens: PositiveInt = 64
    answer_tokens: PositiveInt = 400
    order_seed: int = 0
    asked_again: Unit = 0.1


class Build(Section):
    folder: str = "data/build"
    tasks: tuple[str, ...] = ()
    tasks_file: str | None = None
    queries_per_task: PositiveInt | None = None
    sample: Literal["random", "first"] = "random"
    prompt_tokens: PositiveInt | None = None
    llms: tuple[str, ...] = ()
    endpoints: Annotated[tuple[Endpoint, ...], Field(min_length=1)] = (
        Endpoint(name="simulated", base_url="simulated"),
    )
    answers: Answers = Answers()
    judge: Judging = Judging()
    run_code: bool = False
    max_usd: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _each_endpoint_once(self) -> Build:
        names = [endpoint.name for endpoint in self.endpoints]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"endpoints must have a name each of their own, got {twice[0]!r} more than once")
        return self


class Relations(Section):
    query_task: bool = True
    query_topic: bool = True
    llm_query: bool = True
    query_query: bool = True
    llm_llm: bool = True
    user_query: bool = True


class Graph(Section):
    relations: Relations = Relations()
    separate_heads: bool = True
    topics: Annotated[tuple[Annotated[int, Field(ge=2)], ...], Field(strict=False)] = (16, 32, 64)
    neighbours: PositiveInt = 48


class Train(Section):
    epochs: Annotated[int, Field(ge=0)] = 40
    patience: PositiveInt = 15
    folds: Annotated[int, Field(ge=2)] = 3
    learning_rate: PositiveFloat = 0.1
    outcome_weight: Annotated[float, Field(gt=0)] = 0.05
    new_llms: bool = True
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: PositiveInt = 1


class NewUsers(Section):
    fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    users: tuple[str, ...] = ()
    shots: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0, 1, 5, 20)


class NewLlms(Section):
    llms: tuple[str, ...] = ()
    probes: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0, 20, 50, 200)


class ThinLogs(Section):
    observed_llms_per_query: tuple[PositiveInt | None, ...] = ()
    interactions_per_user: tuple[PositiveInt | None, ...] = ()
    policies: Annotated[tuple[PolicyName, ...], Field(min_length=1)] = ("graph", "knn", "linear", "factorization")


class Variant(Section):
    """One row of the ablation table: a name, the keys it changes, each as `--set` takes it, and what is fitted."""

    name: Annotated[str, Field(min_length=1)]
    policy: PolicyName = "graph"
    set: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _differs(self) -> Variant:
        if self.policy == "graph" and not self.set:
            raise ValueError("a variant must change something, got neither keys in 'set' nor another 'policy'")
        return self


class Evaluate(Section):
    policies: Annotated[tuple[PolicyName, ...], Field(min_length=1)] = (
        "graph",
        "oracle",
        "random",
        "cheapest",
        "best_single",
        "best_single_per_user",
        "best_single_per_task",
        "knn",
        "linear",
        "mlp",
        "factorization",
        "elo",
    )
    repeats: PositiveInt = 1
    bootstrap: Annotated[int, Field(ge=0)] = 1000
    new_users: NewUsers = NewUsers()
    new_llms: NewLlms = NewLlms()
    thin_logs: ThinLogs = ThinLogs()
    ablations: tuple[Variant, ...] = ()

    @model_validator(mode="after")
    def _each_policy_once(self) -> Evaluate:
        twice = sorted({name for name in self.policies if self.policies.count(name) > 1})
        if twice:
            raise ValueError(f"policies must be named once each, got {twice[0]} more than once")
        return self


class Tracking(Section):
    progress: Literal["auto", "on", "off"] = "auto"
    log_level: Literal["debug", "info", "warning"] = "info"


class Output(Section):
    folder: str = "runs"
    plots: bool = True
    html: bool = True
    plot_dpi: Annotated[int, Field(ge=50, le=400)] = 130


class Config(Section):
    """One experiment."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "default"
    seed: Seed = 0
    data: Data = Data()
    users: Users = Users()
    build: Build = Build()
    encoder: Encoder = Encoder()
    graph: Graph = Graph()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    tracking: Tracking = Tracking()
    output: Output = Output()


def project_root() -> Path:
    """Return the folder that holds `run_exp.py`; shipped files are found from here, whatever the working folder."""
    return Path(__file__).resolve().parent.parent
