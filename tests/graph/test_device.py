"""Devices and number formats, with and without the hardware."""

import pytest
import torch

from configs.errors import InputError
from graph.device import resolve_device, resolve_dtype

CPU = torch.device("cpu")


@pytest.mark.parametrize("there", [False, True])
def test_auto_takes_cuda_where_there_is_one(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert resolve_device("auto").type == ("cuda" if there else "cpu")
    assert resolve_device("cpu").type == "cpu"


def test_absent_cuda_and_unknown_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"expected a CUDA device.*train\.device=cpu"):
        resolve_device("cuda")
    with pytest.raises(InputError, match="got 'gpu'"):
        resolve_device("gpu")
    with pytest.raises(InputError, match="got 'int8'"):
        resolve_dtype("int8", CPU)


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, torch.bfloat16),
        ({"avx512_bf16": False, "amx_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": False, "amx_bf16": False, "avx512_f": True}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_auto_is_bfloat16_where_the_cpu_computes_it(
    flags: dict[str, bool], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags)
    assert resolve_dtype("auto", CPU) == dtype
    assert resolve_dtype("float32", CPU) == torch.float32
    assert resolve_dtype("bfloat16", CPU) == torch.bfloat16


@pytest.mark.parametrize("native", [False, True])
def test_auto_does_not_take_emulated_bfloat16_on_cuda(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or native)
    assert resolve_dtype("auto", torch.device("cuda")) == (torch.bfloat16 if native else torch.float32)
