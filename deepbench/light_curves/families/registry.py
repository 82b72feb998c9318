"""Objects of light curves by name: the one registry, and the entry of a recipe that holds one of them."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from deepbench.deflectors.lens import Lens
from deepbench.deflectors.masses import DEFLECTORS
from deepbench.language.one_of import RepeatedOneOf, one_of
from deepbench.language.specification import Specification, problem
from deepbench.light_curves.families.contaminants import Gap, Outlier
from deepbench.light_curves.families.eclipsing_binary import EclipsingBinary
from deepbench.light_curves.families.family import LightObject
from deepbench.light_curves.families.flare import Flare
from deepbench.light_curves.families.lensed import Lensed
from deepbench.light_curves.families.microlensing import Microlensing
from deepbench.light_curves.families.pulsation import (
    Cepheid,
    PulsationMode,
    Pulsator,
    RrLyraeAb,
    RrLyraeC,
)
from deepbench.light_curves.families.random_walk import RandomWalk
from deepbench.light_curves.families.source import Source
from deepbench.light_curves.families.spot import Spot
from deepbench.light_curves.families.transient import Bazin, TidalDisruption, Villar
from deepbench.light_curves.families.transit import Transit

OBJECTS: dict[str, type[LightObject]] = {
    "source": Source,
    "transit": Transit,
    "eclipsing_binary": EclipsingBinary,
    "rr_lyrae_ab": RrLyraeAb,
    "rr_lyrae_c": RrLyraeC,
    "cepheid": Cepheid,
    "pulsator": Pulsator,
    "pulsation_mode": PulsationMode,
    "spot": Spot,
    "flare": Flare,
    "microlensing": Microlensing,
    "random_walk": RandomWalk,
    "bazin": Bazin,
    "villar": Villar,
    "tidal_disruption": TidalDisruption,
    "lensed": Lensed,
    "gap": Gap,
    "outlier": Outlier,
}
"""Objects of light curves by the name that a recipe has for them."""

ENTRIES: dict[str, type[Specification]] = {**OBJECTS, **DEFLECTORS, "lens": Lens}
"""Entries of a class by the name that a recipe has for them: objects, masses, and the plane of the masses."""


@one_of(ENTRIES)
class ObjectEntry(RepeatedOneOf):
    """One object of a class."""

    @model_validator(mode="after")
    def _alone(self) -> Self:
        if self.repeat is not None and not getattr(self.chosen, "repeatable", True):
            raise problem(f"a {self.kind} cannot be repeated: leave out `repeat`")
        return self
