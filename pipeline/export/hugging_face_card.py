"""Features of ``datasets``, and the card of a folder: what the Hub and ``load_dataset`` read of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from deepbench import format as fmt

if TYPE_CHECKING:
    from deepbench.arrays import DataVariable
    from deepbench.labelling.scopes import Column
    from pipeline.export.view import View

    Features = dict[str, dict[str, Any]]
    """Features of columns by their names, in the form that ``datasets.Features.from_dict`` takes."""

CARD = "README.md"

LICENSES = ("apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0",
            "cc-by-sa-4.0", "cc0-1.0", "gpl-3.0", "mit", "odbl", "pddl", "unlicense")  # fmt: skip
"""Identifiers of licences that the Hub knows, of those that data have."""

SIZES = (("n<1K", 10**3), ("1K<n<10K", 10**4), ("10K<n<100K", 10**5), ("100K<n<1M", 10**6),
         ("1M<n<10M", 10**7), ("10M<n<100M", 10**8), ("100M<n<1B", 10**9))  # fmt: skip
"""Categories of the Hub by number of samples, which is below that of the category."""


def label_feature(column: Column) -> dict[str, Any]:
    """Return the feature of a label."""
    if column.meanings:
        return {"names": [*column.meanings], "_type": "ClassLabel"}
    return {"dtype": column.dtype.name, "_type": "Value"}


def feature_of(variable: DataVariable) -> dict[str, Any]:
    """Return the feature of a data variable."""
    if len(variable.shape) == 1:
        value = {"dtype": variable.dtype, "_type": "Value"}
        return {"feature": value, "length": variable.shape[0], "_type": "List"}
    kind = f"Array{len(variable.shape)}D"
    return {"shape": [*variable.shape], "dtype": variable.dtype, "_type": kind}


def in_card(name: str, feature: dict[str, Any]) -> dict[str, Any]:
    """Return a feature in the form that cards have."""
    kind = feature["_type"]
    if kind == "Value":
        return {"name": name, "dtype": feature["dtype"]}
    if kind == "Image":
        return {"name": name, "dtype": "image"}
    if kind == "ClassLabel":
        names = {str(code): word for code, word in enumerate(feature["names"])}
        return {"name": name, "dtype": {"class_label": {"names": names}}}
    if kind == "List":
        return {"name": name, "list": feature["feature"]["dtype"], "length": feature["length"]}
    described = {"shape": feature["shape"], "dtype": feature["dtype"]}
    return {"name": name, "dtype": {f"array{kind[5]}_d": described}}


def card(tables: Mapping[View, tuple[Features, dict[str, tuple[int, int]]]]) -> str:
    """Return the card of a folder: YAML, how to load it, and the data card of the release.

    Parameters
    ----------
    tables : mapping of View to (dict, dict)
        Features of each table, and samples and bytes of each split.
    """
    configs: list[dict[str, Any]] = []
    described: list[dict[str, Any]] = []
    total = 0
    for view, (features, splits) in tables.items():
        size = sum(amount for _, amount in splits.values())
        total += view.samples
        configs.append(
            {
                "config_name": view.name,
                "data_files": [
                    {"split": split, "path": f"{view.name}/{split}-*.parquet"} for split in splits
                ],
            }
        )
        described.append(
            {
                "config_name": view.name,
                "features": [in_card(*each) for each in features.items()],
                "splits": [
                    {"name": split, "num_bytes": amount, "num_examples": count}
                    for split, (count, amount) in splits.items()
                ],
                "dataset_size": size,
            }
        )
    configs[0]["default"] = True
    first = next(iter(tables))
    licence = first.release.recipe.license
    known = licence.lower() in LICENSES
    header: dict[str, Any] = {"pretty_name": first.release.recipe.title}
    if licence:
        header |= {"license": licence.lower() if known else "other"}
        header |= {} if known else {"license_name": licence.lower()}
    sizes = (name for name, limit in SIZES if total < limit)
    header |= {
        "size_categories": [next(sizes, "n>1B")],
        "tags": [
            "astronomy",
            "simulation",
            "deepbench",
            *dict.fromkeys(each.kind for each in tables),
        ],
        "configs": configs,
        "dataset_info": described,
    }
    text = yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=10**6)
    return f"---\n{text}---\n\n{_body(first, [each.name for each in tables])}"


def _body(view: View, names: list[str]) -> str:
    """Return the words of a card."""
    release, chosen = view.release, view.selection
    lines = [f"# {release.recipe.title}", ""]
    what = f"`{release}`, a release of DeepBench, in Parquet"
    parts = [f"split `{chosen.split}`"] if chosen.split else []
    parts += [f"samples with `{chosen.where}`"] if chosen.where else []
    lines += [f"This is {what}{': ' if parts else ''}{', '.join(parts)}.", "", "```python"]
    lines += ["from datasets import load_dataset", ""]
    lines += [
        f'{name} = load_dataset("path/of/this/folder", "{name}").with_format("numpy")'
        for name in names
    ]
    lines += [
        "```",
        "",
        "`coordinates.json` has the coordinates of the arrays. Every label is a column; NaN stands where the class of",
        "a sample has no such parameter. The data card of the release follows; the files that it names are in it.",
        "",
    ]
    content = release.location.read(fmt.CARD).decode()
    return "\n".join(lines) + "\n" + content.partition("\n")[2].lstrip()


def coordinates(views: tuple[View, ...]) -> dict[str, Any]:
    """Return the coordinates of each table; those that count from 0 by their length alone."""
    found: dict[str, Any] = {}
    for view in views:
        found[view.name] = {}
        for axis in view.coordinates:
            counts = np.array_equal(axis.values, np.arange(axis.size))
            values = {"length": axis.size} if counts else {"values": axis.values.tolist()}
            words = {"dimension": axis.dimensions[0], "attributes": fmt.axis_attributes(axis)}
            found[view.name][axis.name] = words | values
    return found
