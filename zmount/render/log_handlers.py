"""Which of Python's logging handlers writes a log of Zope."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from ZConfig.datatypes import stock_datatypes

from zmount.render.zeo_conf import OLD_FILES
from zmount.topology.instances import Replica
from zmount.topology.logs import Log
from zmount.topology.options import Value

# ZConfig's names of levels that Python's logging does not know
_LEVELS = {"all": "NOTSET", "trace": "NOTSET", "blather": "DEBUG"}
_ENCODING = {"encoding": "utf-8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """A [handler_...] section: the class, and its arguments as Python source."""

    class_: str
    args: Value  # a mail handler has its password in there
    kwargs: Value = ""

    @property
    def reopens(self) -> bool:
        """True if it notices that its file was renamed."""
        return self.class_.endswith("WatchedFileHandler")

    @property
    def rotates(self) -> bool:
        """True if it renames its file itself, or has none."""
        return "Rotating" in self.class_ or not self.class_.endswith("FileHandler")


def event_handler(replica: Replica) -> Handler:
    """Return what writes REPLICA's event log; without a file, stderr gets it."""
    return _handler(replica.log) or Handler(class_="StreamHandler", args="(sys.stderr,)")


def access_handler(replica: Replica) -> Handler | None:
    """Return what writes REPLICA's log of requests, or None if nothing does."""
    return _handler(replica.access_log)


def python_level(level: str) -> str:
    """Return LEVEL as Python's logging calls it."""
    return _LEVELS.get(level, level.upper())


def _handler(log: Log) -> Handler | None:
    options = log.options
    if "handler" in options:
        return Handler(
            class_=options.text("handler"),
            args=options.get("handler-args", (_args(log.path),))[-1],
            kwargs=options.get("handler-kwargs", ("",))[-1],
        )
    if log.path is None:
        return None
    kwargs: dict[str, str | int] = {}
    class_ = "handlers.WatchedFileHandler"
    if "max-size" in options:
        class_ = "handlers.RotatingFileHandler"
        kwargs["maxBytes"] = stock_datatypes["byte-size"](options.text("max-size"))
    elif "when" in options:
        class_ = "handlers.TimedRotatingFileHandler"
        kwargs["when"] = options.text("when")
        kwargs["interval"] = int(options.text("interval", "1"))
    if kwargs:
        kwargs["backupCount"] = int(options.text("old-files", OLD_FILES))
    return Handler(class_=class_, args=_args(log.path), kwargs=repr({**kwargs, **_ENCODING}))


def _args(path: PurePosixPath | None) -> str:
    return repr((str(path),)) if path is not None else "()"
