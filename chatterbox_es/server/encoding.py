"""Samples that come in pieces, as bytes of a sound file that begins to play before it ends."""

from typing import Any

import numpy as np

from chatterbox_es.errors import UserError

MP3, PCM = "mp3", "pcm"
MEDIA_TYPES = {MP3: "audio/mpeg", "opus": "audio/ogg", "aac": "audio/aac", "flac": "audio/flac", "wav": "audio/wav",
               PCM: "audio/pcm"}
FORMATS = tuple(MEDIA_TYPES)
# FFmpeg's container and codec, its options, and bits a second where sound is lost; 16 bits a sample where it is not.
CODECS: dict[str, tuple[str, str, dict[str, str], int | None]] = {
    MP3: ("mp3", "libmp3lame", {"write_xing": "0", "id3v2_version": "0"}, 64_000),  # no count of frames, which is not known
    "opus": ("ogg", "libopus", {"page_duration": "200000"}, 32_000),  # microseconds: a page is what a player waits for
    "aac": ("adts", "aac", {}, 64_000),
    "flac": ("flac", "flac", {}, None),
    "wav": ("wav", "pcm_s16le", {"fflags": "+bitexact"}, None),
}


class Encoder:
    """One sound as bytes of a format, in FFmpeg's codecs; ``pcm`` is 16 bits, little-endian, without a header."""

    def __init__(self, kind: str, rate: int):
        """
        Raises:
            UserError: the package that holds the codecs is missing.
        """
        self.rate, self.written, self.place = rate, _Buffer(), 0
        self.container: Any = None
        if kind == PCM:
            return
        container, codec, options, bits = CODECS[kind]
        self.container = _av().open(self.written, "w", format=container, options=options)
        self.stream = self.container.add_stream(codec, rate=rate, layout="mono")
        if bits:
            self.stream.bit_rate = bits

    def encode(self, samples: np.ndarray) -> bytes:
        """What can be written once (samples,) float32 in [-1, 1] are there, too; perhaps nothing yet."""
        integers = (np.clip(samples, -1, 1) * 32767).astype("<i2")
        if self.container is None:
            return integers.tobytes()
        frame = _av().AudioFrame.from_ndarray(integers[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = self.rate, self.place
        self.place += len(samples)
        self.container.mux(self.stream.encode(frame))
        return self.written.drain()

    def finish(self) -> bytes:
        """The rest."""
        if self.container is None:
            return b""
        self.container.mux(self.stream.encode(None))
        self.container.close()
        return self.written.drain()


class _Buffer:
    """A file that is written from begin to end, and read behind that."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, content: bytes) -> int:
        self.content += content
        return len(content)

    def drain(self) -> bytes:
        content = bytes(self.content)
        self.content.clear()
        return content


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise UserError(f"serving needs packages that are not here ({error}): pip install 'chatterbox-es[serve]'") from None
    return av
