"""A voice as one ONNX file: token ids to log-mels, with all that gives them meaning in its metadata.

    inputs   tokens     int64 (tokens,)      ids of the symbol table, both ends' marks included
             speed      float32 ()           2 takes half the time; of a voice with prosody float32 (tokens,)
             temperature  float32 ()         how much chance there is; this and what follows of a voice with prosody
             noise      float32 (tokens, 3)  standard normal, of duration, pitch and energy; the same gives the same sound
             pitch      float32 (tokens,)    semitones higher
             range      float32 (tokens,)    factor on how far pitch goes from the sentence's mean
             energy     float32 (tokens,)    dB louder
             tau        float32 ()           how much noise the flow begins with; this and what follows of a voice with a flow
             flow_noise float32 (512, bins)  standard normal, of the frames one after the other and over again
    outputs  log_mels   float32 (frames, bins)  natural logarithm, as the mel contract in the metadata says
             durations  int64 (tokens,)      frames of each token; their sum is the number of frames
             samples    float32 (frames * hop,)  the sound, in [-1, 1] but for peaks; not in every file

The metadata (``metadata_props``) is JSON, key by key what `Checkpoint.describe` says: ``model``, ``phase``, ``mel``,
``symbols``, ``statistics``, ``front_end`` (dialect and the user's lexicon), ``lineage``; besides, ``format`` and ``source``,
the SHA-256 of the checkpoint's file; where there is sound, ``vocoder`` and ``vocoder_source``: its name and its file's SHA-256.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chatterbox_es.audio.vocoder import within_full_scale
from chatterbox_es.dataset.feature_set import Statistics
from chatterbox_es.errors import UserError
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.models.acoustic.checkpoint import Checkpoint
from chatterbox_es.models.acoustic.text_encoder import LONGEST_TEXT
from chatterbox_es.models.families import model_named
from chatterbox_es.models.flow.flow_decoder import STEPS
from chatterbox_es.speech.manner import Manner
from chatterbox_es.text import SymbolTable

FORMATS = MUTE, SOUNDING, EXPRESSIVE = "chatterbox_es voice 1", "chatterbox_es voice 2", "chatterbox_es voice 3"
INPUTS = {"tokens": ("tensor(int64)", 1), "speed": ("tensor(float)", 0)}  # type, dimensions
CONTROLS = {"temperature": 0, "noise": 2, "pitch": 1, "range": 1, "energy": 1}  # of a voice with prosody: dimensions
DRAW = {"tau": 0, "flow_noise": 2}  # of one with a flow
OUTPUTS = {"log_mels": ("tensor(float)", 2), "durations": ("tensor(int64)", 1)}
SOUND = {"samples": ("tensor(float)", 1)}
DESCRIBED = ("model", "phase", "mel", "symbols", "statistics", "front_end", "lineage", "family")
INSTALL = "pip install 'chatterbox-es[onnx]'"


class OnnxModel:
    """The graph of a voice in onnxruntime, and the checkpoint that it was made of, without its weights.

    Raises:
        UserError: the file is not there, damaged, no ONNX, not one of ours, or of another contract; or onnxruntime is missing.
    """

    def __init__(self, path: Path, threads: int | None = None):
        self.path = path
        self.session = start_session(path, threads or torch.get_num_threads())
        facts = self.session.get_modelmeta().custom_metadata_map
        self.format = facts.get("format", "")
        if self.format not in FORMATS:
            raise UserError(f"{path} is ONNX, but not a voice of this version ({' or '.join(FORMATS)}): its metadata says "
                            f"{facts.get('format', 'nothing of a format')!r}. Write one with python -m chatterbox_es.export")
        self.source = facts.get("source", "")
        self.vocoder, self.vocoder_source = facts.get("vocoder", ""), facts.get("vocoder_source", "")
        self.outputs = OUTPUTS | (SOUND if self.vocoder else {})
        try:
            self.checkpoint = _checkpoint({key: json.loads(facts[key]) for key in facts if key in DESCRIBED})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"the metadata of {path} is damaged ({type(error).__name__}: {error}); "
                            "export the voice again") from error
        self.inputs = inputs_of(self.checkpoint) if self.format == EXPRESSIVE else INPUTS
        self._check_contract()

    def without_sound(self) -> None:
        """Let the graph end at the mels: another vocoder is to make sound of them."""
        self.vocoder, self.outputs = "", OUTPUTS

    def __call__(self, ids: Sequence[int], manner: Manner, part: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Token ids to natural-log mels (frames, bins), each token's frames (tokens,), and samples (frames * hop,) where the
        graph makes some.

        Raises:
            ValueError: more tokens than the graph takes, or none.
        """
        if not 0 < len(ids) <= LONGEST_TEXT:
            raise ValueError(f"a text of {len(ids)} tokens; the graph takes 1 to {LONGEST_TEXT}")
        given = {"tokens": np.asarray(ids, np.int64)}
        if self.format == EXPRESSIVE:
            if manner.steps not in (None, STEPS):
                raise UserError(f"steps={manner.steps}: an exported voice has {STEPS}; speak with its checkpoint")
            said = {"speed": manner.of_tokens("speed", len(ids)), **manner.controls(len(ids), part),
                    **manner.draw(self.checkpoint.contract.bins, part)}
            given |= {name: said[name] for name in self.inputs if name in said}
        elif np.ndim(manner.speed):
            raise UserError(f"{self.path} has one speed for all of a text; speak with the checkpoint that it was made of")
        else:
            given["speed"] = np.asarray(manner.speed, np.float32)
        mel, durations, *sound = self.session.run(list(self.outputs), given)
        return mel, durations, within_full_scale(sound[0]) if sound else None

    def _check_contract(self) -> None:
        """Names, types and ranks of what goes in and comes out, and the bins of a frame."""
        bins = self.checkpoint.contract.bins
        for wanted, found in ((self.inputs, self.session.get_inputs()), (self.outputs, self.session.get_outputs())):
            has = {value.name: (value.type, len(value.shape)) for value in found}
            if has != wanted:
                raise UserError(f"{self.path} does not keep the contract of {self.format}: it has {_listed(has)}, and should "
                                f"have {_listed(wanted)}; export the voice again")
        frame = self.session.get_outputs()[0].shape[1]
        if frame != bins:
            raise UserError(f"{self.path} makes frames of {frame} bins, and its mel contract says {bins}; "
                            "export the voice again")


def inputs_of(checkpoint: Checkpoint) -> dict[str, tuple[str, int]]:
    """Types and dimensions of what goes into the graph of a voice with prosody or a flow, by name, in their order."""
    ranks = {"speed": 1, **(CONTROLS if checkpoint.has_prosody else {}), **(DRAW if checkpoint.has_flow else {})}
    return INPUTS | {name: ("tensor(float)", rank) for name, rank in ranks.items()}


def start_session(path: Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"speaking with ONNX needs onnxruntime, which is not here ({error}): {INSTALL}") from None
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    path.open("rb").close()  # of a file that may not be read onnxruntime says that it does not exist
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # threads that spin between two sentences would take the processor from the vocoder
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no base class
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path} is damaged or no ONNX model: {reason}") from error


def _checkpoint(facts: dict[str, Any]) -> Checkpoint:
    """What `Checkpoint.describe` said, as a checkpoint whose weights are elsewhere."""
    kind = model_named(facts.get("family", "fase4")).checkpoint
    return kind({}, facts["model"], facts["phase"], MelContract(**facts["mel"]), SymbolTable.from_dict(facts["symbols"]),
                Statistics.from_dict(facts["statistics"]), facts["front_end"], facts["lineage"])


def _listed(values: dict[str, tuple[str, int]]) -> str:
    return ", ".join(f"{name} {kind} of {rank} dimensions" for name, (kind, rank) in values.items())


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
