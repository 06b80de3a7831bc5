"""The contrastive query encoder: the top layers of a transformer, fine-tuned on which LLMs answer which queries well.

After RouterDC (arXiv 2409.19886), with the choice of what a query is taught (targets.py), side features beside the
transformer (head.py), and lower layers that are computed once (pool.py). A training that is killed goes on from its
last look at validation; one that was done before is read back.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from configs.errors import InputError
from configs.schema import Encoder as EncoderConfig
from graph.embedding_cache import CachedEncoder, QueryEncoder
from graph.encoder import TextEncoder
from graph.finetuning.checkpoint import StepStore, fingerprint, place
from graph.finetuning.head import random_start
from graph.finetuning.run import Training
from graph.scored import Scored, in_order
from graph.tuned_encoder import TunedEncoder, Tuning, unwrapped

LOG = logging.getLogger(__name__)


def train_encoder(
    encoder: QueryEncoder,
    train: Scored,
    validation: Scored,
    llm_texts: Sequence[str],
    config: EncoderConfig,
    seed: int = 0,
    progress: bool = False,
    checkpoint: Path | None = None,
) -> QueryEncoder:
    """Return `encoder` with its top layers fine-tuned on `train`, and with a cache where it has one.

    Kept are the weights with the best score on `validation`, unless they beat those of the frozen encoder (step 0) by
    `config.contrastive.caution` standard errors or less. What is judged is what the vectors are for, half and half: the
    LLM that a ridge from the vectors of train texts to their scores would choose, and the LLM of the nearest vector.
    `llm_texts`: a description of each column of the scores. The result does not depend on the order of the texts.

    Ctrl-C ends training; the best weights until then are kept. With a cache, a training that was done before is read
    back. `checkpoint`: folder of the state at the last look, from which the same training goes on; whoever gives it
    deletes it, once what is returned is kept somewhere. None: beside the cache, if there is one, deleted at the end.

    Raises `InputError` where the encoder is no transformer, has too few layers or cannot be split, no text has a score,
    or `checkpoint` is of another training.
    """
    base, wrap = unwrapped(encoder)
    train, validation = in_order(train), in_order(validation)
    store, done = _places(encoder, base, train, validation, llm_texts, config, seed, checkpoint)
    if done is not None and (kept := _read(done, base)) is not None:
        return wrap(kept)
    contrastive = config.contrastive
    start = (
        random_start(len(llm_texts), base.dim, seed)
        if contrastive.llm_start == "random"
        else np.asarray(encoder.encode(llm_texts), dtype=np.float32)
    )
    with torch.random.fork_rng():  # dropout draws from the global generator
        learned, tuning = Training(base, config, seed, progress, store).run(train, validation, tuple(llm_texts), start)
    first, best = (_score_at(tuning, step) for step in (0, tuning.chosen_step))
    LOG.info("encoder: validation score %.4f frozen, %.4f at step %d, kept", first, best, tuning.chosen_step)
    tuned = TunedEncoder(base, learned, tuning)
    if not tuning.interrupted:
        if done is not None:
            place(done, tuned.save)
        if store is not None and checkpoint is None:
            store.clear()
    return wrap(tuned)


def _places(
    encoder: QueryEncoder,
    base: TextEncoder,
    train: Scored,
    validation: Scored,
    llm_texts: Sequence[str],
    config: EncoderConfig,
    seed: int,
    checkpoint: Path | None,
) -> tuple[StepStore | None, Path | None]:
    """Return where the states of this training go, and where the trained encoder does; None: nowhere."""
    settings = config.contrastive.model_dump(mode="json", exclude={"tensorboard"})
    data: list[object] = [base.key, str(base.device), settings, config.trainable_layers, seed, list(llm_texts)]
    for part in (train, validation):
        data += [list(part.texts), part.scores, part.extra("beside"), part.extra("side"), part.groups]
    key = fingerprint(data)
    done = encoder.folder / "trained" / key[:16] if isinstance(encoder, CachedEncoder) else None
    folder = checkpoint or (None if done is None else done.with_name(f"{done.name}.steps"))
    return None if folder is None else StepStore(Path(folder), key, base.model), done


def _read(folder: Path, base: TextEncoder) -> TunedEncoder | None:
    """Return the encoder that was trained before, None where there is none or it is damaged."""
    if not folder.is_dir():
        return None
    try:
        tuned = TunedEncoder.load(folder, base)
    except InputError as err:
        LOG.warning("%s; it is trained again", err)
        return None
    LOG.info("encoder: trained before, read from %s", folder)
    return tuned


def _score_at(tuning: Tuning, step: int) -> float:
    return next(row["validation_score"] for row in tuning.history if row["step"] == step)
