"""From the words of the configuration (`auto`, `cpu`, `cuda`, `bfloat16`) to torch's devices and number formats."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from threadpoolctl import threadpool_limits

from configs.errors import InputError


def resolve_device(device: str) -> torch.device:
    """Return the device for `auto` (cuda where there is one), `cpu` or `cuda`; `InputError` where it is not there."""
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"train.device: expected auto, cpu or cuda, got {device!r}; choose one")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("train.device: expected a CUDA device, found none; give --set train.device=cpu or auto")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """Return the number format of a forward pass; `auto` is bfloat16 where `device` computes it natively.

    Emulated bfloat16 is slower than float32, so a device that can only emulate it gets float32.
    """
    if dtype not in ("auto", "float32", "bfloat16"):
        raise InputError(f"encoder.dtype: expected auto, float32 or bfloat16, got {dtype!r}; choose one")
    if dtype == "auto":
        return torch.bfloat16 if _native_bfloat16(device) else torch.float32
    return torch.bfloat16 if dtype == "bfloat16" else torch.float32


def _native_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = torch.cpu.get_capabilities()
    return bool(flags.get("avx512_bf16") or flags.get("amx_bf16"))


@contextlib.contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Let torch, numpy and scikit-learn use `count` threads inside, and what they used before after it.

    The operations of a router are small. Threads that split them mostly wait for each other, and where another process
    has one of the cores they wait for that: two threads on two busy cores took 3.7 times as long as one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)
