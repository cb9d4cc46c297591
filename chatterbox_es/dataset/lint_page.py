"""lint.html: what stands out in a corpus, the worst first, as one file that needs no other, at most 10 MB."""

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

from chatterbox_es.dataset.drop_rules import DUPLICATES
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.dataset.inspection import LISTED, Inspection, counted
from chatterbox_es.dataset.outliers import METRICS, Finding, Metric
from chatterbox_es.runs.media import UNREADABLE, data_uri, sound_uri
from chatterbox_es.runs.template import save_page, template

MEDIA_BYTES = 8_000_000  # characters of sound and picture in a page
PICTURE = 160  # pixels, the height of a mel; two a frame are its width, at most this many:
WIDEST = 1000
BARS = 40  # of a histogram
GROUPS = 50  # of duplicates that are listed
QUIETEST, LOUDEST = -11.5, 2.0  # natural-log magnitudes, the ends of a picture's colours


@dataclass
class Suspect:
    """An utterance on the page."""

    id: str
    row: int
    speaker: str
    text: str
    findings: list[Finding]
    audio: str
    sound_uri: str = ""
    picture_uri: str = ""
    fault: str = ""  # why it has no sound here


@dataclass
class Histogram:
    """How a figure is distributed; what lies beyond the ends is counted in the outermost bars."""

    metric: Metric
    bars: list[float]  # shares of the highest
    low: float
    high: float
    quantiles: tuple[float, float, float]  # a twentieth below, the median, a twentieth above
    found: int  # utterances that stand out by it


def write_page(lint: Inspection, path: Path, worst: int = 30) -> Path:
    """Write the page with the ``worst`` utterances on it.

    Raises:
        UserError: the file cannot be written.
    """
    return save_page(path, render(lint, worst), "; name another file with out=FILE")


def render(lint: Inspection, worst: int = 30) -> str:
    """The page as HTML."""
    suspects = _suspects(lint, worst)
    duplicates = {name: [[lint.features.utterance(number) for number in group[:LISTED]] for group in found[:GROUPS]]
                  for name, found in lint.duplicates.items()}
    return template("dataset/lint.html.jinja").render(
        lint=lint, card=lint.features.card, suspects=suspects, histograms=_histograms(lint), duplicates=duplicates,
        kinds=DUPLICATES, counted=counted, listed=LISTED, bars=BARS, folder=str(lint.features.folder),
        corpus=str(lint.features.card.get("corpus") or lint.features.folder)).lstrip()


def _suspects(lint: Inspection, worst: int) -> list[Suspect]:
    """The worst utterances, with sound and picture as far as there is room."""
    suspects: list[Suspect] = []
    room = MEDIA_BYTES
    numbers = lint.outliers.order[:worst]
    with ThreadPoolExecutor() as workers:
        for number, (sound, fault) in zip(numbers, workers.map(lambda n: _sound(lint.features, n), numbers), strict=True):
            said = lint.features.utterance(number)
            suspect = Suspect(said["id"], said["row"], said.get("speaker", ""), said["text"], lint.outliers.findings[number],
                              said["audio"], fault=fault)
            picture = mel_plot(lint.features.stored_mel(number))
            if room >= len(sound) + len(picture):
                suspect.sound_uri, suspect.picture_uri = sound, picture
                room -= len(sound) + len(picture)
            else:
                suspect.fault = "there is no room for its sound here"
            suspects.append(suspect)
    return suspects


def _sound(features: FeatureSet, number: int) -> tuple[str, str]:
    """The recording as it is, in a data URI, or why there is none."""
    said = features.utterance(number)
    path = Path(said["audio"])
    if not path.is_file():
        return "", "it stands inside a data set" if said.get("embedded") else "its file is gone"
    try:
        return sound_uri(path), ""
    except UNREADABLE as error:
        return "", f"it cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}"


def mel_plot(mel: np.ndarray) -> str:
    """Log-mels (frames, bins) as a WebP in a data URI, low frequencies at the bottom."""
    shares = np.clip((mel.astype(np.float32).T[::-1] - QUIETEST) / (LOUDEST - QUIETEST), 0, 1)
    colours = (matplotlib.colormaps["magma"](shares)[:, :, :3] * 255).astype(np.uint8)
    image = Image.fromarray(colours).resize((min(max(2 * len(mel), 40), WIDEST), PICTURE))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=65, method=2)
    return data_uri("image/webp", buffer)


def _histograms(lint: Inspection) -> list[Histogram]:
    histograms = []
    for metric in METRICS:
        if metric.name not in lint.metrics:
            continue
        values = lint.metrics[metric.name].astype(np.float64)
        values = values[np.isfinite(values)]
        if not len(values):
            continue
        low, high = np.quantile(values, [0.005, 0.995])
        if high <= low:
            high = low + metric.least_spread
        counts, _ = np.histogram(np.clip(values, low, high), BARS, (low, high))
        histograms.append(Histogram(metric, (counts / counts.max()).tolist(), float(low), float(high),
                                    tuple(np.quantile(values, [0.05, 0.5, 0.95]).tolist()),
                                    lint.outliers.counts.get(metric.name, 0)))
    return histograms
