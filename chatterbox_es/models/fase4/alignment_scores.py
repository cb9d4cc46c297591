"""How well each utterance's text fits its sound, by a voice that was trained on speech like it."""

import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.files import write_whole
from chatterbox_es.models.fase4.aligned import aligned
from chatterbox_es.models.fase4.checkpoint import Checkpoint
from chatterbox_es.models.weights import weights_digest
from chatterbox_es.runs.checkpoint_files import voice_file

ALIGNMENT = np.dtype([("alignment", "<f4"), ("hurried", "<f4"), ("longest_phone", "<f4")])
"""Of an utterance under its best alignment: squared error a frame and bin (1 is what predicting the mean scores), the share
of its tokens that get one frame only, and the longest token in seconds."""


def alignment_scores(run: Path, features: FeatureSet) -> np.ndarray:
    """`ALIGNMENT` records (utterances,) of a prepared set under the voice of a run, a checkpoint's file, or outputs/best.

    They are kept in the set's folder under a name of the weights, and computed once.

    Raises:
        UserError: no checkpoint, or one with other symbols or mels than the set's.
    """
    path = voice_file(run)
    checkpoint = Checkpoint.load(path)
    checkpoint.check_fits(features, str(path), statistics=False)
    kept = features.folder / f"alignment-{weights_digest(checkpoint.weights)[:12]}.npy"
    if kept.is_file():
        return np.load(kept)
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
