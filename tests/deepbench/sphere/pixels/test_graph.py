"""Graphs of pixels against a dense one, whose neighbours are found by their distances and corners."""

import healpy
import numpy as np
import pytest

from deepbench.sphere.pixels.graph import (
    edge_weights,
    laplacian,
    largest_eigenvalue,
    rescaled_laplacian,
)
from deepbench.sphere.pixels.patches import patch_cells

GRAPHS = [(1, 1, None), (2, 1, None), (8, 1, 0), (8, 2, 7), (8, 1, 4), (4, 4, 3), (4, 2, 11)]


def cells_of(nside, order, patch):
    if patch is None:
        return np.arange(healpy.nside2npix(nside))
    return patch_cells(nside, order, patch)


def dense_weights(nside, cells):
    """Return the weights of a dense graph; neighbours are pixels that share a corner."""
    corners = [np.round(healpy.boundaries(nside, int(c), nest=True).T, 9) + 0.0 for c in cells]
    sets = [{tuple(corner) for corner in four} for four in corners]
    joined = np.array([[a is not b and bool(a & b) for a in sets] for b in sets])
    centres = np.array([healpy.pix2vec(nside, int(c), nest=True) for c in cells])
    squares = ((centres[:, None] - centres[None]) ** 2).sum(-1)
    if not joined.any():
        return np.zeros_like(squares)
    return np.where(joined, np.exp(-squares / (2 * squares[joined].mean())), 0.0)


@pytest.mark.parametrize(("nside", "order", "patch"), GRAPHS[1:])
def test_weights_are_those_of_the_dense_graph(nside, order, patch):
    cells = cells_of(nside, order, patch)
    weights = edge_weights(nside, cells).toarray()
    np.testing.assert_allclose(weights, dense_weights(nside, cells), rtol=1e-12)
    np.testing.assert_array_equal(weights, weights.T)


def test_pixels_have_eight_neighbours_but_seven_where_three_faces_meet():
    degrees = (edge_weights(8, np.arange(768)).toarray() > 0).sum(1)
    assert np.bincount(degrees).tolist() == [0] * 7 + [24, 744]


def test_the_graph_of_a_patch_is_a_part_of_the_whole_but_for_the_mean():
    cells = patch_cells(8, 2, 30)
    whole = np.log(edge_weights(8, np.arange(768)).toarray()[np.ix_(cells, cells)] + 1e-300)
    part = np.log(edge_weights(8, cells).toarray() + 1e-300)
    edges = part > -100
    ratio = part[edges] / whole[edges]
    np.testing.assert_array_equal(edges, whole > -100)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-12)


@pytest.mark.parametrize(("nside", "order", "patch"), GRAPHS)
def test_laplacians_are_those_of_the_dense_graph(nside, order, patch):
    weights = edge_weights(nside, cells_of(nside, order, patch))
    dense = weights.toarray()
    sums = dense.sum(1)
    expected = np.eye(len(sums))
    if sums.any():
        expected -= dense / np.sqrt(sums[:, None] * sums[None])
    found = laplacian(weights)
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-12, atol=1e-15)
    values = np.linalg.eigvalsh(expected)
    assert largest_eigenvalue(found) == pytest.approx(values[-1], rel=1e-9)
    rescaled = np.linalg.eigvalsh(rescaled_laplacian(found).toarray())
    np.testing.assert_allclose(rescaled, 1.5 / 1.02 * values / values[-1] - 1, atol=1e-8)


def test_graphs_do_not_change_from_call_to_call():
    first, second = (rescaled_laplacian(laplacian(edge_weights(8, np.arange(768)))) for _ in "ab")
    np.testing.assert_array_equal(first.toarray(), second.toarray())


def test_a_network_sees_a_constant_as_the_lowest_eigenvector():
    weights = edge_weights(16, patch_cells(16, 1, 2))
    roots = np.sqrt(weights.sum(axis=1))
    np.testing.assert_allclose(rescaled_laplacian(laplacian(weights)) @ roots, -roots, atol=1e-12)
