"""Turns by quarters and mirror images of planar frames, and of the targets that turn with them.

How a label turns follows from the recipe: a position from the centre of the lower left pixel or of the frame, a
direction counter-clockwise from +x, a shear. What follows from no such rule, and may turn, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepbench.errors import LoadingError
from deepbench.labelling.scopes import COMPONENT, IDENTITY, REPEAT, VARIABLES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.labelling.scopes import Scope
    from deepbench.torch.sources import Arrays, Source

DIRECTION = "counter-clockwise from +x"
"""Words of every parameter that is a direction in the frame."""

PIXELS, OFFSET = "from the centre of the lower left pixel", "from the centre of the frame"
"""Words of every position, which say where it is counted from."""

SPIRALS = frozenset({"spiral", "ringermacher_mead"})
"""Galaxies that a turn by 180° changes: their arms begin at an angle from the major axis."""

UNTURNED = re.compile(r"inclination|pitch_angle|sweep|arc_azimuth(\..*)?|.*_half_light_radius")
"""Angles that are not directions in the frame."""

REFUSED = frozenset({"bad_pixels", "wcs", "multipole"})
"""Kinds of which no label is turned but those that are no angle or position."""


@dataclass(frozen=True)
class Rule:
    """How a label turns.

    Attributes
    ----------
    what : str
        "same", "x", "y", "direction", "g1", "g2", "hand" or "arm".
    labels : tuple of str
        The labels that it depends on: itself, and for positions and shears the other component.
    centre : tuple of float
        Of the frame, along x and y: where positions are counted from.
    period : float
        Of a direction (degree); 0 where it is 360 over the second label.
    base : float
        A direction θ is mirrored to base − θ, less the third label where there is one.
    """

    what: str
    labels: tuple[str, ...]
    centre: tuple[float, float] = (0.0, 0.0)
    period: float = 180.0
    base: float = 180.0


@dataclass(frozen=True)
class Turns:
    """Random turns of images, by (seed, epoch, step) as their order.

    Parameters
    ----------
    quarters : bool
        Whether frames are turned by 90° and 270°, beside 180°; they must be square.
    mirror : bool
        Whether frames are mirrored.
    keep : iterable of str
        Targets that do not turn, where no rule says so: variables of the recipe, or labels that follow from others.

    Examples
    --------
    >>> train = Batches("shapes@1.0.0", inputs="image", targets=["rectangle.angle"], turns=Turns())     # doctest: +SKIP
    """

    quarters: bool = True
    mirror: bool = True
    keep: Iterable[str] = ()

    def of(self, source: Source, inputs: Sequence[str], targets: Sequence[str]) -> Turning:
        """Return the turns of inputs and targets of a source.

        Raises
        ------
        LoadingError
            They cannot be turned; the message says what to do.
        """
        table = source.table
        if table.kind != "image":
            raise LoadingError(
                f"only images can be turned; '{table.name}' is a table of the kind {table.kind}: leave out `turns`"
            )
        for name in inputs:
            if source.variables[name].dimensions[-2:] != ("y", "x"):
                raise LoadingError(
                    f"the input '{name}' is no plane that can be turned: leave it out, or `turns`"
                )
        ny, nx = table.specification.size
        if self.quarters and ny != nx:
            raise LoadingError(
                f"frames of {ny} × {nx} pixels are not square, and cannot be turned by 90°: use Turns(quarters=False)"
            )
        keep = [self.keep] if isinstance(self.keep, str) else list(self.keep)
        rules = {
            name: Rule("same", (name,)) if name in keep else _rule(source, name) for name in targets
        }
        quarters = (0, 1, 2, 3) if self.quarters else (0, 2)
        codes = [turn + 4 * flip for flip in range(1 + self.mirror) for turn in quarters]
        return Turning(tuple(inputs), rules, np.array(codes))


@dataclass(frozen=True, eq=False)
class Turning:
    """Turns of some inputs and targets.

    Attributes
    ----------
    inputs : tuple of str
    rules : mapping of str to Rule
        By target.
    codes : int64[k]
        Turns that may happen: number of quarters, counter-clockwise as y points up, + 4 where the frame is mirrored
        first, from left to right.
    """

    inputs: tuple[str, ...]
    rules: Mapping[str, Rule]
    codes: NDArray[np.int64]

    @property
    def labels(self) -> list[str]:
        """The targets, and what else their turns depend on."""
        return list(
            dict.fromkeys([*self.rules, *(n for rule in self.rules.values() for n in rule.labels)])
        )

    def apply(self, loaded: Arrays, words: NDArray[np.uint64]) -> Arrays:
        """Return what was loaded, turned by random words, one for each sample."""
        return self.turned(loaded, self.codes[(words % np.uint64(len(self.codes))).astype(np.intp)])

    def turned(self, loaded: Arrays, codes: NDArray[np.int64]) -> Arrays:
        """Return what was loaded, each sample turned by its code."""
        found: Arrays = {name: _turned_planes(loaded[name], codes) for name in self.inputs}
        for name, rule in self.rules.items():
            found[name] = _turned_label(rule, [loaded[each] for each in rule.labels], codes)
        return found


def _turned_planes(values: NDArray, codes: NDArray[np.int64]) -> NDArray:
    """Return planes whose last axes are y and x."""
    found = np.empty_like(values)
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        planes = values[rows]
        if code >= 4:
            planes = planes[..., ::-1]
        found[rows] = np.rot90(planes, code % 4, axes=(-1, -2))
    return found


def _turned_label(rule: Rule, values: list[NDArray], codes: NDArray[np.int64]) -> NDArray:
    """Return a label of samples that are turned."""
    quarters, mirrored = codes % 4, codes >= 4
    first = values[0]
    match rule.what:
        case "x" | "y":
            x, y = values if rule.what == "x" else values[::-1]
            x, y = x - rule.centre[0], y - rule.centre[1]
            x = np.where(mirrored, -x, x)
            turned = [x, -y, -x, y] if rule.what == "x" else [y, x, -y, -x]
            return np.choose(quarters, turned) + rule.centre[rule.what == "y"]
        case "direction":
            period = rule.period or 360.0 / values[1]
            less = values[2] if len(values) > 2 else 0.0
            angle = np.where(mirrored, rule.base - first - less, first)
            return np.mod(angle + 90.0 * quarters, period)
        case "g1" | "g2":
            sign = np.where(quarters % 2 == 1, -1.0, 1.0)
            return first * (sign if rule.what == "g1" else np.where(mirrored, -sign, sign))
        case "hand":
            return np.where(mirrored, -first, first)
        case "arm":
            return np.where(mirrored, np.mod(-first, 360.0), first)
    return first


def _rule(source: Source, name: str) -> Rule:
    """Return how a label turns.

    Raises
    ------
    LoadingError
        No rule says so.
    """
    if name in IDENTITY or source.columns[name].meanings:
        return Rule("same", (name,))
    found = {
        _rule_of(source, scope, name)
        for scope in source.table.plan.scopes
        if name in scope.all_columns()
    }
    if len(found) == 1 and (rule := found.pop()) is not None:
        return rule
    raise LoadingError(
        f"nothing says how the target '{name}' ({source.columns[name].description}) turns with the frame: leave it "
        f"out, leave out `turns`, or use Turns(keep=['{name}']) if it stays as it is"
    )


def _rule_of(source: Source, scope: Scope, column: str) -> Rule | None:
    """Return how a column of a scope turns; None where nothing says so."""
    same = Rule("same", (column,))
    field = column.removeprefix(f"{scope.name}.")
    if field == "repeat":
        return same
    if scope.name == VARIABLES or field.startswith(f"{VARIABLES}."):
        return None
    if field in scope.measured:
        meaning = scope.measured[field]
    else:
        value = next(each for each in scope.values if column in scope.columns(each))
        meaning = scope.meaning(value, column)
        if meaning is not COMPONENT and column != scope.column(value):
            return None  # of a joint draw
    words = meaning.description
    if meaning in (COMPONENT, REPEAT) or UNTURNED.fullmatch(field):
        return same
    at = re.fullmatch(r"(.*_|)(d?)([xy])", field)
    if words.startswith("position of") and at is not None and (PIXELS in words or OFFSET in words):
        other = f"{at[1]}{at[2]}{'y' if at[3] == 'x' else 'x'}"
        ny, nx = source.table.specification.size
        centre = ((nx - 1) / 2, (ny - 1) / 2) if PIXELS in words else (0.0, 0.0)
        return Rule(at[3], (column, f"{scope.name}.{other}"), centre)
    if field in ("shear.g1", "shear.g2"):
        return Rule(field[-2:], (column,))
    if field == "handedness":
        return Rule("hand", (column,))
    if field == "arm_angle":
        return Rule("arm", (column,))
    if scope.kind not in REFUSED and meaning.unit == "degree" and DIRECTION in words:
        return _direction(scope, column)
    turns = meaning.unit == "degree" or re.search(
        r"\b(row|column|direction|along [xy]|position)", words
    )
    return None if turns else same


def _direction(scope: Scope, column: str) -> Rule:
    """Return how a direction turns: most are those of an axis, which 180° leave as it is."""
    beside = {name: f"{scope.name}.{name}" for name in ("sides", "sweep")}
    if scope.kind == "regular_polygon":
        return Rule("direction", (column, beside["sides"]), period=0.0)
    if scope.kind == "triangle":  # its apex is at 90° from the base
        return Rule("direction", (column,), period=360.0, base=0.0)
    if scope.kind == "arc":  # it begins where its mirror image ends
        return Rule("direction", (column, column, beside["sweep"]), period=360.0)
    if scope.kind in SPIRALS:
        return Rule("direction", (column,), period=360.0)
    return Rule("direction", (column,))
