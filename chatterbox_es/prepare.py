"""Recordings and their texts to a prepared set: tokens, mels, statistics, a split, and a list of what was left out.

    python -m chatterbox_es.prepare data=folder data.path=DIR [data.dialect=latin_american] [prepare.KEY=VALUE …]
    python -m chatterbox_es.prepare model=chatterbox model.weights=DIR data=…          speech tokens too

`chatterbox_es.train` does this by itself when it has not been done; a second run reuses it. The set is kept in
outputs/prepared/ (data.prepared: a folder or an fsspec URL) under a key of all it depends on: recordings, text, dialect,
mel contract, and the code that reads them. Work is done in shards: what is done stays done when this is ended in between.
"""

import sys

from chatterbox_es import command_line
from chatterbox_es.config import compose
from chatterbox_es.models.families import recipe_of


def main() -> None:
    config = compose(sys.argv[1:], __doc__)
    recipe_of(config).prepare(config)


if __name__ == "__main__":
    command_line.run(main)
