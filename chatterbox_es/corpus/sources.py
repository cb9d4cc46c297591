"""A corpus as a stream: whichever form it has, each of its rows as an utterance or a fault."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from omegaconf import OmegaConf

from chatterbox_es.config import DataConfig, Kind, SourceConfig
from chatterbox_es.corpus.audio_folder import audio_folder_metadata, audio_folder_rows
from chatterbox_es.corpus.audiobooks import cml_tts_rows, css10_rows, mailabs_rows, mls_rows
from chatterbox_es.corpus.common_voice import common_voice_rows
from chatterbox_es.corpus.espeak_demo import make_espeak_corpus
from chatterbox_es.corpus.exclusions import only_wanted
from chatterbox_es.corpus.folder import distinct, folder_rows
from chatterbox_es.corpus.hub import hub_rows
from chatterbox_es.corpus.openslr import openslr_rows
from chatterbox_es.corpus.utterance import Fault, Utterance
from chatterbox_es.errors import UserError
from chatterbox_es.text.dialects import DIALECTS

DEMO, DEMO_DIALECT = Path(__file__).with_name("demo"), "castilian"
"""The speech that comes along; its README.md says what it is."""
KINDS = [kind for kind in get_args(Kind) if kind != "mix"]


def read_corpus(data: DataConfig) -> Iterator[Utterance | Fault]:
    """Every row of the configured corpus, in a fixed order: each an utterance or a fault, none vanishes.

    Rows are given as they are read and none is kept; of what is kept (the names of a folder's files, a hash of each id)
    half a million rows take some 100 MB. Recordings are found and not opened. In a mix the corpora follow one another,
    and ids and speakers have the corpus's name before them; a corpus whose rows name no speaker is one speaker.

    Raises:
        UserError: there is nothing to read, or the corpus has another form than ``data.kind``.
    """
    for name, source in corpus_sources(data).items():
        dialect = source.dialect or data.dialect
        source, is_empty = _plain(source), True
        for found in _rows(name, source, dialect):
            is_empty = False
            yield found if not name else _of_mix(found, name, source)
        if is_empty:
            raise UserError(f"the corpus {f'{name} ({source.path})' if name else source.path} has no rows: its tables hold a "
                            "header alone, or nothing; get them anew, or name another folder")


def corpus_sources(data: DataConfig) -> dict[str, SourceConfig]:
    """The corpora of a mix by their names; the one corpus under the name "" where there is no mix.

    Raises:
        UserError: no kind, a dialect that there is not, or no folder.
    """
    if data.kind == "mix" and not data.sources:
        raise UserError("data=mix has no corpora: name them in a file of your own, conf/data/NAME.yaml (docs/corpora.md), or "
                        "as '+data.sources={NAME:{kind:folder,path:DIR},NAME:{kind:common_voice,path:DIR}}'")
    sources: dict[str, SourceConfig] = dict(data.sources) if data.kind == "mix" else {"": data}
    for name, source in sources.items():
        where = f"data.sources.{name}" if name else "data"
        given = "???" if OmegaConf.is_missing(source, "kind") else source.kind
        if given == "???" or name and given == "mix":
            raise UserError(f"{where}.kind={given}: must be {' | '.join(KINDS)}{'' if name else ' | mix'}")
        if not source.path and source.kind != "kokoro":
            raise UserError(f"{where} ({source.kind}) needs the folder of the recordings: {where}.path=DIR")
        if source.dialect and source.dialect not in DIALECTS:
            raise UserError(f"{where}.dialect={source.dialect} is not known; use one of {', '.join(DIALECTS)}")
        if "/" in name:
            raise UserError(f"{where}: the name of a corpus has no / in it")
        if source.kind == "kokoro":
            _check_demo(where, source, source.dialect or data.dialect)
    return sources


def corpus_roots(data: DataConfig) -> dict[str, Path | str]:
    """What the corpus is read from: the folder of each source by its name in the mix ("" where there is one source).

    A `str` is a data set that is fetched by its name.
    """
    roots: dict[str, Path | str] = {}
    for name, source in corpus_sources(data).items():
        folder = _folder(source)
        roots[name] = source.path or "" if source.kind == "hf" and not folder.exists() else folder
    return roots


def _folder(source: SourceConfig) -> Path:
    return DEMO if source.kind == "kokoro" else Path(source.path or "").expanduser()


def _check_demo(where: str, source: SourceConfig, dialect: str) -> None:
    """Raises UserError for a folder or a dialect that the speech that comes along does not have."""
    if source.path:
        raise UserError(f"{where}.path={source.path}: the speech of data=demo comes along and has no other folder: leave the "
                        "path out; what data=demo was in 0.1, speech that espeak-ng makes in a folder, is data=espeak")
    if dialect != DEMO_DIALECT:
        raise UserError(f"{where}.dialect={dialect}: the speech of data=demo is {DEMO_DIALECT} and no other; "
                        f"data=espeak data.dialect={dialect} makes speech in that dialect")


def _plain(source: SourceConfig) -> SourceConfig:
    """The same as a plain object: to look a key up in OmegaConf's takes as long as to read a row."""
    values: Any = OmegaConf.to_container(source, resolve=True)
    return SourceConfig(**{field.name: values[field.name] for field in dataclasses.fields(SourceConfig)})


def _rows(name: str, source: SourceConfig, dialect: str) -> Iterator[Utterance | Fault]:
    """The rows of one corpus, no id twice, those that are not wanted as excluded."""
    folder = _folder(source)
    if source.kind == "hf":
        metadata = audio_folder_metadata(folder, source.hf_split) if folder.is_dir() else None
        rows = audio_folder_rows(metadata, source) if metadata else hub_rows(source.path or "", source)
    elif source.kind in ("kokoro", "espeak", "folder"):
        if source.kind == "espeak":
            make_espeak_corpus(folder, dialect)
        rows = folder_rows(folder, source.layout)
    else:
        if not folder.is_dir():
            raise UserError(f"the corpus folder {folder} does not exist or is none: give it as "
                            f"data.{f'sources.{name}.' if name else ''}path=DIR")
        rows = (openslr_rows(folder) if source.kind == "openslr" else
                {"common_voice": common_voice_rows, "mls": mls_rows, "cml_tts": cml_tts_rows, "css10": css10_rows,
                 "mailabs": mailabs_rows}[source.kind](folder, source))
    overlap = source.kind == "common_voice" and len(source.parts or ()) > 1
    return only_wanted(distinct(rows, overlap), source, dialect)


def _of_mix(found: Utterance | Fault, name: str, source: SourceConfig) -> Utterance | Fault:
    id = f"{name}/{found.id}"
    if isinstance(found, Fault):
        return dataclasses.replace(found, id=id, corpus=name)
    return dataclasses.replace(found, id=id, corpus=name, speaker=f"{name}/{found.speaker}" if found.speaker else name,
                               dialect=found.dialect or source.dialect or "")
