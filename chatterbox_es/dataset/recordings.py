"""The recordings of a prepared set, found again."""

from collections.abc import Iterator
from pathlib import Path

from chatterbox_es.audio.waveform import Recording
from chatterbox_es.config import DataConfig
from chatterbox_es.corpus import Utterance, read_corpus
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError


def recordings(features: FeatureSet, data: DataConfig) -> Iterator[tuple[int, dict, Path | Recording]]:
    """Number, description and recording of each utterance of a set, in its order.

    Recordings that came inside a data set are not kept by the set (but for those held out): the corpus is read again.

    Raises:
        UserError: the corpus does not hold one of them any more.
    """
    rows = None
    for number in range(len(features)):
        one = features.utterance(number)
        if not one.get("embedded"):
            yield number, one, Path(one["audio"])
            continue
        rows = rows or (row for row in read_corpus(data) if isinstance(row, Utterance) and not isinstance(row.audio, Path))
        audio = next((row.audio for row in rows if row.id == one["id"]), None)
        if audio is None:
            raise UserError(f"{one['id']} of {features.folder} is not in the corpus any more; prepare it anew")
        yield number, one, audio
