"""The graph of HEALPix pixels as sparse tensors of PyTorch, and pooling in NEST order, for networks as DeepSphere."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from deepbench.errors import LoadingError
from deepbench.torch.sources import open_source


@dataclass(frozen=True, eq=False)
class Graph:
    """Laplacians of the pixels of a table's maps or patches, at each level of pooling.

    Attributes
    ----------
    nside : int
        Of the maps.
    laplacians : tuple of Tensor, float32, sparse CSR, shape (pixels / 4**level, …)
        By level. Rescaled as Chebyshev filters take them: eigenvalues lie between −1 and 0.47.
    """

    nside: int
    laplacians: tuple[torch.Tensor, ...]

    @property
    def levels(self) -> int:
        """Number of times that maps can be pooled."""
        return len(self.laplacians) - 1

    def nside_at(self, level: int) -> int:
        """Return nside of maps that were pooled so often."""
        return self.nside >> level

    @staticmethod
    def pool(maps: torch.Tensor, levels: int = 1, how: str = "mean") -> torch.Tensor:
        """Return maps of coarser pixels.

        Parameters
        ----------
        maps : Tensor, shape (…, pixels)
            In NEST order, where the four pixels of a coarse one follow each other.
        levels : int
        how : {"mean", "max"}

        Returns
        -------
        Tensor, shape (…, pixels / 4**levels)

        Raises
        ------
        LoadingError
            The maps cannot be pooled so often, or ``how`` is neither.
        """
        if levels < 0 or maps.shape[-1] % 4**levels:
            raise LoadingError(
                f"maps of {maps.shape[-1]} pixels cannot be pooled {levels} times: 4**levels must divide them"
            )
        if how not in ("mean", "max"):
            raise LoadingError(f"`how` must be 'mean' or 'max', not {how!r}")
        pixels = maps.unflatten(-1, (-1, 4**levels))
        return pixels.mean(-1) if how == "mean" else pixels.amax(-1)

    @staticmethod
    def unpool(maps: torch.Tensor, levels: int = 1) -> torch.Tensor:
        """Return maps of finer pixels, each with the value of its coarse one."""
        return maps.repeat_interleave(4**levels, dim=-1)

    def to(self, device: Any) -> Graph:
        """Return the graph on another device."""
        return Graph(self.nside, tuple(each.to(device) for each in self.laplacians))


def graph(
    source: Any, table: str | None = None, *, levels: int = 0, catalog: str | Path | None = None
) -> Graph:
    """Return the graph of the pixels of a table of maps: of whole maps, or of one patch.

    All patches have the graph of the first one: those elsewhere differ a little, by the curvature of the sphere, and
    DeepSphere takes one for all.

    Parameters
    ----------
    source : str, Path, Recipe or Release
    table : str, optional
        Its name; the only table when absent.
    levels : int
        Number of times that maps will be pooled.
    catalog : str or Path, optional
        Folder or address of the release; ``releases`` when absent.

    Raises
    ------
    CatalogError
        There is no such release or table.
    LoadingError
        The table has no maps, or they cannot be pooled so often.

    Notes
    -----
    Perraudin et al. 2019, Astron. Comput. 27, 130, section 3.2; Defferrard et al. 2016 for the filters.

    Examples
    --------
    >>> laplacian = graph("maps@1.0.0").laplacians[0]                # doctest: +SKIP
    >>> x1 = torch.sparse.mm(laplacian, x0)                          # doctest: +SKIP
    """
    view = open_source(source, table, "recipe", catalog).table
    if view.kind != "sphere":
        raise LoadingError(
            f"only tables of maps have a graph of pixels; '{view.name}' is a table of the kind {view.kind}"
        )
    nside, order = view.specification.nside, view.specification.patches
    most = (nside // (order or 1)).bit_length() - 1
    if not isinstance(levels, int) or not 0 <= levels <= most:
        raise LoadingError(
            f"`levels` must be a whole number from 0 to {most}, with which {'a patch' if order else 'each face'} is "
            f"one pixel, not {levels!r}"
        )
    return Graph(nside, tuple(_laplacian(nside >> each, order) for each in range(levels + 1)))


@lru_cache(maxsize=32)
def _laplacian(nside: int, order: int | None) -> torch.Tensor:
    """Return the rescaled Laplacian of all pixels, or of the first patch of an order."""
    import numpy as np

    from deepbench.sphere.pixels.graph import edge_weights, laplacian, rescaled_laplacian
    from deepbench.sphere.pixels.patches import patch_cells

    cells = np.arange(12 * nside * nside) if order is None else patch_cells(nside, order, 0)
    matrix = rescaled_laplacian(laplacian(edge_weights(nside, cells)))
    matrix.sort_indices()
    ends, columns = (
        torch.from_numpy(each.astype(np.int64)) for each in (matrix.indptr, matrix.indices)
    )
    values = torch.from_numpy(matrix.data.astype(np.float32))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state")
        return torch.sparse_csr_tensor(ends, columns, values, matrix.shape, check_invariants=True)
