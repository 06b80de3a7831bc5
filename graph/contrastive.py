"""The contrastive query encoder: the top layers of a transformer, fine-tuned on which LLMs answer which queries well.

After RouterDC (arXiv 2409.19886). The lower layers are frozen and what they give is computed once, so that a CPU will
do: a step then costs the top layers only.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor
from tqdm import tqdm

from configs.errors import InputError
from configs.schema import Contrastive
from configs.schema import Encoder as EncoderConfig
from graph.device import resolve_device, resolve_dtype
from graph.embedding_cache import QueryEncoder
from graph.encoder import TextEncoder, load_transformer, mean_pool, replace_layers, stack_of_layers
from graph.losses import listwise_loss, sample_llm_loss, sample_sample_loss
from graph.tuned_encoder import Learned, TunedEncoder, Tuning, unwrapped

LOG = logging.getLogger(__name__)
CACHE_BYTES = 1_500_000_000  # of the frozen layers' output; train texts beyond it are left out, at random
PROBE_TEXTS = 1_000  # train texts that the validation probe learns from
PROBE_RIDGES = (0.3, 3.0, 30.0)
LLM_RATE = 20.0  # the LLMs' vectors start further from where they belong than the encoder's weights
WARM_UP = 0.1  # share of the steps
CLIP_NORM = 1.0


@dataclasses.dataclass(frozen=True)
class Scored:
    """Texts, as the encoder reads them, and `scores` (N, L): how well each LLM answered; NaN where unobserved.

    `beside` (N, k): what the router sees of the texts besides their vectors (style, task), if anything. The encoder is
    not trained on it, but judged by what it adds to it.
    """

    texts: Sequence[str]
    scores: np.ndarray
    beside: np.ndarray | None = None

    def others(self) -> np.ndarray:
        """Return `beside`, or (N, 0) where there is nothing."""
        return np.zeros((len(self.texts), 0)) if self.beside is None else np.asarray(self.beside)


def train_encoder(
    encoder: QueryEncoder,
    train: Scored,
    validation: Scored,
    llm_texts: Sequence[str],
    config: EncoderConfig,
    seed: int = 0,
    progress: bool = False,
) -> QueryEncoder:
    """Return `encoder` with its top layers fine-tuned on `train`, and with a cache where it has one.

    Kept are the weights with the best score on `validation`; those of the frozen encoder, step 0, count too. What is
    judged is what the vectors are for: a ridge (the best of `PROBE_RIDGES`) from the vectors of train texts to their
    scores chooses an LLM for each validation text. `llm_texts`: a description of each column of the scores, where the
    LLMs' vectors start. The result does not depend on the order of the texts. Ctrl-C ends training; the best weights
    until then are kept.

    Raises `InputError` where the encoder is no transformer, has too few layers, or no text has a score.
    """
    base, wrap = unwrapped(encoder)
    train, validation = _in_order(train), _in_order(validation)
    start = np.asarray(encoder.encode(llm_texts), dtype=np.float32)
    with torch.random.fork_rng():  # dropout draws from the global generator
        torch.manual_seed(seed)
        learned, tuning = _Trainer(base, config, seed, progress).run(train, validation, tuple(llm_texts), start)
    first, best = (
        next(row for row in tuning.history if row["step"] == step)["validation_score"]
        for step in (0, tuning.chosen_step)
    )
    LOG.info("encoder: validation score %.4f frozen, %.4f at step %d, kept", first, best, tuning.chosen_step)
    return wrap(TunedEncoder(base, learned, tuning))


def _in_order(data: Scored) -> Scored:
    """Return the rows that have a score, in an order that does not depend on the one they came in."""
    scores = np.asarray(data.scores, dtype=np.float64)
    usable = [row for row in range(len(data.texts)) if np.isfinite(scores[row]).any()]
    if not usable:
        raise InputError("encoder.training: expected queries with outcomes, got none; --set encoder.training=frozen")
    filled = np.where(np.isfinite(scores), scores, -np.inf)
    order = sorted(usable, key=lambda row: (data.texts[row], tuple(filled[row]), tuple(data.others()[row])))
    scores = np.where(np.isfinite(scores), scores, np.nan)
    return Scored([data.texts[row] for row in order], scores[order], data.others()[order])


class _Pool:
    """What the frozen layers give for each text, in half precision: text i is `hidden[bounds[i]:bounds[i + 1]]`."""

    def __init__(self, ids: list[list[int]], dim: int) -> None:
        self.ids = ids
        self.bounds = np.concatenate([[0], np.cumsum([len(row) for row in ids])])
        self.hidden = torch.zeros(int(self.bounds[-1]), dim, dtype=torch.float16)

    def __len__(self) -> int:
        return len(self.ids)

    def batches(self, size: int) -> Iterator[list[int]]:
        """Yield rows of texts of like length, so that little is padded."""
        order = sorted(range(len(self)), key=lambda row: -len(self.ids[row]))
        yield from (order[start : start + size] for start in range(0, len(order), size))


class _Trainer:
    """One training run over one transformer, split at the lowest trained layer."""

    def __init__(self, base: TextEncoder, config: EncoderConfig, seed: int, progress: bool) -> None:
        self.base = base
        self.layers = config.trainable_layers
        self.config: Contrastive = config.contrastive
        self.seed = seed
        self.progress = progress
        self.device = resolve_device(base.device)
        self.dtype = resolve_dtype(base.dtype, self.device)

    def run(
        self, train: Scored, validation: Scored, llm_texts: tuple[str, ...], llm_start: np.ndarray
    ) -> tuple[Learned, Tuning]:
        rng = np.random.default_rng([self.seed, 5])
        # A copy in float32: the base's own may be in bfloat16, and has to stay as it is.
        model, tokenizer = load_transformer(self.base.source)
        self.model = model.to(self.device).eval().requires_grad_(False)
        self.padding = tokenizer.pad_token_id or 0
        path, stack = stack_of_layers(model)
        if not 1 <= self.layers <= len(stack):
            raise InputError(
                f"encoder.trainable_layers: expected at most {len(stack)} for {self.base.model}, got {self.layers}; "
                "lower it"
            )
        self.top = stack[len(stack) - self.layers :]
        self.prefix, self.first = path, len(stack) - self.layers
        ids = self.base._tokenize(train.texts)
        rows = _within_budget([len(row) for row in ids], CACHE_BYTES // (2 * self.base.dim), rng)
        if len(rows) < len(ids):
            LOG.info("fine-tuning on %d of %d train texts, all that memory is set aside for", len(rows), len(ids))
        pool = self._cached([ids[row] for row in rows], "frozen layers, train")
        held_out = self._cached(self.base._tokenize(validation.texts), "frozen layers, validation")
        replace_layers(self.model, path, self.top)
        train = Scored([train.texts[row] for row in rows], train.scores[rows], train.others()[rows])
        return self._fit(pool, train, held_out, validation, llm_texts, llm_start, rng)

    def _fit(
        self,
        pool: _Pool,
        train: Scored,
        held_out: _Pool,
        validation: Scored,
        llm_texts: tuple[str, ...],
        llm_start: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[Learned, Tuning]:
        config = self.config
        frozen = self._vectors(pool, range(len(pool)))
        kmeans = KMeans(min(config.clusters, len(np.unique(frozen, axis=0))), n_init=4, random_state=self.seed)
        kmeans.fit(frozen)
        cluster = torch.from_numpy(kmeans.labels_.astype(np.int64)).to(self.device)
        score = torch.from_numpy(train.scores.astype(np.float32)).to(self.device)
        llms = torch.nn.Parameter(torch.from_numpy(llm_start.copy()).to(self.device))
        self.top.requires_grad_(True)
        groups = [
            {"params": list(self.top.parameters()), "lr": config.learning_rate},
            {"params": [llms], "lr": LLM_RATE * config.learning_rate, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, functools.partial(_pace, steps=config.steps))
        generator = torch.Generator().manual_seed(self.seed)
        probe_rows = np.sort(rng.permutation(len(pool))[:PROBE_TEXTS])
        history: list[dict[str, float]] = []
        best: tuple[float, int, dict[str, Tensor], Tensor] | None = None
        losses: list[float] = []
        draw = _endless_batches(len(pool), config.batch_size, rng)
        interrupted, since = False, 0
        bar = tqdm(total=config.steps, desc="fine-tuning the encoder", unit="step", disable=not self.progress)
        try:
            for step in range(config.steps + 1):
                if step:
                    rows = next(draw)
                    losses.append(self._step(pool, rows, score, cluster, llms, optimizer, generator))
                    scheduler.step()
                    bar.update()
                if step % config.evaluate_every and step != config.steps:
                    continue
                score_now, alone = self._look(pool, probe_rows, train, held_out, validation, llms)
                mean_loss = float(np.mean(losses)) if losses else np.nan
                row = {
                    "step": step,
                    "train_loss": mean_loss,
                    "validation_score": score_now,
                    "alone_score": alone,
                }
                history.append(row)
                losses = []
                bar.set_postfix(loss=f"{row['train_loss']:.4f}", validation=f"{row['validation_score']:.4f}")
                if best is None or row["validation_score"] > best[0] + 1e-9:
                    weights = {} if step == 0 else copy.deepcopy(self.top.state_dict())
                    best, since = (row["validation_score"], step, weights, llms.detach().clone()), 0
                else:
                    since += 1
                    if since >= config.patience:
                        break
        except KeyboardInterrupt:
            if best is None:
                raise
            interrupted = True
            LOG.warning("interrupted: kept the best encoder, of step %d", best[1])
        finally:
            bar.close()
        assert best is not None
        named = {self._full_name(name): value.cpu().numpy() for name, value in best[2].items()}
        learned = Learned(named, llm_texts, best[3].cpu().numpy(), kmeans.cluster_centers_.astype(np.float32))
        return learned, Tuning(history, best[1], interrupted)

    def _look(
        self, pool: _Pool, rows: np.ndarray, train: Scored, held_out: _Pool, validation: Scored, llms: Tensor
    ) -> tuple[float, float]:
        """Return what the vectors are worth on validation: to a ridge learnt from `rows` of train, and alone."""
        vectors, other = self._vectors(pool, rows), self._vectors(held_out, range(len(held_out)))
        alone = other @ torch.nn.functional.normalize(llms.detach(), dim=1).cpu().numpy().T
        x = np.hstack([vectors, train.others()[rows]])
        guesses = probe(x, train.scores[rows], np.hstack([other, validation.others()]))
        return max(earned(guess, validation.scores) for guess in guesses), earned(alone, validation.scores)

    def _full_name(self, name: str) -> str:
        """Return the name in the whole model of a weight of the top layers, `0.attention…`."""
        number, _, rest = name.partition(".")
        return f"{self.prefix}.{self.first + int(number)}.{rest}"

    def _step(
        self,
        pool: _Pool,
        rows: np.ndarray,
        score: Tensor,
        cluster: Tensor,
        llms: Tensor,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
    ) -> float:
        config = self.config
        self.top.train()
        embedding = self._top_vectors(pool, rows)
        similarity = embedding @ torch.nn.functional.normalize(llms, dim=1).T
        chosen = torch.from_numpy(rows).to(self.device)
        # Scores often tie, and of equals the losses take the first: a new order each time is fair to all LLMs.
        shuffled = torch.randperm(len(llms), generator=generator).to(self.device)
        similarity, target = similarity[:, shuffled], score[chosen][:, shuffled]
        if config.loss == "listwise":
            loss = listwise_loss(similarity, target, config.temperature)
        else:
            loss = sample_llm_loss(similarity, target, config.temperature, config.positives, config.negatives)
        if config.sample_weight > 0:
            pull = sample_sample_loss(embedding, cluster[chosen], config.temperature, config.negatives, generator)
            loss = loss + config.sample_weight * pull
        optimizer.zero_grad()
        loss.mean().backward()
        torch.nn.utils.clip_grad_norm_([*self.top.parameters(), llms], CLIP_NORM)
        optimizer.step()
        return float(loss.detach().mean())

    def _cached(self, ids: list[list[int]], what: str) -> _Pool:
        """Return the pool of what enters the trained layers."""
        pool = _Pool(ids, self.base.dim)
        with tqdm(total=len(pool), desc=what, unit="text", disable=not self.progress) as bar:
            for rows in pool.batches(self.base.batch_size):
                hidden = self._entering(pool, rows).to(torch.float16).cpu()
                for place, row in enumerate(rows):
                    pool.hidden[pool.bounds[row] : pool.bounds[row + 1]] = hidden[place, : len(pool.ids[row])]
                bar.update(len(rows))
        return pool

    @torch.no_grad()
    def _entering(self, pool: _Pool, rows: Sequence[int]) -> Tensor:
        def stop(_: torch.nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
            raise _ReachedError(arguments[0] if arguments else named["hidden_states"])

        ids, mask = self._padded(pool, rows)
        handle = self.top[0].register_forward_pre_hook(stop, with_kwargs=True)
        try:
            with self._autocast():
                self.model(input_ids=ids, attention_mask=mask)
        except _ReachedError as reached:
            return reached.hidden
        finally:
            handle.remove()
        raise RuntimeError("the trained layers were never reached")

    def _top_vectors(self, pool: _Pool, rows: Sequence[int] | np.ndarray) -> Tensor:
        """Return (len(rows), dim) vectors of length 1. The model makes its own masks; what enters is put in its way."""
        ids, mask = self._padded(pool, rows)
        entering = torch.zeros(*ids.shape, pool.hidden.shape[1], device=self.device)
        for place, row in enumerate(rows):
            entering[place, : len(pool.ids[row])] = pool.hidden[pool.bounds[row] : pool.bounds[row + 1]].to(self.device)

        def put(_: torch.nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
            return ((entering, *arguments[1:]), named) if arguments else ((), {**named, "hidden_states": entering})

        handle = self.top[0].register_forward_pre_hook(put, with_kwargs=True)
        try:
            with self._autocast():
                hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        finally:
            handle.remove()
        return torch.nn.functional.normalize(mean_pool(hidden.float(), mask), dim=1)

    @torch.no_grad()
    def _vectors(self, pool: _Pool, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        self.top.eval()
        vectors = np.zeros((len(rows), self.base.dim), dtype=np.float32)
        order = sorted(range(len(rows)), key=lambda place: -len(pool.ids[rows[place]]))
        for start in range(0, len(order), self.base.batch_size):
            places = order[start : start + self.base.batch_size]
            vectors[places] = self._top_vectors(pool, [rows[place] for place in places]).cpu().numpy()
        return vectors

    def _padded(self, pool: _Pool, rows: Sequence[int] | np.ndarray) -> tuple[Tensor, Tensor]:
        tokens = [pool.ids[row] for row in rows]
        width = max(map(len, tokens))
        ids = torch.tensor([row + [self.padding] * (width - len(row)) for row in tokens], device=self.device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in tokens], device=self.device)
        return ids, mask

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16)


class _ReachedError(Exception):
    """Ends a forward pass at the first trained layer, with what enters it."""

    def __init__(self, hidden: Tensor) -> None:
        super().__init__()
        self.hidden = hidden


def probe(x: np.ndarray, scores: np.ndarray, other: np.ndarray) -> list[np.ndarray]:
    """Return, for each strength of `PROBE_RIDGES`, the (M, L) scores that a ridge per LLM expects of `other`.

    Shapes: `x` (N, d), `scores` (N, L) with NaN where unobserved, `other` (M, d). An LLM without any score is expected
    to get the mean of all.
    """
    guesses = [np.full((len(other), scores.shape[1]), np.nanmean(scores)) for _ in PROBE_RIDGES]
    for llm in range(scores.shape[1]):
        seen = np.isfinite(scores[:, llm])
        if not seen.any():
            continue
        mean, centre = scores[seen, llm].mean(), x[seen].mean(axis=0, dtype=np.float64)
        away = x[seen] - centre
        values, vectors = np.linalg.eigh(away.T @ away)
        weight = vectors.T @ (away.T @ (scores[seen, llm] - mean))
        for guess, ridge in zip(guesses, PROBE_RIDGES, strict=True):
            guess[:, llm] = mean + ((other - centre) @ vectors) @ (weight / (values.clip(min=0) + ridge))
    return guesses


def earned(guess: np.ndarray, scores: np.ndarray) -> float:
    """Return the mean score of the observed LLM of the highest guess; both (M, L), each row with a score."""
    choice = np.where(np.isfinite(scores), guess, -np.inf).argmax(axis=1)
    return float(scores[np.arange(len(scores)), choice].mean())


def _pace(step: int, steps: int) -> float:
    """Return the share of the learning rate: up over the first tenth, then down to 0."""
    warm = max(1, round(WARM_UP * steps))
    return min((step + 1) / warm, (steps - step) / max(1, steps - warm), 1.0)


def _within_budget(lengths: Sequence[int], budget: int, rng: np.random.Generator) -> np.ndarray:
    """Return the rows, sorted, of random texts of together at most `budget` tokens; at least one."""
    order = rng.permutation(len(lengths))
    fits = int((np.cumsum(np.asarray(lengths)[order]) <= budget).sum())
    return np.sort(order[: max(1, fits)])


def _endless_batches(count: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield rows without end, each pass in a new order; a batch never has a row twice."""
    size = min(size, count)
    while True:
        order = rng.permutation(count)
        for start in range(0, count - size + 1, size):
            yield order[start : start + size]
