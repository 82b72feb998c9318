"""Single samples: CPU time of reading and of rendering them, in alternation with what they were made of before.

    python benchmarks/reading.py                                       # 6,000 images of shapes.yaml, built for it
    python benchmarks/reading.py --samples 70000                       # more than one group of rows of labels
    python benchmarks/reading.py --workflow light_curves               # another recipe's first table

Each row is a job and its peer, which gives the same result: the ways of revision b778bff are written out here. Medians
of rounds, in which all jobs take turns in one process.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import xarray as xr

import deepbench
from deepbench import format as fmt
from deepbench.catalog import find
from deepbench.release import Release
from deepbench.samples import draw_labels, render_arrays, to_dataset
from pipeline.build import build
from pipeline.execution.cluster import ClusterOptions

WORKFLOWS = Path(__file__).parent.parent / "workflows"
ROWS = 64
"""Number of samples that are rendered by their rows of labels."""

Jobs = dict[str, tuple[Callable[[], Any], Callable[[], Any]]]


def jobs_of(recipe: deepbench.Recipe, release: Release) -> Jobs:
    """Return jobs and peers by their names."""
    name = next(iter(recipe.tables))
    table = recipe.table(name)
    variables = [each.name for each in table.variables]
    random = np.random.default_rng(1)
    arrays, labels = render_arrays(table, draw_labels(table, 5, 6))
    rows = deepbench.labels(recipe, name, 100, 100 + ROWS)
    copies = deepbench.objects(recipe, name, 100, 100 + ROWS) if table.plan.object_columns else None

    def index() -> int:
        return int(random.integers(table.samples))

    def drawn() -> Any:
        return render_arrays(table, draw_labels(table, 5, 6))

    def reopened() -> xr.Dataset:
        return release.open()[name].to_dataset()[variables].isel(sample=index()).load()

    def whole_groups() -> Any:
        columns, row = list(release.manifest.tables[name].columns), index()
        with pq.ParquetFile(f"{release.path}/{fmt.METADATA}/{name}.parquet") as file:
            group, within = divmod(row, fmt.ROW_GROUP)
            return file.read_row_group(group, columns).slice(within, 1).to_pandas().iloc[0]

    def one_by_one() -> xr.Dataset:
        dataset = xr.Dataset()
        for each in table.variables:
            words = fmt.variable_attributes(each)
            dataset[each.name] = (("sample", *each.dimensions), arrays[each.name], words)
        for column in table.plan.columns:
            words = fmt.label_attributes(column)
            dataset[column.name] = (("sample",), labels.columns[column.name], words)
        for axis in table.coordinates:
            values = (axis.dimensions, axis.values, fmt.axis_attributes(axis))
            dataset = dataset.assign_coords({axis.name: values})
        return dataset

    return {
        "`to_dataset`; variables added one by one": (
            lambda: to_dataset(table, labels, arrays),
            one_by_one,
        ),
        "`Release.sample`; the tree opened each time": (
            lambda: release.sample(name, index()),
            reopened,
        ),
        "`Release.label`; a group of rows decoded each time": (
            lambda: release.label(name, index()),
            whole_groups,
        ),
        "`render(i, i + 1)`; `draw_labels` and `render_arrays`": (
            lambda: deepbench.render(recipe, name, 5, 6),
            drawn,
        ),
        f"`render(labels=…)` of {ROWS} rows; the same samples by their range": (
            lambda: deepbench.render(recipe, name, labels=rows, objects=copies),
            lambda: deepbench.render(recipe, name, 100, 100 + ROWS),
        ),
    }


def measure(jobs: Jobs, rounds: int) -> dict[str, tuple[float, float]]:
    """Return the median CPU milliseconds of each job and of its peer."""
    spent: dict[str, tuple[list[int], list[int]]] = {name: ([], []) for name in jobs}
    for number in range(
        rounds + 2
    ):  # two rounds are not counted: kernels and caches are warm after them
        for name, pair in jobs.items():
            for each in (0, 1) if number % 2 else (1, 0):  # what runs second finds warm caches
                begun = time.process_time_ns()
                pair[each]()
                if number > 1:
                    spent[name][each].append(time.process_time_ns() - begun)
    return {
        name: (statistics.median(own) / 1e6, statistics.median(other) / 1e6)
        for name, (own, other) in spent.items()
    }


def main() -> None:
    """Print medians and ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workflow", default="shapes")
    parser.add_argument("--samples", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=101)
    parser.add_argument("--catalog", help="a catalog that has the release, instead of building it")
    chosen = parser.parse_args()
    recipe = deepbench.load_recipe(WORKFLOWS / f"{chosen.workflow}.yaml")
    recipe = recipe.replace({f"tables.{next(iter(recipe.tables))}.samples": chosen.samples})
    with tempfile.TemporaryDirectory() as folder:
        catalog = chosen.catalog or folder
        if chosen.catalog is None:
            build(recipe, catalog, cluster=ClusterOptions(workers=1))
        found = measure(jobs_of(recipe, find(recipe.name, catalog=catalog)), chosen.rounds)
    print("| | ms | ms, peer | peer / ours |\n|---|---|---|---|")
    for name, (own, peer) in found.items():
        print(f"| {name} | {own:.2f} | {peer:.2f} | {peer / own:.2f} |")


if __name__ == "__main__":
    main()
