"""Tables of spherical maps, as recipes make them."""

import healpy
import numpy as np
import pytest
import yaml

from deepbench import load_recipe, parse_recipe
from deepbench.errors import InputWarning, LabelError, RecipeError
from deepbench.samples import draw_labels, labels, render
from deepbench.sphere.fields.cosmology import Cosmology, convergence_spectrum, empty_beam_shift
from deepbench.sphere.fields.harmonics import euler_matrix
from deepbench.sphere.fields.spectra import cmb_spectra, gaussian_beam, power_law
from deepbench.sphere.pixels.patches import split_map

LENSING = {"convergence": {"omega_m": 0.3, "sigma_8": 0.8, "source_redshift": 1}}
POWER = {"power_law": {"amplitude": 1e-4, "slope": 1.5}}
COSMOLOGY = ("omega_m", "sigma_8", "h", "n_s", "omega_b", "t_cmb", "source_redshift")
TURNS = {
    "alpha": {"uniform": [0, 360]},
    "cos_beta": {"uniform": [-1, 1]},
    "gamma": {"uniform": [0, 360]},
}


def data(field=None, *, objects=(), **table):
    described = {"kind": "sphere", "samples": 4, "nside": 32, **table}
    if "classes" not in described:
        one = {"objects": list(objects)} if objects else {}
        described["classes"] = {"one": one if field is None else {"field": field, **one}}
    return {"name": "sky", "version": "1.0.0", "title": "t", "seed": 5, "tables": {"t": described}}


def recipe(*arguments, **table):
    return parse_recipe(yaml.safe_dump(data(*arguments, **table), sort_keys=False))


def gaussian(spectrum=None):
    return {"gaussian": {"spectrum": spectrum or POWER}}


def lognormal(**shift):
    return {"lognormal": {"spectrum": LENSING, **(shift or {"shift_by": "empty_beam"})}}


def maps(made, variable="map", **arguments):
    return render(made, "t", **arguments)[variable].values


# --- fields -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_gaussian_field_has_its_spectrum_behind_the_beam():
    """60 maps, mode by mode; χ² of the mean of C_ℓ with its variance 2 C² / (2ℓ + 1) / 60, of 60 multipoles."""
    made = recipe(gaussian(), samples=60, beam={"sigma": 60})
    found = np.mean(
        [healpy.anafast(healpy.reorder(sky, n2r=True), lmax=64, iter=3) for sky in maps(made)],
        axis=0,
    )
    expected = power_law(1e-4, 1.5, 64, 100.0) * gaussian_beam(np.deg2rad(1), 64) ** 2
    ell = np.arange(2, 62)
    z = (found[ell] / expected[ell] - 1) / np.sqrt(2 / (2 * ell + 1) / 60)
    assert 30 < (z**2).sum() < 100
    assert abs(z.mean()) < 4 / np.sqrt(60)


@pytest.mark.slow
def test_a_lognormal_field_has_its_spectrum_and_its_skewness():
    """64 maps: the mean spectrum with the error of the mean, and the skewness (3 + u) √u, u = σ² / λ²."""
    made = recipe(lognormal(), samples=64, lmax=64)
    sky = maps(made).astype(float)
    spectra = np.array(
        [healpy.anafast(healpy.reorder(each, n2r=True), lmax=60, iter=3) for each in sky]
    )
    cosmology = Cosmology(0.3, 0.8)
    expected = convergence_spectrum(cosmology, 1.0, 64)
    bins = np.array_split(np.arange(4, 60), 8)
    for ell in bins:
        ratio = (spectra[:, ell] / expected[ell]).mean(axis=1)
        assert abs(ratio.mean() - 1) < 4 * ratio.std() / 8 + 2e-3
    shift = empty_beam_shift(cosmology, 1.0)
    frame = labels(made, "t", 0, 1)
    assert frame["map.shift"].iloc[0] == pytest.approx(shift)
    sigma = frame["map.sigma"].iloc[0]
    assert sky.std() == pytest.approx(sigma, rel=0.02)
    assert sky.min() > -shift
    u = sigma**2 / shift**2
    moments = (sky**3).mean(axis=1) / sky.std() ** 3
    assert abs(moments.mean() - (3 + u) * np.sqrt(u)) < 4 * moments.std() / 8 + 0.01


def test_labels_of_the_shift():
    assert labels(recipe(lognormal(shift=0.1)), "t", 0, 1)["map.shift"].iloc[0] == 0.1
    hilbert = labels(recipe(lognormal(shift_by="hilbert2011")), "t", 0, 1)["map.shift"].iloc[0]
    assert hilbert == pytest.approx(0.008 + 0.029 - 0.0079 + 0.00065)


def test_shear_is_that_of_healpy():
    """Channels through healpy.map2alm: E of shear is the convergence's times √((ℓ+2)(ℓ−1)/(ℓ(ℓ+1))), B is nothing."""
    sky = maps(recipe(gaussian(LENSING), channels="shear", samples=1))[0].astype(float)
    t, e, b = healpy.map2alm([healpy.reorder(each, n2r=True) for each in sky], lmax=64, iter=5)
    ell, _ = healpy.Alm.getlm(64)
    keep = (ell >= 2) & (ell < 60)
    ell = ell[keep]
    factor = np.sqrt((ell + 2.0) * (ell - 1.0) / (ell * (ell + 1.0)))
    assert np.abs(e[keep] - factor * t[keep]).max() < 2e-3 * np.abs(t[keep]).max()
    assert np.abs(b[keep]).max() < 1e-3 * np.abs(e[keep]).max()


def polarised_spectra(samples, **cmb):
    """Return TT, EE, BB, TE, EB and TB of each map by healpy, up to ℓ = 48, float64[samples, 6, 49]."""
    made = recipe(gaussian({"cmb": cmb}), channels="polarization", samples=samples)
    nest = render(made, "t")["map"]
    assert nest.dims == ("sample", "channel", "cell")
    assert nest["channel"].attrs["flag_meanings"] == "t q u"
    skies = [healpy.reorder(each, n2r=True) for each in nest.values.astype(float)]
    return np.array([healpy.anafast(each, lmax=48, iter=4) for each in skies])


@pytest.mark.slow
def test_polarised_maps_have_all_spectra_of_the_table():
    """60 maps, mode by mode; χ² of the mean of each spectrum, with its variance, of 47 multipoles: 47 ± 4 √94."""
    tt, ee, bb, te = cmb_spectra(48)[:, 2:]
    none = np.zeros_like(tt)
    expected = np.array([tt, ee, bb, te, none, none])
    autos = np.array([tt * tt, ee * ee, bb * bb, tt * ee, ee * bb, tt * bb])
    ell = np.arange(2, 49)
    variance = (autos + expected**2) / (2 * ell + 1) / 60
    z = (polarised_spectra(60).mean(axis=0)[:, 2:] - expected) / np.sqrt(variance)
    assert ((z**2).sum(axis=1) > 47 - 4 * np.sqrt(94)).all()
    assert ((z**2).sum(axis=1) < 47 + 4 * np.sqrt(94)).all()
    assert (np.abs(z.mean(axis=1)) < 4 / np.sqrt(47)).all()


def test_without_lensing_there_are_no_b_modes():
    _, ee, bb, *_ = polarised_spectra(1, lensed=False)[0, :, 2:]
    assert (bb < 1e-7 * ee.max()).all()  # what healpy's quadrature leaks; the lensed ones have 6e-5
    usual, lensed, unlensed = (
        recipe(gaussian({"cmb": each}), channels="polarization")
        for each in ({}, {"lensed": True}, {"lensed": False})
    )
    assert lensed.hash == usual.hash != unlensed.hash
    assert parse_recipe(unlensed.to_yaml()).hash == unlensed.hash


@pytest.mark.slow
def test_bins_of_redshift_are_correlated_as_their_cross_spectrum():
    spectrum = {
        "convergence": {
            "omega_m": 0.3,
            "sigma_8": 0.8,
            "source_redshifts": {"near": 0.6, "far": 1.5},
        }
    }
    sky = maps(recipe(gaussian(spectrum), samples=40)).astype(float)
    cosmology = Cosmology(0.3, 0.8)
    found = [
        healpy.anafast(*(healpy.reorder(one, n2r=True) for one in each), lmax=60, iter=3)
        for each in sky
    ]
    cross = convergence_spectrum(cosmology, 0.6, 64, 1.5)[10:60]
    ratio = (np.array(found)[:, 10:60] / cross).mean(axis=1)
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / np.sqrt(40)
    assert cross[0] == pytest.approx(convergence_spectrum(cosmology, 1.5, 64, 0.6)[10])


def test_low_multipoles_do_not_change_with_the_resolution():
    low, high = (maps(recipe(gaussian(), samples=1, nside=n))[0] for n in (128, 256))
    one, two = (
        healpy.map2alm(healpy.reorder(sky.astype(float), n2r=True), lmax=40, iter=5)
        for sky in (low, high)
    )
    assert np.abs(one - two).max() < 1e-3 * np.abs(two).max()
    assert np.abs(two).max() > 0


BINS = {
    "convergence": {"omega_m": 0.3, "sigma_8": 0.8, "source_redshifts": {"near": 0.6, "far": 1.5}}
}


@pytest.mark.parametrize(
    ("field", "objects", "typical", "worst"),
    [
        (gaussian(LENSING), [], 1e-5, 1e-4),
        (lognormal(), [], 2e-4, 0.01),
        (lognormal(shift=0.004), [], 2e-4, 0.01),  # far from Gaussian, so analysed with an iteration
        ({"lognormal": {"spectrum": BINS, "shift_by": "empty_beam"}}, [], 2e-4, 0.01),
        (lognormal(), [{"disk": {"amplitude": 0.02, "radius": 9, "lon": 40, "lat": 85}}], 5e-3, 0.1),
    ],
    ids=["gaussian", "lognormal", "far", "bins", "objects"],
)  # fmt: skip
def test_smoothing_a_map_is_smoothing_its_coefficients(field, objects, typical, worst):
    """Beam `after` against healpy.smoothing of the same map without a beam; HEALPix has no exact quadrature."""
    plain = maps(recipe(field, objects=objects, samples=1)).astype(float).reshape(-1, 12 * 32**2)
    made = recipe(field, objects=objects, samples=1, beam={"sigma": 120, "apply": "after"})
    for sharp, smooth in zip(plain, maps(made).reshape(plain.shape), strict=True):
        expected = healpy.smoothing(
            healpy.reorder(sharp, n2r=True), sigma=np.deg2rad(2), lmax=64, iter=10
        )
        error = (smooth - healpy.reorder(expected, r2n=True)) / smooth.std()
        assert error.std() < typical
        assert np.abs(error).max() < worst
        assert (sharp - smooth).std() > 0.1 * sharp.std()


# --- what is done to maps -----------------------------------------------------------------------


def test_patches_are_those_of_the_whole_map():
    """As DeepSphere splits them: reshape of the NEST map; labels and split are those of the map."""
    whole = maps(recipe(lognormal(), samples=2, remove_mean=True, noise={"sigma": 0.01}))
    made = recipe(lognormal(), samples=96, patches=2, remove_mean=True, noise={"sigma": 0.01})
    frame, parts = labels(made, "t"), maps(made)
    np.testing.assert_array_equal(parts.reshape(2, 48, -1), whole.reshape(2, 48, -1))
    np.testing.assert_array_equal(parts[:48], split_map(whole, 2)[0])
    assert frame["map.index"].tolist() == [0.0] * 48 + [1.0] * 48
    assert frame["map.patch"].tolist() == [float(n) for n in range(48)] * 2
    assert frame["map.first_cell"].tolist() == [256.0 * n for n in range(48)] * 2
    assert (frame["group"] == frame["map.index"]).all()
    assert frame.groupby("group", observed=True)["split"].nunique().max() == 1


def test_a_patch_alone_is_that_of_the_build():
    made = recipe(lognormal(), samples=96, patches=2, noise={"sigma": {"uniform": [0, 1]}})
    whole = render(made, "t")
    alone = render(made, "t", 50, 51)
    np.testing.assert_array_equal(alone["map"][0], whole["map"][50])
    frame = labels(made, "t")
    some = frame.iloc[[70, 3, 71, 50]]
    again = render(made, "t", labels=some)
    np.testing.assert_array_equal(again["map"], whole["map"].values[[70, 3, 71, 50]])
    assert frame["noise.sigma"].nunique() == 2


def test_twins_are_one_map_turned():
    """The field of a twin at R n̂ is that of the other at n̂, by its coefficients, to 1e-5 of its standard deviation."""
    made = recipe(gaussian(), samples=4, rotation={"twins": 2, **TURNS})
    frame, sky = labels(made, "t"), maps(made).astype(float)
    assert frame["group"].tolist() == [0, 0, 1, 1]
    alpha, gamma = (np.deg2rad(frame[f"rotation.{name}"]) for name in ("alpha", "gamma"))
    angles = np.column_stack([alpha, np.arccos(frame["rotation.cos_beta"]), gamma])
    assert not np.allclose(angles[0], angles[1])
    from ducc0.sht import synthesis_general

    alm = [healpy.map2alm(healpy.reorder(each, n2r=True), lmax=64, iter=8) for each in sky]
    directions = np.random.default_rng(1).normal(size=(500, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]

    def at(which, vectors):
        theta, phi = (
            np.arccos(vectors[:, 2]),
            np.arctan2(vectors[:, 1], vectors[:, 0]) % (2 * np.pi),
        )
        places = np.column_stack([theta, phi])
        return synthesis_general(alm=alm[which][None], spin=0, lmax=64, loc=places, epsilon=1e-10)[
            0
        ]

    # what was at n̂ before all turns is at R n̂
    first, second = (at(i, directions @ euler_matrix(tuple(angles[i])).T) for i in (0, 1))
    assert np.abs(first - second).max() < 1e-5 * sky[0].std() + 3e-5 * sky[0].std()
    assert np.abs(at(0, directions) - at(1, directions)).max() > sky[0].std()
    assert np.abs(at(2, directions) - at(0, directions)).max() > sky[0].std()


def test_the_patches_of_a_twin_are_turned_together():
    made = recipe(gaussian(), samples=96, patches=1, rotation={"twins": 4, **TURNS})
    frame = labels(made, "t")
    assert frame.groupby("map.index")["rotation.alpha"].nunique().max() == 1
    assert frame["rotation.alpha"].nunique() == 8
    assert frame["group"].tolist() == [0] * 48 + [1] * 48
    whole = recipe(gaussian(), samples=8, rotation={"twins": 4, **TURNS})
    np.testing.assert_array_equal(maps(made).reshape(8, -1), maps(whole))


def test_q_and_u_turn_with_their_map():
    """The polarisation tensor Q (θθ − φφ) + U (θφ + φθ) of a twin at R n̂ is that of the other at n̂, turned by R."""
    made = recipe(
        gaussian({"cmb": {}}), channels="polarization", samples=2, rotation={"twins": 2, **TURNS}
    )
    frame, sky = labels(made, "t"), maps(made).astype(float)
    alpha, gamma = (np.deg2rad(frame[f"rotation.{name}"]) for name in ("alpha", "gamma"))
    turns = [
        euler_matrix(each)
        for each in zip(alpha, np.arccos(frame["rotation.cos_beta"]), gamma, strict=True)
    ]
    relative = turns[1] @ turns[0].T
    from ducc0.sht import synthesis_general

    directions = np.random.default_rng(2).normal(size=(200, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]

    def tensors(which, vectors):
        stokes = [healpy.reorder(each, n2r=True) for each in sky[which]]
        _, *alm = healpy.map2alm(stokes, lmax=64, iter=8)
        theta, phi = (
            np.arccos(vectors[:, 2]),
            np.arctan2(vectors[:, 1], vectors[:, 0]) % (2 * np.pi),
        )
        places = np.column_stack([theta, phi])
        q, u = synthesis_general(alm=np.array(alm), spin=2, lmax=64, loc=places, epsilon=1e-10)
        south = np.column_stack(
            [np.cos(theta) * np.cos(phi), np.cos(theta) * np.sin(phi), -np.sin(theta)]
        )
        east = np.column_stack([-np.sin(phi), np.cos(phi), np.zeros_like(phi)])

        def outer(one, other):
            return one[:, :, None] * other[:, None, :]

        straight, crossed = (
            outer(south, south) - outer(east, east),
            outer(south, east) + outer(east, south),
        )
        return q[:, None, None] * straight + u[:, None, None] * crossed

    first, second = tensors(0, directions), tensors(1, directions @ relative.T)
    error = np.abs(relative @ first @ relative.T - second).max()
    assert error < 1e-4 * sky[0, 1].std()
    assert np.abs(first - second).max() > sky[0, 1].std()


def test_mean_scale_noise_and_mask_come_in_their_order():
    options = {"remove_mean": True, "scale": 0.01, "samples": 2, "planes": ["map_true"]}
    plain = maps(recipe(lognormal(), samples=2)).astype(float)
    made = recipe(lognormal(), **options, noise={"sigma": 0.5}, mask={"latitude": 20})
    sky, true = maps(made), maps(made, "map_true")
    expected = (plain - plain.mean(axis=1, keepdims=True)) / 0.01
    np.testing.assert_allclose(true, expected, atol=2e-5)
    _, latitude = healpy.pix2ang(32, np.arange(12288), nest=True, lonlat=True)
    np.testing.assert_array_equal(np.isnan(sky[0]), np.abs(latitude) < 20)
    noise = (sky - true)[:, np.abs(latitude) >= 20]
    assert noise.std() == pytest.approx(0.5, rel=4 / np.sqrt(2 * noise.size))
    assert abs(np.corrcoef(noise)[0, 1]) < 4 / np.sqrt(noise.shape[1])


def test_noise_is_lower_at_the_poles_where_it_is_anisotropic():
    dark = gaussian({"power_law": {"amplitude": 0, "slope": 1}})
    sky = maps(recipe(dark, samples=40, noise={"sigma": 2, "anisotropy": 8}))
    _, latitude = healpy.pix2ang(32, np.arange(12288), nest=True, lonlat=True)
    scaled = sky * np.sqrt(1 + 8 * np.sin(np.deg2rad(latitude)) ** 2) / 2
    for some in (np.abs(latitude) < 15, np.abs(latitude) > 60):
        assert scaled[:, some].std() == pytest.approx(1, rel=4 / np.sqrt(2 * 40 * some.sum()))


def test_cells_are_what_xdggs_decodes(tmp_path):
    import xarray as xr
    import xdggs  # noqa: F401

    data = render(recipe(gaussian(), samples=2), "t")
    path = tmp_path / "sky.zarr"
    data.to_zarr(path)
    again = xr.open_zarr(path).dggs.decode()
    centres = again.dggs.cell_centers()
    longitude, latitude = healpy.pix2ang(32, np.arange(12288), nest=True, lonlat=True)
    assert np.abs(centres["latitude"].values - latitude).max() < 1e-10
    turn = (centres["longitude"].values - longitude + 180) % 360 - 180
    assert np.abs(turn).max() < 1e-10
    assert again["map"].dims == ("sample", "cell")


def test_samples_differ_and_growth_keeps_them():
    few, many = maps(recipe(gaussian(), samples=2)), maps(recipe(gaussian(), samples=5))
    np.testing.assert_array_equal(few, many[:2])
    assert np.abs(np.corrcoef(many)[0, 1]) < 0.5


def test_a_spectrum_from_a_file(tmp_path):
    (tmp_path / "cl.csv").write_text("ell,cl\n2,1e-3\n20,1e-3\n64,0\n")
    path = tmp_path / "recipe.yaml"
    spectrum = {"table": {"file": "cl.csv", "factor": 2}}
    path.write_text(yaml.safe_dump(data(gaussian(spectrum), samples=20)))
    made = load_recipe(path)
    found = np.mean(
        [healpy.anafast(healpy.reorder(sky, n2r=True), lmax=30, iter=3) for sky in maps(made)],
        axis=0,
    )
    assert found[5:20].mean() == pytest.approx(2e-3, rel=0.1)
    assert found[:2].max() < 1e-6
    (tmp_path / "cl.csv").write_text("ell,cl\n5,1e-3\n64,0\n")
    with pytest.warns(InputWarning, match=r"points from ℓ = 5 to 64: fields have no power .* 64"):
        load_recipe(path)
    for text, message in (
        ("ell,cl\n2,1\n", "two points or more"),
        ("l,c\n1,2\n", "has no column 'ell'. Its columns: 'l', 'c'"),
        ("ell,cl\n2,1\n3,-1\n", "cl at ell 3 is -1"),
    ):
        (tmp_path / "cl.csv").write_text(text)
        with pytest.raises(RecipeError, match=message):
            load_recipe(path)


# --- every parameter ----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::deepbench.errors.RangeWarning")
@pytest.mark.parametrize(
    ("column", "change"),
    [
        *((f"field.spectrum.{name}", 1.015) for name in COSMOLOGY),
        ("field.shift", 1.1),
        ("beam.sigma", 1.1),
        ("rotation.alpha", 1.1),
        ("rotation.cos_beta", 1.1),
        ("rotation.gamma", 1.1),
        ("noise.sigma", 1.1),
        ("noise.anisotropy", 1.1),
        ("mask.latitude", 1.1),
    ],
)  # fmt: skip
def test_every_parameter_matters(column, change):
    """The label alone changes pixels by 1e-4 of the standard deviation or more."""
    spectrum = {"convergence": {**LENSING["convergence"], "h": 0.7, "t_cmb": 2.7}}
    made = recipe(
        {"lognormal": {"spectrum": spectrum, "shift": 0.08}}, samples=1, beam={"sigma": 30},
        rotation={"twins": 1, "alpha": 30, "cos_beta": 0.7, "gamma": 50},
        noise={"sigma": 0.001, "anisotropy": 1}, mask={"latitude": 20},
    )  # fmt: skip
    row = labels(made, "t", 0, 1)
    before = render(made, "t", labels=row)["map"].values
    row[column] *= change
    after = render(made, "t", labels=row)["map"].values
    if column == "mask.latitude":
        assert (np.isnan(after) & ~np.isnan(before)).any()
    else:
        assert np.nanmax(np.abs(after - before)) > 1e-4 * np.nanstd(before)


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"nside": 48}, "nside must be a power of two, not 48"),
        ({"lmax": 96}, "lmax must be at most 3 nside − 1 = 95, not 96"),
        ({"patches": 3}, "patches must be a power of two of at most nside, not 3"),
        ({"patches": 64}, "patches must be a power of two of at most nside, not 64"),
        ({"patches": 2}, "samples must be a multiple of 48"),
        ({"rotation": {"twins": 3, **TURNS}}, "samples must be a multiple of 3"),
        ({"channels": "polarization"}, "needs a gaussian field with the spectrum `cmb`"),
        ({"scale": 0}, "must be greater than 0"),
        ({"noise": {"sigma": -1}}, "must be a number at least 0"),
        ({"beam": {"sigma": 3, "apply": "before"}}, "'target' or 'after'"),
    ],
)
def test_tables_that_cannot_be(table, message):
    with pytest.raises(RecipeError, match=message):
        recipe(gaussian(), **table)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (
            {"gaussian": {"spectrum": {"convergence": {**LENSING["convergence"], "omega_m": 0.5}}}},
            "at least 0.2 and at most 0.4",
        ),
        ({"gaussian": {"spectrum": {"power_law": {"amplitude": -1, "slope": 1}}}}, "at least 0"),
        ({"lognormal": {"spectrum": POWER, "shift_by": "empty_beam"}}, "is for the spectrum `convergence`"),
        ({"lognormal": {"spectrum": POWER}}, "must have either shift or shift_by; it has neither"),
        ({"gaussian": {"spectrum": {"convergence": {"omega_m": 0.3, "sigma_8": 0.8}}}}, "either source_redshift or"),
        ({"gaussian": {"spectrum": {"cmb": {}, **POWER}}}, "must have exactly one of"),
    ],
)  # fmt: skip
def test_fields_that_cannot_be(field, message):
    with pytest.raises(RecipeError, match=message):
        recipe(field)


def test_a_class_with_nothing():
    with pytest.raises(RecipeError, match="has neither a field nor objects"):
        recipe()


def test_classes_with_different_channels():
    bins = {
        "convergence": {
            "omega_m": 0.3,
            "sigma_8": 0.8,
            "source_redshifts": {"near": 0.6, "far": 1.5},
        }
    }
    classes = {"a": {"field": gaussian()}, "b": {"field": gaussian(bins)}}
    with pytest.raises(
        RecipeError, match="all classes must have the same channels: 'a' has one; 'b' has near, far"
    ):
        recipe(classes=classes)


def test_a_lognormal_field_whose_spectrum_cannot_be():
    made = recipe(
        {"lognormal": {"spectrum": {"power_law": {"amplitude": 1, "slope": 0}}, "shift": 0.01}}
    )
    with pytest.raises(LabelError, match="table 't', sample 0: .*shift"):
        render(made, "t")


def test_labels_follow_without_rendering():
    made = recipe(lognormal(), samples=4)
    drawn = draw_labels(made.table("t"), 0, 4)
    assert np.isnan(drawn.columns["map.sigma"]).all()
    assert labels(made, "t")["map.sigma"].notna().all()
