"""A small DeepSphere reads a table as it stands: Chebyshev filters (K = 5) on the graph of a patch, pooled by quads."""

import numpy as np
import pytest

from deepbench import parse_recipe
from deepbench.samples import render
from deepbench.sphere.pixels.graph import edge_weights, laplacian, rescaled_laplacian
from deepbench.sphere.pixels.patches import patch_cells
from deepbench.sphere.pixels.statistics import training_statistics

RECIPE = """
name: sky
version: 1.0.0
title: Two spectra
seed: 3
tables:
  maps:
    kind: sphere
    samples: 240
    nside: 16
    patches: 1
    classes:
      shallow: {field: {gaussian: {spectrum: {power_law: {amplitude: 1.0e-4, slope: 0, pivot: 10}}}}}
      steep: {field: {gaussian: {spectrum: {power_law: {amplitude: 1.0e-4, slope: 4, pivot: 10}}}}}
"""


@pytest.mark.slow
def test_a_few_steps_of_training_tell_two_spectra_apart():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    data = render(parse_recipe(RECIPE), "maps")
    statistics = training_statistics(data)
    maps = torch.tensor((data["map"].values - statistics.mean) / statistics.sigma)
    classes, splits = (
        torch.tensor(data[name].values.astype(np.int64)) for name in ("class", "split")
    )

    def filters(nside):
        weights = edge_weights(nside, patch_cells(nside, 1, 0))
        return torch.tensor(rescaled_laplacian(laplacian(weights)).toarray()).float()

    class Chebyshev(torch.nn.Module):
        """Σ T_k(L) x W_k, k = 0 … 4."""

        def __init__(self, nside, before, after):
            super().__init__()
            self.laplacian = filters(nside)
            self.weights = torch.nn.Parameter(torch.randn(5, before, after) * (5 * before) ** -0.5)

        def times(self, x):
            return torch.einsum("pq,nqc->npc", self.laplacian, x)

        def forward(self, x):
            terms = [x, self.times(x)]
            for _ in range(3):
                terms.append(2 * self.times(terms[-1]) - terms[-2])
            return sum(term @ weight for term, weight in zip(terms, self.weights, strict=True))

    one, two, last = Chebyshev(16, 1, 8), Chebyshev(8, 8, 16), torch.nn.Linear(16, 2)
    layers = torch.nn.ModuleList([one, two, last])

    def network(x):
        x = torch.relu(one(x[..., None]))
        x = x.reshape(len(x), -1, 4, 8).amax(dim=2)  # quads of NEST
        return last(torch.relu(two(x)).mean(dim=1))

    train, test = splits == 0, splits == 2
    assert not set(data["group"].values[train]) & set(data["group"].values[test])
    optimiser = torch.optim.Adam(layers.parameters(), lr=0.01)
    losses = []
    for _ in range(25):
        loss = torch.nn.functional.cross_entropy(network(maps[train]), classes[train])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    assert (network(maps[test]).argmax(dim=1) == classes[test]).float().mean() > 0.9


def test_statistics_are_those_of_the_training_split_alone():
    data = render(parse_recipe(RECIPE), "maps")
    train = data["map"].values[data["split"].values == 0].astype(float)
    found = training_statistics(data, block=7)
    assert found.mean == pytest.approx(train.mean(), abs=1e-12)
    assert found.sigma == pytest.approx(train.std(), rel=1e-12)
    assert found.sigma != pytest.approx(float(data["map"].values.std()), rel=1e-6)
    data["map"][:, :100] = np.nan
    assert training_statistics(data).sigma == pytest.approx(train[:, 100:].std(), rel=1e-12)


def test_statistics_of_what_is_not_there():
    from deepbench.errors import CatalogError

    data = render(parse_recipe(RECIPE), "maps", 0, 24)
    for arguments, message in (
        ({"variable": "image"}, "no variable 'image'; it has"),
        ({"split": "dev"}, "no split 'dev' in the table; there is: train, validation, test"),
    ):
        with pytest.raises(CatalogError, match=message):
            training_statistics(data, **arguments)
    data["map"][:] = np.nan
    with pytest.raises(CatalogError, match="has no sample with a value"):
        training_statistics(data)
