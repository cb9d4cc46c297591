"""What a voice can be told, and the vocoder of a voice of mels."""

import dataclasses
from pathlib import Path

import torch

from chatterbox_es.audio.vocoder import GriffinLim, Vocoder
from chatterbox_es.command_line import path_field
from chatterbox_es.errors import UserError
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.models.flow.flow_decoder import STEPS, TAU
from chatterbox_es.models.mel_vocoder import NeuralVocoder, base_vocoder, vocoder_for
from chatterbox_es.runs.checkpoint_files import final_checkpoint
from chatterbox_es.speech.manner import Manner

AUTO, NEURAL, BASE, GRIFFIN_LIM, HIFT = "auto", "neural", "base", "griffin_lim", "hift"
VOCODER_HELP = (f"of mels: {NEURAL}, {BASE}, which comes along, {GRIFFIN_LIM}, {HIFT}, which is Resemble's and needs weights=, "
                f"or a run of phase=vocoder; {NEURAL}: the voice's own, else {BASE}; {AUTO}: likewise, else {GRIFFIN_LIM}")


@dataclasses.dataclass(kw_only=True)
class MannerOptions:
    """How a voice speaks, beside its speed; docs/prosody.md."""

    pitch: float = dataclasses.field(default=0.0, metadata={"help": "semitones higher, of a voice with prosody"})
    range: float = dataclasses.field(default=1.0, metadata={"help": "likewise how lively: 0 is a monotone"})
    energy: float = dataclasses.field(default=0.0, metadata={"help": "likewise with more effort, in dB"})
    temperature: float | None = dataclasses.field(default=None, metadata={
        "help": "how much chance there is; none: 0.8; 0 says the likeliest"})
    seed: int = dataclasses.field(default=0, metadata={"help": "another one says the same text otherwise"})
    tau: float | None = dataclasses.field(default=None, metadata={
        "help": f"flow: how much noise it begins with; none: {TAU}; 0 is its mean"})
    steps: int | None = dataclasses.field(default=None, metadata={"help": f"flow: none: {STEPS}; more take longer"})

    @property
    def manner(self) -> Manner:
        """
        Raises:
            UserError: a value is out of its range.
        """
        names = [field.name for field in dataclasses.fields(MannerOptions)]
        manner = Manner(**{name: getattr(self, name) for name in names})
        manner.check()
        return manner


@dataclasses.dataclass
class VoiceOptions(MannerOptions):
    """What a voice can be told beside its dialect and speaker; None is the published value."""

    vocoder: str = path_field(VOCODER_HELP, default=AUTO)
    weights: str = path_field("folder of Resemble's files; chatterbox: in place of the one it was trained from")
    codec: str = dataclasses.field(default="", metadata={
        "help": "chatterbox: MODULE:FUNCTION of a voice that was trained with another codec than Resemble's"})
    reference: str = path_field("chatterbox: a recording of the voice to speak with")
    guidance: float | None = dataclasses.field(default=None, metadata={
        "help": "chatterbox: how strongly the text is followed; none: 0.5, as published, and likewise below"})
    min_p: float | None = dataclasses.field(default=None, metadata={"help": "chatterbox: 0.05"})
    top_p: float | None = dataclasses.field(default=None, metadata={"help": "chatterbox: 1"})
    repetition_penalty: float | None = dataclasses.field(default=None, metadata={"help": "chatterbox: 2"})

    def mel_vocoder(self, contract: MelContract, own: Path | None = None) -> Vocoder:
        """The vocoder of a voice of mels; ``own`` is where the voice's own would lie.

        Raises:
            UserError: no such vocoder, its weights or packages are missing, or something is said that only chatterbox knows.
        """
        ours = ("vocoder", "weights", *(field.name for field in dataclasses.fields(MannerOptions)))
        said = [field.name for field in dataclasses.fields(VoiceOptions) if field.name not in ours
                and getattr(self, field.name) != field.default]
        if said:
            raise UserError(f"{said[0]}={getattr(self, said[0])} is for voices of model=chatterbox; this one predicts mels")
        if self.vocoder == GRIFFIN_LIM:
            return GriffinLim(contract)
        if self.vocoder == HIFT:
            return self._hift(contract)
        if self.vocoder in (AUTO, NEURAL):
            vocoder = vocoder_for(contract, own)
            if self.vocoder == NEURAL and isinstance(vocoder, GriffinLim):
                raise UserError("vocoder=neural: this voice has no vocoder of its own, and none comes along for its mels. "
                                "Train one: python -m chatterbox_es.train phase=vocoder model.voice=RUN")
            return vocoder
        if self.vocoder == BASE:
            trained = base_vocoder()
        elif Path(self.vocoder).exists():
            trained = NeuralVocoder(final_checkpoint(Path(self.vocoder)), f"the vocoder {self.vocoder}")
        else:
            raise UserError(f"vocoder={self.vocoder} is not known; use {AUTO}, {NEURAL}, {BASE}, {GRIFFIN_LIM} or {HIFT}, or "
                            "name a run of phase=vocoder")
        trained.checkpoint.check_contract(contract, self.vocoder, "the voice")
        return trained

    def _hift(self, contract: MelContract) -> Vocoder:
        if not self.weights:
            raise UserError("vocoder=hift needs the folder with Resemble's s3gen.pt: weights=DIR")
        from chatterbox_es.models.t3.codec import load_hift  # whose packages are optional

        vocoder = load_hift(Path(self.weights).expanduser(), "cuda" if torch.cuda.is_available() else "cpu")
        if differences := contract.differences(vocoder.contract):
            raise UserError(f"vocoder=hift takes mels of another contract than this voice's ({', '.join(differences)})")
        return vocoder
