"""All joint draws by the names that recipes use."""

from __future__ import annotations

from deepbench.language.joints.catalog import Catalog
from deepbench.language.joints.gaussian import Copula, MultivariateNormal
from deepbench.language.joints.joint import Joint
from deepbench.language.joints.sobol import Sobol

JOINTS: dict[str, type[Joint]] = {
    "multivariate_normal": MultivariateNormal,
    "copula": Copula,
    "sobol": Sobol,
    "catalog": Catalog,
}
"""The joint draws by the names that recipes use."""
