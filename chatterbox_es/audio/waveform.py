"""Sound files as mono waveforms at one sample rate, and back."""

import io
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import soundfile
import soxr

from chatterbox_es.audio.containers import foreign_format, misnamed, shortfall, with_length
from chatterbox_es.errors import UserError, sentence_of
from chatterbox_es.files import write_whole

SILENCE_PEAK = 1e-4
"""A recording in which no sample is above this (-80 dBFS) holds nothing."""


class AudioError(ValueError):
    """A sound file that cannot be used: `reason` is a short stable code, `detail` a sentence for people.

    Reasons: "missing-audio", "unreadable-audio", "zero-length", "not-finite", "silent-audio", "too-long",
    "opposite-channels", and where it is asked for "truncated-audio", "wrong-extension", "too-many-channels".
    """

    def __init__(self, reason: str, detail: str):
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Recording(Protocol):
    """An encoded sound file: a `Path`, or one that stands inside a data set.

    `dataset.preparation.manifest` writes each kind down. `str()` names it in messages and lists.
    """

    def read_bytes(self) -> bytes:
        """The file's content, encoded. Raises OSError when it cannot be read."""
        ...


class Source(NamedTuple):
    """A sound file as it was decoded: float32 samples (frames, channels), their rate in Hz, and what the file is called."""

    samples: np.ndarray
    rate: int
    name: str


def read_audio(recording: Path | str | Recording, rate: int = 24000, max_seconds: float = 60.0) -> np.ndarray:
    """Read a sound file as float32 mono (samples,) in [-1, 1] at `rate` Hz.

    Any format, rate and channel count that libsndfile reads. Channels are averaged; resampling is soxr's HQ
    (Soulé-Fidèle's SoX resampler: pass-band to 0.91 of Nyquist, 120 dB). A waveform that goes past full scale, as
    floating-point files and the ripple of the resampler do, is divided by its peak. At most `max_seconds` are ever
    read, whatever the file's header claims.

    Raises AudioError; its `reason` says what is wrong.
    """
    return mono_at(read_source(recording, max_seconds), rate)


def read_source(recording: Path | str | Recording, max_seconds: float = 60.0, max_channels: int | None = None,
                strict: bool = False) -> Source:
    """Read a sound file as it is, at most `max_seconds` of it.

    `strict` also refuses what can be decoded and is not what it says: a file that breaks off before the length that its
    header gives, and one whose extension is another format's.

    Raises AudioError; its `reason` says what is wrong.
    """
    path = Path(recording) if isinstance(recording, str) else recording
    encoded = _present_file(path) if isinstance(path, Path) else _embedded_file(path)
    encoded = with_length(encoded) or encoded
    try:
        file = soundfile.SoundFile(encoded)
    except (soundfile.SoundFileError, OSError, TypeError, ValueError) as error:
        held = foreign_format(encoded)
        known = "malformed" in str(error)  # libsndfile's other words are wrong ones: "File does not exist"
        because = f"it holds {held}" if held else str(error) if known else "it has no format that libsndfile knows"
        raise AudioError("unreadable-audio", f"{path} cannot be read as sound: {because}") from error
    with file:
        if max_channels is not None and file.channels > max_channels:
            raise AudioError("too-many-channels", f"{path} has {file.channels} channels at {file.samplerate} Hz; of more than "
                             f"{max_channels} the mean may not be what is heard: mix it down, or set data.max_channels")
        if strict and isinstance(path, Path):
            named = misnamed(path, file.format)
            if named:
                raise AudioError("wrong-extension", f"{path} {named}: rename it, or set data.check_files=false")
        limit = int(max_seconds * file.samplerate)
        samples = _read_up_to(file, limit + 1, path, strict)
        if strict and len(samples) <= limit:
            lacking = shortfall(file, len(samples), encoded)
            if lacking:
                raise AudioError("truncated-audio", f"{path} breaks off: {lacking}")
        source_rate = file.samplerate
    if len(samples) > limit:
        raise AudioError("too-long", f"{path} is longer than {max_seconds:g} s: cut it into sentences")
    if len(samples) == 0:
        raise AudioError("zero-length", f"{path} holds no samples")
    return Source(samples, source_rate, str(path))


def _read_up_to(file: soundfile.SoundFile, frames: int, path: Path | Recording, strict: bool) -> np.ndarray:
    """(frames, channels) float32. Some headers claim no length or a wrong one, so what is read decides."""
    try:
        return file.read(frames, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, TypeError, ValueError) as error:
        if strict and isinstance(error, soundfile.SoundFileError):
            raise AudioError("truncated-audio", f"{path} breaks off or is damaged inside: its header says "
                             f"{file.frames / file.samplerate:.2f} s ({str(error).strip()})") from error
        raise AudioError("unreadable-audio", f"{path} cannot be read as sound: {error}") from error


def mono_at(source: Source, rate: int) -> np.ndarray:
    """A decoded file as float32 mono (samples,) in [-1, 1] at `rate` Hz: see `read_audio`. Raises AudioError."""
    samples, source_rate, name = source
    # One channel needs no mean, and the sum of squares of the whole is finite where every sample is.
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float64).astype(np.float32)
    if not np.isfinite(np.dot(mono, mono)) and not np.isfinite(samples).all():
        raise AudioError("not-finite", f"{name} holds samples that are infinite or not numbers")
    low, high = float(mono.min()), float(mono.max())  # before resampling, whose ripple makes sound of an offset's ends
    if max(-low, high) < SILENCE_PEAK:
        if samples.shape[1] > 1 and np.abs(samples).max() >= SILENCE_PEAK:
            raise AudioError("opposite-channels", f"the channels of {name} are each other's opposite, so that their mean is "
                             "silence: keep one of them, or turn one over")
        raise AudioError("silent-audio", f"{name} is silent: no sample is above {SILENCE_PEAK:g} of full scale")
    if high - low < 2 * SILENCE_PEAK and mono.size > 1:
        raise AudioError("silent-audio", f"{name} is silent: all its samples are {high:.3g}, a constant offset (DC)")
    if source_rate != rate:
        mono = soxr.resample(mono, source_rate, rate, quality="HQ")
    if mono.size == 0:
        raise AudioError("zero-length", f"{name} holds no samples at {rate} Hz")
    mono = np.ascontiguousarray(mono, dtype=np.float32)
    peak = max(-float(mono.min()), float(mono.max()))
    return (mono / np.float32(peak)).clip(-1, 1) if peak > 1 else mono


def _present_file(path: Path) -> Path:
    try:
        if not path.exists():
            kind = "is a link to a file that is gone" if path.is_symlink() else "does not exist"
            raise AudioError("missing-audio", f"{path} {kind}")
        if not path.is_file():
            raise AudioError("unreadable-audio", f"{path} is not a file")
        if path.stat().st_size == 0:
            raise AudioError("zero-length", f"{path} is empty (0 bytes)")
        path.open("rb").close()
    except OSError as error:
        raise AudioError("unreadable-audio", sentence_of(error) or f"{path} cannot be read: {error}") from error
    return path


def _embedded_file(recording: Recording) -> io.BytesIO:
    try:
        content = recording.read_bytes()
    except OSError as error:
        raise AudioError("missing-audio", f"{recording} cannot be read: {error}") from error
    if not content:
        raise AudioError("zero-length", f"{recording} is empty (0 bytes)")
    return io.BytesIO(content)


def write_audio(path: Path | str, samples: np.ndarray, rate: int) -> None:
    """Write mono samples (samples,) in [-1, 1] as a 16-bit PCM WAV file; what goes past full scale is clipped.

    The file appears whole or not at all.

    Raises:
        ValueError: samples of another shape.
        UserError: they are not finite, or the file cannot be written.
    """
    path = Path(path)
    samples = np.asarray(samples)
    if samples.ndim != 1:
        raise ValueError(f"samples must be one-dimensional (samples,), not of shape {samples.shape}")
    if not np.isfinite(samples).all():
        raise UserError(f"{path}: this sound holds values that are infinite or not numbers. What made it has diverged in "
                        "training: try a smaller phase.lr")
    # 32768 is what readers divide by, so that samples read from 16-bit files are written back unchanged.
    integers = np.clip(np.round(samples * 32768.0), -32768, 32767).astype(np.int16)
    encoded = io.BytesIO()
    soundfile.write(encoded, integers, rate, format="WAV", subtype="PCM_16")
    write_whole(path, encoded.getbuffer(), durable=False)


class Trimmed(NamedTuple):
    """A waveform without its silent ends, and how much was cut from each, in seconds."""

    samples: np.ndarray
    head: float
    tail: float


def trim_silence(samples: np.ndarray, rate: int, threshold_db: float = -40.0, margin: float = 0.05) -> Trimmed:
    """Cut the silence before and after the speech of a waveform (samples,); pauses inside it stay.

    Speech is what lies between the first and the last frame (20 ms, every 10 ms) whose RMS is above `threshold_db`
    relative to the loudest frame's. `margin` seconds are kept on either side, since a voiceless onset or a fading
    final vowel is below any threshold. A silent waveform is returned whole. The input is not changed.
    """
    levels, hop = _frame_levels(samples, rate)
    active = np.flatnonzero(levels > levels.max() * 10 ** (threshold_db / 20))
    if active.size == 0:
        return Trimmed(samples, 0.0, 0.0)
    keep = round(margin * rate)
    start = max(int(active[0]) * hop - keep, 0)
    end = min((int(active[-1]) + 2) * hop + keep, len(samples))
    return Trimmed(samples[start:end].copy(), start / rate, (len(samples) - end) / rate)


def normalise_loudness(samples: np.ndarray, rate: int, target_db: float = -23.0, peak: float = 0.95) -> np.ndarray:
    """Scale a waveform (samples,) so that its active speech has an RMS of `target_db` dBFS.

    Active are the frames (20 ms, every 10 ms) within 30 dB of the loudest, so that pauses do not count, in the
    spirit of ITU-T P.56. The gain is held back where a sample would exceed `peak`. A silent waveform stays as it is.
    """
    levels, _ = _frame_levels(samples, rate)
    loudest = levels.max()
    if loudest == 0:
        return samples.copy()
    active = levels[levels >= loudest * 10 ** (-30 / 20)]
    gain = 10 ** (target_db / 20) / float(np.sqrt(np.mean(active**2)))
    gain = min(gain, peak / float(np.abs(samples).max()))
    return (samples * np.float32(gain)).astype(np.float32)


def _frame_levels(samples: np.ndarray, rate: int) -> tuple[np.ndarray, int]:
    """RMS of frames of two hops (frames,), the last one padded with zeros, and the hop (10 ms) in samples."""
    if samples.ndim != 1 or samples.size == 0:
        raise ValueError(f"samples must be one-dimensional and not empty, not of shape {samples.shape}")
    hop = max(rate // 100, 1)
    whole = len(samples) // hop * hop
    parts = samples[:whole].reshape(-1, hop)
    halves = np.einsum("ij,ij->i", parts, parts).astype(np.float64) / hop
    if whole < len(samples):
        rest = samples[whole:].astype(np.float64)
        halves = np.append(halves, np.dot(rest, rest) / hop)
    return np.sqrt((halves + np.append(halves[1:], 0.0)) / 2), hop
