"""Random numbers that a test gives to a value in place of those of a stream."""

import numpy as np

from deepbench.language.draws import Uniforms


class GivenUniforms(Uniforms):
    """Numbers of draws from functions of how many are asked for."""

    def __init__(self, numbers, several, of_table):
        self.numbers = np.asarray(numbers)
        self._several, self._of_table = several, of_table

    def several(self, count):
        return self._several(count)

    def of_table(self, count):
        return self._of_table(count)

    def of_group(self):
        raise NotImplementedError
