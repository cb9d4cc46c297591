"""What goes wrong because of what a user gave, or where it runs: said in one sentence, without a traceback."""

import errno
import os
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DENIED = (errno.EACCES, errno.EPERM)
OF_FILES = (*FULL, *DENIED, errno.EROFS, errno.EIO, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY,
            errno.ELOOP, errno.ENAMETOOLONG, errno.EMFILE, errno.ENFILE, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ETXTBSY)
AGAIN = "What was there before is whole. Make room, and give the same command again (a training with resume=auto)"
NO_TEXT = ("it is no UTF-8, or has letters that this terminal's locale does not know; rename what is called so, or set "
           "LC_ALL=C.UTF-8")


class UserError(Exception):
    """The message says what is wrong, where (file, row, key) and what to do about it.

    Commands print it and leave with exit code 2; any other exception is a defect and keeps its traceback.
    """


def sentence_of(error: OSError, where: Path | None = None) -> str | None:
    """What an error of files and disks says to whoever runs a command; None of another kind of error.

    ``where`` is the file that was being written, for errors that name none.
    """
    if error.errno not in OF_FILES:
        return None
    name = error.filename if error.filename2 is None else error.filename2
    path = where if name is None or isinstance(name, int) else Path(os.fsdecode(name))
    why = (error.strerror or str(error)).lower()
    if path is None:
        return f"what was to be written has no room ({why})" if error.errno in FULL else str(error)
    if error.errno == errno.EFBIG:
        return f"{path} could not be written: files may not be larger here (ulimit -f). {AGAIN}"
    if error.errno in FULL:
        return f"the disk is full: {path} could not be written. {AGAIN}"
    if error.errno in DENIED:
        return f"{_denied(path)}; change its rights, or name another place"
    if error.errno == errno.ENOENT:
        made = path.absolute().as_posix().startswith(("/proc/", "/sys/"))
        return f"{path} {'cannot be made there: no files can; name another place' if made else 'does not exist'}"
    if error.errno == errno.EISDIR:
        return f"{path} is a folder, where a file should be; name another place"
    if error.errno == errno.ENOTDIR or error.errno == errno.EEXIST and path.is_file():
        return f"{path} is a file, or lies in one, where a folder should be; name another place"
    return f"{path} cannot be used: {why}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the machine, or the GPU, had too little memory: torch says so of a CPU in a plain RuntimeError."""
    return (isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
            or isinstance(error, RuntimeError) and "can't allocate memory" in str(error))


def _denied(path: Path) -> str:
    """Which right this user lacks, as far as it can be told."""
    place = path.absolute()
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if place != path.absolute():
        return f"{path}: this user may not {'write in' if os.access(place, os.X_OK) else 'enter'} the folder {place}"
    if not os.access(path, os.R_OK | os.X_OK if path.is_dir() else os.R_OK):
        return f"{path}: this user may not read it"
    if os.access(path, os.W_OK) and not os.access(place.parent, os.W_OK):
        return f"{path}: this user may not change the folder {place.parent}"
    return f"{path}: this user may not write it"
