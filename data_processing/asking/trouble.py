"""When a run stops because going on is pointless: a key is refused, a model is not there, nobody or no API listens."""

from __future__ import annotations

import collections
from collections.abc import Sequence

from configs.errors import InputError
from configs.schema import Endpoint
from data_processing.llm_client import Call, CallError, Completion

# Calls of one LLM in a row that the API refuses as they are. One may be the fault of its text, so many are not.
REFUSED_IN_A_ROW = 5
# Calls, each tried several times, that reached nobody at an endpoint that has not answered once in this run.
UNREACHED = 5
# Calls in a row, each tried several times, whose replies are not what the API promises, at an endpoint that has not
# answered once in this run: it is something else than an API. A run of chance is shorter.
MALFORMED = 10


class Trouble:
    """Watches what becomes of calls and says when to stop."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self.endpoints = {endpoint.name: endpoint for endpoint in endpoints}
        self.refused: collections.Counter[str] = collections.Counter()  # by llm_id, in a row
        self.unreached: collections.Counter[str] = collections.Counter()  # by endpoint
        self.reached: set[str] = set()
        self.malformed: collections.Counter[str] = collections.Counter()  # by endpoint, in a row
        self.answered: set[str] = set()

    def after(self, call: Call, result: Completion | CallError) -> InputError | None:
        """Return the reason to stop after this result, None to go on."""
        if isinstance(result, Completion):
            self.reached.add(call.endpoint)
            self.answered.add(call.endpoint)
            self.refused[call.llm_id] = 0
            return None
        if result.kind == "malformed":
            self.malformed[call.endpoint] += 1
            self.reached.add(call.endpoint)
            never = call.endpoint not in self.answered and self.malformed[call.endpoint] >= MALFORMED
            return self._no_api(call, result) if never else None
        self.malformed[call.endpoint] = 0
        if result.kind == "connection":
            self.unreached[call.endpoint] += 1
            never = call.endpoint not in self.reached and self.unreached[call.endpoint] >= UNREACHED
            return self._unreachable(call, result) if never else None
        if result.status is not None:
            self.reached.add(call.endpoint)
        if result.kind not in ("authentication", "request"):
            return None
        self.refused[call.llm_id] += 1
        if result.kind == "authentication" and result.status != 403:  # 403 is also said of a text that is not allowed
            return self._refused_key(call, result)
        if result.status == 404 or self.refused[call.llm_id] >= REFUSED_IN_A_ROW:
            return self._refused_call(call, result)
        return None

    def _unreachable(self, call: Call, error: CallError) -> InputError:
        url = self.endpoints[call.endpoint].base_url
        return InputError(
            f"endpoint {call.endpoint!r}: expected an API at {url}, reached none in {UNREACHED} calls ({error}); is it "
            "up and is base_url right?"
        )

    def _no_api(self, call: Call, error: CallError) -> InputError:
        url = self.endpoints[call.endpoint].base_url
        return InputError(
            f"endpoint {call.endpoint!r}: expected replies of an OpenAI-compatible API at {url}, got none in "
            f"{self.malformed[call.endpoint]} calls in a row, the last with: {error}; mend base_url"
        )

    def _refused_key(self, call: Call, error: CallError) -> InputError:
        variable = self.endpoints[call.endpoint].api_key_env
        if variable is None:
            sent, remedy = "no key was sent", "name the environment variable of its key in api_key_env"
        else:
            sent, remedy = f"the key in {variable} was sent", f"mend {variable} or the account behind it"
        return InputError(f"endpoint {call.endpoint!r}: expected to be let in, got {error} ({sent}); {remedy}")

    def _refused_call(self, call: Call, error: CallError) -> InputError:
        url = self.endpoints[call.endpoint].base_url
        remedy = "mend api_model, or the parameters that are sent"
        if "max_completion_tokens" in str(error):
            remedy = f"set max_tokens_name: max_completion_tokens at {call.endpoint!r} in build.endpoints"
        return InputError(
            f"LLM {call.llm_id!r}: expected the endpoint {call.endpoint!r} ({url}) to take calls of model "
            f"{call.api_model!r}, got {error}; {remedy}"
        )
