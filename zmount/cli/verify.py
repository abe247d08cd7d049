"""``zmount verify``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zmount.cli.app import App
from zmount.cli.completing import storage_names
from zmount.sizes import counted

if TYPE_CHECKING:
    from rich.text import Text

    from zmount.filestorage.verification import Verification
    from zmount.operations.verify import Verified

MOST_SHOWN = 10  # findings of a kind; --json has more
STYLES = {"error": "red", "warning": "yellow"}
RESULTS = {"sound": "green", "doubtful": "yellow", "damaged": "red"}


@click.command("verify")
@click.argument("storages", nargs=-1, metavar="[STORAGE]...", shell_complete=storage_names)
@click.option("--all", "is_all", is_flag=True, help="All storages of this host.")
@click.option(
    "--file",
    "data_file",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A data file of no topology, such as a clone or a restored backup.",
)
@click.option(
    "--blobs",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    help="Where the blobs of --file are [default: blobs beside it, if there is such a directory].",
)
@click.pass_context
def verify(
    ctx: click.Context,
    storages: tuple[str, ...],
    is_all: bool,
    data_file: Path | None,
    blobs: Path | None,
) -> None:
    """Say whether storages are sound; they may be in use, and nothing is written.

    Each transaction and record is read: lengths, positions and pointers, the
    pickles, the objects that the current records refer to, also in other
    databases, the files of the blobs, and the saved index. What is wrong is told
    with its oid, its class and the way to it. No class of the database is imported.
    Of a stage that shows production's content, that is verified with what was
    changed on staging since, and the two as one.

    Exit status: 0 sound, 1 warnings only, 14 something is damaged.

    \b
    Examples:
      zmount verify --all
      zmount verify pub/example.org --json
      zmount verify --file /backup/Data.fs --blobs /backup/blobs
    """
    from zmount.cli.bars import bars
    from zmount.operations.verify import exit_status, verify_file, verify_storages

    if [bool(storages), is_all, data_file is not None].count(True) != 1:
        raise click.UsageError("name STORAGEs, or say --all, or --file PATH")
    if blobs is not None and data_file is None:
        raise click.UsageError("--blobs is for --file; a storage's blobs are known")
    app = ctx.ensure_object(App)
    with bars() as watch:
        if data_file is not None:
            found: Sequence[Verified] = (verify_file(data_file, blobs, watch),)
        else:
            found = verify_storages(app.topology, app.host, storages, watch)
    if app.as_json or any(each.error is None for each in found):
        app.show(_text(found), [each.as_json() for each in found])
    for each in found:
        if each.error is not None:
            app.show_error(each.error)
    ctx.exit(exit_status(found))


def _text(found: Sequence[Verified]) -> Text:
    from rich.text import Text

    blocks = [_block(each) for each in found if each.error is None]
    return Text("\n").join(blocks)


def _block(one: Verified) -> Text:
    from rich.text import Text

    text = Text(f"{one.name}: ")
    text.append(one.result, RESULTS.get(one.result, ""))
    found = one.verification
    if found is None:
        return text
    text.append(f"; {_facts(found)}")
    for severity, kind, number in found.counts:
        told = [each for each in found.findings if (each.severity, each.kind) == (severity, kind)]
        for finding in told[:MOST_SHOWN]:
            text.append(f"\n    {severity}: ", STYLES[severity])
            text.append(f"{finding} [{kind}]")
        if number > MOST_SHOWN:
            text.append(f"\n    and {number - MOST_SHOWN:,} more [{kind}]")
    for name, number in found.unchecked:
        objects = counted(number, "object")
        text.append(f"\n    not looked up: {objects} of the database {name}")
    for hint in one.hints:
        text.append(f"\n    try: {hint}")
    return text


def _facts(found: Verification) -> str:
    from rich.filesize import decimal

    facts = [counted(found.objects, "object"), counted(found.records, "record")]
    if found.blobs is not None:
        facts.append(counted(found.blobs, "blob"))
    return f"{', '.join(facts)}, {decimal(found.end)} in {found.seconds:.1f} s"
