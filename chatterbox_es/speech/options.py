"""What a voice can be told, and the vocoder of a voice of mels."""

import dataclasses
from pathlib import Path

import torch

from chatterbox_es.audio.vocoder import GriffinLim, Vocoder
from chatterbox_es.errors import UserError
from chatterbox_es.mel_contract import MelContract


@dataclasses.dataclass
class VoiceOptions:
    """What a voice can be told beside its dialect and speaker; None is the published value."""

    vocoder: str = dataclasses.field(default="griffin_lim", metadata={
        "help": "fase4: griffin_lim, or hift, which is Resemble's and needs weights="})
    weights: str = dataclasses.field(default="", metadata={
        "help": "folder of Resemble's files; chatterbox: in place of the one it was trained from"})
    codec: str = dataclasses.field(default="", metadata={
        "help": "chatterbox: MODULE:FUNCTION of a voice that was trained with another codec than Resemble's"})
    reference: str = dataclasses.field(default="", metadata={"help": "chatterbox: a recording of the voice to speak with"})
    seed: int = dataclasses.field(default=0, metadata={"help": "chatterbox: another one says the same text otherwise"})
    guidance: float | None = dataclasses.field(default=None, metadata={
        "help": "chatterbox: how strongly the text is followed; none: 0.5, as published, and likewise below"})
    temperature: float | None = dataclasses.field(default=None, metadata={"help": "chatterbox: 0.8; 0 is the likeliest token"})
    min_p: float | None = dataclasses.field(default=None, metadata={"help": "chatterbox: 0.05"})
    top_p: float | None = dataclasses.field(default=None, metadata={"help": "chatterbox: 1"})
    repetition_penalty: float | None = dataclasses.field(default=None, metadata={"help": "chatterbox: 2"})

    def mel_vocoder(self, contract: MelContract) -> Vocoder:
        """The vocoder of a voice of mels.

        Raises:
            UserError: no such vocoder, its weights or packages are missing, or something is said that only chatterbox knows.
        """
        said = [field.name for field in dataclasses.fields(VoiceOptions) if field.name not in ("vocoder", "weights")
                and getattr(self, field.name) != field.default]
        if said:
            raise UserError(f"{said[0]}={getattr(self, said[0])} is for voices of model=chatterbox; this one is of model=fase4")
        if self.vocoder == "griffin_lim":
            return GriffinLim(contract)
        if self.vocoder != "hift":
            raise UserError(f"vocoder={self.vocoder} is not known; use griffin_lim or hift")
        if not self.weights:
            raise UserError("vocoder=hift needs the folder with Resemble's s3gen.pt: weights=DIR")
        from chatterbox_es.models.t3.codec import load_hift  # whose packages are optional

        vocoder = load_hift(Path(self.weights).expanduser(), "cuda" if torch.cuda.is_available() else "cpu")
        if differences := contract.differences(vocoder.contract):
            raise UserError(f"vocoder=hift takes mels of another contract than this voice's ({', '.join(differences)})")
        return vocoder
