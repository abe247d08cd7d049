"""Every state of a mount, made over HTTP as people make it, looked at, and put right again.

:class:`EveryState` does it once; tests read what was seen on the way.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from broken_mounts import (
    CROSS_REFERENCES,
    Administrator,
    add_document,
    add_folder,
    cut_and_paste,
    delete,
    empty_storage,
    mount_status,
    paste_over,
    rename,
    replace_by_folder,
    running,
    start,
    stop,
)
from deployments import Deployment, free_port

from zmount.operations.prepare import prepare

# two.org's storage is shown at /one, /two, and as a whole at /whole
CONF = """
administrator admin
administrator-password a secret
<zeo zeo>
  address var/zeo.sock
</zeo>
<zeo zeo2>
  address var/zeo2.sock
</zeo>
<zeo zeo3>
  address var/zeo3.sock
</zeo>
<site fine.org>
  server zeo
</site>
<site deleted.org>
  server zeo
</site>
<site folder.org>
  server zeo
</site>
<site pasted.org>
  server zeo
</site>
<site renamed.org>
  server zeo
</site>
<site cut.org>
  server zeo
</site>
<site emptied.org>
  server zeo2
  staging none
</site>
<site down.org>
  server zeo3
  staging none
</site>
<storage two>
  server zeo
</storage>
<storage gone>
  server zeo
</storage>
<instance dev>
  kind development
  http-address 127.0.0.1:{port}
  <mount two>
    mount-point /one/x:/home/x
    mount-point /two/x:/home/x
    mount-point /whole/home:/home
    mount-point /three/y:/home/y
  </mount>
"""
GONE = """  <mount gone>
    mount-point /home/gone
  </mount>
"""
REST = """</instance>
# where the id of a site that was renamed is put right
<instance adm>
  kind admin
  root stage/renamed.org
  http-address 127.0.0.1:{port3}
</instance>
<instance pub>
  kind public
  http-address 127.0.0.1:{port2}
</instance>
"""


MARK = "mark"  # a document, of another length in each storage
PAGES = ("/home/fine.org", "/home/deleted.org", "/home/gone", "/home/renamed.org")
Children = dict[str, "subprocess.Popen[bytes]"]


@dataclass(kw_only=True)
class Seen:
    """What was seen of mounts: ``facts`` are those of ``zmount mounts --json``.

    By instance and path, ``zope`` is what Zope's own page says, and ``marks`` what a
    visitor gets there; ``pages`` is the HTTP status of some paths in dev.
    """

    status: int = 0
    text: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    deep: dict[str, Any] = field(default_factory=dict)
    zope: dict[str, dict[str, str]] = field(default_factory=dict)
    marks: dict[str, dict[str, tuple[int, str]]] = field(default_factory=dict)
    pages: dict[str, int] = field(default_factory=dict)

    def mount(self, instance: str, path: str, *, is_deep: bool = False) -> dict[str, Any]:
        """Return what ``zmount mounts --json`` says of PATH."""
        facts = self.deep if is_deep else self.facts
        mounts = {each["name"]: each["mounts"] for each in facts["instances"]}[instance]
        found: dict[str, Any] = {mount["path"]: mount for mount in mounts}[path]
        return found

    def problems(self, instance: str, path: str) -> list[dict[str, Any]]:
        """Return what is wrong at PATH."""
        found: list[dict[str, Any]] = self.mount(instance, path)["problems"]
        return found


class EveryState:
    """A deployment whose mounts were right ``before``, then ``broken``, then ``repaired``.

    ``said`` is what the commands of the repair told; ``sizes`` are those of the roots'
    files before and after the last of them, which repeats the repair. The root of dev
    has ``grown_bytes`` by a copy that was pasted into it.
    """

    def __init__(self, directory: Path) -> None:
        self._rest = REST.replace("{port3}", str(free_port()))
        self.deployment = Deployment(directory, self._conf(GONE))
        self.dev = Administrator(self.deployment.port)
        self.pub = Administrator(self.deployment.port2)
        self.before, self.broken, self.repaired = Seen(), Seen(), Seen()
        self.grown_bytes = 0
        self.said: list[subprocess.CompletedProcess[str]] = []
        self.sizes: list[list[int]] = []

    def run(self) -> None:
        """Break everything, and put it right as ``zmount mounts`` advises."""
        deployment = self.deployment
        deployment.write_files()
        prepare(deployment.topology, deployment.host)
        with running(deployment, "zeo", "zeo2", "zeo3", "dev", "pub") as children:
            self._mark()
            self._visit(self.before)
            self._look(self.before)
            self._break()
            self._lose_storage_and_mount(children)
            self._visit(self.broken)
            stop(children, "zeo3")
            self._look_everywhere(self.broken)
            self.broken.text = self.deployment.zmount("mounts").stdout
            self._repair(children)
            self._visit(self.repaired)
            self._look_everywhere(self.repaired)
            self.sizes.append(self._sizes())
            self._say("remount", "--all")
            self.sizes.append(self._sizes())

    def root_size(self, instance: str) -> int:
        """Return the size of INSTANCE's root, bytes."""
        data_fs = self.deployment.topology.instance(instance).root.storage.data_fs
        assert data_fs is not None
        return Path(data_fs).stat().st_size

    def _sizes(self) -> list[int]:
        return [self.root_size("dev"), self.root_size("pub")]

    def _conf(self, gone: str, *, real: str = "/home/y") -> str:
        return CROSS_REFERENCES + CONF.replace("y:/home/y", f"y:{real}") + gone + self._rest

    def _mark(self) -> None:
        """Put a document into each storage."""
        of_pub = [path for path in mount_status(self.pub) if path.startswith("/home/")]
        of_dev = [path for path in mount_status(self.dev) if not path.startswith("/pub/")]
        for number, (user, path) in enumerate(
            [(self.pub, path) for path in of_pub]
            + [(self.dev, path) for path in of_dev if path not in ("/", "/two/x")]
        ):
            add_document(user, f"{path}/{MARK}", 100 + number)

    def _visit(self, seen: Seen) -> None:
        seen.zope = {"dev": mount_status(self.dev), "pub": mount_status(self.pub)}
        for name, port in (("dev", self.deployment.port), ("pub", self.deployment.port2)):
            visitor = Administrator(port, user="")
            paths = (path for path in seen.zope[name] if path != "/")
            seen.marks[name] = {path: visitor.get(f"{path}/{MARK}") for path in paths}
        seen.pages = {path: self.dev.get(path)[0] for path in PAGES}

    def _look(self, seen: Seen) -> None:
        looked = self.deployment.zmount("mounts", "--json")
        assert looked.stderr == ""
        seen.status, seen.facts = looked.returncode, json.loads(looked.stdout)

    def _look_everywhere(self, seen: Seen) -> None:
        self._look(seen)
        seen.deep = json.loads(self.deployment.zmount("mounts", "--deep", "--json").stdout)

    def _break(self) -> None:
        dev, pub = self.dev, self.pub
        delete(dev, "/home/deleted.org")
        replace_by_folder(dev, "/home/folder.org")
        for number in range(5):
            add_document(dev, f"/pub/pasted.org/d{number}", 300_000)
        size = self.root_size("dev")
        paste_over(dev, "/home/pasted.org", "/pub/pasted.org")
        self.grown_bytes = self.root_size("dev") - size
        rename(dev, "/home/renamed.org", "other.org")
        add_folder(dev, "/elsewhere")
        cut_and_paste(dev, "/home/cut.org", "/elsewhere")
        delete(dev, "/two")
        rename(dev, "/one", "two")
        add_folder(dev, "/whole/home/moved")
        cut_and_paste(dev, "/whole/home/y", "/whole/home/moved")
        replace_by_folder(pub, "/home/deleted.org")

    def _lose_storage_and_mount(self, children: Children) -> None:
        for name in ("dev", "pub", "zeo2"):
            stop(children, name)
        self._kept.mkdir()
        for path in self._emptied.iterdir():
            if path.is_file():
                shutil.copy2(path, self._kept)
        empty_storage(self.deployment, "pub/emptied.org")
        self.deployment.rewrite(self._conf(""))
        self.deployment.write_files()
        for name in ("zeo2", "dev", "pub"):
            start(self.deployment, children, name)

    @property
    def _emptied(self) -> Path:
        data_fs = self.deployment.topology.storage("pub/emptied.org").data_fs
        assert data_fs is not None
        return Path(data_fs).parent

    @property
    def _kept(self) -> Path:
        return self.deployment.directory / "backup"

    def _repair(self, children: Children) -> None:
        """Do what ``zmount mounts`` advises: a backup, zmount.conf, a start, remount, a rename."""
        for name in ("dev", "pub", "zeo2"):
            stop(children, name)
        empty_storage(self.deployment, "pub/emptied.org")
        for path in self._kept.iterdir():
            shutil.copy2(path, self._emptied)
        self.deployment.rewrite(self._conf(GONE, real="/home/moved/y"))
        self.deployment.write_files()
        for name in ("zeo2", "zeo3", "dev", "pub"):
            start(self.deployment, children, name)
        self._say("remount", "--all")
        self._say("remount", "dev", "/elsewhere/cut.org")
        start(self.deployment, children, "adm")
        admin = Administrator(self.deployment.topology.instance("adm").http_address.port)
        rename(admin, "/home/renamed.org", "for.a.moment")
        rename(admin, "/home/for.a.moment", "renamed.org")
        stop(children, "adm")

    def _say(self, *arguments: str) -> None:
        self.said.append(self.deployment.zmount(*arguments))
