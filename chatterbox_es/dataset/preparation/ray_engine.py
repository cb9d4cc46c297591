"""Shards made by Ray Data, on as many machines as the cluster has (the extra ``ray``).

The manifest and the shards go through the same storage, which all machines must reach under the same name: a shared folder,
or ``data.prepared=s3://…``; likewise the recordings. Ray runs a task again whose process or machine is lost, and what it
makes is the same, so the result does not depend on who made it.
"""

import logging
import os
from collections.abc import Generator

from chatterbox_es.dataset.preparation.shards import make_shard
from chatterbox_es.dataset.preparation.stages import Treatment
from chatterbox_es.dataset.storage import Storage
from chatterbox_es.errors import UserError


def make_shards(storage: Storage, treatment: Treatment, shards: list[int], size: int, workers: int | None = None,
                address: str | None = None) -> Generator[tuple[int, int], None, None]:
    """Make shards on the cluster at ``address`` (null: the one of RAY_ADDRESS, or one that is started here); rows and frames of
    each, as they are done. ``workers`` is how many are made at once.

    Raises:
        UserError: Ray is not installed, no cluster is there, or a shard cannot be written.
    """
    if storage.is_of_this_process:
        raise UserError(f"{storage.url} is in the memory of this process, which Ray's cannot reach: use prepare.engine=local")
    try:
        import ray
    except ImportError as error:
        raise UserError("prepare.engine=ray needs Ray: pip install 'chatterbox-es[ray]'") from error
    if not ray.is_initialized():
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(f"no Ray cluster answers at {address or os.environ.get('RAY_ADDRESS')}: {error}") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.verbose_stats_logs = False
    job = (storage.url, treatment.to_dict(), size)
    made = ray.data.from_items([{"shard": number} for number in shards], override_num_blocks=len(shards)).map(
        _make, fn_args=job,  # type: ignore[arg-type]  # Ray's types know no function that takes fn_args
        compute=ray.data.TaskPoolStrategy(size=workers), num_cpus=1)
    try:
        for answer in made.iter_rows():
            if answer["error"]:
                raise UserError(answer["error"])
            yield int(answer["rows"]), int(answer["frames"])
    except ray.exceptions.RayError as error:
        raise UserError(f"Ray could not make all shards; those that are done are kept: {str(error).strip().splitlines()[-1]}"
                        ) from error


def _make(row: dict, url: str, treatment: dict, size: int) -> dict:
    """One shard, in a process of Ray's."""
    try:
        shard = make_shard(Storage(url), Treatment.from_dict(treatment), int(row["shard"]), size)
    except UserError as error:
        return {"shard": row["shard"], "rows": 0, "frames": 0, "error": str(error)}
    return {"shard": row["shard"], "rows": shard.rows, "frames": shard.frames, "error": ""}
