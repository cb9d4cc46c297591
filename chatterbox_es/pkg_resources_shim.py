"""Packages that still ask for ``pkg_resources``, which setuptools has had no more since version 82."""

import importlib
import importlib.machinery
import importlib.metadata
import importlib.resources
import importlib.util
import sys
import types

LACKED = "pkg_resources"


def import_old(name: str) -> types.ModuleType:
    """The module ``name``; while it is imported, what it wants of `pkg_resources` is lent where there is none.

    pyworld 0.3.5 asks for its own version, resemble-perth 1.0.1 for the folder of its weights.

    Raises:
        ImportError: it, or one that it needs, is not installed.
    """
    if name in sys.modules or importlib.util.find_spec(LACKED) is not None:
        return importlib.import_module(name)
    lent = types.ModuleType(LACKED)
    lent.__spec__ = importlib.machinery.ModuleSpec(LACKED, None)
    vars(lent).update(get_distribution=importlib.metadata.distribution,
                      resource_filename=lambda package, resource: str(importlib.resources.files(package) / resource))
    sys.modules[LACKED] = lent
    try:
        return importlib.import_module(name)
    finally:
        sys.modules.pop(LACKED, None)
