"""What the demo's page shows of a sentence: its words, its phonemes with their durations, its mel."""

import base64
import html
import io
import json
from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from chatterbox_es.speech.speech import Speech
from chatterbox_es.text.symbols import END, START

SHOWN = 20  # sentences whose details are shown; the sound is always whole
NAMES = {START: "inicio", END: "final"}
STYLE = """
.frase { border: 1px solid var(--border-color-primary); border-radius: 8px; padding: 12px; margin: 12px 0; }
.frase h3 { margin: 0 0 8px; font-size: 1em; }
.frase .dibujo { overflow-x: auto; }
.frase img { max-width: none; height: 260px; display: block; margin: 0; }
.frase ol { display: flex; flex-wrap: wrap; gap: 4px; list-style: none; padding: 0; margin: 8px 0 0; }
.frase li { text-align: center; border: 1px solid var(--border-color-primary); border-radius: 4px; padding: 2px 6px; }
.frase li b { display: block; }
.frase li span { font-size: 0.8em; }
#estado { min-height: 1.6em; }
.aviso { border-left: 4px solid #b45309; padding-left: 8px; }
#sonido audio { width: 100%; }
#cola { display: none; }
footer { display: none !important; }
"""
# Every update of #cola lists all sounds so far, so that none is lost where two updates come at once. They are played one after
# the other; when all is said the player holds the whole sound, to be heard again. What was on its way when somebody stopped it
# comes all the same: it stays unheard, and does not change what the page says.
STOPPED = "Parado."
PLAYER = """() => {
  document.documentElement.lang = 'es';
  let text = '', played = 0, playing = false, stopped = false, sounds = [], whole = '';
  let halted = false;  // by the button, until the next text
  const audio = () => document.querySelector('#sonido audio');
  const next = () => {
    const player = audio();
    if (playing || !player) return;
    if (played < sounds.length) {
      playing = true;
      player.src = sounds[played++];
      player.onended = player.onerror = () => { playing = false; next(); };
      player.play().catch(() => { playing = false; played = sounds.length; next(); });
    } else if (whole) {
      player.onended = player.onerror = null;
      player.src = whole;
      whole = '';
    }
  };
  window.chatterboxStop = () => { const player = audio(); played = sounds.length; whole = ''; playing = false;
    stopped = true;
    if (player) { player.onended = player.onerror = null; player.pause(); } };
  window.chatterboxHalt = () => { window.chatterboxStop(); halted = true; };
  window.chatterboxBegin = () => { halted = false; };
  new MutationObserver(() => {
    const line = document.querySelector('#estado [role]');
    if (halted && line && line.textContent !== 'STOPPED') line.textContent = 'STOPPED';
    const queue = document.querySelector('#cola [data-text]');
    if (!queue) return;
    if (queue.dataset.text !== text) {
      window.chatterboxStop();
      text = queue.dataset.text; played = 0; sounds = []; whole = ''; stopped = false;
    }
    if (stopped) return;
    const found = JSON.parse(queue.dataset.sounds);
    if (found.length <= sounds.length && !queue.dataset.whole) return;
    if (queue.dataset.whole && queue.dataset.done) return;
    sounds = found;
    if (queue.dataset.whole) { queue.dataset.done = 1; whole = queue.dataset.whole; }
    next();
  }).observe(document.body, {childList: true, subtree: true, attributes: true, attributeFilter: ['data-sounds']});
}""".replace("STOPPED", STOPPED)
BEGIN = "(...given) => { window.chatterboxBegin(); return given; }"
STOP = "() => { window.chatterboxHalt(); }"


def describe(speech: Speech, frames_per_second: float) -> str:
    """HTML of a sentence."""
    words = html.escape(speech.reading.words)
    said = [f"{milliseconds} ms" for milliseconds in np.round(1000 * speech.durations / frames_per_second).astype(int)]
    said = said or [""] * len(speech.reading.phonemes)  # a voice that knows no durations
    phonemes = "".join(f"<li><b>{html.escape(NAMES.get(phoneme, phoneme))}</b><span>{duration}</span></li>"
                       for phoneme, duration in zip(speech.reading.phonemes, said, strict=True))
    notes = "".join(f'<p class="aviso">{html.escape(note)}</p>' for note in speech.reading.notes)
    lost = ", ".join(f"«{html.escape(span.written)}»" for span in speech.reading.unknown)
    return (f'<section class="frase"><h3 class="palabras">{words}</h3>'
            + (f'<p class="aviso">No se ha leído: {lost}.</p>' if lost else "") + notes
            + f'<div class="dibujo" tabindex="0" role="group" aria-label="Espectrograma de mel"><img '
            f'alt="Espectrograma de mel con los límites de los fonemas: {words}" src="{_picture(speech, frames_per_second)}">'
            f'</div><ol aria-label="Fonemas y duraciones">{phonemes}</ol></section>')


def not_shown(sentences: int) -> str:
    """That there were more of them."""
    return f"<p>… y {sentences} {'frase' if sentences == 1 else 'frases'} más, que no se muestran.</p>" if sentences > 0 else ""


def _picture(speech: Speech, frames_per_second: float) -> str:
    """The mel with its phonemes' boundaries, as a data URI. Without pyplot, whose state threads would share."""
    seconds = len(speech.mel) / frames_per_second
    width, height = min(max(3.5, 3.0 * seconds), 60.0), 2.6  # inches
    figure = Figure(figsize=(width, height), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.5 / width, 0.45 / height, 1 - 0.6 / width, 1 - 0.7 / height))
    axes.imshow(speech.mel.T, origin="lower", aspect="auto", cmap="magma", interpolation="nearest",
                extent=(0, seconds, 0, speech.mel.shape[1]))
    ends = np.cumsum(speech.durations) / frames_per_second
    starts = ends - speech.durations / frames_per_second
    axes.vlines(ends[:-1], 0, speech.mel.shape[1], color="white", linewidth=0.5, alpha=0.6)
    phonemes = speech.reading.phonemes if len(ends) else ()
    for start, end, phoneme in zip(starts, ends, phonemes, strict=True):
        if phoneme not in NAMES:
            axes.text((start + end) / 2, speech.mel.shape[1] + 1, phoneme, ha="center", va="bottom", fontsize=7)
    axes.set_xlabel("segundos", fontsize=8)
    axes.set_ylabel("banda de mel", fontsize=8)
    axes.tick_params(labelsize=7)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def queue(text: str, sounds: Sequence[str], whole: str = "") -> str:
    """What `PLAYER` reads: which text it is, the addresses of its sentences' sounds so far, at the end that of the whole."""
    listed = html.escape(json.dumps(list(sounds)))
    return f'<div hidden data-text="{text}" data-sounds="{listed}" data-whole="{html.escape(whole)}"></div>'


def link(whole: str) -> str:
    """Where the whole sound is downloaded."""
    return f'<a href="{html.escape(whole)}" download="voz.wav">Descargar WAV</a>'


def message(text: str, warning: bool = False) -> str:
    """A line under the buttons that a screen reader reads out."""
    kind = ' class="aviso"' if warning else ""
    return f'<div role="{"alert" if warning else "status"}"{kind}>{html.escape(text)}</div>'


def unusable(reasons: Sequence[tuple[str, str]]) -> str:
    """The voices that cannot speak, folded away."""
    if not reasons:
        return ""
    rows = "".join(f"<li><code>{html.escape(name)}</code>: {html.escape(reason)}</li>" for name, reason in reasons)
    return f'<details><summary>Voces que no se pueden usar ({len(reasons)})</summary><ul>{rows}</ul></details>'
