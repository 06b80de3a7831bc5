"""Metrics that are found by name, the ones that are imported only when used among them."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from configs.errors import InputError, did_you_mean

Metric = Callable[[str, str], float]

CODE = "data_processing.scoring.code_execution:passes_tests"
# Found by name only when used: BERTScore needs torch and lies on a higher floor, which this one may not import.
LOADED = {"bert_score": "graph.bert_score:bert_score", "code": CODE}


class UnknownMetricError(InputError, KeyError):
    """A name that no metric has: wrong input, and of a mapping a key that is not there."""

    def __str__(self) -> str:
        return str(self.args[0])  # that of KeyError would set it in quotes


class Metrics(dict[str, Metric]):
    """Name -> metric. Lists those that need nothing else; `metrics["bert_score"]` and `["code"]` are imported then.

    Another name raises `UnknownMetricError`, which says the known ones. `metrics["code"]` runs the code in answers when
    it is called, as importing it does: `find_metric` is what asks for `build.run_code`, and what a configured name
    goes through.
    """

    def __missing__(self, name: str) -> Metric:
        if name not in LOADED:
            raise unknown(name, list(self))
        return imported(name, *LOADED[name].split(":"))


def unknown(name: object, listed: list[str]) -> UnknownMetricError:
    """Return the error for a name that is none of those listed, of `LOADED`, nor a path."""
    known = [*listed, *LOADED]
    return UnknownMetricError(
        f"expected a known metric, got {name!r}{did_you_mean(str(name).lower(), known)}; use one of "
        f"{', '.join(known)}, or package.module:function for your own"
    )


def imported(name: str, module_name: str, function: str) -> Metric:
    """Return the function of the module as the metric `name`, or raise `InputError` where one is not there."""
    try:
        module = importlib.import_module(module_name)
    except ImportError as err:
        raise InputError(
            f"metric {name!r}: expected a module {module_name} that can be imported, got: {err}; mend the name, or run "
            "from the folder it lies in"
        ) from err
    metric = getattr(module, function, None)
    if not callable(metric):
        there = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise InputError(
            f"metric {name!r}: expected a function {function!r} in {module_name}, found none"
            f"{did_you_mean(function, there)}; mend the name"
        )
    return metric
