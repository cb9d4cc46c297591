"""Train, tune, choose, judge and speak Spanish voices."""

__version__ = "0.1.0"

try:
    import fcntl  # noqa: F401, it locks runs, studies and prepared sets
except ImportError:  # Windows
    import sys

    print("error: chatterbox_es runs on Linux and macOS; on Windows install it in WSL: https://aka.ms/wsl", file=sys.stderr)
    raise SystemExit(2) from None
