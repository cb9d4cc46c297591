"""A corpus to a prepared set: the manifest of its utterances, shards of it made side by side, and one set of them all."""
