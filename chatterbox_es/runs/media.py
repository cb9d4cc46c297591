"""Sounds and pictures, made small, as data URIs that a page holds."""

import base64
import io
from pathlib import Path

import soundfile
import soxr
from PIL import Image

MEDIA_BYTES = 8_000_000  # of base64 in a page
MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
PICTURE_WIDTH = 1000  # pixels
# What the bytes of a damaged file lead libsndfile and Pillow to.
UNREADABLE = (OSError, ValueError, SyntaxError, RuntimeError, Image.DecompressionBombError)


def sound_uri(path: Path) -> str:
    """A sound file as an MP3 of one channel, some 45 kbit/s of speech at 24 kHz, in a data URI.

    Raises:
        ValueError: it holds no sound. What soundfile raises for a damaged file goes through.
    """
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    samples = samples.mean(1)
    if not len(samples):
        raise ValueError("holds no sound")
    if rate not in MP3_RATES:
        samples, rate = soxr.resample(samples, rate, 24_000), 24_000
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="MP3", subtype="MPEG_LAYER_III", compression_level=0.5,
                    bitrate_mode="VARIABLE")
    return data_uri("audio/mpeg", buffer)


def picture_uri(path: Path) -> str:
    """A picture as WebP, not wider than ``PICTURE_WIDTH``, in a data URI; what Pillow raises for a damaged one goes through."""
    with Image.open(path) as picture:
        image = picture.convert("RGB")
    if image.width > PICTURE_WIDTH:
        image = image.resize((PICTURE_WIDTH, max(1, image.height * PICTURE_WIDTH // image.width)))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=65, method=2)
    return data_uri("image/webp", buffer)


def data_uri(kind: str, buffer: io.BytesIO) -> str:
    return f"data:{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
