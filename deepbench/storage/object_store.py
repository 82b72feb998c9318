"""The client of an object store, and what it answers in errors of Python's own kinds."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from deepbench.errors import StorageError

METADATA_SERVICE = "169.254.169.254"
"""Address at which a machine of Amazon's tells its credentials."""


RETRIES = 8
"""Number of times that a request is made again, within a minute."""


@lru_cache(maxsize=64)
def client_of(url: str) -> Any:
    """Return obstore's store of an address. Connections are kept, and broken ones tried again for a minute."""
    from datetime import timedelta

    from obstore.store import from_url

    with asking(url):
        retries = {"max_retries": RETRIES, "retry_timeout": timedelta(minutes=1)}
        return from_url(url, retry_config=retries)  # type: ignore[call-overload]


@lru_cache(maxsize=1)
def _asked_first() -> int:
    """Return the process that asked first: it has the client's threads, and a fork of it has none."""
    return os.getpid()


@contextmanager
def asking(address: str) -> Iterator[None]:
    """Turn what a store answers about an address into short errors of Python's own kinds.

    Raises
    ------
    FileNotFoundError
        There is no such object, or no such bucket.
    PermissionError
        The store does not allow it.
    StorageError
        Anything else that went wrong; or the process is a fork of one that asked before, where nothing would answer.
    """
    from obstore import exceptions

    if _asked_first() != os.getpid():
        raise StorageError(
            f"{address}: a process that was forked from one that has used an object store cannot use it; start workers "
            "with 'spawn' or 'forkserver' (in PyTorch multiprocessing_context='spawn')"
        )
    try:
        yield
    except (FileNotFoundError, exceptions.GenericError) as error:
        if "NoSuchBucket" in str(error):
            raise FileNotFoundError(
                f"{address}: its bucket does not exist; make it, or check its name, AWS_ENDPOINT_URL and AWS_REGION"
            ) from None
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(f"{address}: is not there") from None
        raise _unanswered(address, error) from None
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError):
        raise PermissionError(
            f"{address}: the object store refuses; check the AWS_… variables of the environment"
        ) from None
    except exceptions.AlreadyExistsError:
        raise FileExistsError(f"{address} is there already") from None
    except exceptions.BaseError as error:
        raise _unanswered(address, error) from None


def _unanswered(address: str, error: Exception) -> OSError:
    """Return the error about a store that gave no answer, or one that nobody foresaw."""
    reason = re.sub(
        r"\?\S*", "", str(error).partition("\n")[0]
    )  # no queries, which may hold secrets
    if "BadScheme" in str(error):
        return StorageError(
            f"{address}: the endpoint has no TLS; if you trust the network, set AWS_ALLOW_HTTP=true"
        )
    if METADATA_SERVICE in reason:  # where credentials are looked for last
        return PermissionError(
            f"{address}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
            "AWS_SKIP_SIGNATURE=true for a public bucket"
        )
    return StorageError(
        f"{address}: the object store does not answer as it should; check AWS_ENDPOINT_URL, AWS_REGION and the network "
        f"({type(error).__name__}: {reason})"
    )
