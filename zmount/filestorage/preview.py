"""What a pack would free, computed as the pack itself does, without writing anything."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from zmount.filestorage.foreign import foreign_oids
from zmount.filestorage.output import Measure
from zmount.filestorage.pack_files import PackFiles
from zmount.filestorage.pack_report import PackReport
from zmount.filestorage.packing import Job, Packing, Progress
from zmount.filestorage.source import committed_end, open_source


def preview(
    path: Path,
    stop: int,
    *,
    gc: bool = True,
    blob_dir: Path | None = None,
    progress: Progress = lambda phase, done, total: None,
) -> dict[str, Any]:
    """Return what a pack of the data file PATH up to the tid STOP would report.

    The storage may be in use. ``blobs_removed`` counts what would go from BLOB_DIR.

    :raises StorageUnreadable: it cannot be read, or is damaged
    :raises PackRefused: garbage cannot be collected
    """
    files = PackFiles(path)
    report = PackReport(files=files, gc=gc, stop=stop)
    started = time.monotonic()
    with open_source(path) as source:
        end = committed_end(source)
        foreign = foreign_oids(files.path, progress, remember=False) if gc else ()
        job = Job(
            path=path,
            end=end,
            stop=stop,
            gc=gc,
            wants_blobs=blob_dir is not None,
            foreign=foreign,
        )
        packing = Packing(source, job, progress)
        packing.survey()
        report.size_before = report.size_after = end
        if packing.is_redundant:
            report.settle("nothing to free", "it was packed to this time before")
        elif not packing.report().objects_before:  # FileStorage does not even call its packer
            report.settle("nothing to free", "it has no objects")
        else:
            output = Measure()
            frees_nothing = packing.frees_nothing(output)
            if frees_nothing:
                report.settle("nothing to free", "all that is there is needed")
            else:
                packing.write_rest(output)
                report.settle("packed")
                report.blobs_removed = sum(1 for _ in packing.removed_blobs())
                report.size_after = packing.size
        report.figures = packing.report()
    report.duration_s = time.monotonic() - started
    return report.as_json()
