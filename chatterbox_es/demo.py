"""A page to type a text and hear it: voice, dialect, speed, phonemes, mel, download.

    python -m chatterbox_es.demo                       then open http://127.0.0.1:7860
    python -m chatterbox_es.demo run=voice.onnx port=8000

The page is in Spanish. It asks nothing of any other machine, and nothing that is typed leaves this one, unless share=true.
"""

import contextlib
import dataclasses
import functools
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from chatterbox_es import command_line
from chatterbox_es.audio.waveform import write_audio
from chatterbox_es.errors import UserError
from chatterbox_es.runs.checkpoint_files import voice_file
from chatterbox_es.speech.demo_page import (
    BEGIN,
    PLAYER,
    SHOWN,
    STOP,
    STOPPED,
    STYLE,
    describe,
    link,
    message,
    not_shown,
    queue,
    unusable,
)
from chatterbox_es.speech.demo_voices import Offer, Shelf
from chatterbox_es.speech.manner import Manner
from chatterbox_es.speech.options import AUTO, VOCODER_HELP, VoiceOptions
from chatterbox_es.speech.speech import Speech
from chatterbox_es.speech.voices import newest_voice
from chatterbox_es.text import dialects

LONGEST = 5000  # characters, some six minutes of speech
AT_ONCE, WAITING = 2, 32  # texts that are said at the same time, and that may wait for their turn
KEPT_SECONDS = 3600  # how long a sound can be downloaded
OWN_DIALECT = ("el de la voz", "")
DIALECTS = (OWN_DIALECT, *((dialect.label, name) for name, dialect in dialects.DIALECTS.items()))
EXAMPLE = "Hola, ¿qué tal estás? Hoy es 24 de noviembre y hace un día estupendo."


@dataclasses.dataclass
class DemoOptions:
    outputs: str = command_line.path_field("where runs are looked for", default="outputs")
    run: str = command_line.path_field("the voice to begin with: a run, a checkpoint, an .onnx")
    engine: str = dataclasses.field(default="torch", metadata={"help": "torch or onnx"})
    vocoder: str = command_line.path_field(VOCODER_HELP, default=AUTO)
    weights: str = command_line.path_field("folder of Resemble's files, for vocoder=hift")
    port: int = dataclasses.field(default=7860, metadata={"help": "of the page"})
    host: str = dataclasses.field(default="127.0.0.1", metadata={"help": "0.0.0.0 lets other machines in"})
    share: bool = dataclasses.field(default=False, metadata={"help": "true opens a tunnel through gradio.live to anyone"})


def main() -> None:
    options = command_line.parse(DemoOptions, sys.argv[1:], __doc__)
    run = Path(options.run) if options.run else None
    voice_file(run or newest_voice(Path(options.outputs)))
    with tempfile.TemporaryDirectory(prefix="chatterbox_es_demo_") as scratch:
        said = VoiceOptions(vocoder=options.vocoder, weights=options.weights)
        demo = Demo(Shelf(Path(options.outputs), run, options.engine, said), Path(scratch))
        launch(demo.page(), options, Path(scratch))


@dataclasses.dataclass
class Demo:
    """What the page's buttons do."""

    shelf: Shelf
    scratch: Path  # sounds to download

    def speak(self, text: str, name: str, dialect: str, speed: float, speaker: str | None = None, pitch: float = 0.0,
              liveliness: float = 1.0, seed: float = 0) -> Iterator[tuple]:
        """The sounds so far, how it stands, details and the link to download: a sentence's sound first, then its details."""
        nothing = _gradio().skip()
        began, said, sounds, folder = time.monotonic(), [], [], self._folder()
        details: list[str] = []
        try:
            self._check(text, name)
            voice = self.shelf.voice(name, speaker or "")
            voice = voice.in_dialect(dialect) if dialect else voice
            frames_per_second = voice.checkpoint.contract.frames_per_second
            manner = Manner(pitch=pitch, range=liveliness, seed=int(seed or 0))
            for speech in voice.stream(text, speed, manner):
                said.append(speech)
                sounds.append(self._written(folder, str(len(said)), [speech]))
                wait = time.monotonic() - began
                yield queue(folder.name, sounds), message(f"Frase {len(said)}, a los {wait:.1f} s…"), nothing, ""
                if len(details) < SHOWN:
                    details.append(describe(speech, frames_per_second))
                    yield nothing, nothing, details[-1], nothing
        except UserError as error:
            yield nothing, message(_in_spanish(error), warning=True), nothing, nothing
            return
        whole = self._written(folder, "voz", said)
        seconds = sum(len(speech.samples) / speech.rate for speech in said)
        took = time.monotonic() - began
        yield (queue(folder.name, sounds, whole), message(f"{seconds:.1f} s de voz en {took:.1f} s: {_counted(len(said))}."),
               "".join(details) + not_shown(len(said) - len(details)), link(whole))

    def _check(self, text: str, name: str) -> None:
        if not (text or "").strip():
            raise Complaint("Escribe primero un texto.")
        if len(text) > LONGEST:
            raise Complaint(f"El texto tiene {len(text)} letras; aquí caben {LONGEST}. Para textos más largos: "
                            "python -m chatterbox_es.synthesize.")
        if not name:
            raise Complaint("No hay ninguna voz que se pueda usar.")

    def _folder(self) -> Path:
        """A folder for the sounds of one text, of a name nobody can guess; those of an hour ago go."""
        for folder in self.scratch.iterdir():
            with contextlib.suppress(OSError):  # another user's call may have removed it
                if time.time() - folder.stat().st_mtime > KEPT_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)
        folder = self.scratch / uuid.uuid4().hex
        folder.mkdir()
        return folder

    def _written(self, folder: Path, name: str, said: list[Speech]) -> str:
        """Sentences as one WAV file, and its address on the page."""
        path = folder / f"{name}.wav"
        write_audio(path, np.concatenate([speech.samples for speech in said]), said[0].rate)
        return f"gradio_api/file={path}"

    def choices(self) -> tuple[Any, str]:
        """What the list of voices holds now, and what stands under it."""
        offers = self.shelf.offers()
        usable = [(_label(offer), offer.name) for offer in offers if not offer.reason]
        return (_gradio().update(choices=usable, value=usable[0][1] if usable else None),
                unusable([(offer.name, offer.reason) for offer in offers if offer.reason]))

    def speakers(self, name: str | None) -> Any:
        """The list of a voice's speakers, hidden where there is no choice."""
        speakers = self.shelf.speakers(name)
        return _gradio().update(choices=list(speakers), value=speakers[0] if speakers else None, visible=len(speakers) > 1)

    def melody(self, name: str | None) -> list[Any]:
        """The controls of melody, as a voice alone says a text without them; hidden where it has none."""
        shown = self.shelf.has_prosody(name)
        return [_gradio().update(value=value, visible=shown) for value in (0.0, 1.0, 0)]

    def page(self) -> Any:
        """The page, a ``gradio.Blocks``."""
        gr = _gradio()
        with gr.Blocks(title="chatterbox_es", analytics_enabled=False, delete_cache=(KEPT_SECONDS, KEPT_SECONDS)) as page:
            gr.Markdown("# Escribe y escucha\nIntro dice el texto; Mayús+Intro empieza otra línea.")
            text = gr.Textbox(EXAMPLE, label="Texto", lines=1, max_lines=10, max_length=LONGEST, elem_id="texto")
            with gr.Row():
                voice = gr.Dropdown([], label="Voz", elem_id="voz", filterable=False)
                speaker = gr.Dropdown([], label="Hablante", elem_id="hablante", visible=False)
                dialect = gr.Dropdown(list(DIALECTS), value="", label="Dialecto", elem_id="dialecto", filterable=False)
                speed = gr.Slider(0.5, 2, 1, step=0.05, label="Velocidad", elem_id="velocidad")
            with gr.Row():
                pitch = gr.Slider(-6, 6, 0, step=0.5, label="Tono (semitonos)", elem_id="tono", visible=False)
                liveliness = gr.Slider(0, 2, 1, step=0.1, label="Viveza", elem_id="viveza", visible=False)
                seed = gr.Number(0, label="Variante", elem_id="variante", precision=0, minimum=0, visible=False)
            with gr.Row():
                say = gr.Button("Hablar", variant="primary", elem_id="hablar")
                stop = gr.Button("Parar", elem_id="parar")
            state = gr.HTML(elem_id="estado")
            gr.HTML('<audio controls aria-label="Sonido"></audio>', elem_id="sonido")
            sounds = gr.HTML(elem_id="cola")
            download = gr.HTML(elem_id="descargar")
            details = gr.HTML(elem_id="detalles")
            broken = gr.HTML(elem_id="inservibles")
            given, shown = [text, voice, dialect, speed, speaker, pitch, liveliness, seed], [sounds, state, details, download]
            speaking = gr.on([text.submit, say.click], self.speak, given, shown, concurrency_limit=AT_ONCE,
                             trigger_mode="once", show_progress="hidden", js=BEGIN, api_visibility="private")
            stop.click(lambda: message(STOPPED), None, state, cancels=[speaking], queue=False, js=STOP, show_progress="hidden",
                       api_visibility="private")
            voice.change(self.speakers, voice, speaker, api_visibility="private", show_progress="hidden")
            voice.change(self.melody, voice, [pitch, liveliness, seed], api_visibility="private", show_progress="hidden")
            page.load(self.choices, None, [voice, broken], api_visibility="private", show_progress="hidden")
        return page.queue(max_size=WAITING)


class Complaint(UserError):
    """What is wrong with what was typed, said in Spanish already."""


def launch(page: Any, options: DemoOptions, scratch: Path) -> None:
    """Serve the page, and the sounds in ``scratch``, until the process is ended.

    Raises:
        UserError: the port is taken, or the tunnel cannot be opened.
    """
    try:
        _, local, public = page.launch(
            server_name=options.host, server_port=options.port, share=options.share, quiet=True, prevent_thread_lock=True,
            ssr_mode=False, show_error=False, footer_links=[], enable_monitoring=False, css=STYLE, js=PLAYER,
            allowed_paths=[str(scratch)],
            theme=_gradio().themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]))
    except OSError as error:
        raise UserError(f"the page cannot be served at {options.host}:{options.port} ({error}); name another port=") from error
    if options.share and not public:
        raise UserError("share=true: the tunnel could not be opened; it needs the network and gradio.live")
    print(f"{local}\n{public or ''}".strip(), flush=True)
    page.block_thread()


def _label(offer: Offer) -> str:
    named = {key: label for label, key in DIALECTS}
    return f"{offer.name} ({named.get(offer.dialect, offer.dialect)})"


def _counted(sentences: int) -> str:
    return "una frase" if sentences == 1 else f"{sentences} frases"


def _in_spanish(error: UserError) -> str:
    """What the page says of an error; of those that a listener can cause, in Spanish."""
    if isinstance(error, Complaint):
        return str(error)
    return "En ese texto no hay nada que se pueda decir." if "can be spoken" in str(error) else f"No ha podido ser: {error}"


@functools.cache
def _gradio() -> Any:
    """Gradio, without its telemetry.

    Raises:
        UserError: it is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import gradio
    except ImportError as error:
        raise UserError(f"the demo needs gradio, which is not here ({error}): pip install 'chatterbox-es[demo]'") from None
    return gradio


if __name__ == "__main__":
    command_line.run(main)
