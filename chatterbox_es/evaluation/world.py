"""WORLD (Morise, Yokomori & Ozawa 2016), which takes speech apart into F0 and spectral envelope, by pyworld."""

import functools
import importlib
import importlib.metadata
import sys
import types

from chatterbox_es.errors import UserError

LACKED = "pkg_resources"  # gone from setuptools 82 on; pyworld 0.3.5 asks it for its own version, and for nothing else


@functools.cache
def world() -> types.ModuleType:
    """The module ``pyworld``.

    Raises:
        UserError: it is not installed, or cannot be imported.
    """
    try:
        return _imported()
    except ImportError as error:
        raise UserError(f"the acoustic measures need pyworld, which cannot be imported ({error}): "
                        "pip install 'chatterbox-es[evaluate]', or leave them out with measures=") from None


def _imported() -> types.ModuleType:
    try:
        return importlib.import_module("pyworld")
    except ModuleNotFoundError as error:
        if error.name != LACKED:
            raise
    lent = types.ModuleType(LACKED)
    lent.get_distribution = importlib.metadata.distribution
    sys.modules[LACKED] = lent
    try:
        return importlib.import_module("pyworld")
    finally:
        del sys.modules[LACKED]
