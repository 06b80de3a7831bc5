"""What an LLM with few outcomes is charged."""

import numpy as np
import pytest

from graph.caution import charges
from tests.graph.routers import WORLDS, decided, probes, router_of
from tests.graph.world import GRAPH, TRAIN, all_but_k, hide, tiny
from graph.build import build_graph
from graph.records import RoutingData


def slow_charges(data: RoutingData, alpha: float) -> list[float]:
    """Return what each LLM is charged, as the module's text says it."""
    outcomes = {"performance": data.performance, "cost": data.cost}
    counts = [sum(bool(np.isfinite(value)) for value in column) for column in data.performance.T]
    spread = {}
    for name, table in outcomes.items():
        offsets = []
        for row in table:
            seen = [value for value in row if np.isfinite(value)]
            offsets += [value - sum(seen) / len(seen) for value in seen]
        spread[name] = (sum(offset**2 for offset in offsets) / len(offsets)) ** 0.5
    size = alpha * spread["performance"] + (1 - alpha) * spread["cost"]
    errors = [size / (count + 1) ** 0.5 for count in counts]
    return [error - min(errors) for error in errors]
