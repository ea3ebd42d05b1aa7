"""What a run tells while it runs."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["bar", "say"]


def say(text: str) -> None:
    """A line to people, on stderr: stdout is for results."""
    print(text, file=sys.stderr)


@contextmanager
def bar(total: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar over samples; gives the function that moves it on."""
    pace = TextColumn("{task.fields[rate]}")
    columns = TextColumn("samples"), BarColumn(), MofNCompleteColumn(), pace, TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as progress:
        task = progress.add_task("samples", total=total, rate="")

        def advance(samples: int) -> None:
            progress.advance(task, samples)
            elapsed = progress.tasks[0].elapsed or 0
            progress.update(task, rate=f"{progress.tasks[0].completed / elapsed:.0f}/s" if elapsed else "")

        yield advance
