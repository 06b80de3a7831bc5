"""A hard limit on what one run spends: a call begins only where even its greatest cost still fits."""

from __future__ import annotations

import asyncio

from configs.errors import InputError
from data_processing.llm_client import Call

# Tokens around each message (roles, separators) and around a prompt, more than any chat template known to us adds.
TEMPLATE_TOKENS = 32


class Budget:
    """US dollars spent and reserved; None: no limit, only counted."""

    def __init__(self, max_usd: float | None) -> None:
        self.max_usd = max_usd
        self.spent_usd = 0.0
        self.reserved_usd = 0.0
        self.reached = False
        self.changed = asyncio.Event()

    async def admit(self, call: Call) -> float | None:
        """Reserve the greatest cost of a call and return it; None where the budget has no room for it any more.

        Waits while calls under way may leave room, because they mostly cost less than was reserved for them. Raises
        `InputError` for a call without a greatest cost.
        """
        if self.max_usd is None:
            return 0.0
        worst_usd = worst_case_usd(call)
        while not self.reached and self.spent_usd + self.reserved_usd + worst_usd > self.max_usd:
            if self.reserved_usd == 0.0:
                self.reached = True
                self._wake()
                break
            await self.changed.wait()
        if self.reached:
            return None
        self.reserved_usd += worst_usd
        return worst_usd

    def settle(self, reserved_usd: float, cost_usd: float) -> None:
        """Count what a call cost in place of what was reserved for it."""
        self.reserved_usd -= reserved_usd
        if self.reserved_usd < 1e-12:  # what is left of adding and taking away
            self.reserved_usd = 0.0
        self.spent_usd += cost_usd
        if self.max_usd is not None:
            self._wake()

    def charge(self, cost_usd: float) -> bool:
        """Count an attempt that cost and brought no answer; return whether the call may be tried again."""
        self.spent_usd += cost_usd
        if self.max_usd is not None and self.spent_usd + self.reserved_usd > self.max_usd:
            self.reached = True
        return not self.reached

    def _wake(self) -> None:
        """Let all who wait look again; those who then wait anew wait for the next change."""
        self.changed.set()
        self.changed = asyncio.Event()


def worst_case_usd(call: Call) -> float:
    """Return the most that one attempt can cost: each byte of the prompt a token, and all of max_tokens.

    A byte is the smallest token of every tokenizer in use; a guess of the usual number would not be a bound. Raises
    `InputError` where answers have a price and no greatest length.
    """
    longest = call.parameters.get("max_completion_tokens") or call.parameters.get("max_tokens")
    if longest is None and call.output_price_usd_per_mtok > 0:
        raise InputError(
            f"LLM {call.llm_id!r}: expected max_tokens beside a budget, got none, so that a call has no greatest cost; "
            "set it (build.answers.max_tokens), or give up the budget (build.max_usd)"
        )
    size = sum(len(content.encode("utf-8", "surrogatepass")) + TEMPLATE_TOKENS for _, content in call.messages)
    return call.cost_of(size + TEMPLATE_TOKENS, longest or 0)
