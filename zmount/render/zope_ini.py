"""zope.ini of a Zope process: waitress, the WSGI pipeline and logging."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zmount.errors import RenderError
from zmount.render.log_handlers import Handler, access_handler, event_handler, python_level
from zmount.render.text import Text
from zmount.topology.addresses import Address
from zmount.topology.instances import Replica
from zmount.topology.logs import ACCESS_FORMAT, DATE_FORMAT, EVENT_FORMAT
from zmount.topology.options import Options, Secret, Value

# keys of waitress that say where it listens
_LISTENS = ("listen", "host", "port", "unix_socket", "sockets")


@dataclass(slots=True, kw_only=True)
class _Section:
    """A section of the ini file; its values are already as the ini file has them."""

    name: str
    keys: dict[str, Value]


def zope_ini(replica: Replica) -> str:
    """Return the text of REPLICA's zope.ini."""
    return str(zope_ini_text(replica))


def zope_ini_text(replica: Replica) -> Text:
    """The same, knowing whether a secret stands in it.

    :raises RenderError: paste.deploy cannot open a file of that path
    """
    if any(mark in str(replica.directory) for mark in "%#"):
        raise RenderError(
            f"{replica.name}: paste.deploy cannot read {replica.zope_ini}, which has a % or #",
            hint="choose another directory for the instance",
        )
    text = Text()
    text.add(f"# Zope {replica.name} on {replica.host.name}")
    said = dict(replica.instance.wsgi.sections)
    for section in _sections(replica, said):
        text.add("", f"[{section.name}]")
        for key, value in section.keys.items():
            _key(text, key, value)
    return text


def _key(text: Text, key: str, value: Value) -> None:
    # \n in a log format is a new line: in an ini file, one that is indented
    is_format = key == "format" and isinstance(value, str)
    lines = text.reveal(value).split("\\n") if is_format else [text.reveal(value)]
    if key == "pipeline":
        lines = ["", *lines[0].split()]
    text.add(f"{key} = {lines[0]}".rstrip())
    text.add(*(f"    {line}" for line in lines[1:]))


def _sections(replica: Replica, said: dict[str, Options]) -> Iterator[_Section]:
    """Yield the generated sections with what is SAID in them, then the others."""
    generated = list(_generated(replica))
    for section in _logging(replica, said):
        generated.append(section)
    for section in generated:
        for key, values in said.get(section.name, Options()).items_:
            section.keys[key] = values[-1]
        yield section
    names = {section.name for section in generated}
    for name, options in said.items():
        if name not in names:
            yield _Section(name=name, keys={key: values[-1] for key, values in options.items_})


def _generated(replica: Replica) -> Iterator[_Section]:
    wsgi = replica.instance.wsgi
    yield _Section(
        name="app:zope", keys={"use": "egg:Zope#main", "zope_conf": "%(here)s/zope.conf"}
    )
    server: dict[str, Value] = {"use": "egg:waitress#main"}
    if not any(key in wsgi.waitress for key in _LISTENS):
        server.update(_listen(replica.http_address))
    server["threads"] = str(wsgi.threads)
    if "trusted-proxy" in replica.instance.zope and "trusted_proxy" not in wsgi.waitress:
        # Zope judges itself whom it believes; waitress would hide the header from it
        server["clear_untrusted_proxy_headers"] = "False"
    server.update((key, _escaped(values[-1])) for key, values in wsgi.waitress.items_)
    yield _Section(name="server:main", keys=server)
    has_access_log = access_handler(replica) is not None
    pipeline = wsgi.pipeline or (
        *(("translogger",) if has_access_log else ()),
        "egg:Zope#httpexceptions",
        *wsgi.filters,
        "zope",
    )
    if "translogger" in pipeline:
        yield _Section(
            name="filter:translogger",
            keys={"use": "egg:Paste#translogger", "setup_console_handler": "False"},
        )
    yield _Section(name="pipeline:main", keys={"pipeline": " ".join(pipeline)})


def _listen(address: Address) -> dict[str, Value]:
    if address.socket is not None:
        return {"unix_socket": _escaped(str(address.socket))}
    host = f"[{address.host}]" if ":" in address.host else address.host or "*"
    return {"listen": f"{host}:{address.port}"}


def _logging(replica: Replica, said: dict[str, Options]) -> Iterator[_Section]:
    event, access = event_handler(replica), access_handler(replica)
    handlers = {"eventlog": event}
    loggers = ["root"]
    if access is not None:
        handlers["accesslog"] = access
        loggers.append("wsgi")
    yield _keys("loggers", loggers, said, "logger_")
    yield _keys("handlers", list(handlers), said, "handler_")
    yield _keys("formatters", list(handlers), said, "formatter_")
    log, access_log = replica.log, replica.access_log
    yield _Section(
        name="logger_root", keys={"level": python_level(log.level), "handlers": "eventlog"}
    )
    if access is not None:
        yield _Section(
            name="logger_wsgi",
            keys={
                "level": python_level(access_log.level),
                "handlers": "accesslog",
                "qualname": "wsgi",
                "propagate": "0",
            },
        )
    for name, handler in handlers.items():
        yield _handler(name, handler)
    yield _formatter("eventlog", log.options, EVENT_FORMAT)
    if access is not None:
        yield _formatter("accesslog", access_log.options, ACCESS_FORMAT)


def _keys(name: str, own: list[str], said: dict[str, Options], prefix: str) -> _Section:
    """Return the list of what [PREFIX...] sections there are, those SAID among them."""
    more = [section.removeprefix(prefix) for section in said if section.startswith(prefix)]
    return _Section(name=name, keys={"keys": ", ".join(dict.fromkeys(own + more))})


def _handler(name: str, handler: Handler) -> _Section:
    keys: dict[str, Value] = {"class": handler.class_, "args": _escaped(handler.args)}
    if handler.kwargs:
        keys["kwargs"] = _escaped(handler.kwargs)
    return _Section(name=f"handler_{name}", keys={**keys, "level": "NOTSET", "formatter": name})


def _formatter(name: str, options: Options, format_: str) -> _Section:
    # logging reads these two without interpolation: no % is doubled
    return _Section(
        name=f"formatter_{name}",
        keys={
            "format": options.text("format", format_),
            "datefmt": options.text("date-format", DATE_FORMAT),
        },
    )


def _escaped(value: Value) -> Value:
    """Return VALUE so that the ini file's interpolation gives it back."""
    if isinstance(value, Secret):
        return Secret(value.reveal().replace("%", "%%"))
    return value.replace("%", "%%")
