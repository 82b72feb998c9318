"""How work runs: on a Dask cluster, or in this process where there is little."""
