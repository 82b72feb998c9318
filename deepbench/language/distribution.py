"""The base class of distributions, and the checks of intervals and weights that they share."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic_core import CoreSchema

from deepbench.language.draws import Independent
from deepbench.language.functions import Array
from deepbench.language.plain import show
from deepbench.language.specification import Specification, as_number, moved, problem

_LARGEST = float(np.finfo(np.float64).max)

Weight = Annotated[float, Field(ge=0), BeforeValidator(as_number)]
Weights = tuple[Weight, ...]


class Distribution(Independent, Specification):
    """A law by which values are drawn; the base of all of them.

    It maps a uniform random number to a value through the inverse of its cumulative distribution,
    so that each value takes one random number. A subclass declares its parameters in the order in
    which a list gives them, and defines ``support`` and ``inverse``.

    Attributes
    ----------
    tolerance : bool
        Whether the values may differ by rounding between computers.
    remedy : str
        What to do when a parameter does not allow all of the support.
    may_be_compound : bool
        Whether its parameters may be expressions; ``inverse`` then takes them as arrays, too.
    ends_may_meet : bool
        Whether ``low`` may be ``high``.
    needs_an_end : bool
        Whether it needs ``low`` or ``high``, each of which may be absent.
    """

    tolerance: ClassVar[bool] = False
    may_be_compound: ClassVar[bool] = False
    ends_may_meet: ClassVar[bool] = False
    needs_an_end: ClassVar[bool] = False
    remedy: ClassVar[str] = "choose other ends"
    _form: ClassVar[str] = "a list or a mapping"

    @property
    def continuous(self) -> bool:
        """Whether draws lie strictly between the ends of the support, instead of also on them."""
        return True

    @property
    def integer(self) -> bool:
        """Whether all values are whole numbers."""
        return False

    @abstractmethod
    def support(self) -> tuple[float, float]:
        """Return the ends of the interval that holds all values; infinite where there is none."""

    @abstractmethod
    def inverse(self, u: Array) -> Array:
        """Return the quantiles of ``u``, 0 < u < 1, before they are clipped to the support."""

    @abstractmethod
    def log_likelihood(self, x: Array) -> Array:
        """Return the logarithm of the density, or of the probability, of values within the support."""

    def log_density(self, x: Array) -> Array:
        """Return the natural logarithm of the density of values; of a discrete distribution, of their probability.

        Parameters
        ----------
        x : float64 array

        Returns
        -------
        float64 array
            Of the same shape; −∞ beyond the support, and where ``x`` is NaN.

        Examples
        --------
        >>> from deepbench.language.continuous import Uniform
        >>> Uniform(low=0, high=1).log_density(np.array([0.5, 2.0]))
        array([  0., -inf])
        """
        low, high = self.support()
        with np.errstate(all="ignore"):
            inside = (x >= low) & (x <= high)
            return np.where(inside, self.log_likelihood(x), -math.inf) + 0.0

    def quantile(self, u: Array) -> Array:
        """Return the values below which the fractions ``u`` of all draws lie.

        Parameters
        ----------
        u : float64 array
            Uniform random numbers between 0 and 1.

        Returns
        -------
        float64 array
            Of the same shape; finite and never outside the support.

        Examples
        --------
        >>> from deepbench.language.continuous import Uniform
        >>> Uniform(low=16, high=48).quantile(np.array([0.25, 0.5]))
        array([24., 32.])
        """
        with np.errstate(all="ignore"):
            values = self.inverse(np.clip(np.asarray(u, dtype=np.float64), 2.0**-54, 1 - 2.0**-53))
        low, high = self.support()
        if self.continuous:
            low, high = np.nextafter(low, math.inf), np.nextafter(high, -math.inf)
        return np.clip(values, np.maximum(low, -_LARGEST), np.minimum(high, _LARGEST))

    def misfit(self, allowed: str) -> str:
        """Return the message for a parameter that does not allow all values."""
        low, high = self.support()
        return f"gives values from {low:g} to {high:g}, but must be {allowed}; {self.remedy}"

    @model_validator(mode="wrap")
    @classmethod
    def _from_list(cls, data: Any, handler: Callable[[Any], Any]) -> Any:
        """Read a list as the parameters in their order; errors then carry the index."""
        if not isinstance(data, list | tuple):
            return handler(data)
        names = list(cls.model_fields)
        if len(data) > len(names):
            raise problem(
                f"takes {len(names)} values ({', '.join(names)}), not {len(data)}: {show(data)}"
            )
        try:
            return handler(dict(zip(names, data, strict=False)))
        except ValidationError as error:
            index = {name: index for index, name in enumerate(names[: len(data)])}
            raise moved(
                error, lambda path: (*(index.get(step, step) for step in path[:1]), *path[1:])
            ) from None

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Allow the list beside the mapping in the JSON Schema of what may be written."""
        reference = handler(schema)
        mapping = handler.resolve_ref_schema(reference)
        if handler.mode == "validation":
            forms = [mapping.copy(), cls._list_schema(mapping["properties"])]
            mapping.clear()
            mapping.update(title=cls.__name__, description=forms[0]["description"], anyOf=forms)
        return reference

    @classmethod
    def _list_schema(cls, properties: dict[str, Any]) -> dict[str, Any]:
        """Return the JSON Schema of the list form."""
        required = sum(field.is_required() for field in cls.model_fields.values())
        return {
            "type": "array",
            "prefixItems": [*properties.values()],
            "minItems": required,
            "items": False,
        }


def check_interval(low: float, high: float, least: float = -math.inf) -> None:
    """Refuse ends that leave no room between them."""
    if not low < high:
        raise problem(f"low must be below high, not {low:g} and {high:g}")
    if not low > least:
        raise problem(f"low must be above {least:g}, not {low:g}")
    if not math.isfinite(high - low):
        raise problem(f"low and high are too far apart: {low:g} and {high:g}")
    if math.nextafter(low, high) == high:
        raise problem(f"there is no number between low and high: {low!r} and {high!r}")


def check_weights(weights: Weights, count: int, what: str) -> None:
    """Refuse weights of the wrong number, and those that are all zero."""
    if len(weights) != count:
        raise problem(f"needs one weight for each of the {count} {what}, not {len(weights)}")
    if not 0 < sum(weights) < math.inf:
        raise problem("the weights must have a finite sum above 0")


def pick(u: Array, weights: Weights) -> tuple[Array, Array]:
    """Return which weighted entry each ``u`` falls into, and how far into it, from 0 to 1.

    Entries without weight are never chosen.
    """
    kept = np.flatnonzero(weights)
    share = np.asarray(weights)[kept]
    ends = np.cumsum(share)
    target = u * ends[-1]
    entry = np.minimum(np.searchsorted(ends, target, side="right"), kept.size - 1)
    starts = np.concatenate(([0.0], ends[:-1]))
    return kept[entry], np.clip((target - starts[entry]) / share[entry], 0.0, 1.0)


def equal(one: Array, other: Array) -> NDArray[np.bool_]:
    """Return where numbers agree but for a few units of the last place, as computers may round them differently."""
    return np.abs(one - other) <= 8.0 * np.spacing(np.abs(other))
