"""A tiny vocoder, trained on the corpus of tones."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chatterbox_es.config import Config, compose
from chatterbox_es.models.families import recipe_of
from chatterbox_es.models.vocoder.sound_set import SoundSet

SMALL = ("phase=vocoder", "model.width=32", "model.slow_blocks=1", "model.blocks=1", "model.pitch_width=16",
         "model.pitch_blocks=1", "model.period_width=2", "model.resolution_width=2", "phase.batch_size=3",
         "phase.validate_every=1", "hw.threads=1", "hw.precision=32-true", "data.workers=1", "train.epochs=4",
         "train.samples=0", "train.log_every=1", "train.wandb=disabled")  # fmt: skip


@pytest.fixture(scope="session")
def vocoder_arguments(corpus: Path, prepared: Path) -> Callable[..., list[str]]:
    """What is written on the command line for a tiny vocoder; later arguments win over earlier ones."""
    def written(*more: str, corpus: Path = corpus) -> list[str]:
        settings = {argument.partition("=")[0]: argument
                    for argument in ("data=folder", f"data.path={corpus}", f"data.prepared={prepared}", *SMALL, *more)}
        return [argument for argument in settings.values() if not argument.endswith("=default")]

    return written


@pytest.fixture(scope="session")
def vocoder_config(vocoder_arguments: Callable[..., list[str]]) -> Callable[..., Config]:
    return lambda *more, **options: compose(vocoder_arguments(*more, **options))


@pytest.fixture(scope="session")
def sounds(vocoder_config: Callable[..., Config]) -> SoundSet:
    """The prepared set of the corpus, with waveforms and F0."""
    config = vocoder_config()
    return recipe_of(config).prepare(config)
