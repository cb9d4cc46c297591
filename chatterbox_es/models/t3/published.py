"""A trained T3 in the forms that other packages read: Resemble's folder of weights, or peft's adapters."""

from pathlib import Path

import torch

from chatterbox_es.errors import UserError
from chatterbox_es.models.t3.checkpoint import T3Checkpoint
from chatterbox_es.models.t3.lora import save_lora
from chatterbox_es.models.t3.weights import REPOSITORY, export


def publish(checkpoint: T3Checkpoint, out: Path, adapters: bool = False, half: bool = False, trim: bool = False,
            weights: str = "") -> str:
    """Write a checkpoint to a folder; what was written, in words.

    Whole: what ``from_local`` of chatterbox-tts reads, adapters merged into the published weights in float32. ``adapters``:
    what `peft` puts on Resemble's own ``t3.tfmr``, and the text embedding that was trained with them.

    Raises:
        UserError: there are no adapters, the published weights are not there, or the table has rows that Resemble's loader
            does not know and ``trim`` was not asked for.
    """
    if weights:
        checkpoint.base.folder = weights
    if adapters:
        if checkpoint.lora is None:
            raise UserError("adapters=true: this checkpoint holds all of T3, not adapters; leave it out")
        model, options = checkpoint.adapted()
        save_lora(model, options, out)
        return f"{out}: adapters of rank {options.rank} for peft, and the text embedding"
    beside = checkpoint.base.open()
    if out.exists() and out.resolve() == beside.folder.resolve():
        raise UserError(f"out={out} is the folder of the published weights, which would be lost; name another one")
    file = export(checkpoint.build().state_dict(), checkpoint.vocabulary, out, beside,
                  torch.float16 if half else torch.float32, trim)
    parts = sorted(path.name for path in out.iterdir())
    lacking = [name for name in ("ve.pt", "s3gen.pt") if name not in parts]
    return (f"{out}: {file.stat().st_size / 1e9:.2f} GB of T3 ({', '.join(parts)}), "
            + (f"and for Resemble's from_local {' and '.join(lacking)} must come beside it, which {beside.folder} lacks: "
               f"hf download {REPOSITORY} {' '.join(lacking)} --local-dir {out}" if lacking
               else "which Resemble's from_local reads"))
