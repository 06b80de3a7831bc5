"""Speed of the encoder: encoding and fine-tuning, each against plain float32, and how far bfloat16 moves the vectors.

python -m benchmarks.encoder --queries 256
python -m benchmarks.encoder --device cuda --queries 8192 --texts 4096 --steps 200

A step is one batch of fine-tuning; what the frozen layers give is computed once before the first and is not part of it.
Plain means: all layers trained, in float32.
"""

from __future__ import annotations

import argparse
import time
from typing import Literal

import numpy as np
import torch

from configs.schema import Contrastive
from configs.schema import Encoder as EncoderConfig
from graph.encoder import TextEncoder, load_transformer, stack_of_layers
from graph.finetuning.training import Scored, train_encoder
from graph.model_source import DEFAULT_MODEL

Layers = int | Literal["all"]
Dtype = Literal["float32", "bfloat16"]

LLMS = 7
ALL: Literal["all"] = "all"
FEW_STEPS = 2  # of the short run, which is taken off the long one
DTYPES: tuple[Dtype, ...] = ("float32", "bfloat16")


def texts_of(tokens: int, queries: int) -> list[str]:
    """Return texts of about `tokens` tokens each, no two alike, from words that are one token each."""
    words = np.array(["the", "of", "and", "to", "in", "is", "that", "for", "it", "was", "on", "are", "with", "they"])
    rng = np.random.default_rng(0)
    return [" ".join(words[rng.integers(len(words), size=tokens)]) for _ in range(queries)]


def encoder_of(args: argparse.Namespace, dtype: str) -> TextEncoder:
    """Return the encoder in that number format, without a cache."""
    return TextEncoder(args.model, None, args.tokens, args.batch_size, dtype, args.device)


def encode(args: argparse.Namespace) -> None:
    """Time one warm pass per number format and print a line for each."""
    texts = texts_of(args.tokens, args.queries)
    vectors, plain = {}, 0.0
    for dtype in DTYPES:
        encoder = encoder_of(args, dtype)
        encoder.encode(texts[: args.batch_size])  # loads the weights and warms up
        start = time.perf_counter()
        vectors[dtype] = encoder.encode(texts)
        rate = args.queries / (time.perf_counter() - start)
        plain = plain or rate
        print(f"encode  {dtype:8}             {rate:9.1f} queries/s  {rate / plain:5.2f} of float32", flush=True)
    cosine = (vectors["float32"] * vectors["bfloat16"]).sum(axis=1)
    print(f"minimal cosine of the two {cosine.min():.5f}, shape {vectors['float32'].shape}\n", flush=True)


def fine_tune(args: argparse.Namespace) -> None:
    """Print steps per second of full fine-tuning and of the top layers, in both number formats."""
    every = len(stack_of_layers(load_transformer(encoder_of(args, "float32").source)[0])[1])
    plain = 0.0
    for layers in (ALL, *(n for n in args.layers if n < every)):
        for dtype in DTYPES:
            rate = 1 / seconds_per_step(args, layers, dtype)
            plain = plain or rate
            what = "all layers" if layers == ALL else f"top {layers} of {every}"
            print(f"train   {dtype:8} {what:11} {rate:9.2f} steps/s    {rate / plain:5.2f} of plain", flush=True)


def seconds_per_step(args: argparse.Namespace, layers: Layers, dtype: Dtype) -> float:
    """Return how much longer a step makes a training: the difference of a long run and a short one."""
    seconds = []
    for steps in (FEW_STEPS, FEW_STEPS + args.steps):
        start = time.perf_counter()
        train(args, layers, dtype, steps)
        if args.device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return max(seconds[1] - seconds[0], 1e-6) / args.steps


def train(args: argparse.Namespace, layers: Layers, dtype: Dtype, steps: int) -> None:
    """Fine-tune for that many steps on random scores, looking at validation as seldom as can be."""
    texts = texts_of(args.tokens, args.texts + 8)
    scores = np.random.default_rng(0).random((len(texts), LLMS))
    tuning = Contrastive(steps=steps, batch_size=args.train_batch_size, evaluate_every=steps, head_steps=0)
    config = EncoderConfig(
        model=args.model, max_tokens=args.tokens, batch_size=args.batch_size, dtype=dtype, training="contrastive",
        trainable_layers=layers, contrastive=tuning, cache=None,
    )  # fmt: skip
    known, held_out = (Scored(texts[part], scores[part]) for part in (slice(8, None), slice(0, 8)))
    llms = [f"LLM number {number}" for number in range(LLMS)]
    train_encoder(encoder_of(args, dtype), known, held_out, llms, config)


def main() -> None:
    """Print every line of both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--queries", type=int, default=256, help="texts to encode")
    parser.add_argument("--texts", type=int, default=64, help="train texts")
    parser.add_argument("--steps", type=int, default=6, help="steps to time")
    parser.add_argument("--layers", type=int, nargs="+", default=[1, 2, 3], help="numbers of top layers to train")
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=32, help="texts per forward pass of encoding")
    parser.add_argument("--train-batch-size", type=int, default=16, help="texts per step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{args.device}, {args.threads} threads, {args.tokens} tokens, {args.train_batch_size} texts per step")
    if args.device == "cpu" and not torch.cpu.get_capabilities().get("avx512_bf16"):
        print("this CPU computes bfloat16 by emulation: expect it to be slower than float32")
    encode(args)
    fine_tune(args)


if __name__ == "__main__":
    main()
