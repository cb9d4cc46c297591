"""A step that fits the GPU's memory."""

import dataclasses
import logging

import torch

from chatterbox_es.dataset.batches import Budget, Step
from chatterbox_es.errors import UserError
from chatterbox_es.models.plan import not_even_one
from chatterbox_es.training.optimisation import training_step
from chatterbox_es.training.session import Training

log = logging.getLogger(__name__)


def fitting_step(training: Training, step: Step, rate: float) -> dict[str, float]:
    """`training_step`, in smaller micro-batches where the GPU's memory does not hold it.

    Raises:
        UserError: a single utterance does not fit, or other processes wait for this one.
    """
    batches, fabric = training.batches, training.fabric
    while True:
        try:
            return training_step(fabric, training.recipe, training.wrapped, training.optimizer, step, rate,
                                 training.config.phase.clip)
        except torch.OutOfMemoryError as error:
            reason = str(error).partition("\n")[0]
        # Outside of the except clause, so that nothing of the failed step is held any more.
        training.optimizer.zero_grad()
        if fabric.device.type == "cuda":
            torch.cuda.empty_cache()
        largest = max(step.micro_batches, key=lambda micro_batch: micro_batch.frames)
        frames = largest.frames
        if len(largest.utterances) == 1:
            raise UserError(f"{not_even_one(batches, largest.utterances[0])} ({reason})")
        budget = max(frames // 2, max(int(batches.frames[number]) for number in largest.utterances))
        if fabric.world_size > 1:
            raise UserError(f"out of memory on {frames} frames in process {fabric.global_rank} ({reason}); go on with "
                            f"hw.micro_batch_frames={budget} resume={training.run.folder}")
        batches.budget = Budget(budget, batches.budget.tokens)
        step = dataclasses.replace(batches.step(step.utterances, epoch=step.epoch), share=step.share)
        log.warning("out of memory on %d frames (%s): from here on a micro-batch holds at most %d frames; batches stay. "
                    "To start with that: hw.micro_batch_frames=%d", frames, reason, budget, budget)
