"""How a data variable is stored: its type and shape, and how it is cut into shards and chunks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from deepbench.storage.codecs import Codecs

INDEX_CODECS = ["bytes", "crc32c"]
"""Codecs of the index of a shard, which stands at its end."""


@dataclass(frozen=True)
class Piece:
    """A part of each sample that is in one chunk.

    Attributes
    ----------
    number : int
        Number of its chunk in the shard, for the first samples of the shard.
    inside : tuple of slice
        Where it lies in a sample.
    """

    number: int
    inside: tuple[slice, ...]


@dataclass(frozen=True)
class StoredVariable:
    """A data variable of a release.

    Attributes
    ----------
    name : str
    dtype : dtype
    shape : tuple of int
        Shape of one sample.
    dims : tuple of str
        Names of its dimensions, without ``sample``.
    chunk, shard : tuple of int
        Shapes of chunks and shards, samples first.
    codecs : Codecs
        Codecs of the chunks.
    fill : float or int
        Value of a chunk that was not written.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    dims: tuple[str, ...]
    chunk: tuple[int, ...]
    shard: tuple[int, ...]
    codecs: Codecs
    fill: float | int

    @classmethod
    def parse(cls, name: str, described: dict[str, Any]) -> StoredVariable:
        """Read the metadata of a Zarr array.

        Raises
        ------
        ValueError, LookupError, TypeError
            It is not stored as releases are.
        """
        dtype = np.dtype(described["data_type"])
        sharding = described["codecs"][0]
        inner = sharding.get("configuration") or {}
        index = [each["name"] for each in inner.get("index_codecs", ())]
        if (
            [sharding["name"], len(described["codecs"])] != ["sharding_indexed", 1]
            or (index, inner.get("index_location", "end")) != (INDEX_CODECS, "end")
            or described["chunk_key_encoding"]["name"] != "default"
            or described["chunk_key_encoding"]["configuration"]["separator"] != "/"
        ):
            raise ValueError("it is not stored in shards that end with an index and its checksum")
        return cls(
            name,
            dtype,
            tuple(described["shape"][1:]),
            tuple(described["dimension_names"][1:]),
            tuple(inner["chunk_shape"]),
            tuple(described["chunk_grid"]["configuration"]["chunk_shape"]),
            Codecs.parse(inner["codecs"]),
            dtype.type(described["fill_value"]).item(),
        )

    @cached_property
    def grid(self) -> tuple[int, ...]:
        """Number of chunks of a shard along each dimension, samples first."""
        return tuple(edge // piece for edge, piece in zip(self.shard, self.chunk, strict=True))

    @cached_property
    def chunks(self) -> int:
        """Number of chunks of a shard."""
        return math.prod(self.grid)

    @cached_property
    def pieces(self) -> dict[str, list[Piece]]:
        """Pieces of a sample, by the ending of the names of the shards that hold them, such as ``/0/0``."""
        found: dict[str, list[Piece]] = {}
        counts = [-(-edge // piece) for edge, piece in zip(self.shape, self.chunk[1:], strict=True)]
        for place in product(*map(range, counts)):
            shard, number = "", 0
            for at, edge in zip(place, self.grid[1:], strict=True):
                shard += f"/{at // edge}"
                number = number * edge + at % edge
            inside = tuple(
                slice(at * piece, min((at + 1) * piece, edge))
                for at, piece, edge in zip(place, self.chunk[1:], self.shape, strict=True)
            )
            found.setdefault(shard, []).append(Piece(number, inside))
        return found
