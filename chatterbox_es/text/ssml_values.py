"""The values that SSML's attributes have (W3C, Speech Synthesis Markup Language 1.1, 2010): pauses, pace, pitch, loudness."""

import math
import re

from chatterbox_es.errors import UserError

NUMBER = r"(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})"
TIME = re.compile(rf"\+?{NUMBER}\s*(ms|s)")
PERCENT = re.compile(rf"([+-]?){NUMBER}\s*%")
PLAIN = re.compile(NUMBER)
SEMITONES = re.compile(rf"([+-]?){NUMBER}\s*st")
DECIBELS = re.compile(rf"([+-]?){NUMBER}\s*dB", re.IGNORECASE)
# W3C leaves to each voice what these names mean.
STRENGTHS = {"none": 0.0, "x-weak": 0.1, "weak": 0.2, "medium": 0.4, "strong": 0.7, "x-strong": 1.2}  # seconds
RATES = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "fast": 1.25, "x-fast": 1.5, "default": 1.0}
PITCHES = {"x-low": -6.0, "low": -3.0, "medium": 0.0, "high": 3.0, "x-high": 6.0, "default": 0.0}  # semitones
SILENT = -120.0  # dB, where nothing is heard
VOLUMES = {"silent": SILENT, "x-soft": -12.0, "soft": -6.0, "medium": 0.0, "loud": 4.0, "x-loud": 8.0, "default": 0.0}
LONGEST_PAUSE = 10.0  # seconds
SLOWEST, FASTEST = 0.1, 10.0
MOST_SEMITONES = 24.0
SOFTEST, LOUDEST = -60.0, 20.0  # dB


def seconds(strength: str | None, time: str | None) -> float:
    """How long a break is; without attributes as of medium strength.

    Raises:
        UserError: as the following, it is no such value, or out of range.
    """
    if time is None:
        return _named("break strength", strength or "medium", STRENGTHS)
    match = TIME.fullmatch(time.strip())
    if not match:
        raise UserError(f'<break time="{time}">: write seconds or milliseconds, such as 0.5s or 500ms')
    return _within("break time", time, float(match[1]) / (1000 if match[2] == "ms" else 1), 0, LONGEST_PAUSE, "s")


def rate(value: str) -> float:
    """A factor on the speed: slow, 80%, +20%, 1.2."""
    value = value.strip()
    if match := PERCENT.fullmatch(value):
        factor = float(match[2]) / 100
        factor = 1 + (factor if match[1] == "+" else -factor) if match[1] else factor
    elif PLAIN.fullmatch(value):
        factor = float(value)
    else:
        return _named("prosody rate", value, RATES, "a percentage such as 80% or +20%")
    return _within("prosody rate", value, factor, SLOWEST, FASTEST, "times the voice's own")


def pitch(value: str) -> float:
    """Semitones higher: high, +2st, -10%."""
    value = value.strip()
    if match := SEMITONES.fullmatch(value):
        semitones = _signed(match)
    elif (match := PERCENT.fullmatch(value)) and match[1]:
        factor = 1 + _signed(match) / 100
        semitones = 12 * math.log2(factor) if factor > 0 else -math.inf
    else:
        return _named("prosody pitch", value, PITCHES, "semitones such as +2st, a percentage such as +10%")
    return _within("prosody pitch", value, semitones, -MOST_SEMITONES, MOST_SEMITONES, "semitones")


def volume(value: str) -> float:
    """dB louder: loud, +6dB, or 0 to 100, which is the voice's own (SSML 1.0)."""
    value = value.strip()
    if match := DECIBELS.fullmatch(value):
        return _within("prosody volume", value, _signed(match), SOFTEST, LOUDEST, "dB")
    if PLAIN.fullmatch(value):
        amount = _within("prosody volume", value, float(value), 0, 100, "of 100")
        return max(SILENT, 20 * math.log10(amount / 100)) if amount else SILENT
    return _named("prosody volume", value, VOLUMES, "decibels such as +6dB, a number from 0 to 100")


def _signed(match: re.Match) -> float:
    return -float(match[2]) if match[1] == "-" else float(match[2])


def _named(what: str, value: str, names: dict[str, float], other: str = "") -> float:
    if value not in names:
        element, attribute = what.split()
        raise UserError(f'<{element} {attribute}="{value[:40]}">: write {", ".join(names)}{f", or {other}" if other else ""}')
    return names[value]


def _within(what: str, written: str, value: float, least: float, most: float, unit: str) -> float:
    if not least <= value <= most:
        element, attribute = what.split()
        raise UserError(f'<{element} {attribute}="{written[:40]}">: must be from {least:g} to {most:g} {unit}')
    return value
