"""Speak text with a trained voice.

    python -m chatterbox_es.synthesize text="¿Qué tal estás?" out=hola.wav
    python -m chatterbox_es.synthesize file=sentences.txt out=DIR          a wav a line, and an index of them
    python -m chatterbox_es.synthesize text="…" out=- | aplay -f S16_LE -r 24000      heard while it is being made
"""

import dataclasses
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TextIO

from chatterbox_es import command_line
from chatterbox_es.audio.waveform import write_audio
from chatterbox_es.errors import UserError
from chatterbox_es.files import read_utf8, write_whole
from chatterbox_es.speech.options import VoiceOptions
from chatterbox_es.speech.speech import Speech
from chatterbox_es.speech.subtitles import Format, written
from chatterbox_es.speech.voice import Voice
from chatterbox_es.speech.voices import ENGINES, chosen_from, load_voice, newest_voice
from chatterbox_es.text import Reading
from chatterbox_es.text.script import Marks


@dataclasses.dataclass
class SynthesizeOptions(VoiceOptions):
    text: str = dataclasses.field(default="", metadata={"help": "what to say"})
    file: str = command_line.path_field("or a UTF-8 file with a sentence a line (id|text also)")
    out: str = command_line.path_field(
        "a .wav file, or with file= a folder [out.wav, spoken/]; - is raw 16-bit sound to a pipe")
    run: str = command_line.path_field(
        "run directory, checkpoint, exported .onnx, or base, which comes along; none: the selected one, the newest, or base")
    outputs: str = command_line.path_field("where runs are looked for", default="outputs")
    dialect: str = dataclasses.field(default="", metadata={"help": "none: the one the voice was trained in"})
    speaker: str = dataclasses.field(default="", metadata={
        "help": "of a voice with several; none: the one with the most recordings"})
    speed: float = dataclasses.field(default=1.0, metadata={"help": "2 takes half the time"})
    engine: str = dataclasses.field(default="torch", metadata={"help": f"{' or '.join(ENGINES)}; onnx exports the voice once"})
    marks: Marks = dataclasses.field(default="auto", metadata={
        "help": "of the text: auto takes what begins with <speak for SSML, and [[phones]] elsewhere; docs/marks.md"})
    times: Format | None = dataclasses.field(default=None, metadata={
        "help": "also write, beside the sound, subtitles, or all words and phones with their times"})


def main() -> None:
    options = command_line.parse(SynthesizeOptions, sys.argv[1:], __doc__)
    if bool(options.text) == bool(options.file):
        raise UserError('give either text="…" or file=FILE')
    sentences = _read_sentences(Path(options.file)) if options.file else []
    out, piped = Path(options.out or ("spoken" if options.file else "out.wav")), options.out == "-"
    if piped and (options.file or sys.stdout.isatty()):
        raise UserError("out=- writes the sound of text=… into a pipe, such as | aplay -f S16_LE -r 24000")
    if options.text and not piped and out.suffix.lower() != ".wav":
        raise UserError(f"out={out}: sound is written as WAV; name a file that ends in .wav")
    if piped and options.times:
        raise UserError(f"times={options.times} is written beside a sound's file, and out=- makes none; name one, out=FILE.wav")
    run = Path(options.run) if options.run else newest_voice(Path(options.outputs))
    voice = load_voice(run, options.dialect or None, options.engine, options.speaker, options)
    speaker = f", speaker {voice.speaker}" if voice.speaker else ""
    sound = f", sound by {voice.sounds_by}" if voice.sounds_by else ""
    print(f"voice: {run}{chosen_from(run)}{speaker}{sound}", file=sys.stderr if piped else sys.stdout)
    if piped:
        _pipe(voice, options)
    elif options.text:
        began = time.monotonic()
        speech = voice.speak(options.text, options.speed, marks=options.marks)
        seconds = len(speech.samples) / speech.rate
        _write(out, speech, options.times)
        _report(speech.reading)
        print(f"{out}: {seconds:.2f} s of sound in {time.monotonic() - began:.2f} s")
    else:
        _speak_all(voice, sentences, out, options)


def _pipe(voice: Voice, options: SynthesizeOptions) -> None:
    """16-bit little-endian samples to standard output, as they are made; what is said of them goes to standard error."""
    began, first, samples, reported = time.monotonic(), 0.0, 0, None
    for piece in voice.sounds(options.text, options.speed, marks=options.marks):
        sys.stdout.buffer.write((piece.samples * 32767).astype("<i2").tobytes())
        sys.stdout.buffer.flush()
        first, samples = first or time.monotonic() - began, samples + len(piece.samples)
        if piece.reading is not reported:
            _report(piece.reading, sys.stderr)
            reported = piece.reading
    rate = voice.checkpoint.contract.sample_rate
    print(f"{samples / rate:.2f} s of sound at {rate} Hz in {time.monotonic() - began:.2f} s, the first after {first:.2f} s",
          file=sys.stderr)


def _read_sentences(file: Path) -> list[tuple[str, str]]:
    """(id, text) of each line; lines without an id get their number."""
    lines = read_utf8(file, "file").splitlines()
    named = [line.split("|")[:2] if "|" in line else ["", line] for line in lines]
    sentences = [(name.strip() or f"{row:04d}", text.strip()) for row, (name, text) in enumerate(named, 1) if text.strip()]
    if not sentences:
        raise UserError(f"file={file} holds no sentence")
    twice = [name for name, count in Counter(name for name, _ in sentences).items() if count > 1]
    if twice:
        raise UserError(f"file={file} has the id {twice[0]!r} more than once: their sounds would overwrite each other")
    return sentences


def _speak_all(voice: Voice, sentences: list[tuple[str, str]], folder: Path, options: SynthesizeOptions) -> None:
    """Every sentence to its own file; index.tsv lists file and words. What cannot be spoken is named and counted."""
    began, seconds, failed, rows = time.monotonic(), 0.0, 0, []
    for name, text in sentences:
        try:
            speech = voice.speak(text, options.speed, marks=options.marks)
        except UserError as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed += 1
            continue
        file = f"{name.replace('/', '_')}.wav"
        _write(folder / file, speech, options.times)
        for note in speech.reading.notes:
            print(f"{name}: {note}", file=sys.stderr)
        rows.append(f"{file}\t{speech.reading.words}\n")
        seconds += len(speech.samples) / speech.rate
    if failed == len(sentences):
        raise UserError("none of the sentences could be spoken")
    write_whole(folder / "index.tsv", "".join(rows).encode())
    print(f"{folder}: {len(rows)} sentences, {seconds:.1f} s of sound in {time.monotonic() - began:.1f} s"
          + (f"; {failed} could not be spoken" if failed else ""))


def _write(file: Path, speech: Speech, times: Format | None) -> None:
    """The sound, and its times beside it."""
    content = written(speech.times, times) if times else ""
    write_audio(file, speech.samples, speech.rate)
    if times:
        write_whole(file.with_suffix(f".{times}"), content.encode("utf-8", "backslashreplace"))


def _report(reading: Reading, file: TextIO | None = None) -> None:
    print(f"words: {reading.words}\nphonemes: {' '.join(reading.phonemes)}", file=file)
    for span in reading.unknown:
        print(f"not spoken: {span.written!r}", file=sys.stderr)
    for note in reading.notes:
        print(f"note: {note}", file=sys.stderr)


if __name__ == "__main__":
    command_line.run(main)
