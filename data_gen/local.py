"""Shards from processes of this machine."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait

from data_gen.making import Job, Made, make_shard

__all__ = ["processes"]

DEATHS_FORGIVEN = 3


def processes(job: Job, missing: list[int], workers: int) -> Iterator[Made]:
    """Shards from local processes; a process that dies (killed, out of memory) is replaced, its shard made again."""
    left, deaths = list(missing), 0
    while left:
        try:
            for one in _pool(job, left, workers):
                left.remove(one.number)
                deaths = 0
                yield one
        except BrokenProcessPool as error:
            deaths += 1
            if deaths > DEATHS_FORGIVEN:
                raise OSError(
                    f"worker processes died {deaths} times in a row (out of memory?); use fewer --workers, and --resume"
                ) from error


def _pool(job: Job, numbers: list[int], workers: int) -> Iterator[Made]:
    with ProcessPoolExecutor(min(workers, len(numbers)), get_context("spawn"), initializer=watch_parent) as pool:
        futures = [pool.submit(make_shard, number, job) for number in numbers]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def watch_parent() -> None:
    """End this worker when the run that started it dies, so that nothing writes on behind its back."""
    parent = parent_process()

    def follow() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
