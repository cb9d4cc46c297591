"""How well each utterance's text fits its sound, by a voice that was trained on speech like it."""

import sys

import numpy as np
from tqdm import tqdm

from chatterbox_es.config import DataConfig
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.files import write_whole
from chatterbox_es.models.acoustic.aligned import aligned
from chatterbox_es.models.acoustic.batches import PitchedSet
from chatterbox_es.models.acoustic.checkpoint import Checkpoint
from chatterbox_es.models.weights import weights_digest

ALIGNMENT = np.dtype([("alignment", "<f4"), ("hurried", "<f4"), ("longest_phone", "<f4")])
"""Of an utterance under its best alignment: squared error a frame and bin (1 is what predicting the mean scores), the share
of its tokens that get one frame only, and the longest token in seconds."""


def alignment_scores(checkpoint: Checkpoint, name: str, features: FeatureSet, data: DataConfig) -> np.ndarray:
    """`ALIGNMENT` records (utterances,) of a prepared set under a voice, which is called ``name``; ``data`` is what the set was
    made of.

    They are kept in the set's folder under a name of the weights, and computed once.

    Raises:
        UserError: it has other symbols or mels than the set's.
    """
    checkpoint.check_fits(features, name, statistics=False)
    kept = features.folder / f"alignment-{weights_digest(checkpoint.weights)[:12]}.npy"
    if kept.is_file():
        return np.load(kept)
    if checkpoint.has_prosody:
        features = PitchedSet(features, data)
    model = checkpoint.build(features)
    scores = np.zeros(len(features), ALIGNMENT)
    frame = 1 / features.contract.frames_per_second
    with tqdm(total=len(features), desc="alignment", unit="utt", disable=not sys.stderr.isatty()) as progress:
        for batch, mels, prediction in aligned(model, checkpoint.statistics, features, range(len(features))):
            errors = (prediction.mels.float() - mels).square().mean(1).split(batch.speech.lengths)
            durations = prediction.durations.split(batch.text.lengths)
            for number, error, tokens in zip(batch.utterances, errors, durations, strict=True):
                scores[number] = (float(error.mean()), float((tokens == 1).float().mean()), int(tokens.max()) * frame)
            progress.update(len(batch.utterances))
    write_whole(kept, lambda file: np.save(file, scores))
    return scores
