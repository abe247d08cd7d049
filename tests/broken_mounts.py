"""Breaking mounts as people do it: through Zope's management pages, over HTTP.

:data:`CONF` has a site for each way of breaking; ``running`` runs processes of a
deployment in the foreground. Each ``break`` function returns nothing: what came of
it is asked of Zope (:func:`mount_status`) and of ``zmount mounts``.
"""

from __future__ import annotations

import html
import re
import signal
import subprocess
import urllib.error
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployments import Deployment, wait_until

from zmount.effects.answers import ask_http, ask_zeo
from zmount.effects.zope_http import ZopeClient
from zmount.topology.addresses import Address

USER, PASSWORD = "admin", "a secret"
CONF = """
administrator admin
administrator-password a secret
<zeo zeo>
  address var/zeo.sock
</zeo>
<site x.org/>
<site y.org/>
<site z.org/>
<instance dev>
  kind development
  http-address 127.0.0.1:{port}
</instance>
<instance pub>
  kind public
  http-address 127.0.0.1:{port2}
</instance>
"""
# What zmount forbids, and deployments from before it have: see rename() and cut_and_paste().
CROSS_REFERENCES = """
<database>
  allow-implicit-cross-references on
</database>
"""


class Administrator:
    """A Manager with a browser at the instance on PORT; he keeps Zope's clipboard."""

    def __init__(self, port: int, *, user: str = USER, password: str = PASSWORD) -> None:
        self.address = Address(host="127.0.0.1", port=port)
        self.zope = ZopeClient(self.address, user=user, password=password)
        self._opener = self.zope._opener

    def get(self, path: str) -> tuple[int, str]:
        """Return the HTTP status and the text at PATH."""
        return self._answer(path, None)

    def post(self, path: str, **fields: str) -> str:
        """Send a form and return the text; fails with what Zope says if it does not take it."""
        status, text = self._answer(path, urllib.parse.urlencode(fields).encode())
        assert status == 200, f"{path} {str(fields)[:200]}: {status}: {text[-1000:]}"
        return text

    def _answer(self, path: str, data: bytes | None) -> tuple[int, str]:
        try:
            with self._opener.open(self.zope.base + path, data, timeout=90) as answer:
                return answer.status, answer.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode("utf-8", "replace")


@contextmanager
def running(deployment: Deployment, *names: str) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Run processes of DEPLOYMENT until the block ends; yields them by name.

    :func:`start` and :func:`stop` change what runs meanwhile.
    """
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name in names:
            start(deployment, children, name)
        yield children
    finally:
        for name in reversed(list(children)):
            stop(children, name)


def start(deployment: Deployment, children: dict[str, subprocess.Popen[bytes]], name: str) -> None:
    """Run the process NAME and wait until it answers."""
    process = deployment.process(name)
    with (deployment.directory / f"{name}.out").open("ab") as log:
        child = subprocess.Popen(process.program, stdout=log, stderr=log)
    children[name] = child
    ask = ask_zeo if process.is_zeo else ask_http
    wait_until(
        lambda: ask(process.address).is_answering or child.poll() is not None,
        f"{name} answers",
        timeout_s=60,
    )
    assert child.poll() is None, Path(log.name).read_text()


def stop(children: dict[str, subprocess.Popen[bytes]], name: str) -> None:
    """End the process NAME as an administrator would."""
    child = children.pop(name)
    child.send_signal(signal.SIGINT)
    try:
        child.wait(20)
    finally:
        child.kill()


def mount_status(administrator: Administrator) -> dict[str, str]:
    """Return what Zope's own page says of each mount in zope.conf."""
    status, page = administrator.get("/manage_addProduct/ZODBMountPoint/addMountsForm")
    assert status == 200, page
    spans = [html.unescape(text) for text in re.findall(r"<span>(.*?)</span>", page, re.S)]
    return dict(zip(spans[::3], spans[2::3], strict=True))  # path, database, status


def delete(administrator: Administrator, path: str) -> None:
    """Delete the object at PATH, as with the button of its folder's Contents."""
    parent, name = _split(path)
    administrator.post(f"{parent}/manage_delObjects", **{"ids:list": name})


def add_folder(administrator: Administrator, path: str, *, title: str = "") -> None:
    """Add a plain folder at PATH."""
    parent, name = _split(path)
    administrator.post(f"{parent}/manage_addFolder", id=name, title=title)


def replace_by_folder(administrator: Administrator, path: str) -> None:
    """Delete what is at PATH and add a folder of the same name: a shadowed mount."""
    delete(administrator, path)
    add_folder(administrator, path, title="the new one")


def paste_over(administrator: Administrator, path: str, source: str) -> None:
    """Delete what is at PATH, and paste a copy of SOURCE, of the same id, in its place.

    What was mounted at SOURCE is then in the root's storage as well.
    """
    delete(administrator, path)
    parent, name = _split(path)
    source_parent, source_name = _split(source)
    assert name == source_name, "Zope pastes a copy under the id that it has"
    administrator.post(f"{source_parent}/manage_copyObjects", **{"ids:list": name})
    administrator.post(f"{parent}/manage_pasteObjects")


def rename(administrator: Administrator, path: str, new: str) -> None:
    """Give the object at PATH the id NEW; of a mount that leaves a cross-database reference.

    Zope must allow implicit cross-references (:data:`CROSS_REFERENCES`).
    """
    parent, name = _split(path)
    administrator.post(f"{parent}/manage_renameObjects", **{"ids:list": name, "new_ids:list": new})


def cut_and_paste(administrator: Administrator, path: str, target: str) -> None:
    """Move the object at PATH into the folder TARGET; see :func:`rename`."""
    parent, name = _split(path)
    administrator.post(f"{parent}/manage_cutObjects", **{"ids:list": name})
    administrator.post(f"{'' if target == '/' else target}/manage_pasteObjects")


def add_document(administrator: Administrator, path: str, size_bytes: int) -> None:
    """Add a document with a text of SIZE_BYTES (less than 1 MB, Zope's limit) at PATH."""
    parent, name = _split(path)
    text = "".join(chr(97 + n * n % 26) for n in range(size_bytes))
    administrator.post(
        f"{parent}/manage_addProduct/OFSP/manage_addDTMLDocument", id=name, title="", file=text
    )


def empty_storage(deployment: Deployment, name: str) -> None:
    """Take the file of the storage NAME away, while its ZEO server is down."""
    data_fs = deployment.topology.storage(name).data_fs
    assert data_fs is not None
    for path in Path(data_fs).parent.glob(f"{Path(data_fs).name}*"):
        path.unlink()


def _split(path: str) -> tuple[str, str]:
    parent, _, name = path.rpartition("/")
    return parent, name
