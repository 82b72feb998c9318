"""Build the release that is kept of the present format version: ``python tests/keep_release.py``.

It is built once, when a format version is new, from ``tests/goldens/kept.yaml``, and never changed.
"""

from pathlib import Path

from deepbench import format as fmt
from deepbench import load_recipe
from pipeline.build import build
from pipeline.target import target_of

ROOT = Path(__file__).parent
CATALOG = ROOT / "releases"


def main():
    """Build it."""
    recipe = load_recipe(ROOT / "goldens" / "kept.yaml")
    recipe = recipe.replace({"name": f"format-{fmt.FORMAT_VERSION}"})
    build(recipe, str(CATALOG))
    target_of(str(CATALOG)).remove(fmt.BUILDING)


if __name__ == "__main__":
    main()
