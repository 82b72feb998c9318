"""Reading of samples for training: straight from the shards, without event loops, threads or stores."""

from deepbench.reading.table_reader import TableReader as TableReader
