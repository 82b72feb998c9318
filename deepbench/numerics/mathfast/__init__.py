"""Elementary functions whose bits do not depend on the processor.

The exp, log, pow, sin and their kin of a C library or of numpy choose their code by the processor
they run on, and differ in the last bit. The functions here are made of + - * /, sqrt, comparisons
and bit operations only, which IEEE 754 fixes exactly, so a label or a pixel is the same everywhere.
They choose by selects, not by branches, where a loop over an array is to vectorise.

Names: ``exp64(x)`` takes and returns a float64 inside a kernel, ``exp32(x)`` a float32; ``exp(x)``
takes any array outside kernels and has the bits of ``exp64``. Largest errors measured, in units of
the last place: exp, log, log10, pow, sin and cos 0.9; sind, cosd, atan, atan2, erf 2; asin, acos,
tan 3; normal_cdf 4; normal_quantile and erfinv 10. In float32: exp, log and pow 1; sin, cos and
atan2 2. The tests measure them again.

The polynomials are minimax fits of our own (Lawson's iteration in 40 digits). The reductions are
those of Cody and Waite (1980, *Software Manual for the Elementary Functions*) and of fdlibm (Sun
Microsystems 1993); the intervals of the normal quantile are those of Wichura (1988, Appl. Statist.
37, 477, AS 241); products without rounding error are Dekker's (1971, Numer. Math. 18, 224).
"""

from deepbench.numerics.mathfast.arrays import (
    acos,
    asin,
    atan,
    atan2,
    cos,
    cosd,
    erf,
    erfinv,
    exp,
    log,
    log10,
    normal_cdf,
    normal_quantile,
    pow,
    sin,
    sind,
    tan,
    tand,
)
from deepbench.numerics.mathfast.float32 import (
    atan2_32,
    cos32,
    erfinv32,
    exp32,
    log32,
    pow32,
    sin32,
    sincos32,
)
from deepbench.numerics.mathfast.float64 import (
    acos64,
    asin64,
    atan2_64,
    atan64,
    cos64,
    cosd64,
    erf64,
    erfinv64,
    exp64,
    log10_64,
    log64,
    normal_cdf64,
    normal_quantile64,
    pow64,
    sin64,
    sincos64,
    sincosd64,
    sind64,
    tan64,
    tand64,
)

__all__ = [
    "acos",
    "acos64",
    "asin",
    "asin64",
    "atan",
    "atan2",
    "atan2_32",
    "atan2_64",
    "atan64",
    "cos",
    "cos32",
    "cos64",
    "cosd",
    "cosd64",
    "erf",
    "erf64",
    "erfinv",
    "erfinv32",
    "erfinv64",
    "exp",
    "exp32",
    "exp64",
    "log",
    "log10",
    "log10_64",
    "log32",
    "log64",
    "normal_cdf",
    "normal_cdf64",
    "normal_quantile",
    "normal_quantile64",
    "pow",
    "pow32",
    "pow64",
    "sin",
    "sin32",
    "sin64",
    "sincos32",
    "sincos64",
    "sincosd64",
    "sind",
    "sind64",
    "tan",
    "tan64",
    "tand",
    "tand64",
]
