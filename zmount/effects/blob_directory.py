"""Whether a storage's blob directory is one."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

LAYOUTS = ("bushy", "lawn")  # ZODB.blob.LAYOUTS, what .layout may say


def blob_trouble(directory: PurePosixPath) -> str:
    """Return what is wrong with the blob directory DIRECTORY; "" if nothing is.

    Source: ``ZODB.blob.FilesystemHelper``: ``.layout`` holds the layout's name.

    :raises PermissionError: that is not for us to see
    """
    marker = Path(directory) / ".layout"
    try:
        if not Path(directory).is_dir():
            return "it is not there" if not Path(directory).exists() else "it is no directory"
        layout = marker.read_text().strip()
    except FileNotFoundError:
        return "it has no .layout: another file system may be missing there"
    except PermissionError:
        raise
    except (OSError, UnicodeDecodeError) as why:
        return f"{marker.name} cannot be read: {getattr(why, 'strerror', None) or why}"
    return "" if layout in LAYOUTS else f"its layout is {layout[:20]!r}, which ZODB does not know"
