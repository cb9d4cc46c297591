"""Train, tune, choose, judge and speak Spanish voices."""

__version__ = "0.1.0"
