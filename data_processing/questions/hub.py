"""One file of a dataset on the Hugging Face hub, downloaded once and checked."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from configs.errors import InputError, did_you_mean
from data_processing.questions.raw import ENDINGS, known_ending

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

OFFLINE = (
    "without a network, download it elsewhere (`hf download --repo-type dataset …`) and give `file` instead of `hub`"
)


def hub_file(dataset: str, revision: str, filename: str, sha256: str | None = None, cache: Path | None = None) -> Path:
    """Return the local path of `filename` in a dataset at `revision` (commit, tag or branch).

    huggingface_hub keeps it in `cache` (None: its usual folder, which HF_HOME moves), writes it whole or not at all,
    and asks again only for what changed; a commit that is there needs no network. A dataset's loading script is never
    run. Raises `InputError` where the file is not one of questions, the hub cannot be reached or has no such file, or
    its sha256 is another.
    """
    what = f"{filename} of dataset {dataset!r} at {revision!r}"
    known_ending(filename)
    import httpx2  # huggingface_hub's own client
    from huggingface_hub import errors, hf_hub_download

    try:
        path = Path(hf_hub_download(dataset, filename, repo_type="dataset", revision=revision, cache_dir=cache))
    except errors.LocalEntryNotFoundError as err:
        reason = _line(err.__cause__ or err)
        raise InputError(f"{what}: expected to download it, got: {reason}; check the network; {OFFLINE}") from err
    except errors.HfHubHTTPError as err:
        raise InputError(f"{what}: {_refusal(err, dataset, revision, filename)}") from err
    except errors.HFValidationError as err:
        raise InputError(f"{what}: expected a dataset's id such as owner/name, got: {_line(err)}; mend it") from err
    except (httpx2.HTTPError, OSError) as err:
        raise InputError(f"{what}: expected to download it, got: {_line(err)}; run it again; {OFFLINE}") from err
    got = _sha256(path)
    if sha256 is not None and got != sha256:
        raise InputError(
            f"{what}: expected sha256 {sha256}, got {got}; if the file is damaged delete {path.resolve()} and run it "
            "again, else mend sha256 or pin revision to a commit"
        )
    return path


def _refusal(err: HfHubHTTPError, dataset: str, revision: str, filename: str) -> str:
    from huggingface_hub import errors

    if isinstance(err, errors.GatedRepoError):
        return "expected access, but the dataset is gated; ask for access on its page, then run `hf auth login`"
    if isinstance(err, errors.RepositoryNotFoundError):
        return "expected a dataset, found none (or it is private); check the id, or run `hf auth login`"
    if isinstance(err, errors.RevisionNotFoundError):
        return "expected this revision, found none; give a commit, tag or branch of the dataset"
    if isinstance(err, errors.EntryNotFoundError):
        return _what_is_there(dataset, revision, filename)
    return f"expected to download it, got: {_line(err)}; run it again; {OFFLINE}"


def _what_is_there(dataset: str, revision: str, filename: str) -> str:
    import httpx2
    from huggingface_hub import HfApi, errors

    try:
        names = HfApi().list_repo_files(dataset, repo_type="dataset", revision=revision)
    except (errors.HfHubHTTPError, httpx2.HTTPError) as err:
        return f"expected this file, found none, and no list of what is there: {_line(err)}; check the dataset's page"
    data = [name for name in names if Path(name).suffix.lower() in ENDINGS]
    if not data and any(name.endswith(".py") for name in names):
        return (
            "expected a file of questions, found a loading script only, which is not run; use the branch "
            "'refs/convert/parquet' where the hub has one, or download the data and give `file`"
        )
    near = did_you_mean(filename, data)
    return f"expected this file, found none{near}; the dataset has {', '.join(data[:8]) or 'no file of questions'}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _line(err: BaseException) -> str:
    lines = str(err).strip().splitlines()
    return lines[0] if lines else type(err).__name__
