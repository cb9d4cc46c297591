"""Choosing: checkpoints ranked by a rule, and studies that search for settings."""
