"""Data sets of the Hugging Face hub, by name or from a folder; the extra `hf` is needed.

Sounds are taken encoded (`Audio(decode=False)`) and decoded by `audio.waveform`, so that no other decoder is needed.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatterbox_es.config import SourceConfig
from chatterbox_es.corpus.accents import dialect_of_accent
from chatterbox_es.corpus.exclusions import excluded_by_votes
from chatterbox_es.corpus.utterance import EmbeddedRecording, Fault, Utterance
from chatterbox_es.errors import UserError

# The names that data sets give their columns, the first that is there is taken.
AUDIO_NAMES = ("audio", "wav", "speech", "recording")
TEXT_NAMES = ("text", "sentence", "transcript", "transcription", "raw_text", "original_text", "texto", "raw_transcription")
SPOKEN_NAMES = ("normalized_text", "normalised_text", "text_normalized")
SPEAKER_NAMES = ("speaker_id", "speaker", "client_id", "speaker_name")
DIALECT_NAMES = ("dialect", "accent", "accents", "variant", "country")
VOTES = ("up_votes", "down_votes")
BATCH = 256  # rows read at a time


@dataclass(frozen=True, slots=True)
class HubSource:
    """What it takes to open a data set again, in this process or another."""

    path: str
    config: str | None
    split: str

    def __str__(self) -> str:
        return ":".join(filter(None, (self.path, self.config, self.split)))


@dataclass(frozen=True, slots=True)
class HubRecording:
    """The sound of one row: small, and read when it is needed."""

    source: HubSource
    column: str
    row: int  # from 0

    def read_bytes(self) -> bytes:
        sound = _opened(self.source, self.column)[self.row][self.column]
        return sound["bytes"] if sound["bytes"] is not None else Path(sound["path"]).read_bytes()

    def __str__(self) -> str:
        return f"{self.source}#{self.row + 1}"


@dataclass(frozen=True, slots=True)
class HubColumns:
    audio: str
    text: str
    spoken: str | None
    speaker: str | None
    dialect: str | None

    def read(self) -> list[str]:
        """Those that are read of each row, the sound left out."""
        return [name for name in (self.text, self.spoken, self.speaker, self.dialect) if name]


def hub_rows(path: Path | str, source: SourceConfig) -> Iterator[Utterance | Fault]:
    """The rows of a data set, in its order; the id is the row's number.

    `path` is a name, or a folder that `save_to_disk` wrote or that holds parquet files. With `streaming` the rows are
    read while they are fetched and each carries its sound; otherwise the library keeps a copy in its cache.

    Raises UserError: no library, no such data set, configuration or split, a column that is not there.
    """
    handle = HubSource(str(path), source.config, source.hf_split)
    data = _load(handle, source.streaming)
    columns = _columns(data.features, source, handle)
    wanted = dict.fromkeys((columns.audio, *columns.read(), *_votes(data.features, source, handle)))
    data = _encoded(data.select_columns(list(wanted)), columns.audio)
    names = {column: getattr(data.features[column], "int2str", None) for column in columns.read()}
    rows = _streamed(data, columns, handle) if source.streaming else _mapped(data, columns, handle)
    for number, values, audio in rows:
        said = {column: name(value) if (name := names.get(column)) and isinstance(value, int) and value >= 0 else value
                for column, value in values.items()}
        yield _utterance(number, said, audio, columns, source)


def _mapped(data: Any, columns: HubColumns, handle: HubSource) -> Iterator[tuple[int, dict, Any]]:
    """Number from 1, values and sound of each row of a data set on the disk; the sounds' bytes are not touched."""
    import pyarrow.compute as compute

    number = 0
    for table in data.with_format("arrow").iter(batch_size=BATCH):
        sounds = table[columns.audio]
        embedded = compute.is_valid(compute.struct_field(sounds, "bytes")).to_pylist()
        paths = compute.struct_field(sounds, "path").to_pylist()
        others = table.drop_columns([columns.audio]).to_pylist()
        for values, inside, path in zip(others, embedded, paths, strict=True):
            audio = HubRecording(handle, columns.audio, number) if inside else Path(path) if path else None
            number += 1
            yield number, values, audio


def _streamed(data: Any, columns: HubColumns, handle: HubSource) -> Iterator[tuple[int, dict, Any]]:
    rows = iter(data)
    number = 0
    while True:
        try:
            values = next(rows, None)
        except Exception as error:  # whatever the network and the library do on the way
            raise UserError(f"{handle} cannot be read beyond row {number}: {error}. Try again, or without "
                            "data.streaming") from error
        if values is None:
            return
        number += 1
        sound = values.pop(columns.audio) or {}
        audio: EmbeddedRecording | Path | None = None
        if sound.get("bytes") is not None:
            audio = EmbeddedRecording(f"{handle}#{number}", sound["bytes"])
        elif sound.get("path"):
            audio = Path(sound["path"])
        yield number, values, audio


def _utterance(number: int, values: Mapping[str, Any], audio: Any, columns: HubColumns,
               source: SourceConfig) -> Utterance | Fault:
    def value(column: str | None) -> str:
        found = values.get(column) if column else None
        return "" if found is None else str(found).strip()

    id, text, spoken = f"{number:07d}", value(columns.text), value(columns.spoken)
    if not (text or spoken):
        return Fault(number, id, "empty-text", f"the row's {columns.text} is empty")
    if audio is None or isinstance(audio, Path) and not audio.is_file():
        return Fault(number, id, "missing-audio", f"the row has no sound in {columns.audio}" if audio is None
                     else f"no recording {audio}")
    exclusion = excluded_by_votes(number, id, values, source)
    return exclusion or Utterance(id, text or spoken, audio, spoken, value(columns.speaker),
                                  dialect_of_accent(value(columns.dialect)), number)


def _votes(features: Mapping[str, Any], source: SourceConfig, handle: HubSource) -> tuple[str, ...]:
    if not source.min_up_votes and source.max_down_votes is None:
        return ()
    for column in VOTES:
        if column not in features:
            raise UserError(f"{handle} has no column {column}; its columns are {', '.join(features)}")
    return VOTES


def _columns(features: Mapping[str, Any] | None, source: SourceConfig, handle: HubSource) -> HubColumns:
    if not features:
        raise UserError(f"{handle} does not say what its columns are: read it without data.streaming")

    def column(key: str, given: str | None, names: tuple[str, ...]) -> str | None:
        if given and given not in features:
            raise UserError(f"{handle} has no column {given!r} (data.{key}); its columns are {', '.join(features)}")
        return given or next((name for name in names if name in features), None)

    def needed(key: str, given: str | None, names: tuple[str, ...]) -> str:
        found = column(key, given, names)
        if not found:
            raise UserError(f"which column of {handle} is meant? data.{key}=NAME; its columns are {', '.join(features)}")
        return found

    sounds = tuple(name for name, feature in features.items() if type(feature).__name__ == "Audio")
    return HubColumns(needed("audio_column", source.audio_column, sounds or AUDIO_NAMES),
                      needed("text_column", source.text_column, TEXT_NAMES),
                      None if source.text_column else column("text_column", None, SPOKEN_NAMES),
                      column("speaker_column", source.speaker_column, SPEAKER_NAMES),
                      column("dialect_column", source.dialect_column, DIALECT_NAMES))


@functools.lru_cache(maxsize=8)
def _opened(source: HubSource, column: str) -> Any:
    """The data set in this process; the recordings of one share it."""
    return _encoded(_load(source, streaming=False).select_columns([column]), column)


def _encoded(data: Any, column: str) -> Any:
    import datasets

    return data.cast_column(column, datasets.Audio(decode=False))


def _load(source: HubSource, streaming: bool) -> Any:
    """One split of a data set.

    Raises UserError with what the library says when it is not to be had.
    """
    try:
        import datasets
    except ImportError as error:
        raise UserError("data=hf needs the package datasets: pip install 'chatterbox-es[hf]'") from error
    folder = Path(source.path).expanduser()
    try:
        if any((folder / name).is_file() for name in ("dataset_info.json", "dataset_dict.json")) and (
                folder / "state.json").is_file() | (folder / "dataset_dict.json").is_file():
            saved = datasets.load_from_disk(str(folder))
            if isinstance(saved, datasets.DatasetDict):
                if source.split not in saved:
                    raise UserError(f"{folder} has no split {source.split!r} (data.hf_split); it has {', '.join(saved)}")
                saved = saved[source.split]
            return saved.to_iterable_dataset() if streaming else saved
        path = str(folder) if folder.is_dir() else source.path
        return datasets.load_dataset(path, source.config, split=source.split, streaming=streaming)
    except UserError:
        raise
    except Exception as error:  # of any kind: network, permission, a name, a split, a script, a damaged file
        said = " ".join(str(error).split())[:300]
        if error.__cause__ is not None and "torchcodec" in f"{error.__cause__} {error.__cause__.__cause__}":
            said = ("it is a folder of sound files, for which the library wants torchcodec. Download it "
                    f"(hf download {source.path} --repo-type dataset --local-dir DIR) and give data=hf data.path=DIR")
        raise UserError(f"the data set {source} cannot be had: {said}. Check the name, data.config and data.hf_split, and the "
                        "network; for one that asks for consent, log in with `hf auth login`") from error
