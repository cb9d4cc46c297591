"""Train a voice, one phase at a time.

    python -m chatterbox_es.train phase=4_2 data=folder data.path=DIR     the text encoder, the mel decoder frozen
    python -m chatterbox_es.train phase=4_3 data=folder data.path=DIR     the whole model, from that run's encoder
    python -m chatterbox_es.train -m phase=4_2,4_3                        both, one after the other
    python -m chatterbox_es.train phase=5 run=outputs/4_3/TIME            the same as python -m chatterbox_es.evaluate

    … resume=auto                                                         go on where the same command was ended

Runs land in outputs/<phase>/<time>/. Any key of the configuration can be set: train.max_minutes=10 phase.lr=3e-4 …
Exit codes: 0 finished, 2 something to mend (said in one sentence), 130 and 143 ended by SIGINT and SIGTERM with the
state saved, 1 a defect.
"""

import atexit
import logging
import math
import os
import runpy
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from optuna import TrialPruned

from chatterbox_es import command_line
from chatterbox_es.command_line import USER_ERROR_EXIT
from chatterbox_es.config import CONF, NEW_FOLDERS, Config, because, check, compose, hydra_arguments, register_schema
from chatterbox_es.errors import UserError
from chatterbox_es.runs.run_directory import is_run
from chatterbox_es.selection.reporter import Reporter
from chatterbox_es.training.interruption import EXIT, InterruptedRun
from chatterbox_es.training.run import remove_unbegun, run_phase

log = logging.getLogger(__name__)


@hydra.main(config_path=str(CONF), config_name="config")
def job(config: Config) -> float:
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        check(config)
        return run_phase(config, folder, Reporter.of(config))
    except UserError as error:
        if config.sweep.trial is not None:
            raise  # its study notes the reason, and goes on
        log.error("%s", error)
        sys.exit(USER_ERROR_EXIT)
    except TrialPruned as pruned:
        log.info("%s", pruned)
        return math.nan  # its study knows
    except InterruptedRun as interruption:
        log.warning("%s: the state is saved; the same command with resume=auto goes on", interruption)
        sys.exit(EXIT + interruption.number)
    except KeyboardInterrupt:
        log.warning("SIGINT received before training began: nothing to save")
        sys.exit(EXIT + signal.SIGINT)
    finally:
        if not is_run(folder):
            remove_unbegun(folder)


def main() -> None:
    """
    Raises:
        UserError: the configuration cannot be composed.
    """
    if "phase=5" in sys.argv[1:]:  # trains nothing: the evaluation, with all its arguments
        runpy.run_module("chatterbox_es.evaluate", run_name="__main__", alter_sys=True)
    if any(argument in ("-h", "--help") for argument in sys.argv[1:]):
        compose(sys.argv[1:], __doc__)  # which prints it and leaves
    sys.argv[1:] = hydra_arguments(sys.argv[1:])
    if int(os.environ.get("RANK", 0)) > 0:  # the first process has the run's folder and its log
        scratch = tempfile.mkdtemp(prefix="chatterbox_es_")
        atexit.register(shutil.rmtree, scratch, ignore_errors=True)
        sys.argv += [f"hydra.run.dir={scratch}", "hydra.output_subdir=null", "hydra/job_logging=stdout",
                     "hydra.job_logging.root.level=WARNING"]
    register_schema()
    if any(word in argument for argument in sys.argv[1:] for word in ("sweep", "--config")):  # it may compose a study
        from chatterbox_es.selection.sweeper import register_sweeper  # brings the evaluation along: half a second to import

        register_sweeper()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # what cannot be composed comes here; Hydra would leave with 1, as for a defect
    try:
        job()
    except (HydraException, OmegaConfBaseException) as error:
        if any(frame.f_code is job.__wrapped__.__code__ for frame, _ in traceback.walk_tb(error.__traceback__)):
            raise  # a defect
        raise UserError(because(error)) from error
    except OSError:  # perhaps before there was a job
        for folder in NEW_FOLDERS:
            if not is_run(folder):
                remove_unbegun(folder)
        raise


if __name__ == "__main__":
    command_line.run(main)
