"""What families share: rows with named fields, values in bands, and families without kernels."""

import subprocess
import sys
from typing import ClassVar

import numpy as np
import pytest

from deepbench.language.specification import parameter
from deepbench.language.values import Value
from deepbench.light_curves.families.family import (
    Effect,
    Family,
    NumpyModulation,
    ObjectLabels,
    object_stream,
    ratios,
    record,
)
from deepbench.light_curves.families.registry import OBJECTS


class Dip(NumpyModulation):
    """A source that is darker from a time on: a family in plain numpy."""

    row: ClassVar[np.dtype] = record("time", "depth", "angle_degrees", "twice")
    by_band: ClassVar[tuple[str, ...]] = ("depth_ratios",)

    time: Value = parameter("of the step", unit="d")
    depth: Value = parameter("part of the light that is gone", minimum=0, maximum=1)
    depth_ratios: dict[str, Value] | None = ratios("depth")
    angle: Value = parameter("of nothing", unit="degree", default=0)

    def derived(self, labels, band):
        return {"twice": 2 * labels.value("missing", band, absent=4.0)}

    def factors(self, times, rows):
        return np.where(times >= rows["time"], 1 - rows["depth"], 1)


class Nameless(NumpyModulation):
    """A family that says nothing."""

    row: ClassVar[np.dtype] = record("time")


DIP = Dip(time=1, depth=0.5)
COLUMNS = {
    "time": np.array([1.0, 2.0]),
    "depth": np.array([0.5, 0.25]),
    "depth_ratios.blue": np.array([1.0, 2.0]),
    "angle": np.array([30.0, 60.0]),
    "other": np.array([1.0, 2.0]),
    "others.red": np.array([3.0, 4.0]),
}
LABELS = ObjectLabels(COLUMNS, {"blue": np.array([25.0, 26.0]), "red": np.array([24.0, 24.0])})


def test_a_value_in_a_band_is_its_own_or_that_of_all_bands_times_a_ratio():
    assert LABELS.bands == ("blue", "red")
    assert len(LABELS) == 2
    assert LABELS.value("depth", "blue").tolist() == [0.5, 0.5]
    assert LABELS.value("depth", "red").tolist() == [0.5, 0.25]
    assert LABELS.value("other", "red").tolist() == [3, 4]
    assert LABELS.value("other", "blue").tolist() == [1, 2]
    assert LABELS.value("none", "blue", absent=7.0) == 7
    with pytest.raises(KeyError, match="none"):
        LABELS.value("none", "blue")


def test_rows_have_the_parameters_of_their_names_and_what_is_derived():
    rows = DIP.rows(LABELS)
    assert rows.shape == (2, 2)
    assert rows.dtype == Dip.row
    assert rows.dtype.isalignedstruct
    assert rows["time"].tolist() == [[1, 1], [2, 2]]
    assert rows["depth"].tolist() == [[0.5, 0.5], [0.5, 0.25]]
    assert rows["angle_degrees"].tolist() == [[30, 30], [60, 60]]
    assert (rows["twice"] == 8).all()


def test_a_family_in_plain_numpy_multiplies_the_nodes_of_its_samples():
    from deepbench.light_curves.batches import ObjectBatch
    from deepbench.light_curves.survey.exposures import Nodes

    owners = np.array([0, 2])
    batch = ObjectBatch(None, DIP, DIP.rows(LABELS), owners, owners, (), {}, np.arange(2))
    times, bands = np.array([0.5, 1.5, 1.5, 2.5, 1.0, 3.0]), np.array([0, 1, 0, 0, 1, 1], np.int8)
    nodes = Nodes(None, np.array([0, 3, 4, 6]), times, bands, None)
    values = np.full(6, 2.0)
    DIP.write(batch, nodes, values)
    assert values.tolist() == [2, 1, 1, 2, 2, 1.5]


def test_a_family_in_numpy_has_factors():
    with pytest.raises(TypeError, match="Nameless .*factors"):
        Nameless()


def test_a_family_asks_for_nothing_unless_it_says_so():
    rows = DIP.rows(LABELS)
    assert DIP.effect is Effect.FACTORS
    assert DIP.needs_source
    assert (DIP.smooth(rows), DIP.fastest(rows), DIP.event_periods(rows)) == (None, None, None)
    assert DIP.event_nodes(None, None) is None
    assert (DIP.inputs(None, None, None), DIP.refusals(rows)) == ((), ())


@pytest.mark.parametrize("kind", OBJECTS)
def test_the_objects_of_the_registry_say_what_they_are(kind):
    chosen = OBJECTS[kind]
    assert set(chosen.by_band) <= set(chosen.model_fields)
    assert set(chosen.some_bands) <= set(chosen.by_band)
    if issubclass(chosen, Family):
        assert chosen.needs_source != chosen.shines
        assert chosen.row.isalignedstruct


def test_a_stream_of_an_object_has_its_class_and_its_name():
    assert object_stream("quasar", "random_walk.2", "steps") == "quasar/random_walk.2/steps"


def test_what_a_recipe_may_say_needs_no_kernels():
    code = (
        "import sys, deepbench.light_curves.model; assert not {'numba', 'scipy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
