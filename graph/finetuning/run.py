"""One training of the encoder, from its frozen layers' output to the step that is kept."""

from __future__ import annotations

import dataclasses
import functools
import logging

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor
from tqdm import tqdm

from configs.schema import Contrastive
from configs.schema import Encoder as EncoderConfig
from graph.encoder import TextEncoder
from graph.finetuning.batches import draw_batch
from graph.finetuning.checkpoint import StepStore, optimizer_arrays, restore_optimizer
from graph.finetuning.head import Head, fit_head
from graph.finetuning.judge import earned, gain_in_errors, probe, row_weights
from graph.finetuning.log import Curves
from graph.finetuning.pool import SplitTransformer, within_budget
from graph.finetuning.targets import smoothed
from graph.losses import listwise_loss, sample_llm_loss, sample_sample_loss
from graph.scored import Scored
from graph.tuned_encoder import Learned, Tuning, history_from_json, history_to_json, nearest

LOG = logging.getLogger(__name__)
CACHE_BYTES = 1_500_000_000  # of the frozen layers' output; train texts beyond it are left out, at random
PROBE_TEXTS = 1_000  # train texts that the validation probe learns from
WARM_UP = 0.1  # share of the steps
CLIP_NORM = 1.0


@dataclasses.dataclass
class State:
    """Where training stands: what a resumed run needs besides weights and optimiser."""

    step: int = 0
    since: int = 0  # looks without a better one
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)
    best_step: int = -1
    losses: list[float] = dataclasses.field(default_factory=list)


class Training:
    """One training run over one transformer, split at the lowest trained layer."""

    def __init__(
        self, base: TextEncoder, config: EncoderConfig, seed: int, progress: bool, store: StepStore | None = None
    ) -> None:
        self.base = base
        self.layers = config.trainable_layers
        self.config: Contrastive = config.contrastive
        self.seed = seed
        self.progress = progress
        self.store = store

    def run(
        self, train: Scored, validation: Scored, llm_texts: tuple[str, ...], start: np.ndarray
    ) -> tuple[Learned, Tuning]:
        """Return what was learnt and how it went; `start` (L, dim): where the LLMs' vectors begin."""
        curves = Curves(self.config.tensorboard, self.store.fingerprint[:12] if self.store else f"seed-{self.seed}")
        self._prepare(train, validation)
        self._prepare_head(start)
        state, interrupted = self._begun(), False
        bar = tqdm(total=self.config.steps, initial=state.step, desc="fine-tuning the encoder", unit="step",
                   disable=not self.progress)  # fmt: skip
        try:
            self._loop(state, bar, curves)
        except KeyboardInterrupt:
            if not state.history:
                raise
            interrupted = True
            LOG.warning("interrupted: kept the best encoder until step %d", state.step)
        finally:
            bar.close()
            curves.close()
        step = self._choice(state)
        kept = self.kept["first" if step == 0 else "best"]
        weights = {} if step == 0 else {name: kept[f"weights.{name}"] for name in self.split.trained}
        learned = Learned(weights, llm_texts, kept["head.llms"], self.centres, kept["head.side"])
        return learned, Tuning(state.history, step, interrupted)

    def _prepare(self, train: Scored, validation: Scored) -> None:
        """Set up what stays the same: pools, side features, targets, clusters."""
        self.split = SplitTransformer(self.base, self.layers, self.progress)
        self.device = self.split.device
        ids = self.base._tokenize(train.texts)
        budget = CACHE_BYTES // (2 * self.base.dim) if not self.split.whole else sum(map(len, ids))
        rows = within_budget([len(row) for row in ids], budget, np.random.default_rng([self.seed, 5]))
        if len(rows) < len(ids):
            LOG.info("fine-tuning on %d of %d train texts, all that memory is set aside for", len(rows), len(ids))
        self.pool = self.split.cached([ids[row] for row in rows], "frozen layers, train")
        self.held_out = self.split.cached(self.base._tokenize(validation.texts), "frozen layers, validation")
        self.split.drop_lower()
        self.train, self.validation = train.take(rows), validation
        self.side, self.other_side = (
            torch.from_numpy(data.extra("side")).to(self.device) for data in (self.train, validation)
        )
        self.frozen = self.split.vectors(self.pool, range(len(self.pool)))
        count = min(self.config.clusters, len(np.unique(self.frozen, axis=0)))
        kmeans = KMeans(count, n_init=4, random_state=self.seed).fit(self.frozen)
        self.centres = kmeans.cluster_centers_.astype(np.float32)
        cluster = nearest(self.centres, self.frozen)
        self.cluster = torch.from_numpy(cluster).to(self.device)
        groups = cluster if self.train.groups is None else np.asarray(self.train.groups, dtype=str)
        target = smoothed(self.train.scores, groups, self.config.smoothing)
        self.target = torch.from_numpy(target.astype(np.float32)).to(self.device)
        even = self.config.balanced
        self.row_groups = None if self.train.groups is None or not even else groups
        self.weight = row_weights(validation.groups if even else None, len(validation.texts))
        self.probe_rows = np.sort(np.random.default_rng([self.seed, 6]).permutation(len(self.pool))[:PROBE_TEXTS])

    def _prepare_head(self, start: np.ndarray) -> None:
        config = self.config
        self.head = Head(start, self.side.shape[1], config.side_dim, self.seed).to(self.device)
        fit_head(
            self.head, torch.from_numpy(self.frozen).to(self.device), self.side, self._llm_loss,
            functools.partial(self._rows, part=1), functools.partial(pace, steps=config.head_steps),
            config.head_steps, config.head_learning_rate, self.seed,
        )  # fmt: skip
        self.rates = [config.learning_rate, config.head_learning_rate]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": list(self.split.trained.values()), "lr": config.learning_rate},
                {"params": list(self.head.parameters()), "lr": config.head_learning_rate, "weight_decay": 0.0},
            ]
        )
        self.kept: dict[str, dict[str, np.ndarray]] = {}

    def _loop(self, state: State, bar: tqdm, curves: Curves) -> None:
        config = self.config
        if not state.history:
            self._look(state, curves)
        while state.step < config.steps and state.since < config.patience:
            state.losses.append(self._step(state.step))
            state.step += 1
            bar.update()
            if state.step % config.evaluate_every == 0 or state.step == config.steps:
                row = self._look(state, curves)
                bar.set_postfix(loss=f"{row['train_loss']:.4f}", validation=f"{row['validation_score']:.4f}")
                if self.store is not None:
                    self._save(state)

    def _step(self, step: int) -> float:
        """Take one step of the optimiser on `accumulate` batches; return the mean loss."""
        config = self.config
        torch.manual_seed(int(np.random.SeedSequence([self.seed, step, 7]).generate_state(1)[0]))
        self.split.training(True)
        self.optimizer.zero_grad()
        total = 0.0
        for part in range(config.accumulate):
            number = step * config.accumulate + part
            rows, generator = self._rows(number, part=0), torch.Generator().manual_seed(number)
            embedding = self.split.forward(self.pool, rows)
            query = self.head.query(embedding, self.side[rows])
            loss = self._llm_loss(self.head.similarity(query), rows, generator)
            if config.sample_weight > 0:
                pull = sample_sample_loss(
                    embedding, self.cluster[rows], config.temperature, config.negatives, generator
                )
                loss = loss + config.sample_weight * pull.mean()
            (loss / config.accumulate).backward()
            total += float(loss.detach()) / config.accumulate
        torch.nn.utils.clip_grad_norm_([*self.split.trained.values(), *self.head.parameters()], CLIP_NORM)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * pace(step, config.steps)
        self.optimizer.step()
        return total

    def _rows(self, number: int, part: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, 8, part, number])
        return draw_batch(len(self.pool), self.config.batch_size, self.row_groups, rng)

    def _llm_loss(self, similarity: Tensor, rows: np.ndarray, generator: torch.Generator) -> Tensor:
        """Return the mean loss of the queries `rows`, whose similarities (B, L) are given."""
        config = self.config
        # Scores often tie, and of equals the losses take the first: a new order each time is fair to all LLMs.
        shuffled = torch.randperm(similarity.shape[1], generator=generator).to(self.device)
        similarity, target = similarity[:, shuffled], self.target[rows][:, shuffled]
        if config.loss == "listwise":
            return listwise_loss(similarity, target, config.temperature, config.target_temperature).mean()
        return sample_llm_loss(similarity, target, config.temperature, config.positives, config.negatives).mean()

    def _look(self, state: State, curves: Curves) -> dict[str, float]:
        """Judge the vectors on validation, and keep them if they are the first or the best."""
        vectors = self.split.vectors(self.pool, self.probe_rows)
        other = self.split.vectors(self.held_out, range(len(self.held_out)))
        x = np.hstack([vectors, self.train.extra("beside")[self.probe_rows]])
        scores = self.validation.scores
        guesses = probe(x, self.train.scores[self.probe_rows], np.hstack([other, self.validation.extra("beside")]))
        probed = max((earned(guess, scores) for guess in guesses), key=lambda rows: float(rows @ self.weight))
        with torch.no_grad():
            query = self.head.query(torch.from_numpy(other).to(self.device), self.other_side)
            alone = earned(self.head.similarity(query).cpu().numpy(), scores)
        row = {
            "step": state.step,
            "train_loss": float(np.mean(state.losses)) if state.losses else np.nan,
            "validation_score": float((probed + alone) / 2 @ self.weight),
            "probe_score": float(probed @ self.weight),
            "alone_score": float(alone @ self.weight),
        }
        best = max((r["validation_score"] for r in state.history if r["step"] > 0), default=-np.inf)
        curves.add(row)
        state.losses = []
        if state.step == 0:
            self.kept["first"] = self._snapshot((probed + alone) / 2, with_weights=False)
        elif row["validation_score"] > best + 1e-9:
            self.kept["best"] = self._snapshot((probed + alone) / 2, with_weights=True)
            state.best_step, state.since = state.step, 0
        else:
            state.since += 1
        state.history.append(row)
        return row

    def _snapshot(self, rows: np.ndarray, with_weights: bool) -> dict[str, np.ndarray]:
        return {"earned": rows, **self._weights(self.split.trained if with_weights else {})}

    def _weights(self, trained: dict[str, torch.nn.Parameter]) -> dict[str, np.ndarray]:
        named = {f"weights.{name}": value for name, value in trained.items()}
        named |= {f"head.{name}": value for name, value in self.head.named_parameters()}
        return {name: value.detach().cpu().numpy().copy() for name, value in named.items()}

    def _choice(self, state: State) -> int:
        """Return the step whose weights are kept: the best one, where it is better than chance would be."""
        if "best" not in self.kept:
            return 0
        gain = gain_in_errors(self.kept["best"]["earned"], self.kept["first"]["earned"], self.weight)
        return state.best_step if gain > self.config.caution else 0

    def _save(self, state: State) -> None:
        """Write all that the steps after this one depend on."""
        assert self.store is not None
        arrays = {f"now.{name}": value for name, value in self._weights(self.split.trained).items()}
        for which, values in self.kept.items():
            arrays |= {f"{which}.{name}": value for name, value in values.items()}
        settings = dataclasses.asdict(state)
        settings["history"] = history_to_json(state.history)
        self.store.save(state.step, settings, arrays | optimizer_arrays(self.optimizer))

    def _begun(self) -> State:
        """Return where the training of the same fingerprint stood, or its beginning."""
        found = None if self.store is None else self.store.load()
        if found is None:
            return State()
        _, settings, arrays = found
        settings["history"] = history_from_json(settings["history"])
        named = {f"now.weights.{name}": value for name, value in self.split.trained.items()}
        named |= {f"now.head.{name}": value for name, value in self.head.named_parameters()}
        with torch.no_grad():
            for name, value in named.items():
                value.copy_(torch.from_numpy(arrays[name]))
        for which in ("first", "best"):
            values = {n.removeprefix(f"{which}."): v for n, v in arrays.items() if n.startswith(f"{which}.")}
            if values:
                self.kept[which] = values
        restore_optimizer(self.optimizer, arrays)
        return State(**settings)


def pace(step: int, steps: int) -> float:
    """Return the share of the learning rate: up over the first tenth, then down to 0."""
    warm = max(1, round(WARM_UP * steps))
    return min((step + 1) / warm, (steps - step) / max(1, steps - warm), 1.0)
