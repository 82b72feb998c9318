"""What a recipe may say about the light of a source: that it is constant, how it varies, what goes wrong.

The flux of a sample in a band is that of its source, times what modulates it (eclipses, pulsations, spots, lenses),
plus what adds to it (flares, transients). Times are days since the survey's epoch.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, create_model, model_validator

from deepbench.language.one_of import RepeatedOneOf, one_of
from deepbench.language.specification import (
    Name,
    Specification,
    parameter,
    parameters_of,
    problem,
)
from deepbench.language.values import Value
from deepbench.light_curves.families.pulsation_relations import RELATIONS

BandValues = Annotated[dict[Name, Value], Field(min_length=1, max_length=100)]
"""A value for each band of the survey."""


class LightObject(Specification):
    """What all objects share.

    Attributes
    ----------
    by_band : tuple of str
        Fields that hold a value for each band.
    measured : tuple of str
        Labels that are measured.
    """

    by_band: ClassVar[tuple[str, ...]] = ()
    measured: ClassVar[tuple[str, ...]] = ("snr",)


class Source(LightObject):
    """What shines, constantly."""

    by_band: ClassVar[tuple[str, ...]] = ("magnitudes", "colors")

    magnitude: Value | None = parameter(
        "magnitude, in the system of the zero point", unit="mag", default=None
    )
    magnitudes: BandValues | None = parameter("magnitude in each band", unit="mag", default=None)
    colors: BandValues | None = parameter(
        "what is added to `magnitude` in some of the bands", unit="mag", default=None
    )

    @model_validator(mode="after")
    def _one_magnitude(self) -> Self:
        if (self.magnitude is None) == (self.magnitudes is None):
            found = "neither" if self.magnitude is None else "both"
            raise problem(f"must have either magnitude or magnitudes; it has {found}")
        if self.colors is not None and self.magnitude is None:
            raise problem("colors are added to `magnitude`, which is missing")
        return self


class Modulation(LightObject):
    """What changes the light of the source."""


class Contaminant(LightObject):
    """What goes wrong in observing."""

    measured: ClassVar[tuple[str, ...]] = ()


def require_one(specification: Specification, *names: str) -> None:
    """Refuse a specification that does not have exactly one of some fields."""
    given = [name for name in names if getattr(specification, name) is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise problem(f"must have exactly one of {', '.join(names)}; it has {found}")


def _in_bands(meaning: str, **limits: Any) -> Any:
    return parameter(f"{meaning}, in each band", default=None, **limits)


def _ratios(what: str) -> Any:
    return parameter(f"factor of the {what} in each band; 1 when absent", minimum=0, default=None)


class Orbiting(Modulation):
    """What passes before a star, which is darker towards its limb by 1 − u1 (1 − μ) − u2 (1 − μ)²."""

    by_band: ClassVar[tuple[str, ...]] = ("third_lights",)
    measured: ClassVar[tuple[str, ...]] = ("snr", "n_in_event")

    period: Value = parameter("from one transit to the next", unit="d", above=0)
    eccentricity: Value = parameter("of the orbit", minimum=0, below=1, default=0.0)
    argument_of_periastron: Value = parameter(
        "of the orbit of the star that is eclipsed at the given time, as radial velocities give it",
        unit="degree",
        default=90.0,
    )
    u1: Value | None = parameter("linear limb darkening", minimum=-1, maximum=2, default=None)
    u2: Value | None = parameter("quadratic limb darkening", minimum=-1, maximum=1, default=None)
    q1: Value | None = parameter("(u1 + u2)² (Kipping 2013)", minimum=0, maximum=1, default=None)
    q2: Value | None = parameter(
        "u1 / (2 (u1 + u2)) (Kipping 2013)", minimum=0, maximum=1, default=None
    )
    third_light: Value | None = parameter(
        "part of the light that is another's", minimum=0, below=1, default=None
    )
    third_lights: BandValues | None = _in_bands(
        "part of the light that is another's", minimum=0, below=1
    )

    @model_validator(mode="after")
    def _one_darkening(self) -> Self:
        given = [name for name in ("u1", "u2", "q1", "q2") if getattr(self, name) is not None]
        if given not in (["u1", "u2"], ["q1", "q2"]):
            found = ", ".join(given) or "none of them"
            raise problem(f"must have either u1 and u2, or q1 and q2; it has {found}")
        if self.third_light is not None and self.third_lights is not None:
            raise problem("must have third_light or third_lights, not both")
        return self


class Transit(Orbiting):
    """A planet that passes before its star (Agol, Luger and Foreman-Mackey 2020)."""

    transit_time: Value = parameter("middle of a transit", unit="d")
    radius_ratio: Value = parameter(
        "radius of the planet over that of the star", above=0, maximum=2
    )
    scaled_semi_major_axis: Value = parameter(
        "semi-major axis over the radius of the star", above=1
    )
    impact_parameter: Value = parameter(
        "least distance of the centres at the transit, over the radius of the star", minimum=0
    )


class EclipsingBinary(Orbiting):
    """Two spherical stars that eclipse each other."""

    by_band: ClassVar[tuple[str, ...]] = ("third_lights", "surface_brightness_ratios")

    eclipse_time: Value = parameter(
        "middle of an eclipse of the first star by the second", unit="d"
    )
    sum_of_radii: Value = parameter(
        "sum of the radii over the semi-major axis", above=0, maximum=0.95
    )
    radius_ratio: Value = parameter(
        "radius of the second star over that of the first", above=0, maximum=100
    )
    inclination: Value = parameter(
        "of the orbit; 90 is edge on", unit="degree", minimum=0, maximum=90
    )
    surface_brightness_ratio: Value | None = parameter(
        "of the second star over the first, at the centres", minimum=0, default=None
    )
    surface_brightness_ratios: BandValues | None = _in_bands(
        "of the second star over the first, at the centres", minimum=0
    )
    secondary_u1: Value | None = parameter(
        "u1 of the second star; as of the first when absent", minimum=-1, maximum=2, default=None
    )
    secondary_u2: Value | None = parameter(
        "u2 of the second star", minimum=-1, maximum=1, default=None
    )
    secondary_q1: Value | None = parameter(
        "q1 of the second star", minimum=0, maximum=1, default=None
    )
    secondary_q2: Value | None = parameter(
        "q2 of the second star", minimum=0, maximum=1, default=None
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        require_one(self, "surface_brightness_ratio", "surface_brightness_ratios")
        names = ("secondary_u1", "secondary_u2", "secondary_q1", "secondary_q2")
        given = [name for name in names if getattr(self, name) is not None]
        if given not in ([], [*names[:2]], [*names[2:]]):
            raise problem(
                f"must have secondary_u1 and secondary_u2, or secondary_q1 and secondary_q2, or none of them; "
                f"it has {', '.join(given)}"
            )
        return self


class Pulsator(Modulation):
    """A star that pulsates: Σ A_k cos(2π k (t − t0) / P + φ_k) in magnitudes (Simon and Lee 1981)."""

    by_band: ClassVar[tuple[str, ...]] = ("amplitude_ratios",)

    period: Value = parameter("of the pulsation", unit="d", above=0)
    peak_time: Value = parameter("an instant of maximum light", unit="d")
    amplitude: Value = parameter(
        "faintest minus brightest magnitude", unit="mag", minimum=0, maximum=5
    )
    amplitude_ratios: BandValues | None = _ratios("amplitude")
    ratio_21: Value = parameter("A_2 / A_1", minimum=0, maximum=2, default=0.0)
    ratio_31: Value = parameter("A_3 / A_1", minimum=0, maximum=2, default=0.0)
    ratio_41: Value = parameter("A_4 / A_1", minimum=0, maximum=2, default=0.0)
    ratio_51: Value = parameter("A_5 / A_1", minimum=0, maximum=2, default=0.0)
    ratio_61: Value = parameter("A_6 / A_1", minimum=0, maximum=2, default=0.0)
    ratio_71: Value = parameter("A_7 / A_1", minimum=0, maximum=2, default=0.0)
    ratio_81: Value = parameter("A_8 / A_1", minimum=0, maximum=2, default=0.0)
    phase_21: Value = parameter("φ_2 − 2 φ_1", unit="radian", default=0.0)
    phase_31: Value = parameter("φ_3 − 3 φ_1", unit="radian", default=0.0)
    phase_41: Value = parameter("φ_4 − 4 φ_1", unit="radian", default=0.0)
    phase_51: Value = parameter("φ_5 − 5 φ_1", unit="radian", default=0.0)
    phase_61: Value = parameter("φ_6 − 6 φ_1", unit="radian", default=0.0)
    phase_71: Value = parameter("φ_7 − 7 φ_1", unit="radian", default=0.0)
    phase_81: Value = parameter("φ_8 − 8 φ_1", unit="radian", default=0.0)


def _star_of_relations(name: str, kind: str, words: str) -> type[Pulsator]:
    """Return a pulsating star whose shape, where it is not given, follows from its period by published relations."""
    fields: dict[str, Any] = {}
    for field, expression in RELATIONS[kind].items():
        of_all = parameters_of(Pulsator)[field]
        limits = {each: getattr(of_all, each) for each in ("unit", "minimum", "maximum")}
        fields[field] = (Value, parameter(of_all.description, default=expression, **limits))
    return create_model(name, __base__=Pulsator, __doc__=words, __module__=__name__, **fields)


RrLyraeAb = _star_of_relations(
    "RrLyraeAb", "rr_lyrae_ab", "An RR Lyrae star in the fundamental mode, by default in V."
)
RrLyraeC = _star_of_relations(
    "RrLyraeC", "rr_lyrae_c", "An RR Lyrae star in the first overtone, by default in V."
)
Cepheid = _star_of_relations(
    "Cepheid", "cepheid", "A classical Cepheid in the fundamental mode, by default in V."
)


class PulsationMode(Modulation):
    """One mode of a δ Scuti star, or any variation as a sine: A sin(2π f t + φ) in magnitudes."""

    by_band: ClassVar[tuple[str, ...]] = ("amplitude_ratios",)

    frequency: Value = parameter("f", unit="d-1", above=0)
    amplitude: Value = parameter("A, half of the full range", unit="mag", minimum=0, maximum=2)
    amplitude_ratios: BandValues | None = _ratios("amplitude")
    phase: Value = parameter("φ, at time 0", unit="radian", default=0.0)


class Spot(Modulation):
    """A dark spot that the rotation of the star carries around (Aigrain, Pont and Zucker 2012)."""

    by_band: ClassVar[tuple[str, ...]] = ("depth_ratios",)
    measured: ClassVar[tuple[str, ...]] = ("snr", "n_in_event")

    rotation_period: Value = parameter("of the star at its equator", unit="d", above=0)
    inclination: Value = parameter(
        "of the axis; 90 is seen from the equator", unit="degree", minimum=0, maximum=90
    )
    latitude: Value = parameter("of the spot", unit="degree", minimum=-90, maximum=90)
    longitude: Value = parameter("of the spot; at 0 it faces us at time 0", unit="degree")
    depth: Value = parameter(
        "part of the light that it takes at the centre of the disc; negative for a bright spot",
        minimum=-1,
        below=1,
    )
    depth_ratios: BandValues | None = _ratios("depth")
    shear: Value = parameter(
        "a spot turns with the rate (1 − shear sin² latitude) / rotation_period",
        minimum=0,
        maximum=1,
        default=0.0,
    )
    peak_time: Value = parameter("when it is largest", unit="d", default=0.0)
    emergence: Value = parameter(
        "standard deviation of the Gaussian by which it grows; 0: it was always there",
        unit="d",
        minimum=0,
        default=0.0,
    )
    decay: Value = parameter(
        "the same by which it fades; 0: it stays", unit="d", minimum=0, default=0.0
    )


class Flare(Modulation):
    """A flare of a cool star (Davenport et al. 2014)."""

    by_band: ClassVar[tuple[str, ...]] = ("relative_amplitude_ratios",)
    measured: ClassVar[tuple[str, ...]] = ("snr", "n_in_event")

    peak_time: Value = parameter("of its maximum", unit="d")
    fwhm: Value = parameter(
        "scale that the paper calls the full width at half maximum; that of its template is 0.913 of it",
        unit="min",
        above=0,
    )
    relative_amplitude: Value = parameter(
        "its light at the peak over that of the source", minimum=0, maximum=1e4
    )
    relative_amplitude_ratios: BandValues | None = _ratios("amplitude")


class Microlensing(Modulation):
    """A point that passes before a point (Paczyński 1986); an event where they are closer than the Einstein radius."""

    by_band: ClassVar[tuple[str, ...]] = ("source_fractions",)
    measured: ClassVar[tuple[str, ...]] = ("snr", "n_in_event")

    peak_time: Value = parameter("when they are closest", unit="d")
    einstein_time: Value = parameter(
        "in which the lens moves an Einstein radius", unit="d", above=0
    )
    impact_parameter: Value = parameter(
        "least distance in Einstein radii", minimum=1e-3, maximum=10
    )
    source_fraction: Value | None = parameter(
        "part of the light that is lensed; all when absent", minimum=0, maximum=1, default=None
    )
    source_fractions: BandValues | None = _in_bands(
        "part of the light that is lensed", minimum=0, maximum=1
    )


class RandomWalk(Modulation):
    """A damped random walk in magnitudes, as of an active nucleus (Kelly et al. 2009; MacLeod et al. 2010)."""

    by_band: ClassVar[tuple[str, ...]] = ("structure_function_ratios",)

    timescale: Value = parameter("of the damping, as observed", unit="d", above=0)
    structure_function: Value = parameter(
        "at infinity: √2 times the standard deviation", unit="mag", minimum=0, maximum=3
    )
    structure_function_ratios: BandValues | None = _ratios("structure function")


class Transient(LightObject):
    """What appears and fades away, in all bands as one black body whose temperature falls.

    Its luminosity follows a shape, in days of the rest frame. Its temperature is ``peak_temperature`` up to the peak,
    then falls towards ``floor_temperature`` in ``cooling_time``.
    """

    measured: ClassVar[tuple[str, ...]] = ("snr", "n_in_event")

    peak_time: Value = parameter("of its largest bolometric light", unit="d")
    redshift: Value = parameter("z", minimum=0, maximum=10, default=0.0)
    peak_magnitude: Value = parameter(
        "magnitude in the reference band, in the system of its zero point, at its largest bolometric light, without "
        "the dust of the Milky Way",
        unit="mag",
    )
    reference_band: Name | None = Field(
        None, description="band of `peak_magnitude`; the survey's first when absent"
    )
    peak_temperature: Value = parameter("up to the peak", unit="K", minimum=500, maximum=1e6)
    floor_temperature: Value = parameter("at last", unit="K", minimum=500, maximum=1e6)
    cooling_time: Value = parameter(
        "in which the difference falls by e, in the rest frame", unit="d", above=0
    )
    reddening: Value = parameter(
        "E(B − V) of the Milky Way (Fitzpatrick 1999, R_V = 3.1)",
        unit="mag",
        minimum=0,
        maximum=10,
        default=0.0,
    )
    rise_time: Value = parameter("timescale of the rise", unit="d", above=0)
    fall_time: Value = parameter("timescale of the fall", unit="d", above=0)


class Bazin(Transient):
    """exp(−t / fall) / (1 + exp(−t / rise)), as of a supernova (Bazin et al. 2009)."""


class Villar(Transient):
    """A plateau between an exponential rise and fall, as of a supernova (Villar et al. 2019)."""

    plateau_duration: Value = parameter("from the rise to the fall", unit="d", minimum=0)
    plateau_slope: Value = parameter(
        "change of the light on the plateau, in parts of it", unit="d-1", default=0.0
    )


class TidalDisruption(Transient):
    """A Gaussian rise, then (1 + t / fall)^index, of a star that a black hole disrupts (van Velzen et al. 2021)."""

    decay_index: Value = parameter(
        "of the power law; −5/3 is the debris that falls back (Rees 1988)",
        maximum=-0.1,
        minimum=-10,
        default=-5.0 / 3.0,
    )


class Gap(Contaminant):
    """A time in which nothing is observed."""

    start: Value = parameter("its beginning", unit="d")
    duration: Value = parameter("its length", unit="d", minimum=0)


class Outlier(Contaminant):
    """An observation that is wrong."""

    time: Value = parameter("the observation that is nearest to it is wrong", unit="d")
    deviation: Value = parameter("what is added, in standard deviations of the noise")


OBJECTS: dict[str, type[Specification]] = {
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
    "gap": Gap,
    "outlier": Outlier,
}
"""Objects of light curves by the name that a recipe has for them."""


@one_of(OBJECTS)
class ObjectEntry(RepeatedOneOf):
    """One object of a class."""

    @model_validator(mode="after")
    def _alone(self) -> Self:
        if self.repeat is not None and isinstance(self.chosen, Source | RandomWalk):
            raise problem(f"a {self.kind} cannot be repeated: leave out `repeat`")
        return self
