"""Makes a new generation of a stage: production as it is now.

1. the blobs that are there already, if none were taken before
2. production's data file, linked or copied, and its index
3. the blobs since; if production was packed meanwhile it may have removed blobs: once more
4. the generation has its name, and everything is on the disk
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ZODB.FileStorage import FileStorage

from zmount.errors import ZMountError
from zmount.filestorage.blob_copy import NO_LINK
from zmount.server.blob_pool import prepare_pool, take_blobs
from zmount.server.freezing import (
    Moment,
    PackedMeanwhile,
    SwapRefused,
    copy_production,
    freeze_file,
    freeze_storage,
    last_transaction,
)
from zmount.server.generation import Generation, Meta, remove
from zmount.server.generations import Generations
from zmount.server.new_links import make_blob_directory
from zmount.server.settings import MODES, StageSettings

ATTEMPTS = 3  # where packs put another file in place meanwhile

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A complete generation, and how it came to be: ``why_copied`` is empty unless it was."""

    generation: Generation
    moment: Moment
    blobs_taken: int
    why_copied: str = ""


def file_storage(production: Any) -> Any:
    """Return the FileStorage of PRODUCTION, a storage in this process; None: there is none.

    :raises SwapRefused: what is around it shows other records than are in the file
    """
    found = production
    while found is not None and not isinstance(found, FileStorage):
        inner = getattr(found, "base", None)
        if inner is not None and found.loadBefore != inner.loadBefore:
            raise SwapRefused(
                f"production is in a {type(found).__name__}, which shows its clients other records "
                "than are in its file; a stage would show those"
            )
        found = inner
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """``production`` is its FileStorage in this process, None where there is none."""

    settings: StageSettings
    generations: Generations
    production: Any
    progress: Progress

    def build(self, mode: str = "") -> Built:
        """Make a generation by MODE, "link" or "copy"; empty: as the section says.

        :raises SwapRefused: it cannot be made; nothing is left of it
        """
        if mode not in ("", *MODES):
            raise SwapRefused(f"there is no mode {mode!r}: {', '.join(MODES)}")
        try:
            why_copied = self.why_copied(mode or self.settings.mode)
            since, taken = None, 0
            if not why_copied and self._blob_dir is not None:
                self.progress("blobs", 0, 0)
                since, taken = prepare_pool(
                    self._blob_dir, self.generations, self._last_transaction
                )
            for _ in range(ATTEMPTS):
                try:
                    built = self._attempt(why_copied, since)
                    return replace(built, blobs_taken=taken + built.blobs_taken)
                except PackedMeanwhile as packed:
                    why = packed
            raise why
        except OSError as why_not:
            where = why_not.filename or self.generations.path
            raise SwapRefused(f"{where}: {why_not.strerror}; staging is as it was") from None
        except ZMountError as why_not:
            raise SwapRefused(str(why_not)) from None

    def _attempt(self, why_copied: str, since: Moment | None) -> Built:
        new = self.generations.begin()
        try:
            return self._filled(new, why_copied, since)
        except ZMountError as why:  # the link is production's file
            raise SwapRefused(str(why).replace(str(new.base), str(self.path))) from None
        finally:
            if new.path.exists():  # it has not got its name
                remove(new.path)

    def _filled(self, new: Generation, why_copied: str, since: Moment | None) -> Built:
        if not why_copied:
            try:
                moment = self._linked(new)
            except OSError as why:
                if why.errno not in NO_LINK:
                    raise
                why_copied = f"{self.path} cannot be linked: {why.strerror}"
        if why_copied:
            moment = copy_production(self.path, self._blob_dir, new, self.progress)
        has_blobs = not why_copied and since is not None
        taken = self._take_blobs(new, moment, since) if has_blobs else 0
        new.write_meta(
            Meta(
                mode="copy" if why_copied else "link",
                source=self.settings.source or str(self.path),
                base_tid=moment.tid.hex(),
                base_end=moment.end,
                base_inode=moment.inode,
                has_blobs=has_blobs,
            )
        )
        self._make_changes(new)
        generation = self.generations.complete(new)
        return Built(generation=generation, moment=moment, blobs_taken=taken, why_copied=why_copied)

    def _make_changes(self, new: Generation) -> None:
        """Make what staging will write to, empty, so that the disk has it."""
        new.changes.touch()
        if self.settings.blob_dir is not None:
            make_blob_directory(new.changes_blobs)

    @property
    def path(self) -> Path:
        """Production's data file."""
        if self.production is not None:
            return Path(self.production._file_name)
        return self.settings.source_path

    @property
    def _blob_dir(self) -> Path | None:
        if self.production is not None:
            found = self.production.blob_dir
        else:
            found = self.settings.source_blob_dir
        has_none = found is None or self.settings.blob_dir is None
        return None if has_none else Path(found)

    def why_copied(self, mode: str) -> str:
        """Return why production is copied, empty if it is linked."""
        if mode == "copy":
            return "copying was asked for"
        here = self.generations.path.stat().st_dev
        if self.path.stat().st_dev != here:
            return f"{self.path} is on another volume"
        if self._blob_dir is not None and self._blob_dir.stat().st_dev != here:
            return f"{self._blob_dir} is on another volume"
        return ""

    def _linked(self, new: Generation) -> Moment:
        self.progress("freeze", 0, 0)
        if self.production is not None:
            return freeze_storage(self.production, new)
        return freeze_file(self.path, new)

    def _last_transaction(self) -> bytes:
        if self.production is not None:
            last: bytes = self.production.lastTransaction()
            return last
        return last_transaction(self.path)

    def _take_blobs(self, new: Generation, moment: Moment, since: Moment | None) -> int:
        assert since is not None and self._blob_dir is not None  # the caller has looked
        taken = take_blobs(self._blob_dir, self.generations, new, moment, since)
        if self.path.stat().st_ino != moment.inode:  # only then are blobs removed
            raise PackedMeanwhile(f"{self.path}: it was packed while its blobs were linked")
        return taken
