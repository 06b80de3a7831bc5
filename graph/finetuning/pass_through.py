"""What stands where a frozen layer stood, once nothing has to be computed there any more."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch


class PassThrough(torch.nn.Module):
    """Gives on the hidden states that it gets. It keeps the place of `layer` and its plain attributes, without weights.

    Some transformers treat a layer by its place (the convolution after DeBERTa-v2's first one, the sliding window of
    every second one), so those above must not move down. `others`: how many further outputs the layer gives beside
    its hidden states, None where it gives these bare; they are None here.
    """

    def __init__(self, layer: torch.nn.Module, others: int | None) -> None:
        super().__init__()
        # Models ask a layer what kind it is (`attention_type`) to choose the mask that they hand to it.
        plain = {name: value for name, value in vars(layer).items() if not name.startswith("_") and name != "training"}
        self.__dict__.update(plain)
        self.others = others

    def forward(self, *arguments: Any, **named: Any) -> Any:
        """Return the hidden states as they came, in the form that the layer gave."""
        hidden = arguments[0] if arguments else named["hidden_states"]
        return hidden if self.others is None else (hidden, *[None] * self.others)


@contextlib.contextmanager
def outputs_counted(layers: Sequence[torch.nn.Module]) -> Iterator[dict[int, int | None]]:
    """Give the place of a layer -> `others` of its `PassThrough`, filled by the forward passes inside."""
    others: dict[int, int | None] = {}

    def counted(place: int) -> Any:
        def hook(_: torch.nn.Module, __: Any, output: Any) -> None:
            others[place] = len(output) - 1 if isinstance(output, tuple) else None

        return hook

    handles = [layer.register_forward_hook(counted(place)) for place, layer in enumerate(layers)]
    try:
        yield others
    finally:
        for handle in handles:
            handle.remove()
