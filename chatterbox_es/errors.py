"""What goes wrong because of what a user gave: said in one sentence, without a traceback."""


class UserError(Exception):
    """The message says what is wrong, where (file, row, key) and what to do about it.

    Commands print it and leave with exit code 2; any other exception is a defect and keeps its traceback.
    """
