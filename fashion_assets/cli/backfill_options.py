"""Options that several `backfill` commands take, each said once.

What belongs here: the options, and what they make of a backfill. What does not: commands (`backfill`).
"""

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fashion_assets.cli.app import folder

if TYPE_CHECKING:
    from fashion_assets.backfill.walk import Options

Environment = Annotated[
    Literal["development", "staging", "production"],
    typer.Option(
        "--environment", "-e", help="Which database: the one its setting names; production is asked about."
    ),
]
TableName = Annotated[
    str, typer.Option("--table", help="The table, with its schema where its name is there twice.")
]
Column = Annotated[
    str | None,
    typer.Option(help="Its jsonb column with the documents. Default: the only one.", show_default=False),
]
Key = Annotated[
    str | None,
    typer.Option(
        help="Columns of a unique key, with commas between. Default: the primary key.", show_default=False
    ),
]
Written = Annotated[
    Path | None,
    typer.Option(
        "--file",
        parser=folder,
        metavar="FILE",
        help="The file of JSON lines that a run wrote, in place of a table.",
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before production is written to.")]
BatchSize = Annotated[
    int,
    typer.Option(
        min=1, max=20_000, help="Documents of the first batch; later ones are as large as the time allows."
    ),
]
TargetSeconds = Annotated[float, typer.Option(min=0.01, help="Seconds that a batch shall take.")]
PauseSeconds = Annotated[float, typer.Option(min=0, help="Seconds between two batches.")]
MaxFailures = Annotated[
    float, typer.Option(min=0, max=1, help="Stop where a larger share of documents fails.")
]
Patience = Annotated[
    float, typer.Option(min=0, help="Seconds to wait for a server short of breath, before it stops.")
]
LockWaits = Annotated[
    int,
    typer.Option(
        "--max-lock-waits", min=0, help="Wait where more sessions than this wait for locks; 0: never."
    ),
]
Lag = Annotated[
    float, typer.Option("--max-lag", min=0, help="Wait where a standby is more seconds behind; 0: never.")
]
Transaction = Annotated[
    float,
    typer.Option(
        "--max-transaction", min=0, help="Wait where somebody's transaction is older, in seconds; 0: never."
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        parser=folder,
        metavar="DIR",
        help="Where report files go. Default: reports/backfill in the home.",
        show_default=False,
    ),
]
SaveReport = Annotated[bool, typer.Option("--save-report", help="Write it to a file, too.")]


Workers = Annotated[
    int,
    typer.Option(
        min=1, max=64, help="Ranges of the table's keys that are gone through at once, by a connection each."
    ),
]


def options_of(
    batch_size: BatchSize = 500,
    target_seconds: TargetSeconds = 0.5,
    pause_seconds: PauseSeconds = 0,
    workers: Workers = 1,
    max_failures: MaxFailures = 0.05,
    patience: Patience = 600,
    lock_waits: LockWaits = 5,
    lag: Lag = 10,
    transaction: Transaction = 600,
) -> "Options":
    """How a backfill behaves, as these options say."""
    from fashion_assets.backfill.health import Limits
    from fashion_assets.backfill.walk import Options

    return Options(
        batch_size=batch_size,
        target_seconds=target_seconds,
        pause_seconds=pause_seconds,
        # Many times what a batch shall take: what it runs into is no slow moment.
        statement_seconds=max(10, 20 * target_seconds),
        max_failures=max_failures,
        patience_seconds=patience,
        limits=Limits(lock_waits, lag, transaction),
        workers=workers,
    )


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command that has the options of `options_of` in the place of its parameter `options`."""
    asked = inspect.signature(options_of).parameters
    own = inspect.signature(command)
    parameters: list[inspect.Parameter] = []
    for parameter in own.parameters.values():
        parameters += asked.values() if parameter.name == "options" else [parameter]

    @wraps(command)
    def asking(**given: Any) -> None:
        return command(options=options_of(**{name: given.pop(name) for name in asked}), **given)

    asking.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    )
    asking.__annotations__ = {each.name: each.annotation for each in parameters}
    return asking
