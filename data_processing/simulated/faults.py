"""Faults that a server injects on purpose, at set rates, so that clients can be tested against them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from configs.errors import InputError, did_you_mean
from data_processing.simulated.draws import Draws

# kind -> what the client sees
KINDS: dict[str, str] = {
    "rate_limit": "status 429 with Retry-After",
    "server": "status 500",
    "timeout": "no reply for as long as the client cares to wait",
    "cut": "the connection is closed in the middle of the reply",
    "malformed": "status 200 with a body that is not JSON",
    "empty": "an answer without text",
    "context_length": "status 400, code context_length_exceeded, whatever the length",
    "slow": "the right reply, but late",
    "judge_nonsense": "the judge replies without choosing; other LLMs answer as ever",
}
# What `evenly` spreads a rate over: all that a client can get over by asking the same again.
PASSING = tuple(kind for kind in KINDS if kind != "judge_nonsense")


@dataclasses.dataclass(frozen=True)
class Faults:
    """How often which fault strikes; `rates` is kind -> share of the requests, in [0, 1], together at most 1.

    A fault is drawn from (seed, number of the request since the server started), never from what is asked: every fault
    passes when the request is sent again, `context_length` too, so that whoever asks on ends with what a faultless
    server would have given. `hold_s` is how long `timeout` holds a reply before it hangs up, `slow_s` what `slow` adds,
    both in seconds; `retry_after_s` is sent with `rate_limit`.
    """

    rates: Mapping[str, float] = dataclasses.field(default_factory=dict)
    seed: int = 0
    hold_s: float = 600.0
    slow_s: float = 1.0
    retry_after_s: float = 1.0

    def draw(self, number: int) -> str | None:
        """Return the kind of fault of request `number`, None for most."""
        if not self.rates:
            return None
        luck = Draws(self.seed, "fault", number).uniform()
        for kind in KINDS:
            luck -= self.rates.get(kind, 0.0)
            if luck < 0:
                return kind
        return None


def evenly(rate: float) -> dict[str, float]:
    """Return rates that sum to `rate`, the same for every kind of `PASSING`."""
    return dict.fromkeys(PASSING, rate / len(PASSING))


def read_rates(every: float, entries: Sequence[str]) -> dict[str, float]:
    """Return kind -> rate: `every` spread evenly, and over it the entries, such as `rate_limit=0.05`.

    Raises `InputError` for an unknown kind, a rate that is none, or rates that sum to more than 1.
    """
    rates = evenly(_share("--faults", every)) if every else {}
    for entry in entries:
        kind, _, value = entry.partition("=")
        if kind not in KINDS:
            raise InputError(
                f"--fault: expected <kind>=<rate> with one of {', '.join(KINDS)}, got {entry!r}"
                f"{did_you_mean(kind, list(KINDS))}; such as --fault rate_limit=0.05"
            )
        rates[kind] = _share(f"--fault {kind}", value)
    if sum(rates.values()) > 1 + 1e-9:
        raise InputError(f"--fault: expected rates that sum to at most 1, got {sum(rates.values()):g}; lower them")
    return rates


def _share(name: str, value: str | float) -> float:
    try:
        rate = float(value)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise InputError(f"{name}: expected a share of the requests in [0, 1], got {value!r}; such as 0.05")
    return rate
