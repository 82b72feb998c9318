"""Arrays that tables store: data variables, coordinates, and how they are cut and compressed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from deepbench.language.specification import Specification, Whole


def flags(meanings: tuple[str, ...], *, masks: bool = False) -> dict[str, Any]:
    """Return the CF attributes of codes 0, 1, …, or of bits 1, 2, 4, … with ``masks``."""
    numbers = range(len(meanings))
    codes = {"flag_masks": [1 << n for n in numbers]} if masks else {"flag_values": [*numbers]}
    return {**codes, "flag_meanings": " ".join(meanings)}


@dataclass(frozen=True)
class DataVariable:
    """An array that a table stores: ``sample`` first, then its own dimensions.

    Attributes
    ----------
    name, long_name, units : str
    dimensions : tuple of str
        Names of the dimensions after ``sample``.
    shape : tuple of int
        Their sizes.
    dtype : str
        Type of the stored numbers, such as ``float32``.
    attributes : mapping of str to str, number or list, optional
        Further attributes, such as the meanings of codes.
    missing : bool, optional
        Whether some samples have fewer values than there is room for: NaN stands in the rest.
    """

    name: str
    long_name: str
    units: str
    dimensions: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    missing: bool = False

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample, uncompressed."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, eq=False)
class Coordinate:
    """A coordinate of a dimension.

    Attributes
    ----------
    name, long_name, units : str
    size : int
        Of the dimension.
    meanings : tuple of str, optional
        What the numbers stand for.
    numbers : float64[size] or int32[size], optional
        Its values; 0, 1, …, size − 1 when absent.
    attributes : mapping of str to str, number or list, optional
        Further attributes; where there is no ``long_name``, all of them.
    dimension : str, optional
        The dimension, where it has another name than the coordinate.
    """

    name: str
    long_name: str
    units: str
    size: int
    meanings: tuple[str, ...] = ()
    numbers: NDArray[np.float64] | NDArray[np.int32] | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    dimension: str = ""

    @property
    def dimensions(self) -> tuple[str]:
        """The name of its dimension."""
        return (self.dimension or self.name,)

    @property
    def values(self) -> NDArray[np.float64] | NDArray[np.int32]:
        """Its values, one for each cell of the dimension."""
        return np.arange(self.size, dtype=np.int32) if self.numbers is None else self.numbers


class Storage(Specification):
    """How arrays are cut and compressed on disk, which changes no value."""

    chunk_bytes: Annotated[Whole, Field(ge=1024, le=2**30)] = Field(
        2**18, description="size of the pieces that are compressed and read alone, about"
    )
    shard_bytes: Annotated[Whole, Field(ge=4096, le=2**31)] = Field(
        2**26,
        description="largest size of a file of data before compression, except for a few samples that are larger",
    )
    codec: Literal["lz4", "none"] | None = Field(
        None,
        description="how data are compressed: lz4 (the default), or none, which is larger and read faster",
    )

    @field_validator("codec")
    @classmethod
    def _absent_when_usual(cls, codec: str | None) -> str | None:
        return None if codec == "lz4" else codec


def power_of_two(limit: float) -> int:
    """Return the largest power of two that is not above ``limit``, at least 1."""
    return 1 << max(0, int(limit).bit_length() - 1)


def shard_length(
    variables: tuple[DataVariable, ...], storage: Storage, label_bytes: int = 0, together: int = 1
) -> int:
    """Return the samples in each shard of a table: the largest power of two whose widest variable, and labels, fit.

    Samples that belong together are counted as one. The length never depends on the number of samples, so a table that
    grows keeps its finished shards.
    """
    widest = max(variable.sample_bytes for variable in variables)
    return together * power_of_two(storage.shard_bytes / (together * max(widest, label_bytes)))
