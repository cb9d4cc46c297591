"""A process that makes shards: `local_engine` starts one a core and tells it, line by line, which.

The first line it reads is its job, each other one a shard's number; it answers a line for each shard. It ends with its
input, so that it never outlives who started it by more than a shard.
"""

import json
import os
import signal
import sys

from chatterbox_es.dataset.preparation.shards import make_shard
from chatterbox_es.dataset.preparation.stages import Treatment
from chatterbox_es.dataset.storage import Storage
from chatterbox_es.errors import UserError


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; who started this one decides
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints does not mix with the answers
    job = json.loads(sys.stdin.readline())
    storage, treatment = Storage(job["url"]), Treatment.from_dict(job["treatment"])
    for line in sys.stdin:
        number = int(line)
        try:
            shard = make_shard(storage, treatment, number, job["size"])
            answer: dict[str, int | str] = {"shard": number, "rows": shard.rows, "frames": shard.frames}
        except UserError as error:
            answer = {"shard": number, "error": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
