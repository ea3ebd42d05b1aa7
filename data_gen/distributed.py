"""The same shards as tasks of a ``dask.distributed`` cluster."""

from collections.abc import Iterator

from data_gen.making import Job, Made, make_shard

__all__ = ["cluster"]

CONNECT_SECONDS = 20


def cluster(job: Job, numbers: list[int], address: str) -> Iterator[Made]:
    """Shards as the cluster finishes them.

    Parameters
    ----------
    job
        Its folders must be there, under the same path, on every worker.
    numbers
        Shards to make.
    address
        Of the scheduler: ``tcp://host:8786``.

    Raises
    ------
    ImportError
        Without the extra ``dask``.
    OSError
        If no scheduler answers, or a shard killed four workers in turn.

    Notes
    -----
    A worker that dies loses its shard, not the run: the scheduler gives the shard to another one. A shard that two
    workers make at a time is the same file twice.
    """
    try:
        from distributed import Client, KilledWorker, as_completed
    except ImportError as error:
        raise ImportError("runs on a cluster need Dask: pip install 'vdp-distill[dask]'") from error
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise OSError(f"no Dask scheduler answers at {address}: {error}; start one with 'dask scheduler'") from error
    with client:
        futures = [client.submit(make_shard, number, job, pure=False) for number in numbers]
        try:
            for future in as_completed(futures, loop=client.loop):
                yield future.result()
        except KilledWorker as error:
            raise OSError(
                f"a shard's workers died one after another (out of memory?): {error}; then --resume"
            ) from error
        finally:
            client.cancel(futures)
