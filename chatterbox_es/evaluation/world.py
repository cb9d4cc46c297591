"""WORLD (Morise, Yokomori & Ozawa 2016), which takes speech apart into F0 and spectral envelope, by pyworld."""

import functools
import types

from chatterbox_es.errors import UserError
from chatterbox_es.pkg_resources_shim import import_old


@functools.cache
def world() -> types.ModuleType:
    """The module ``pyworld``.

    Raises:
        UserError: it is not installed, or cannot be imported.
    """
    try:
        return import_old("pyworld")
    except ImportError as error:
        raise UserError(f"the acoustic measures need pyworld, which cannot be imported ({error}): "
                        "pip install 'chatterbox-es[evaluate]', or leave them out with measures=") from None
