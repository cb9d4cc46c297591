"""A process that makes shards: `local_engine` starts one a core and tells it, line by line, which.

The first line it reads is its `local_engine.Work`, each other one a shard's number; it answers a line for each shard. It
ends with its input, so that it never outlives who started it by more than a shard.
"""

import json
import os
import pickle
import signal
import sys

from chatterbox_es.errors import UserError, sentence_of


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; who started this one decides
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints does not mix with the answers
    work = pickle.loads(bytes.fromhex(sys.stdin.readline()))  # from the process that started this one
    for line in sys.stdin:
        number = int(line)
        try:
            rows, frames = work.make(number)
            answer: dict[str, int | str] = {"shard": number, "rows": rows, "frames": frames}
        except (UserError, OSError) as error:
            sentence = sentence_of(error) if isinstance(error, OSError) else str(error)
            if sentence is None:
                raise
            answer = {"shard": number, "error": sentence}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
