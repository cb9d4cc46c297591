"""The pages' templates: one environment, which escapes what it is given and knows no name that is not given."""

from collections.abc import Callable

import jinja2


def template(name: str, filters: dict[str, Callable] | None = None) -> jinja2.Template:
    """A template by its path from the package's folder on, such as ``runs/report.html.jinja``."""
    environment = jinja2.Environment(loader=jinja2.PackageLoader("chatterbox_es", ""), autoescape=True, trim_blocks=True,
                                     lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters |= filters or {}
    return environment.get_template(name)
