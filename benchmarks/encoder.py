"""Queries per second of the default encoder in float32 and bfloat16, and how far apart their vectors are.

python -m benchmarks.encoder --queries 256
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from graph.encoder import TextEncoder
from graph.model_source import DEFAULT_MODEL


def texts_of(tokens: int, queries: int) -> list[str]:
    """Return texts of about `tokens` tokens each, no two alike, from words that are one token each."""
    words = np.array(["the", "of", "and", "to", "in", "is", "that", "for", "it", "was", "on", "are", "with", "they"])
    rng = np.random.default_rng(0)
    return [" ".join(words[rng.integers(len(words), size=tokens)]) for _ in range(queries)]


def main() -> None:
    """Time one warm pass per number format and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    texts = texts_of(args.tokens, args.queries)
    vectors = {}
    for dtype in ("float32", "bfloat16"):
        encoder = TextEncoder(DEFAULT_MODEL, None, args.tokens, args.batch_size, dtype, args.device)
        encoder.encode(texts[: args.batch_size])  # loads the weights and warms up
        start = time.perf_counter()
        vectors[dtype] = encoder.encode(texts)
        seconds = time.perf_counter() - start
        print(f"{dtype:8}  {args.queries / seconds:8.1f} queries/s  {args.device}, {args.tokens} tokens", flush=True)
    cosine = (vectors["float32"] * vectors["bfloat16"]).sum(axis=1)
    print(f"minimal cosine {cosine.min():.5f}  shape {vectors['float32'].shape}  threads {args.threads}")


if __name__ == "__main__":
    main()
