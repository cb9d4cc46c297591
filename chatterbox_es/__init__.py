"""Train, tune, choose, judge and speak Spanish voices.

    from chatterbox_es import Voice

    voice = Voice.load()
    voice.say("¿Qué tal estás?").save("hola.wav")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatterbox_es.speech.api import Voice

__all__ = ["Voice"]
__version__ = "0.1.0"

try:
    import fcntl  # noqa: F401, it locks runs, studies and prepared sets
except ImportError:  # Windows
    import sys

    print("error: chatterbox_es runs on Linux and macOS; on Windows install it in WSL: https://aka.ms/wsl", file=sys.stderr)
    raise SystemExit(2) from None


def __getattr__(name: str) -> Any:
    """`Voice`, imported when it is first asked for: torch takes seconds, and most commands need no voice."""
    if name != "Voice":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from chatterbox_es.speech.api import Voice  # brings torch along

    globals()[name] = Voice
    return Voice


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
