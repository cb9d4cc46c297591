"""Held-out sentences said while T3 is being trained."""

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from chatterbox_es.audio.log_mel import log_mel
from chatterbox_es.audio.waveform import AudioError, write_audio
from chatterbox_es.config import ChatterboxRun
from chatterbox_es.errors import UserError
from chatterbox_es.models.t3.batches import collate
from chatterbox_es.models.t3.codec import SOUND_RATE, TokenVocoder, codec_named
from chatterbox_es.models.t3.generation import Sampling, generate
from chatterbox_es.models.t3.lora import merged_meanwhile
from chatterbox_es.models.t3.network import T3
from chatterbox_es.models.t3.preparation import weights_folder
from chatterbox_es.models.t3.token_set import TokenSet
from chatterbox_es.models.t3.validation import PROMPTS_OF, spoken_of
from chatterbox_es.models.t3.weights import WeightsFolder
from chatterbox_es.runs.plots import draw_mels

log = logging.getLogger(__name__)
TIMES = 2  # the recording's tokens, and a second: then it is cut
NONE = np.zeros(0, np.int64)


@functools.lru_cache(maxsize=1)  # kept in the host's memory: a gigabyte is not read at each validation
def _vocoder(codec: str, weights: WeightsFolder) -> TokenVocoder:
    return codec_named(codec, weights, "cpu").vocoder()


def vocoder_of(config: ChatterboxRun) -> TokenVocoder:
    """What makes sound of tokens, on the CPU.

    Raises:
        UserError: it cannot be loaded.
    """
    return _vocoder(config.model.codec, weights_folder(config.model))


def load_vocoder(config: ChatterboxRun) -> TokenVocoder | None:
    """Likewise; None where it cannot be loaded, which the log says."""
    try:
        return vocoder_of(config)
    except UserError as error:
        log.warning("no samples are spoken: %s", error)
        return None


@contextlib.contextmanager
def ready_to_speak(fabric: Fabric, model: T3, vocoder: TokenVocoder) -> Iterator[None]:
    """The vocoder on the GPU and T3's adapters merged meanwhile; afterwards memory and random numbers are as they were.

    What is spoken draws the same random numbers each time: validations can be compared, and training does not depend on
    whether anything was spoken.
    """
    on_gpu = fabric.device.type == "cuda"
    try:
        with torch.random.fork_rng([fabric.device] if on_gpu and torch.cuda.is_available() else []), merged_meanwhile(model):
            torch.manual_seed(0)
            vocoder.to(fabric.device)
            yield
    finally:
        vocoder.to("cpu")
        if on_gpu:
            torch.cuda.empty_cache()


def save_samples(fabric: Fabric, model: T3, vocoder: TokenVocoder, config: ChatterboxRun, features: TokenSet,
                 numbers: Sequence[int], folder: Path | None, title: str, check: Callable[[], None]) -> tuple[dict, dict]:
    """Each in the voice of another clip of its speaker, as sound and as mel beside the recording's."""
    with ready_to_speak(fabric, model, vocoder):
        return _say_all(fabric, model, vocoder, config, features, numbers, folder, title, check)


def _say_all(fabric: Fabric, model: T3, vocoder: TokenVocoder, config: ChatterboxRun, features: TokenSet,
             numbers: Sequence[int], folder: Path | None, title: str, check: Callable[[], None]) -> tuple[dict, dict]:
    prompts, sounds, pictures = features.prompts(PROMPTS_OF), {}, {}
    for number in numbers:
        utterance = features.utterance(number)
        name = utterance["id"].replace("/", "_")
        clip = prompts.choose(number, PROMPTS_OF)
        reference = None
        for one in (number,) if clip is None else (clip, number):  # a data set of the hub keeps only those held out
            try:
                reference = vocoder.reference(features.recording(one))
                break
            except AudioError as error:
                problem = error
        if reference is None:
            log.warning("%s is not spoken: %s", utterance["id"], problem)
            continue
        batch = collate([spoken_of(features, number, clip)], config.model.start_tokens)
        longest = min(TIMES * len(features.codes(number)) + 25, model.size.speech_positions - 2)
        with fabric.autocast():
            said = generate(model, batch.text[0], batch.conditions, Sampling(max_tokens=longest), 0, batch.start_tokens, check)
        if not len(said.codes):
            log.warning("%s: the model ends before it says anything", utterance["id"])
            continue
        samples = vocoder(said.codes, reference)
        sounds[name] = samples, SOUND_RATE
        if folder is None:
            continue
        write_audio(folder / f"{name}.wav", samples, SOUND_RATE)
        spoken = features.statistics.standardise(log_mel(samples, features.contract))
        ended = "ended" if said.ended else f"cut after {longest} tokens"
        draw_mels(folder / f"{name}.png", spoken.numpy(), features.mel(number).numpy(), [], NONE, NONE,
                  features.contract.frames_per_second, f"{title}: {utterance['text']}", ("recording", f"model, {ended}"))
        pictures[name] = folder / f"{name}.png"
    return sounds, pictures
