"""Pages: one environment of templates, which escapes what it is given and knows no name that is not given, and their files."""

from collections.abc import Callable
from pathlib import Path

import jinja2

from chatterbox_es.errors import UserError
from chatterbox_es.files import write_whole


def template(name: str, filters: dict[str, Callable] | None = None) -> jinja2.Template:
    """A template by its path from the package's folder on, such as ``runs/report.html.jinja``."""
    environment = jinja2.Environment(loader=jinja2.PackageLoader("chatterbox_es", ""), autoescape=True, trim_blocks=True,
                                     lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters |= filters or {}
    return environment.get_template(name)


def save_page(path: Path, page: str, way_out: str = "") -> Path:
    """Write a page whole or not at all.

    Raises:
        UserError: the file cannot be written; ``way_out`` says what to do.
    """
    try:
        return write_whole(path, page.encode())
    except UserError as error:
        raise UserError(f"{path} cannot be written: {error}{way_out}") from error
