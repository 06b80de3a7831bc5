"""A transformer split in two for fine-tuning: below, layers that stay as they are; above, layers that are trained.

What the lower ones give for a text never changes, so it is computed once and kept in a pool. A step then costs the
upper layers only, which is what makes a CPU do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from configs.errors import InputError
from graph.device import resolve_device, resolve_dtype
from graph.encoder import TextEncoder, load_transformer, mean_pool, replace_layers, stack_of_layers
from graph.finetuning.pass_through import PassThrough, outputs_counted

Rows = Sequence[int] | np.ndarray
CHUNK = 4  # texts of like length that a CPU computes at once: a long one would have the others of its batch padded
SAME_COSINE = 0.9999  # of a vector of the split and of the whole, at least; half precision in between costs 0.00001

_REMEDY = "give --set encoder.trainable_layers=all or another encoder.model"


class Pool:
    """N texts as token ids and, where lower layers are frozen, what these give for them, in half precision.

    Text i is `hidden[bounds[i]:bounds[i + 1]]`; `hidden` is None where the whole model is trained.
    """

    def __init__(self, ids: list[list[int]], dim: int | None) -> None:
        self.ids = ids
        self.bounds = np.concatenate([[0], np.cumsum([len(row) for row in ids])])
        self.hidden = None if dim is None else torch.zeros(int(self.bounds[-1]), dim, dtype=torch.float16)

    def __len__(self) -> int:
        return len(self.ids)


class SplitTransformer:
    """The transformer of `base` in float32, of which the `layers` uppermost layers are trained, `all`: everything.

    `trained` holds the parameters by their names in the whole model. `base` itself stays as it is. Raises `InputError`
    where the model has no list of layers, or fewer than asked for.
    """

    def __init__(self, base: TextEncoder, layers: int | Literal["all"], progress: bool = False) -> None:
        self.base = base
        self.progress = progress
        self.device = resolve_device(base.device)
        self.dtype = resolve_dtype(base.dtype, self.device)
        # A copy in float32: the base's own may be in bfloat16.
        model, tokenizer = load_transformer(base.source)
        self.model = model.to(self.device).eval().requires_grad_(False)
        self.padding = tokenizer.pad_token_id or 0
        self._path, stack = stack_of_layers(model)
        self._sample: list[list[int]] = []
        if layers != "all" and layers > len(stack):
            raise InputError(
                f"encoder.trainable_layers: expected at most {len(stack)} for {base.model}, got {layers}; lower it, or "
                "give all"
            )
        self.whole = layers == "all"
        self.top = stack if layers == "all" else stack[len(stack) - layers :]
        above = {id(value) for value in (self.model if self.whole else self.top).parameters()}
        # The pooler stands beside the mean that is read here: nothing ever reaches it.
        self.trained = {
            name: value
            for name, value in self.model.named_parameters()
            if id(value) in above and not name.startswith("pooler.")
        }
        for value in self.trained.values():
            value.requires_grad_(True)

    def cached(self, ids: list[list[int]], what: str) -> Pool:
        """Return the pool of texts given as token ids; `what` names the progress bar. Before `drop_lower` only."""
        pool = Pool(ids, None if self.whole else self.base.dim)
        if pool.hidden is None:
            return pool
        self._sample = self._sample or _short_middle_long(ids)
        with tqdm(total=len(pool), desc=what, unit="text", disable=not self.progress) as bar:
            for rows in _of_like_length(ids, self.base.batch_size):
                with self._autocast():
                    self._fill(pool, rows)
                bar.update(len(rows))
        return pool

    def _fill(self, pool: Pool, rows: Rows) -> None:
        assert pool.hidden is not None
        hidden = self._entering(pool, rows).to(torch.float16).cpu()
        for place, row in enumerate(rows):
            pool.hidden[pool.bounds[row] : pool.bounds[row + 1]] = hidden[place, : len(pool.ids[row])]

    def drop_lower(self) -> None:
        """Forget the frozen layers, once all pools are made.

        Raises `InputError` where a few texts of the first pool then have other vectors than the whole model gives.
        """
        if self.whole:
            return
        stack: Any = self.model.get_submodule(self._path)
        lower = stack[: len(stack) - len(self.top)]
        sample = self._sample or [[self.padding]]
        unsplit, pool = Pool(sample, None), Pool(sample, self.base.dim)
        self._fill(pool, range(len(sample)))
        with torch.no_grad(), outputs_counted(lower) as others:
            expected = self._compute(unsplit, range(len(sample)))
        passing = [PassThrough(layer, others[place]) for place, layer in enumerate(lower)]
        replace_layers(self.model, self._path, torch.nn.ModuleList([*passing, *self.top]))
        self._check(pool, expected)

    @torch.no_grad()
    def _check(self, pool: Pool, expected: Tensor) -> None:
        try:
            cosine = float((self._compute(pool, range(len(pool))) * expected).sum(dim=1).min())
        except (RuntimeError, TypeError, KeyError, AttributeError, IndexError) as err:
            raise InputError(f"{self._refusal()} it fails there ({type(err).__name__}: {err}); {_REMEDY}") from err
        if not cosine >= SAME_COSINE:  # so that NaN, beyond half precision, does not pass
            raise InputError(f"{self._refusal()} they have a cosine of {cosine:.4f}; {_REMEDY}")

    def _refusal(self) -> str:
        return (
            f"encoder.trainable_layers: expected the upper {len(self.top)} layers of {self.base.model} on what its "
            "lower ones give to give the vectors of the whole model,"
        )

    def forward(self, pool: Pool, rows: Rows) -> Tensor:
        """Return (len(rows), dim) float32 vectors of length 1, with a gradient."""
        size = CHUNK if self.device.type == "cpu" else len(rows)
        places = list(_of_like_length([pool.ids[row] for row in rows], size))
        vectors = torch.cat([self._forward(pool, [rows[place] for place in some]) for some in places])
        return vectors[torch.tensor([place for some in places for place in some], device=self.device).argsort()]

    def _forward(self, pool: Pool, rows: Rows) -> Tensor:
        with self._autocast():
            return self._compute(pool, rows)

    def _compute(self, pool: Pool, rows: Rows) -> Tensor:
        """The model makes its own masks; what enters the trained layers is put in the way of what would."""
        ids, mask = self._padded(pool, rows)
        if pool.hidden is None:
            return _pooled(self.model(input_ids=ids, attention_mask=mask).last_hidden_state, mask)
        entering = torch.zeros(*ids.shape, pool.hidden.shape[1], device=self.device)
        for place, row in enumerate(rows):
            entering[place, : len(pool.ids[row])] = pool.hidden[pool.bounds[row] : pool.bounds[row + 1]].to(self.device)

        def put(_: torch.nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
            return ((entering, *arguments[1:]), named) if arguments else ((), {**named, "hidden_states": entering})

        handle = self.top[0].register_forward_pre_hook(put, with_kwargs=True)
        try:
            return _pooled(self.model(input_ids=ids, attention_mask=mask).last_hidden_state, mask)
        finally:
            handle.remove()

    @torch.no_grad()
    def vectors(self, pool: Pool, rows: Rows) -> np.ndarray:
        """Return (len(rows), dim) float32 vectors of length 1, as the trained encoder would give them."""
        self.training(False)
        vectors = np.zeros((len(rows), self.base.dim), dtype=np.float32)
        for places in _of_like_length([pool.ids[row] for row in rows], self.base.batch_size):
            vectors[places] = self._forward(pool, [rows[place] for place in places]).cpu().numpy()
        return vectors

    def training(self, on: bool) -> None:
        """Switch the dropout of the trained part on or off."""
        (self.model if self.whole else self.top).train(on)

    @torch.no_grad()
    def _entering(self, pool: Pool, rows: Rows) -> Tensor:
        def stop(_: torch.nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
            raise _ReachedError(arguments[0] if arguments else named["hidden_states"])

        ids, mask = self._padded(pool, rows)
        handle = self.top[0].register_forward_pre_hook(stop, with_kwargs=True)
        try:
            self.model(input_ids=ids, attention_mask=mask)
        except _ReachedError as reached:
            return reached.hidden
        finally:
            handle.remove()
        raise RuntimeError("the trained layers were never reached")

    def _padded(self, pool: Pool, rows: Rows) -> tuple[Tensor, Tensor]:
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


def within_budget(lengths: Sequence[int], budget: int, rng: np.random.Generator) -> np.ndarray:
    """Return the rows, sorted, of random texts of together at most `budget` tokens; at least one."""
    order = rng.permutation(len(lengths))
    fits = int((np.cumsum(np.asarray(lengths)[order]) <= budget).sum())
    return np.sort(order[: max(1, fits)])


def _short_middle_long(ids: Sequence[list[int]]) -> list[list[int]]:
    """Return texts of different lengths: what depends on the place of a layer may show in long ones only."""
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    return [ids[row] for row in dict.fromkeys((order[0], order[len(order) // 2], order[-1]))] if order else []


def _pooled(hidden: Tensor, mask: Tensor) -> Tensor:
    return torch.nn.functional.normalize(mean_pool(hidden.float(), mask), dim=1)


def _of_like_length(ids: Sequence[Sequence[int]], size: int) -> Iterator[list[int]]:
    """Yield places of texts of like length, so that little is padded; the longest first."""
    order = sorted(range(len(ids)), key=lambda row: -len(ids[row]))
    yield from (order[start : start + size] for start in range(0, len(order), size))
