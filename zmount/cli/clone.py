"""``zmount clone``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zmount.cli.app import App
from zmount.cli.completing import storage_names
from zmount.sizes import counted

if TYPE_CHECKING:
    from zmount.operations.clone import StorageCloned


@click.command("clone")
@click.argument("storage", shell_complete=storage_names)
@click.argument("directory", type=click.Path(path_type=Path))
@click.pass_obj
def clone(app: App, storage: str, directory: Path) -> None:
    """Copy STORAGE into DIRECTORY as it is now, while it is used.

    The clone has all transactions that were complete at one moment, none in part,
    and with them an index and the blobs. Blobs are hard links where DIRECTORY is
    on the same volume, and take no space there. DIRECTORY is made, or is empty;
    what is there in the end is whole, or has no Data.fs. A stage that shows
    production's content becomes one Data.fs of that and of staging's changes.

    \b
    Examples:
      zmount clone pub/example.org /var/tmp/example.org
      zmount clone pub/example.org ~/clones/example.org --json
    """
    from zmount.cli.bars import bars
    from zmount.operations.clone import clone

    with bars() as watch:
        made = clone(app.topology, app.host, storage, directory.absolute(), watch)
    app.show("\n".join(_lines(made)), made.as_json())


def _lines(made: StorageCloned) -> Iterator[str]:
    from rich.filesize import decimal

    clone = made.clone
    yield (
        f"{made.storage.name}: {counted(clone.objects, 'object')}, {decimal(clone.size_bytes)} "
        f"{clone.how} to {clone.data_fs} in {clone.seconds:.1f} s"
    )
    if clone.blob_dir is not None:
        yield (
            f"blobs in {clone.blob_dir}: {clone.blobs_linked:,} linked, "
            f"{clone.blobs_copied:,} copied"
        )
