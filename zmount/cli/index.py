"""``zmount index``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zmount.cli.app import App
from zmount.cli.completing import storage_names
from zmount.sizes import counted

if TYPE_CHECKING:
    from zmount.filestorage.reindex import Indexed


@click.command("index")
@click.argument(
    "storages", nargs=-1, required=True, metavar="STORAGE...", shell_complete=storage_names
)
@click.pass_obj
def index(app: App, storages: tuple[str, ...]) -> None:
    """Build the index that lets FileStorage open a storage at once.

    All records are read, and the index is saved beside the Data.fs, where a ZEO
    server or Zope finds it. A storage that is open is refused: its index is saved
    when it is closed, over any other. There is seldom a need for this command:
    zmount start looks at each index before, and builds what is missing, not of
    its file, or would be refused.

    \b
    Examples:
      zmount index pub/example.org
      zmount index pub/example.org stage/example.org --json
    """
    from zmount.cli.bars import bars
    from zmount.operations.index import index, refuse_failures

    with bars() as watch:
        found = index(app.topology, app.host, storages, watch)
    lines = [_line(each.storage.name, each.index) for each in found if each.index is not None]
    if lines or app.as_json:
        app.show("\n".join(lines), [each.as_json() for each in found])
    refuse_failures(found)


def _line(name: str, index: Indexed) -> str:
    if index.done == "removed":
        return f"{name}: it has no objects, and needs no index"
    return f"{name}: {counted(index.objects, 'object')} in {index.seconds:.1f} s"
