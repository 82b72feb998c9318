"""The graph of maps: DeepSphere's Laplacian, pooling in NEST order; maps as samples, batches of many maps."""

import healpy
import numpy as np
import pytest
import torch

from deepbench.catalog import find
from deepbench.errors import LoadingError
from deepbench.sphere.pixels.graph import edge_weights, laplacian, rescaled_laplacian
from deepbench.torch import Batches, Graph, graph
from deepbench.torch.sources import RenderedTable


@pytest.fixture
def release():
    return find("kinds", "2.0.0", "tests/releases")


def test_laplacians_are_those_of_patches_and_maps(release):
    found = graph(release, "patches", levels=1)
    side = release.recipe.tables["patches"].nside
    order = release.recipe.tables["patches"].patches
    for level, matrix in enumerate(found.laplacians):
        cells = np.arange((side // order) ** 2 // 4**level)
        expected = rescaled_laplacian(laplacian(edge_weights(side >> level, cells)))
        assert matrix.layout == torch.sparse_csr
        assert matrix.dtype == torch.float32
        np.testing.assert_allclose(matrix.to_dense().numpy(), expected.toarray(), atol=1e-7)
    assert (found.levels, found.nside_at(1)) == (1, side // 2)
    values = np.linalg.eigvalsh(graph(release, "patches").laplacians[0].to_dense().double().numpy())
    assert -1 - 1e-6 < values[0] < values[-1] < 0.4707
    assert graph(release, "sky").laplacians[0].shape == (3072, 3072)


def test_maps_are_pooled_as_healpy_does():
    maps = torch.from_numpy(np.random.default_rng(1).normal(size=(3, 2, 12 * 64)))
    for levels in (1, 2):
        expected = healpy.ud_grade(
            maps.reshape(6, -1).numpy(), 8 >> levels, order_in="NEST", order_out="NEST"
        )
        pooled = Graph.pool(maps, levels)
        np.testing.assert_allclose(pooled.reshape(6, -1).numpy(), expected, atol=1e-14)
        assert torch.equal(Graph.pool(Graph.unpool(pooled, levels), levels, "max"), pooled)


def test_batches_of_patches_are_of_many_maps(release):
    source = RenderedTable(release.recipe, "patches")
    assert source.unit == release.recipe.tables["patches"].together
    with pytest.warns(UserWarning, match="mixes 1 groups of 48 samples that are related"):
        own = Batches(source, split=None, batch_size=8, window=2 * 12 * 64, lanes=2)
    images = release.open()["patches"]["map"].values
    for batch in own:
        np.testing.assert_allclose(batch["map"][:, 0].numpy(), images[batch["id"]], atol=1e-5)
    mixed = Batches(RenderedTable(release.recipe, "patches", 480), split=None, batch_size=24)
    assert len(set((next(iter(mixed))["id"] // 48).tolist())) > 5


def test_what_has_no_graph_is_refused(release):
    with pytest.raises(LoadingError, match="'galaxies' is a table of the kind image"):
        graph(release, "galaxies")
    with pytest.raises(LoadingError, match="`levels` must be a whole number from 0 to 2"):
        graph(release, "patches", levels=3)
    with pytest.raises(LoadingError, match="cannot be pooled 2 times"):
        Graph.pool(torch.zeros(2, 8), 2)
    with pytest.raises(LoadingError, match="'mean' or 'max'"):
        Graph.pool(torch.zeros(2, 8), 1, "sum")
