"""What a sound file says of itself, and whether that is so: its extension, its format, the length its header gives."""

import io
import re
from pathlib import Path

import soundfile

_FORMATS = {
    "wav": {"WAV", "WAVEX", "RF64"}, "wave": {"WAV", "WAVEX", "RF64"}, "flac": {"FLAC"}, "mp3": {"MP3", "MPEG"},
    "ogg": {"OGG"}, "oga": {"OGG"}, "opus": {"OGG"}, "aif": {"AIFF"}, "aiff": {"AIFF"}, "aifc": {"AIFF"},
}  # fmt: skip
"""The formats, as libsndfile names them, that an extension promises; any other extension promises nothing."""

_FOREIGN = (
    (b"\x89PNG", "a PNG picture"), (b"\xff\xd8\xff", "a JPEG picture"), (b"GIF8", "a GIF picture"), (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"), (b"\x1f\x8b", "a gzip archive"), (b"\x1aE\xdf\xa3", "Matroska or WebM"),
    (b"0&\xb2u", "Windows Media (WMA)"), (b"#!AMR", "AMR"), (b"ADIF", "AAC"), (b"\xff\xf1", "AAC"), (b"\xff\xf9", "AAC"),
    (b"version https://git-lfs", "a Git LFS pointer: fetch the file itself with `git lfs pull`"),
)  # fmt: skip
_UNKNOWN_LENGTH = 0x7FFF0000  # bytes; programs that write to a pipe claim this or more
_UNKNOWN_FRAMES = 1 << 40
_CLAIMS = re.compile(r"^\s*(?:data|SSND|Data Size|riff)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
_CLAIMED_FRAMES = re.compile(r"frame count (\d+) does not match value from 'ds64' chunk of (\d+)")
_HEADER = 65_536  # bytes, in which the sound of a WAV file begins
_LARGEST = 1 << 30  # bytes that are read of a file without a length
_CHUNKS = (b"LIST", b"fact", b"cue ", b"smpl", b"bext", b"id3 ", b"ID3 ", b"JUNK", b"PEAK")  # what may follow no sound at all
_MP3_FRAME = 1152  # samples
_OGG_PAGE = 65_307  # bytes, the longest there is (RFC 3533)


def misnamed(path: Path, format: str) -> str:
    """How a file's extension belies its `format` (libsndfile's name); nothing where it does not."""
    extension = path.suffix[1:].lower()
    if format in _FORMATS.get(extension, {format}):
        return ""
    return f"is named .{extension} and holds {'MP3' if format == 'MPEG' else format}"


def foreign_format(encoded: Path | io.BytesIO) -> str:
    """What a file that is no sound holds instead, in words; nothing where that cannot be told."""
    try:
        head = _bytes_of(encoded, 0, 512)
    except OSError:
        return ""
    if head[4:8] == b"ftyp":
        return "MP4 (AAC or the like), which is not read: convert it to WAV or FLAC"
    for mark, words in _FOREIGN:
        if head.startswith(mark):
            return words
    if not any(head):
        return "nothing but zero bytes"
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return f"text ({text[:30].splitlines()[0]!r})" if text.isprintable() or not _controls(text) else ""


def with_length(encoded: Path | io.BytesIO) -> io.BytesIO | None:
    """A WAV file whose header gives its sound 0 bytes and that goes on behind it, with the length that is there.

    So they are left by programs that were ended before they could come back to the header. Nothing for any other file.
    """
    head = _bytes_of(encoded, 0, _HEADER)
    place = 12
    while head[:4] == b"RIFF" and head[8:12] == b"WAVE" and place + 8 < len(head):
        size = int.from_bytes(head[place + 4:place + 8], "little")
        if head[place:place + 4] == b"data":
            if size or head[place + 8:place + 12] in _CHUNKS:
                return None
            content = bytearray(_bytes_of(encoded, 0, _LARGEST))
            content[place + 4:place + 8] = (len(content) - place - 8).to_bytes(4, "little")
            content[4:8] = (len(content) - 8).to_bytes(4, "little")
            return io.BytesIO(content)
        place += 8 + size + size % 2
    return None


def shortfall(file: soundfile.SoundFile, frames: int, encoded: Path | io.BytesIO) -> str:
    """How an opened file that gave `frames`, all it has, lacks what its own header promises; nothing where it is whole.

    A length of the kind that programs write to pipes (0, or near 2^31 and above) is no promise.
    """
    rate = file.samplerate
    lacking = file.frames - frames
    # Without a tag an MP3's length is a guess from its bit rate, and decoders differ in the frames of silence they cut.
    guessed = file.format in ("MP3", "MPEG") and (lacking < 2 * _MP3_FRAME or not _has_length_tag(encoded))
    if lacking > 0 and file.frames < _UNKNOWN_FRAMES and not guessed:
        return f"its header says {file.frames / rate:.2f} s, {frames / rate:.2f} s are there"
    for claimed, held in (map(int, pair) for pair in _CLAIMS.findall(file.extra_info)):
        if held + 1 < claimed < _UNKNOWN_LENGTH:  # an odd byte of padding is forgotten by some
            return f"its header says {claimed} bytes of sound, {held} are there ({frames / rate:.2f} s)"
    for held, claimed in (map(int, pair) for pair in _CLAIMED_FRAMES.findall(file.extra_info)):
        if held < claimed:
            return f"its header says {claimed / rate:.2f} s, {held / rate:.2f} s are there"
    if file.format == "OGG" and not _ends_with_a_last_page(encoded):
        return f"its last page is missing or cut; {frames / rate:.2f} s are there"
    return ""


def _has_length_tag(encoded: Path | io.BytesIO) -> bool:
    """Whether the first frame of an MP3 says how many follow (the tag that Xing's encoder began with)."""
    head = _bytes_of(encoded, 0, 10)
    # ID3v2's size is written in four bytes of seven bits.
    skip = 10 + sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True)) if head[:3] == b"ID3" else 0
    first = _bytes_of(encoded, skip, 256)
    return b"Xing" in first or b"Info" in first


def _ends_with_a_last_page(encoded: Path | io.BytesIO) -> bool:
    """Whether an Ogg file's last page is whole and marked as the last of its stream (RFC 3533, section 6)."""
    tail = _bytes_of(encoded, -2 * _OGG_PAGE, 2 * _OGG_PAGE)
    start = tail.rfind(b"OggS")
    page = tail[start:]
    if start < 0 or len(page) < 27 or len(page) < 27 + page[26]:
        return False
    return bool(page[5] & 4) and len(page) >= 27 + page[26] + sum(page[27:27 + page[26]])


def _bytes_of(encoded: Path | io.BytesIO, start: int, count: int) -> bytes:
    """Up to `count` bytes from `start`, from the end where it is negative."""
    with encoded.open("rb") if isinstance(encoded, Path) else io.BytesIO(encoded.getbuffer()) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(size + start, 0) if start < 0 else start)
        return file.read(count)


def _controls(text: str) -> bool:
    return any(ord(letter) < 32 and letter not in "\t\r\n" for letter in text)
