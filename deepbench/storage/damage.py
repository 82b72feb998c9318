"""Errors about files of releases that are missing or damaged."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from deepbench.errors import DeepBenchError, MissingDataError, ReleaseError
from deepbench.storage.locations import Location


@contextlib.contextmanager
def reading(location: Location, name: str) -> Iterator[None]:
    """Turn what decoders raise about a damaged file into an error of ours.

    Raises
    ------
    ReleaseError
        The file is missing or damaged.
    """
    try:
        yield
    except DeepBenchError:
        raise
    except FileNotFoundError as error:
        raise MissingDataError.of(location.locate(name)) from error
    except PermissionError:
        raise
    except (ValueError, LookupError, TypeError, RuntimeError, OSError) as error:
        raise ReleaseError(
            f"{location.locate(name)} is damaged: {error}; restore the release from a copy, or mend it with "
            "`deepbench repair`"
        ) from error
