"""Functions of float64 for kernels; each takes and returns numbers, or pairs where it says so."""

from __future__ import annotations

import numpy as np

from deepbench.numerics.kernels import from_bits, inline, polynomial, to_bits

# --- float64: sums and products as pairs (high, low) --------------------------------------------


@inline
def _two_sum(a, b):
    """Return a + b exactly (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


@inline
def _two_product(a, b):
    """Return a * b exactly, for factors below 1e300 (Dekker 1971)."""
    c = 134217729.0 * a
    a_high = c - (c - a)
    a_low = a - a_high
    c = 134217729.0 * b
    b_high = c - (c - b)
    b_low = b - b_high
    product = a * b
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


@inline
def _pair_product(a, a_low, b, b_low):
    """Return the product of two pairs to about 100 bits."""
    product, error = _two_product(a, b)
    error += a * b_low + a_low * b
    total = product + error
    return total, (product - total) + error


# --- float64: exp, log, pow ---------------------------------------------------------------------

_ROUND = (
    6755399441055744.0  # 1.5 * 2**52: adding it rounds to an integer, which stands in the low bits
)
_ROUND_BITS = np.uint64(0x4338000000000000)
_SQRT_HALF_BITS = np.uint64(0x3FE6A09E667F3BCD)
_ONE_BITS = np.uint64(0x3FF0000000000000)
_FRACTION = np.uint64(0x000FFFFFFFFFFFFF)
_U1, _U2, _U3 = np.uint64(1), np.uint64(2), np.uint64(3)
_U52 = np.uint64(52)
_BIAS = np.uint64(1023)
_LN2_HIGH, _LN2_LOW = 0.6931471805598903, 5.497923018708371e-14  # 42 bits and the rest
_INVERSE_LN2 = 1.4426950408889634
_INVERSE_LN10, _INVERSE_LN10_LOW = 0.4342944819032518, 1.098319650216765e-17
# exp(r) = 1 + r + r**2 * polynomial(r), |r| <= ln 2 / 2
_EXP = (
    0.5000000000000011, 0.16666666666666416, 0.041666666666529094, 0.00833333333349244,
    0.0013888888943904716, 0.0001984126951142082, 2.4801492825068398e-05, 2.755758175932054e-06,
    2.7630342136634914e-07, 2.500157869829458e-08,
)  # fmt: skip
# log((1 + s) / (1 - s)) = 2 s + s z * polynomial(z), z = s**2
_LOG = (
    0.6666666666666734, 0.39999999999416164, 0.2857142874205871, 0.22222198604300739,
    0.18183562892332855, 0.1531408216758857, 0.14795684485927316,
)  # fmt: skip
# ... = 2 s + 2/3 s z + s z**2 * polynomial(z)
_LOG_PAIR = (
    0.3999999999999998, 0.2857142857144511, 0.2222222221753482, 0.18181818870641364,
    0.15384556844062972, 0.13336318564557026, 0.11674793746545244, 0.11989228696616015,
)  # fmt: skip


@inline
def _power_of_two(n):
    """Return 2**n for the integer n held in a uint64 (two's complement), -1022 <= n <= 1023."""
    return from_bits((n + _BIAS) << _U52)


@inline
def _exp_pair(x, low):
    """Return exp(x + low) for a small ``low``."""
    x = 710.0 if x > 710.0 else x
    x = -746.0 if x < -746.0 else x
    shifted = x * _INVERSE_LN2 + _ROUND
    n = to_bits(shifted) - _ROUND_BITS
    whole = shifted - _ROUND
    high = x - whole * _LN2_HIGH
    low = low - whole * _LN2_LOW
    r = high + low
    first = 1.0 + high
    y = first + (((1.0 - first) + high) + (low + r * r * polynomial(r, _EXP)))
    half = np.uint64(np.int64(n) >> 1)
    return y * _power_of_two(half) * _power_of_two(n - half)


@inline
def exp64(x):
    """Return exp(x)."""
    return _exp_pair(x, 0.0)


@inline
def _split(x):
    """Return (k, m) with x = 2**k m, sqrt(1/2) <= m < sqrt(2), for 0 < x < inf."""
    tiny = x < 2.2250738585072014e-308
    bits = to_bits(x * 18014398509481984.0 if tiny else x) + (_ONE_BITS - _SQRT_HALF_BITS)
    k = np.float64(np.int32(np.int64(bits >> _U52) - 1023))
    return (k - 54.0 if tiny else k), from_bits((bits & _FRACTION) + _SQRT_HALF_BITS)


@inline
def log64(x):
    """Return the natural logarithm: -inf of 0, NaN of negative numbers."""
    k, m = _split(x)
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    half = 0.5 * f * f
    y = k * _LN2_HIGH - ((half - (s * (half + z * polynomial(z, _LOG)) + k * _LN2_LOW)) - f)
    y = y if x < np.inf else x
    y = -np.inf if x == 0.0 else y
    return np.nan if x < 0.0 else y


@inline
def _log_pair(x):
    """Return log(x) as a pair to about 2**-68 of its size, for 0 < x < inf."""
    k, m = _split(x)
    f = m - 1.0
    d = 2.0 + f
    d_low = f - (d - 2.0)
    s = f / d
    product, error = _two_product(s, d)
    s_low = (((f - product) - error) - s * d_low) / d
    z, z_low = _pair_product(s, s_low, s, s_low)
    w, w_low = _pair_product(z, z_low, 0.6666666666666666, 3.700743415417188e-17)
    w, error = _two_sum(2.0, w)
    w_low += error + z * z * polynomial(z, _LOG_PAIR)
    y, y_low = _pair_product(s, s_low, w, w_low)
    high, error = _two_sum(k * _LN2_HIGH, y)
    low = error + (y_low + k * _LN2_LOW)
    total = high + low
    return total, (high - total) + low


@inline
def log10_64(x):
    """Return the decimal logarithm: -inf of 0, NaN of negative numbers."""
    y, y_low = _log_pair(x)
    y, y_low = _pair_product(y, y_low, _INVERSE_LN10, _INVERSE_LN10_LOW)
    y = y if x < np.inf else x
    y = -np.inf if x == 0.0 else y
    return np.nan if x < 0.0 else y


@inline
def pow64(x, y):
    """Return x**y: 1 for y = 0, NaN for a negative x with a y that is not whole.

    A zero x counts as positive.
    """
    size = abs(x)
    exponent = 1e25 if y > 1e25 else y
    exponent = -1e25 if y < -1e25 else exponent
    high, low = _log_pair(size)
    high, low = _pair_product(high, low, exponent, 0.0)
    low = low if abs(high) < 1000.0 else 0.0
    power = _exp_pair(high, low)
    power = (np.inf if y < 0.0 else 0.0) if size == 0.0 else power
    power = (0.0 if y < 0.0 else np.inf) if size == np.inf else power
    odd = np.floor(0.5 * y) != 0.5 * y
    negative = (-power if odd else power) if np.floor(y) == y else np.nan
    power = negative if x < 0.0 else power
    power = power if x == x and y == y else np.nan
    return 1.0 if y == 0.0 else power


# --- float64: trigonometry ----------------------------------------------------------------------

_TWO_OVER_PI = 0.6366197723675814
_PI, _PI_LOW = 3.141592653589793, 1.2246467991473532e-16
_HALF_PI, _HALF_PI_LOW = 1.5707963267948966, 6.123233995736766e-17
_QUARTER_PI, _QUARTER_PI_LOW = 0.7853981633974483, 3.061616997868383e-17
_ATAN_HALF, _ATAN_HALF_LOW = 0.4636476090008061, 2.2698777452961687e-17
_RADIAN, _RADIAN_LOW = 0.017453292519943295, 2.9486522708701687e-19
# pi/2 in three parts of 33 bits and the rest
_QUARTER_TURN = (
    1.5707963267341256,
    6.077100506303966e-11,
    2.0222662487111665e-21,
    8.4784276603689e-32,
)
# sin(r) = r + r z (first + z * polynomial(z)) and cos(r) = 1 - z/2 + z**2 * polynomial(z),
# z = r**2, |r| <= pi/4
_SIN_FIRST = -0.16666666666666632
_SIN = (
    0.008333333333322434, -0.00019841269829824824, 2.755731369742079e-06,
    -2.5050758887142928e-08, 1.589683480935905e-10,
)  # fmt: skip
_COS = (
    0.0416666666666666, -0.0013888888888874127, 2.480158728948357e-05, -2.755731435254704e-07,
    2.087572326539166e-09, -1.1359645322290864e-11,
)  # fmt: skip
# atan(t) = t + t z * polynomial(z), z = t**2, |t| <= 7/16
_ATAN = (
    -0.33333333333332926, 0.19999999999874984, -0.1428571427237689, 0.1111111039993791,
    -0.09090886991873713, 0.07691873936365884, -0.06661049764002357, 0.058334154803538416,
    -0.04976243211049374, 0.03651686877869882, -0.01627113513617134,
)  # fmt: skip


@inline
def _sincos_pair(r, low, quadrant):
    """Return sin and cos of r + low + quadrant pi/2, |r| <= pi/4; the quadrant is a uint64."""
    z = r * r
    cube = z * r
    sine = r - ((z * (0.5 * low - cube * polynomial(z, _SIN)) - low) - cube * _SIN_FIRST)
    half = 0.5 * z
    whole = 1.0 - half
    cosine = whole + (((1.0 - whole) - half) + (z * z * polynomial(z, _COS) - r * low))
    swap = (quadrant & _U1) != 0
    s = cosine if swap else sine
    c = sine if swap else cosine
    return (-s if (quadrant & _U2) != 0 else s), (-c if ((quadrant + _U1) & _U2) != 0 else c)


@inline
def sincos64(x):
    """Return (sin(x), cos(x)), x in radian; NaN where |x| >= 1e12 (numbers are 1e-4 apart)."""
    # x - (many + few) pi/2, where each has at most 20 significant bits, so that products are exact
    many = ((x * (_TWO_OVER_PI / 1048576.0) + _ROUND) - _ROUND) * 1048576.0
    rest = x - many * _QUARTER_TURN[0]
    shifted = (rest - many * _QUARTER_TURN[1]) * _TWO_OVER_PI + _ROUND
    few = shifted - _ROUND
    y = (rest - few * _QUARTER_TURN[0]) - many * _QUARTER_TURN[1]
    y, low = _two_sum(y, -(few * _QUARTER_TURN[1]))
    y, error = _two_sum(y, -(many * _QUARTER_TURN[2]))
    low += error
    y, error = _two_sum(y, -(few * _QUARTER_TURN[2]))
    low += error - (many + few) * _QUARTER_TURN[3]
    r = y + low
    low += y - r
    s, c = _sincos_pair(r, low, to_bits(shifted))
    valid = abs(x) < 1e12
    return (s if valid else np.nan), (c if valid else np.nan)


@inline
def sincosd64(x):
    """Return (sin(x), cos(x)), x in degrees; exact at multiples of 90. NaN where |x| >= 1e12."""
    shifted = x / 90.0 + _ROUND
    r, low = _pair_product(x - (shifted - _ROUND) * 90.0, 0.0, _RADIAN, _RADIAN_LOW)
    s, c = _sincos_pair(r, low, to_bits(shifted))
    valid = abs(x) < 1e12
    return (s if valid else np.nan), (c if valid else np.nan)


@inline
def sind64(x):
    """Return sin(x), x in degrees; see ``sincosd64``."""
    return sincosd64(x)[0]


@inline
def cosd64(x):
    """Return cos(x), x in degrees; see ``sincosd64``."""
    return sincosd64(x)[1]


@inline
def tand64(x):
    """Return tan(x), x in degrees; see ``sincosd64``."""
    s, c = sincosd64(x)
    return s / c


@inline
def sin64(x):
    """Return sin(x), x in radian; see ``sincos64``."""
    return sincos64(x)[0]


@inline
def cos64(x):
    """Return cos(x), x in radian; see ``sincos64``."""
    return sincos64(x)[1]


@inline
def tan64(x):
    """Return tan(x), x in radian; see ``sincos64``."""
    s, c = sincos64(x)
    return s / c


@inline
def atan2_64(y, x):
    """Return the angle of (x, y) in radian, -pi < angle <= pi; 0 at the origin.

    Zeros count as positive.
    """
    width, height = abs(x), abs(y)
    steep = height > width
    small = width if steep else height
    large = height if steep else width
    scale = 0.25 if large > 1e300 else 1.0
    equal = small == large
    small = 1.0 if equal else small * scale
    large = 1.0 if equal else large * scale
    near = small < 0.4375 * large
    far = small > 0.6875 * large
    over = small if near else (small - large if far else small - 0.5 * large)
    under = large if near else (large + small if far else large + 0.5 * small)
    base = 0.0 if near else (_QUARTER_PI if far else _ATAN_HALF)
    base_low = 0.0 if near else (_QUARTER_PI_LOW if far else _ATAN_HALF_LOW)
    t = over / under
    z = t * t
    angle = base + (t + (t * z * polynomial(z, _ATAN) + base_low))
    angle = _HALF_PI - (angle - _HALF_PI_LOW) if steep else angle
    angle = _PI - (angle - _PI_LOW) if x < 0.0 else angle
    angle = 0.0 if x == 0.0 and y == 0.0 else angle
    angle = -angle if y < 0.0 else angle
    return angle if x == x and y == y else np.nan


@inline
def atan64(x):
    """Return the arc tangent in radian."""
    return atan2_64(x, 1.0)


@inline
def asin64(x):
    """Return the arc sine in radian; NaN where |x| > 1."""
    return atan2_64(x, np.sqrt((1.0 - x) * (1.0 + x)))


@inline
def acos64(x):
    """Return the arc cosine in radian; NaN where |x| > 1."""
    return atan2_64(np.sqrt((1.0 - x) * (1.0 + x)), x)


# --- float64: the normal distribution -----------------------------------------------------------

_SQRT_HALF, _SQRT_HALF_LOW = 0.7071067811865476, -4.833646656726457e-17
# erf(x) = x * polynomial(x**2), |x| <= 0.75
_ERF = (
    1.1283791670955126, -0.37612638903183715, 0.11283791670952485, -0.0268661706444029,
    0.005223977615121858, -0.0008548326168806399, 0.00012055288757476814,
    -1.4924175969183204e-05, 1.6430375796376149e-06, -1.5937478417720405e-07,
    1.1463266945866922e-08,
)  # fmt: skip
# erfc(x) = exp(-x**2) / (1 + 2 x) * polynomial((x - 3) / (x + 3)), 0.75 <= x <= 27.3
_ERFC = (
    1.2530080582697296, -0.13562110612458153, -0.04756229435345106, 0.12964515870281385,
    -0.11927366341529888, 0.06830802734161485, -0.02377051491816975, 0.002529391864121886,
    0.0018886903347957037, -0.0007798328039943074, -0.00010515938799214776,
    0.00012510281173217002, 4.945954210085756e-06, -2.0114049793847252e-05,
    -7.143457578302485e-07, 3.5027106138193885e-06, 3.0856653489190165e-07,
    -6.501182631382226e-07, -6.70499480264808e-08, 1.0812312195362816e-07,
    -1.099296229389145e-08,
)  # fmt: skip
# Normal quantile: q times a ratio in 0.180625 - q**2 for |q| = |p - 1/2| <= 0.425, else ratios in
# r - 1.6 (r <= 5) and r - 5, where r = sqrt(-log(min(p, 1 - p)))
_CENTRE_OVER = (
    3.3871328727963665, 133.15752161780563, 1972.1055410623273, 13737.605454262739,
    45950.98384847963, 67324.22443916024, 33468.71552620599, 2512.7031577736593,
)  # fmt: skip
_CENTRE_UNDER = (
    1.0, 42.31801127558979, 687.3529989961671, 5396.336961672893, 21226.11251736486,
    39339.17623531293, 28759.0361081602, 5233.3780497298985,
)  # fmt: skip
_TAIL_OVER = (
    1.4234371107496835, 4.631047427531986, 5.771625501668911, 3.650148924907279,
    1.2716044755553064, 0.2420516159579599, 0.022751160924830593, 0.0007753677999118493,
)  # fmt: skip
_TAIL_UNDER = (
    1.0, 2.0536901252156605, 1.6772819333333135, 0.6903503757593255, 0.14826773615340544,
    0.015217055008052763, 0.0005481756164367162, 1.049659597201935e-09,
)  # fmt: skip
_FAR_OVER = (
    6.657904643501104, 5.461726850786977, 1.7832814658707483, 0.2961116363819872,
    0.02646861342302891, 0.0012381484314722725, 2.6969266749016307e-05, 1.9944193527459143e-07,
)  # fmt: skip
_FAR_UNDER = (
    1.0, 0.599523091227968, 0.13676607183598838, 0.014843700319852288, 0.0007841637333651281,
    1.8365364016752567e-05, 1.4102582736223286e-07, 1.9989063400365434e-15,
)  # fmt: skip


@inline
def _erfc_pair(x, low):
    """Return erfc(x + low) for a small ``low`` and x >= 0.75."""
    x = 28.0 if x > 28.0 else x
    square, error = _two_product(x, x)
    factor = polynomial((x - 3.0) / (x + 3.0), _ERFC) / (1.0 + 2.0 * x)
    return _exp_pair(-square, -(error + 2.0 * x * low)) * factor


@inline
def erf64(x):
    """Return the error function."""
    size = abs(x)
    if size < 0.75:
        return x * polynomial(x * x, _ERF)
    y = 1.0 - _erfc_pair(size, 0.0)
    return -y if x < 0.0 else y


@inline
def normal_cdf64(x):
    """Return the probability that a unit normal is below x, accurate in the lower tail too."""
    x = -40.0 if x < -40.0 else x
    x = 40.0 if x > 40.0 else x
    u, low = _pair_product(x, 0.0, _SQRT_HALF, _SQRT_HALF_LOW)
    if abs(u) < 0.75:
        return 0.5 + 0.5 * u * polynomial(u * u, _ERF)
    if u < 0.0:
        return 0.5 * _erfc_pair(-u, -low)
    return 1.0 - 0.5 * _erfc_pair(u, low)


@inline
def _normal_quantile(q, tail):
    """Return the unit normal z with the sign of q = p - 1/2, where ``tail`` = min(p, 1 - p)."""
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        return q * (polynomial(r, _CENTRE_OVER) / polynomial(r, _CENTRE_UNDER))
    r = np.sqrt(-log64(tail))
    if r <= 5.0:
        z = polynomial(r - 1.6, _TAIL_OVER) / polynomial(r - 1.6, _TAIL_UNDER)
    else:
        z = polynomial(r - 5.0, _FAR_OVER) / polynomial(r - 5.0, _FAR_UNDER)
    z = np.inf if tail == 0.0 else z
    return -z if q < 0.0 else z


@inline
def normal_quantile64(p):
    """Return the unit normal below which the probability is p: -inf of 0, NaN outside [0, 1]."""
    q = p - 0.5
    return _normal_quantile(q, p if q < 0.0 else 1.0 - p)


@inline
def erfinv64(x):
    """Return the inverse of the error function: inf of 1, NaN where |x| > 1."""
    return _normal_quantile(0.5 * x, 0.5 * (1.0 - abs(x))) * _SQRT_HALF
