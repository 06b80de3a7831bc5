"""Ask a trained router: `python -m graph.route --router runs/default/router --user user_1 "question"`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from configs.errors import InputError
from configs.preferences import PREFERENCE_WORDS, parse_preference
from graph.records import Decision
from graph.router import Router

BATCH = 64
EPILOG = """examples:
  python -m graph.route --router runs/default/router --user user_1 "What is 17 * 3?"
  python -m graph.route --router runs/default/router --preference 0.9 --json "Summarise this article: ..."
  python -m graph.route --router runs/default/router --user user_1 --batch questions.jsonl > decisions.jsonl

A batch file holds one question per line: plain text (.txt), or JSON objects (.jsonl) with "query" and optionally
"user", "task" and "preference". "-" reads plain text from standard input. One JSON object per question comes out.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, or 2 where the input is wrong, or 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        router = Router.load(options.router, device="cpu")
        if options.batch is not None:
            for decision in _batch(router, options):
                _write(json.dumps(dataclasses.asdict(decision), ensure_ascii=False))
        else:
            if not (options.question or "").strip():
                raise InputError(
                    "question: expected a text, got none; give it as the last argument or use --batch FILE"
                )
            decision = router.route(options.question, options.user, options.task, options.preference)
            as_json = json.dumps(dataclasses.asdict(decision), indent=1, ensure_ascii=False)
            _write(as_json if options.json else as_text(decision, router.about))
    except InputError as err:
        sys.stderr.write(f"error: {err}\n")
        return 2
    except BrokenPipeError:  # the reader (head, less) has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return 0
    except KeyboardInterrupt:
        return 130
    return 0


def _write(text: str) -> None:
    # Half a character (a lone surrogate) cannot be written; replaced it is JSON's own escape of it.
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")
    sys.stdout.flush()


def as_text(decision: Decision, about: dict[str, object]) -> str:
    """Return the decision for a person to read."""
    dollars = about.get("cost_kind") in ("published", "computed")
    unit = "$" if dollars else "relative "
    lines = [f"{decision.llm_id}"]
    if about.get("simulated"):
        lines[0] += "   (simulated LLMs: the numbers say nothing about real ones)"
    lines.append(
        f"  expected performance {decision.expected_performance:.3f}, cost {unit}{decision.expected_cost_usd:.3g}"
    )
    if decision.confidence is not None:
        lines.append(f"  the best LLM here with probability {decision.confidence:.2f}")
    if len(decision.alternatives) > 1:
        second = decision.alternatives[1]
        lines.append(
            f"  runner-up {second.llm_id}: performance {second.expected_performance:.3f}, "
            f"cost {unit}{second.expected_cost_usd:.3g}"
        )
    lines.append(f"  why: {decision.why}")
    lines.append("  nearest known queries:")
    lines += [f"    - {_shortened(near['query'])}" for near in decision.nearest_queries]
    return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class Request:
    """One question of a batch; None where the line does not say."""

    query: str
    user: str
    task: str | None
    preference: float | str | None


def _batch(router: Router, options: argparse.Namespace) -> Iterator[Decision]:
    requests: list[Request] = []
    for request in _requests(options):
        requests.append(request)
        if len(requests) == BATCH:
            yield from _route(router, requests)
            requests = []
    yield from _route(router, requests)


def _route(router: Router, requests: list[Request]) -> list[Decision]:
    return router.route_batch(
        [request.query for request in requests],
        [request.user for request in requests],
        [request.task for request in requests],
        [request.preference for request in requests],
    )


def _requests(options: argparse.Namespace) -> Iterator[Request]:
    for number, line in _lines(options.batch):
        if not line.strip():
            continue
        base = Request(line.strip(), options.user, options.task, options.preference)
        yield _json_request(line, options.batch, number, base) if options.batch.endswith(".jsonl") else base


def _lines(path: str) -> Iterator[tuple[int, str]]:
    if path == "-":
        yield from enumerate(sys.stdin, start=1)
        return
    try:
        with Path(path).open(encoding="utf-8") as file:
            yield from enumerate(file, start=1)
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"{path}: expected a readable UTF-8 batch file, got: {err}; check the path") from err


def _json_request(line: str, path: str, number: int, base: Request) -> Request:
    where = f"{path}, line {number}"
    try:
        values = json.loads(line)
    except json.JSONDecodeError as err:
        raise InputError(f"{where}: expected a JSON object, got: {err}; mend the line") from err
    if not isinstance(values, dict) or not isinstance(values.get("query"), str):
        raise InputError(f'{where}: expected an object with a text "query", got {line.strip()[:80]}; add it')
    known = [field.name for field in dataclasses.fields(Request)]
    for name, value in values.items():
        if name not in known:
            raise InputError(f"{where}: expected the keys {', '.join(known)}, got {name!r}; remove it")
        number_given = isinstance(value, int | float) and not isinstance(value, bool)
        right = isinstance(value, str) or (name == "preference" and number_given)
        if not right and value is not None:
            kind = "a number or words" if name == "preference" else "a text"
            raise InputError(f"{where}: expected {kind} as {name!r}, got {value!r}; mend it")
    if values.get("preference") is not None:  # here, where the line is known
        values["preference"] = parse_preference(values["preference"], f"{where}: preference")
    return dataclasses.replace(base, **{name: value for name, value in values.items() if value is not None})


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 100 else line[:97] + "..."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m graph.route",
        description="Decide which LLM should answer a question for a user, and say why.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("question", nargs="?", help="the question, in quotes")
    parser.add_argument("--router", required=True, type=Path, metavar="DIR", help="the router/ folder of a run")
    parser.add_argument(
        "--user", default="", metavar="ID", help="who asks; an unknown user gets the population's choice"
    )
    parser.add_argument(
        "--task", metavar="ID", help="the task, where it is known (default: inferred from the question)"
    )
    parser.add_argument(
        "--preference",
        metavar="A",
        help=f"weight of performance in [0, 1], or {', '.join(PREFERENCE_WORDS)}; wins over what is known of the user",
    )
    parser.add_argument("--json", action="store_true", help="print the whole decision as JSON")
    parser.add_argument(
        "--batch", metavar="FILE", help="route every line of FILE (.txt, .jsonl, or - for standard input)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
