"""Tables of questions for the tests of data construction."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from data_processing.tables import conform, query_id


def table_of(texts: Sequence[str], task_id: str = "talk") -> pd.DataFrame:
    """Return table `queries` with these texts, all of one task."""
    rows = [{"query_id": query_id(task_id, text), "task_id": task_id, "query": text} for text in texts]
    return conform("queries", pd.DataFrame(rows))
