"""Joint draws that cover parameter space evenly: a Sobol sequence, shifted at random."""

from __future__ import annotations

from typing import ClassVar

from numpy.typing import NDArray

from deepbench.language.draws import Uniforms
from deepbench.language.joints.joint import Marginals
from deepbench.numerics.sobol import points, shifted


class Sobol(Marginals):
    """Values that cover parameter space evenly: point i of a Sobol sequence for sample i, with a random digital shift.

    Of the samples k 2^m … (k + 1) 2^m − 1, one is in each of the 2^m parts of equal probability of a column's
    distribution.
    """

    indexed: ClassVar[bool] = True

    def fill(self, uniforms: Uniforms) -> dict[str, NDArray]:
        """Return the values of each column for the numbers of n samples."""
        shifts = uniforms.of_table(self.dimension)
        return self.draw(shifted(points(uniforms.numbers, self.dimension), shifts))
