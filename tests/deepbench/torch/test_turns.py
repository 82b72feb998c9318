"""Turned images are those of turned labels: held against what the recipe renders from them."""

import re

import numpy as np
import pandas as pd
import pytest

import deepbench
from deepbench.errors import LoadingError
from deepbench.recipe import load_recipe, parse_recipe
from deepbench.torch import Batches, Turns
from deepbench.torch.sources import RenderedTable

SHAPES = """\
name: turned
version: 1.0.0
title: Directed shapes
seed: 3
tables:
  images:
    kind: image
    samples: 48
    size: [32, 32]
    classes:
      ellipse:
        objects:
          - ellipse:
              x: {uniform: [8, 20]}
              y: {uniform: [8, 20]}
              semi_major_axis: 6
              axis_ratio: 0.5
              position_angle: {uniform: [0, 180]}
      polygon:
        objects:
          - regular_polygon:
              x: {uniform: [8, 20]}
              y: 12
              sides: {integers: [3, 7]}
              radius: 7
              angle: {uniform: [0, 50]}
      triangle:
        objects:
          - triangle:
              x: {uniform: [8, 20]}
              y: 12
              base: 4
              height: 9
              angle: {uniform: [0, 360]}
      arc:
        objects:
          - arc:
              x: {uniform: [8, 20]}
              y: 12
              radius: 5
              thickness: 2
              sweep: {uniform: [40, 200]}
              angle: {uniform: [0, 360]}
      rectangle:
        objects:
          - rectangle:
              x: 10
              y: {uniform: [8, 20]}
              width: 9
              height: 4
              angle: {uniform: [0, 180]}
    psf: {gaussian: {sigma: 1.0}}
"""

GALAXIES = """\
name: turned_galaxies
version: 1.0.0
title: Directed galaxies and lenses
seed: 3
tables:
  images:
    kind: image
    samples: 16
    size: [48, 48]
    pixel_scale: 0.2
    classes:
      spiral:
        objects:
          - spiral:
              dx: {uniform: [-1, 1]}
              dy: {uniform: [-1, 1]}
              flux: 100
              bulge_fraction: 0.2
              bulge_half_light_radius: 0.3
              disk_half_light_radius: 1.0
              inclination: {uniform: [20, 60]}
              position_angle: {uniform: [0, 180]}
              arms: 3
              arm_angle: {uniform: [0, 120]}
              inner_radius: 0.3
              pitch_angle: 20
              handedness: {choice: [-1, 1]}
      sheared:
        objects:
          - sersic:
              dx: 0.4
              dy: -0.7
              flux: 100
              sersic_index: 1
              half_light_radius: 0.8
              axis_ratio: 0.6
              position_angle: {uniform: [0, 180]}
              shear: {g1: {uniform: [-0.1, 0.1]}, g2: {uniform: [-0.1, 0.1]}}
    psf: {moffat: {fwhm: 0.7, beta: 3, axis_ratio: 0.7, position_angle: {uniform: [0, 180]}}}
"""


@pytest.mark.filterwarnings("ignore::deepbench.errors.RangeWarning")
@pytest.mark.parametrize("text", [SHAPES, GALAXIES], ids=["shapes", "galaxies"])
def test_turned_images_are_rendered_from_turned_labels(text):
    """The bound, 8 units in the last place of the peak in float32, is for the order of sums along x and y."""
    recipe = parse_recipe(text)
    source = RenderedTable(recipe, "images")
    frame = deepbench.labels(recipe, "images")
    numbers = [name for name in frame if name not in ("id", "class", "split", "group")]
    turning = Turns().of(source, ["image"], numbers)
    assert sorted(turning.codes) == list(range(8))
    loaded = source.load(["image"], turning.labels, np.arange(len(frame)))
    for code in range(8):
        turned = turning.turned(loaded, np.full(len(frame), code))
        changed = frame.assign(**{name: turned[name] for name in numbers})
        made = deepbench.render(recipe, "images", labels=changed).image.values
        error = np.abs(made - turned["image"]).max((1, 2)) / made.max((1, 2))
        assert error.max() < 1e-6, (code, pd.Series(error).idxmax())
        assert code == 0 or np.abs(made - loaded["image"]).max() > 0.1 * made.max()


def test_batches_turn_by_seed_epoch_and_step():
    recipe = parse_recipe(SHAPES)
    options = {"targets": ["ellipse.position_angle", "ellipse.x"], "batch_size": 8, "seed": 4}
    plain = list(Batches(recipe, split=None, **options))
    own = list(Batches(recipe, split=None, turns=Turns(), **options))
    parts = [
        list(Batches(recipe, split=None, turns=Turns(), rank=rank, world_size=2, **options))
        for rank in (0, 1)
    ]
    changed = 0
    for step, (before, after) in enumerate(zip(plain, own, strict=True)):
        assert (before["id"] == after["id"]).all()
        for part, some in zip(parts, (slice(0, 4), slice(4, 8)), strict=True):
            assert (part[step]["image"] == after["image"][some]).all()
            assert (part[step]["ellipse.x"] == after["ellipse.x"][some]).all()
        changed += sum(
            not (a == b).all() for a, b in zip(before["image"], after["image"], strict=True)
        )
        assert not after["ellipse.x"][~after["ellipse.x.present"]].any()
    assert 0.7 < changed / 48 <= 1


def test_frames_that_are_not_square_turn_by_half():
    recipe = parse_recipe(SHAPES.replace("size: [32, 32]", "size: [32, 40]"))
    source = RenderedTable(recipe, "images")
    with pytest.raises(LoadingError, match=re.escape("Turns(quarters=False)")):
        Turns().of(source, ["image"], ["class"])
    turning = Turns(quarters=False).of(source, ["image"], ["ellipse.x"])
    assert turning.codes.tolist() == [0, 2, 4, 6]
    loaded = source.load(["image"], turning.labels, np.arange(4))
    turned = turning.turned(loaded, np.full(4, 2))
    assert (turned["image"] == loaded["image"][:, ::-1, ::-1]).all()
    np.testing.assert_array_equal(turned["ellipse.x"], 39 - loaded["ellipse.x"])


@pytest.mark.parametrize(
    ("workflow", "target", "message"),
    [
        ("all_shapes", "variables.brightness", re.escape("Turns(keep=['variables.brightness'])")),
        ("survey_field", "wcs.rotation", "nothing says how the target 'wcs.rotation'"),
        ("pendulums", "class", "only images can be turned"),
        ("light_curves", "class", "only images can be turned"),
    ],
)
def test_what_does_not_say_how_it_turns_is_refused(workflow, target, message):
    recipe = load_recipe(f"workflows/{workflow}.yaml")
    table = next(iter(recipe.tables))
    source = RenderedTable(recipe, table)
    with pytest.raises(LoadingError, match=message):
        Turns().of(source, list(source.variables)[:1], [target])
    if "keep" in message:
        turning = Turns(keep=[target]).of(source, ["image"], [target])
        assert turning.rules[target].what == "same"


def test_every_label_of_images_has_a_rule_or_is_refused():
    """Labels of all workflows: those that are kept as they are, are neither angles nor positions."""
    from pathlib import Path

    kept = set()
    for path in sorted(Path("workflows").glob("*.yaml")):
        recipe = load_recipe(path)
        for name, table in recipe.tables.items():
            if table.kind != "image":
                continue
            source = RenderedTable(recipe, name)
            quarters = table.size[0] == table.size[1]
            for label, column in source.columns.items():
                try:
                    rule = Turns(quarters=quarters).of(source, ["image"], [label]).rules[label]
                except LoadingError:
                    continue
                if rule.what == "same" and column.unit == "degree":
                    kept.add(label.split(".", 1)[1])
    assert kept <= {
        "inclination",
        "pitch_angle",
        "sweep",
        "arc_azimuth.vis",
        "arc_azimuth.f814w",
    } | {f"arc_azimuth.{band}" for band in "gri"}
