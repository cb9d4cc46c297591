"""Choose the best checkpoint of some runs, and keep it where synthesize looks first.

    python -m chatterbox_es.select                                   all runs on the data of the newest finished one
    python -m chatterbox_es.select outputs/4_3/TIME outputs/4_3/TIME by=val_own_durations
    python -m chatterbox_es.select outputs/studies/NAME by="val_loss+0.5*val_length_error"

Ranks every best_*.pt, final_*.pt and ema_*.pt by a metric of the validation set, or by a weighted sum of them (the lower
the better; -distillmos where higher is better), with 95 % intervals. Writes outputs/best/.
"""

import dataclasses
import logging
import sys
from pathlib import Path

from chatterbox_es import command_line
from chatterbox_es.evaluation.measures import MeasureOptions
from chatterbox_es.selection.choosing import Accelerator, choose, find, table


@dataclasses.dataclass
class SelectOptions(MeasureOptions):
    by: str = dataclasses.field(default="val_loss", metadata={"help": "metric, or weighted sum of metrics; lower is better"})
    heard: bool = dataclasses.field(default=True, metadata={
        "help": "take what train.listen has heard, where it has heard all of them; false: they speak now"})
    average: int = dataclasses.field(default=3, metadata={"help": "checkpoints whose mean is tried; 0: none"})
    outputs: str = command_line.path_field("where runs are looked for; best/ is written there", default="outputs")
    accelerator: Accelerator | None = dataclasses.field(default=None, metadata={"help": "none: a GPU if there is one"})
    threads: int | None = dataclasses.field(default=None, metadata={"help": "CPU threads; none: one a core"})


def main() -> None:
    given, arguments = command_line.split_paths(SelectOptions, sys.argv[1:])
    options = command_line.parse(SelectOptions, arguments, __doc__)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    outputs = Path(options.outputs)
    paths = find(given, outputs)
    ranking, notes = choose(paths, options.by, options.average, outputs, options.accelerator, options.threads, options,
                            options.heard)
    print(table(ranking), *notes, sep="\n")


if __name__ == "__main__":
    command_line.run(main)
