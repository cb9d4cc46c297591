"""A corpus as a stream: whichever form it has, each of its rows as an utterance or a fault."""

from collections.abc import Iterator
from pathlib import Path

from chatterbox_es.config import DataConfig
from chatterbox_es.corpus.demo import make_demo
from chatterbox_es.corpus.folder import read_folder
from chatterbox_es.corpus.utterance import Fault, Utterance
from chatterbox_es.errors import UserError


def read_corpus(data: DataConfig) -> Iterator[Utterance | Fault]:
    """Every row of the configured corpus, in a fixed order: each an utterance or a fault, none vanishes.

    Rows are given as they are read; none is kept. Recordings are found and not opened.

    Raises:
        UserError: there is nothing to read, or the corpus has another form than ``data.kind``.
    """
    if data.kind == "demo":
        make_demo(corpus_roots(data)[""], data.dialect)
    utterances, faults = read_folder(corpus_roots(data)[""], data.layout)
    yield from sorted([*utterances, *faults], key=lambda found: found.row)


def corpus_roots(data: DataConfig) -> dict[str, Path | str]:
    """What the corpus is read from: the folder of each source by its name in the mix ("" where there is one source).

    A `str` is a data set that is fetched by its name.
    """
    if data.kind not in ("demo", "folder"):
        raise UserError(f"data.kind={data.kind} is not known; use demo or folder")
    if not data.path:
        raise UserError(f"data={data.name} needs the folder of the recordings: data.path=DIR")
    return {"": Path(data.path).expanduser()}
