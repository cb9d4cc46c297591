"""The sounds of a listening test: read, made equally loud, with their anchor and spoken instructions, ready for a page."""

import base64
import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from scipy.signal import fftconvolve, firwin, kaiserord

from chatterbox_es.audio.waveform import AudioError, normalise_loudness, read_audio
from chatterbox_es.corpus.espeak_demo import Espeak
from chatterbox_es.errors import UserError
from chatterbox_es.listening.design import ANCHOR, INSTRUCTION, REFERENCE, Design
from chatterbox_es.listening.scales import SCALES

RATE = 24_000  # Hz
LEVEL_DB = -26.0
"""Active speech level, dBFS: ITU-T P.800's usual -26 dBov, as far as no sound's peak would exceed full scale."""
PEAK = 0.95
LISTED = 20  # faults in one message
SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus")
FORMATS = {"mp3": "audio/mpeg", "flac": "audio/flac", "wav": "audio/wav"}


def find_items(folders: dict[str, Path], missing: str) -> tuple[list[str], list[str], dict[tuple[str, str], Path]]:
    """Names of the sentences that every folder has, those left out with the reason, and (item, system) → file.

    ``missing="error"`` refuses when a folder lacks what another has, ``"skip"`` leaves such sentences out.

    Raises:
        UserError: a folder that is none, no sentence in common, or the list of what is missing.
    """
    if missing not in ("error", "skip"):
        raise UserError(f"missing={missing}: must be error or skip")
    found: dict[str, dict[str, Path]] = {}
    for system, folder in folders.items():
        if not folder.is_dir():
            raise UserError(f"{system}: {folder} is not a folder")
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
        if not files:
            raise UserError(f"{system}: {folder} holds no sound ({', '.join(SUFFIXES)})")
        found[system] = {path.stem: path for path in files}
        if len(found[system]) < len(files):
            twice = next(path for path in files if found[system][path.stem] != path)
            raise UserError(f"{system}: {folder} has two files named {twice.stem}: leave one")
    names = sorted(set().union(*found.values()))
    lacking = [f"{name}: not in {', '.join(lacks)}" for name in names
               if (lacks := [system for system in found if name not in found[system]])]
    common = [name for name in names if all(name in files for files in found.values())]
    if lacking and missing == "error" or not common:
        raise UserError(f"{len(lacking)} of {len(names)} sentences are not in every folder, so that systems could not be "
                        f"compared on the same ones; complete the folders or leave these out with missing=skip:\n"
                        + _listed(lacking))
    return common, lacking, {(name, system): files[name] for system, files in found.items() for name in common}


def choose_items(items: list[str], wanted: int | None, seed: int) -> tuple[list[str], str]:
    """The sentences to be judged, by chance, and one to train on: another one where there is one."""
    if wanted is not None and not 1 <= wanted <= len(items):
        raise UserError(f"items={wanted}: there are {len(items)} sentences that every folder has")
    drawn = random.Random(seed).sample(items, len(items))
    judged = drawn[:wanted]
    return judged, next(iter(drawn[len(judged):]), judged[-1])


def read_sounds(files: dict[tuple[str, str], Path], items: list[str]) -> dict[tuple[str, str], np.ndarray]:
    """(item, system) → samples (samples,) at `RATE`.

    Raises:
        UserError: all that cannot be used, with the reasons.
    """
    sounds, faults = {}, []
    for (item, system), path in files.items():
        if item in items:
            try:
                sounds[item, system] = read_audio(path, RATE)
            except AudioError as error:
                faults.append(f"{system}: {error.detail} ({error.reason})")
    if faults:
        raise UserError(f"{len(faults)} sounds cannot be used:\n{_listed(faults)}")
    return sounds


def equalise(sounds: dict[tuple[str, str], np.ndarray],
             highest: float = LEVEL_DB) -> tuple[dict[tuple[str, str], np.ndarray], float]:
    """All sounds at one active speech level (`audio.waveform.normalise_loudness`), and that level in dBFS.

    It is ``highest``, or lower where some sound's peak would exceed `PEAK`: one sound that is held back alone would be
    judged by its loudness.
    """
    quiet = -90.0  # where no peak can be in the way
    peaks = [float(np.abs(normalise_loudness(samples, RATE, quiet)).max()) for samples in sounds.values()]
    level = min(highest, *(quiet + 20 * np.log10(PEAK / peak) for peak in peaks))
    return {name: normalise_loudness(samples, RATE, level, peak=1.0) for name, samples in sounds.items()}, float(level)


def low_anchor(samples: np.ndarray, rate: int = RATE) -> np.ndarray:
    """The low anchor of ITU-R BS.1534-3, 5.1: samples (samples,) low-passed at 3.5 kHz, without delay.

    The recommendation wants a pass band within 0.1 dB, 25 dB down at 4 kHz and 50 dB at 4.5 kHz; this filter has 60 dB
    from 4 kHz.
    """
    taps, beta = kaiserord(62, 500 / (rate / 2))
    response = firwin(taps | 1, 3750, window=("kaiser", beta), fs=rate)
    return fftconvolve(samples, response, mode="same").astype(np.float32)


def speak_instructions(design: Design) -> dict[str, np.ndarray]:
    """Stimulus id → the spoken instruction of an attention check, by espeak-ng: a voice that is in no test."""
    wanted = {name: int(stimulus.item) for name, stimulus in design.stimuli.items() if stimulus.system == INSTRUCTION}
    if not wanted:
        return {}
    labels = dict(SCALES[design.method].options)
    with Espeak("es") as voice:
        spoken = {name: voice.speak("Esto es una comprobación de atención. En esta pregunta, elija la opción: "
                                    f"{labels[value]}.") for name, value in wanted.items()}
        rate = voice.rate
    return {name: np.clip(soxr.resample(samples, rate, RATE), -1, 1) for name, samples in spoken.items()}


def complete(design: Design, sounds: dict[tuple[str, str], np.ndarray]) -> tuple[dict[str, np.ndarray], float]:
    """Stimulus id → samples of all that the design asks for, equally loud, and the level in dBFS."""
    whole: dict[tuple[str, str], np.ndarray] = {}
    for name, stimulus in design.stimuli.items():
        if stimulus.system == ANCHOR:
            whole[name, ""] = low_anchor(sounds[stimulus.item, REFERENCE])
        elif stimulus.system != INSTRUCTION:
            whole[name, ""] = sounds[stimulus.item, stimulus.system]
    whole |= {(name, ""): samples for name, samples in speak_instructions(design).items()}
    level_sounds, level = equalise(whole)
    return {name: samples for (name, _), samples in level_sounds.items()}, level


def encode(samples: np.ndarray, form: str) -> str:
    """Samples (samples,) at `RATE` as base64 of MP3 (LAME's V0, about 95 kbit/s), FLAC or 16-bit WAV."""
    buffer = io.BytesIO()
    how: dict[str, Any] = {"compression_level": 0, "bitrate_mode": "VARIABLE"} if form == "mp3" else {"subtype": "PCM_16"}
    soundfile.write(buffer, samples, RATE, format=form.upper(), **how)
    return base64.b64encode(buffer.getvalue()).decode()


def _listed(lines: list[str]) -> str:
    more = [f"  … and {len(lines) - LISTED} more"] if len(lines) > LISTED else []
    return "\n".join([*(f"  {line}" for line in lines[:LISTED]), *more])
