"""The models: what the commands ask of each, which there are, and their weights on disk."""
