"""Batches and samples of releases and recipes for PyTorch.

``Batches`` reads shuffled batches, ``Samples`` single ones; ``collate`` has batches of light curves, ``graph`` the
graph of maps. It needs the package ``torch``, which the extra ``torch`` installs.
"""

from __future__ import annotations

from deepbench.errors import LoadingError, install

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"deepbench.torch needs the package `torch`: {install('torch')}"
    ) from error

from deepbench.torch import collate as collate
from deepbench.torch.batches import Batches as Batches
from deepbench.torch.healpix import Graph as Graph
from deepbench.torch.healpix import graph as graph
from deepbench.torch.samples import Samples as Samples
from deepbench.torch.sources import RenderedTable as RenderedTable
from deepbench.torch.turns import Turns as Turns

__all__ = [
    "Batches",
    "Graph",
    "LoadingError",
    "RenderedTable",
    "Samples",
    "Turns",
    "collate",
    "graph",
]
