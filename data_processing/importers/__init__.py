"""Published sets and a user's own tables, read into one `Dataset` with a count of everything that was dropped."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from configs.errors import InputError, did_you_mean
from configs.schema import Data
from data_processing.importers import llmrouter, personalizedrouter, routellm, routerbench, routerdc, tables
from data_processing.importers.joining import join_train_and_test
from data_processing.importers.reading import existing_path
from data_processing.tables import Dataset, validate

IMPORTERS: dict[str, Callable[[Path, Data], Dataset]] = {
    "routerbench": routerbench.load,
    "routerdc": routerdc.load,
    "llmrouter": llmrouter.load,
    "routellm": routellm.load,
    "personalizedrouter": personalizedrouter.load,
    "tables": tables.load,
}


@dataclasses.dataclass(frozen=True)
class LoadedData:
    """One dataset, and which of its queries are test queries; None where the split is still to be made."""

    dataset: Dataset
    test_query_ids: frozenset[str] | None


def load_source(data: Data) -> LoadedData:
    """Import `data.path` and, where it is given, the separate test set at `data.test_path`.

    Raises `InputError` where a path is missing, a file is not of the source's kind, or the sets do not fit together.
    """
    if data.source not in IMPORTERS:
        hint = "; build_world of data_processing.simulated makes it" if data.source == "simulated" else ""
        known = list(IMPORTERS)
        raise InputError(
            f"data.source: expected an importer among {', '.join(known)}, got {data.source!r}"
            f"{did_you_mean(data.source, known)}{hint}"
        )
    load = IMPORTERS[data.source]
    train = load(existing_path(data.path, "data.path"), data)
    validate(train)
    if data.test_path is None:
        return LoadedData(train, None)
    test = load(existing_path(data.test_path, "data.test_path"), data)
    validate(test)
    dataset, test_query_ids = join_train_and_test(train, test)
    validate(dataset)
    return LoadedData(dataset, test_query_ids)
