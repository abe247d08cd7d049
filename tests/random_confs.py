"""Random zeo.conf and zope.conf files: every key of the real schemas, in any mixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

Keys = dict[str, SearchStrategy[str]]

booleans = st.sampled_from(["on", "off", "true", "false", "yes", "No"])
integers = st.integers(0, 100_000).map(str)
sizes = st.sampled_from(["20MB", "512KB", "1GB", "7", "0", "128 MB"])
intervals = st.sampled_from(["30s", "5m", "2h", "1d", "90"])
names = st.text("abcdefgxyz0123456789._-", min_size=1, max_size=8)
# what a person may write after a key: "$" doubled, "#" and "<" as they are
texts = (
    st.text("abcXYZ019 .,:;/#<>&='\"!%-_äß$", min_size=1, max_size=20)
    .map(str.strip)
    .filter(bool)
    .filter(lambda text: text.lower() not in ("none", "unset") and "%s" not in text)
    .map(lambda text: text.replace("$", "$$"))
)
directories = st.sampled_from(["/srv/d", "/srv/d/var", "/data", "/srv/Other/none", "/srv/d/i1"])
paths = st.builds(lambda directory, name: f"{directory}/{name}", directories, names).filter(
    lambda path: not path.endswith(("/.", "/.."))
)

FILESTORAGE: Keys = {
    "create": booleans,
    "read-only": booleans,
    "quota": sizes,
    "packer": st.just("ZODB.FileStorage.FileStorage:FileStorage.pack"),
    "pack-gc": booleans,
    "pack-keep-old": booleans,
    "blob-dir": paths,
}
ZEO: Keys = {
    "read-only": booleans,
    "invalidation-queue-size": integers,
    "invalidation-age": st.sampled_from(["1", "2.5", "3600"]),
    "transaction-timeout": integers,
    "pid-filename": paths,
    "client-conflict-resolution": booleans,
    "msgpack": booleans,
}
DATABASE: Keys = {
    "cache-size": integers,
    "cache-size-bytes": sizes,
    "large-record-size": sizes,
    "pool-size": integers,
    "pool-timeout": intervals,
    "historical-pool-size": integers,
    "historical-cache-size": integers,
    "historical-cache-size-bytes": sizes,
    "historical-timeout": intervals,
    "allow-implicit-cross-references": booleans,
    "class-factory": st.just("ZODB.utils.u64"),
    "connection-class": st.just("ZODB.Connection.Connection"),
    "container-class": st.sampled_from(["OFS.Folder.Folder", "my.Container"]),
    "database-name": names,
}
CLIENT: Keys = {
    "cache-size": sizes,
    "blob-dir": paths,
    "shared-blob-dir": booleans,
    "blob-cache-size": sizes,
    "blob-cache-size-check": integers,
    "read-only": booleans,
    "read-only-fallback": booleans,
    "name": texts,
    "client-label": st.sampled_from(["i0", "i1", "another label"]),
}
ZEOCLIENT: Keys = {
    **CLIENT,
    "client": names,
    "var": paths,
    "min-disconnect-poll": integers,
    "max-disconnect-poll": integers,
    "wait": booleans,
    "drop-cache-rather-verify": booleans,
    "username": names,
    "password": names,
}
CLIENTSTORAGE: Keys = {
    **CLIENT,
    "cache-path": paths,
    "server-sync": booleans,
    "wait-timeout": integers,
}
SSL: Keys = {"key": paths, "password-function": st.just("some.function")}
CLIENT_SSL: Keys = {
    **SSL,
    "authenticate": paths,
    "check-hostname": booleans,
    "server-hostname": names,
}
ZOPE: Keys = {
    "clienthome": paths,
    "debug-mode": booleans,
    "debug-exceptions": booleans,
    "locale": st.sampled_from(["C", "de_DE"]),
    "datetime-format": st.sampled_from(["us", "international"]),
    "python-check-interval": integers,
    "http-realm": texts,
    "automatically-quote-dtml-request-data": booleans,
    "zmi-bookmarkable-urls": booleans,
    "pid-filename": paths,
    "trusted-proxy": st.sampled_from(["127.0.0.1", "proxy.example.org", "::1"]),
    "max-conflict-retries": integers,
    "security-policy-implementation": st.sampled_from(["C", "python"]),
    "skip-authentication-checking": booleans,
    "skip-ownership-checking": booleans,
    "verbose-security": booleans,
    "default-zpublisher-encoding": st.sampled_from(["utf-8", "latin-1"]),
    "webdav-source-port": integers,
    "enable-ms-public-header": booleans,
    "enable-xmlrpc": booleans,
}
DOS: Keys = {
    "form-memory-limit": sizes,
    "form-disk-limit": sizes,
    "form-memfile-limit": sizes,
    "form-part-limit": integers,
}
ADDRESSES = (
    ("8100", "8100", "127.0.0.1:8100", "localhost:8100"),
    ("localhost:8200", "localhost:8200", "127.0.0.1:8200"),
    ("10.0.0.1:8300", "10.0.0.1:8300"),
    ("/srv/d/zeo.sock", "/srv/d/zeo.sock"),
    ("[::1]:8400", "[::1]:8400", "localhost:8400"),
)
STORAGES = ("1", "main", "pub/a", "stage/a", "pub/b", "stage/b", "pub/session", "catalog")


@dataclass(frozen=True)
class Confs:
    """The texts of a deployment's files, under the names to write them to."""

    zeo: dict[str, str]
    zope: dict[str, str]

    @property
    def texts(self) -> list[str]:
        return [*self.zeo.values(), *self.zope.values()]


@st.composite
def deployments(draw: DrawFn) -> Confs:
    """Draw the files of up to three ZEO servers and one to three instances."""
    addresses = draw(st.lists(st.sampled_from(ADDRESSES), max_size=3, unique=True))
    served: list[tuple[str, str]] = []  # a client's server, and a storage there
    zeo = {}
    for number, (address, *clients) in enumerate(addresses):
        storages = draw(st.lists(st.sampled_from(STORAGES), min_size=1, max_size=6, unique=True))
        zeo[f"z{number}/etc/zeo.conf"] = draw(zeo_confs(address, storages))
        served += [(client, storage) for client in clients for storage in storages]
    served += [("nobody.example.org:9999", "1")]
    number_of_zopes = draw(st.integers(0 if zeo else 1, 3))
    zope = {
        f"i{number}/etc/zope.conf": draw(zope_confs(f"i{number}", served))
        for number in range(number_of_zopes)
    }
    return Confs(zeo, zope)


@st.composite
def deployments_of_sites(draw: DrawFn) -> Confs:
    """Draw a deployment like the design document's, with this and that changed by hand."""
    container = draw(st.sampled_from(["/home", "/home", "/sites"]))
    sites = draw(st.lists(st.sampled_from(["a.org", "b", "c_d"]), min_size=1, unique=True))
    staged = [site for site in sites if draw(st.integers(0, 3))]
    storages = [f"pub/{site}" for site in sites] + [f"stage/{site}" for site in staged]
    storages += ["pub/session"] if draw(st.booleans()) else []
    zeo = draw(zeo_confs("127.0.0.1:8100", storages))
    common = draw(keys(DATABASE)), draw(keys(CLIENT))
    zope = {}
    for number in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["development", "public", "public", "nothing"]))
        lines = [f"instancehome /srv/d/i{number}"]
        lines += draw(database("main", ["/"], [("127.0.0.1:8100", storages[0])], "/data/x"))
        for storage, point in _usual_mounts(kind, container, storages):
            lines += draw(changed_mount(storage, point, common, f"/srv/d/i{number}"))
        zope[f"i{number}/etc/zope.conf"] = (
            "\n".join(["%import ZEO", "%import zc.zlibstorage", *lines]) + "\n"
        )
    return Confs({"zeo/etc/zeo.conf": zeo}, zope)


def _usual_mounts(kind: str, container: str, storages: Sequence[str]) -> list[tuple[str, str]]:
    """Return what an instance of KIND mounts, and where."""
    mounts = []
    for storage in storages if kind != "nothing" else ():
        area, _, site = storage.partition("/")
        if site == "session":
            mounts += [(storage, "/session")] if kind == "public" else []
        elif kind == "development" and area == "pub":
            mounts.append((storage, f"/pub/{site}:{container}/{site}"))
        elif (kind == "development") == (area == "stage"):
            mounts.append((storage, f"{container}/{site}"))
    return mounts


@st.composite
def changed_mount(
    draw: DrawFn, storage: str, point: str, common: tuple[list[str], list[str]], home: str
) -> list[str]:
    """Draw the <zodb_db> of STORAGE at POINT; most are as they are usual."""
    change = draw(st.sampled_from([""] * 8 + ["gone", "name", "point", "keys", "server"]))
    if change == "gone":
        return []
    name = storage.replace("/", "-") if change == "name" else storage
    if change == "point":
        point = f"/else/{storage}:{point.rpartition(':')[2]}"
    database, client = (draw(keys(DATABASE)), draw(keys(CLIENT))) if change == "keys" else common
    server = "localhost:8100" if change == "server" else "8100"
    lines = [f"server {server}", f"storage {storage}", *client]
    if not any(line.startswith("blob-dir") for line in client):
        lines.append(f"blob-dir {home}/var/blobcache/{storage}")
    lines = [f"mount-point {point}", *database, *section("zeoclient", lines)]
    return section(f"zodb_db {name}", lines)


@st.composite
def zeo_confs(draw: DrawFn, address: str, storages: Sequence[str]) -> str:
    """Draw the zeo.conf of a server that listens on ADDRESS."""
    ssl = SSL | {"certificate": paths, "authenticate": st.sampled_from(["DYNAMIC", "/ca.pem"])}
    zeo = [f"address {address}", *draw(keys(ZEO))]
    if draw(st.integers(0, 3)) == 0:
        zeo += section("ssl", draw(keys(ssl, required=("certificate", "authenticate"))))
    lines = ["%import zc.zlibstorage", *section("zeo", zeo)]
    for storage in storages:
        lines += draw(own_storages(storage, f"/srv/d/var/{storage}"))
    return "\n".join(lines) + "\n"


@st.composite
def zope_confs(draw: DrawFn, name: str, served: Sequence[tuple[str, str]]) -> str:
    """Draw the zope.conf of instance NAME, which may mount what is SERVED."""
    lines = [
        "%import ZEO",
        "%import zc.zlibstorage",
        f"instancehome /srv/d/{name}",
        *draw(keys(ZOPE)),
    ]
    if draw(st.booleans()):
        lines += section("environment", [f"{key} {draw(texts)}" for key in ("A", "b_C", "LANG")])
    if draw(st.booleans()):
        lines += section("dos_protection", draw(keys(DOS, required=("form-part-limit",))))
    for product in draw(st.lists(st.sampled_from(["a.b", "zope.x"]), unique=True)):
        lines += section(f"product-config {product}", [f"key {draw(texts)}", f"x.y {draw(texts)}"])
    lines += draw(database("main", ["/"], served, f"/srv/d/{name}/var"))
    for mount in draw(st.lists(st.sampled_from(range(4)), unique=True)):
        server = draw(st.sampled_from(served))
        if draw(st.booleans()):
            site = server[1].rpartition("/")[2]
            points = draw(st.sampled_from([f"/home/{site}", f"/pub/{site}:/home/{site}"]))
            if server[1] == "pub/session":
                points = "/session"
            if any(f" {points}" in line for line in lines) or f"<zodb_db {server[1]}>" in lines:
                continue
            lines += draw(database(server[1], [points], [server], ""))
            continue
        points = [f"/m{mount}", f"/n{mount}:/real/n{mount}", f"/o{mount}:~Other/o{mount}"]
        chosen = draw(st.lists(st.sampled_from(points), min_size=1, unique=True))
        lines += draw(database(f"db{mount}", chosen, served, f"/data/{name}"))
    return "\n".join(lines) + "\n"


@st.composite
def database(
    draw: DrawFn, name: str, points: Sequence[str], served: Sequence[tuple[str, str]], own: str
) -> list[str]:
    """Draw a <zodb_db> on one of SERVED, or on a storage of its own in directory OWN."""
    lines = [f"mount-point {point}" for point in points] + draw(keys(DATABASE))
    if own and draw(st.integers(0, 2)) == 0:
        lines += draw(own_storages("", own))
        return section(f"zodb_db {name}", lines)
    server, storage = draw(st.sampled_from(served))
    type_ = draw(st.sampled_from(["zeoclient", "clientstorage"]))
    known = ZEOCLIENT if type_ == "zeoclient" else CLIENTSTORAGE
    client = [f"server {server}", f"storage {storage}", *draw(keys(known))]
    if draw(st.integers(0, 4)) == 0:
        client.insert(1, "server backup.example.org:8100")
    if type_ == "clientstorage" and draw(st.booleans()):
        ssl = CLIENT_SSL | {"certificate": paths}
        client += section("ssl", draw(keys(ssl, required=("certificate",))))
    usual = f"blob-dir /srv/d/i0/var/blobcache/{storage}"
    if draw(st.booleans()) and not any(line.startswith("blob-dir") for line in client):
        client.append(usual)
    return section(f"zodb_db {name}", lines + section(type_, client))


@st.composite
def own_storages(draw: DrawFn, name: str, directory: str) -> list[str]:
    """Draw a storage section called NAME, whose files are in DIRECTORY as often as not."""
    files = draw(keys(FILESTORAGE))
    if draw(st.booleans()):
        path = [f"path {directory}/Data.fs", f"blob-dir {directory}/blobs"]
        files = path + [line for line in files if not line.startswith("blob-dir")]
    else:
        files = [f"path {draw(paths)}", *files]
    plain = section(f"filestorage {name}".strip(), files)
    inner = section("filestorage", files)
    kind = draw(st.sampled_from(["file"] * 5 + ["mapping", "zlib", "demo", "blob", "temporary"]))
    if kind == "mapping":
        return section(f"mappingstorage {name}".strip(), draw(keys({"name": texts})))
    if kind == "zlib":
        return section(f"zlibstorage {name}".strip(), inner)
    if kind == "demo":
        demo = section("filestorage base", files) + section("mappingstorage changes", [])
        return section(f"demostorage {name}".strip(), demo)
    if kind == "blob":
        return section(f"blobstorage {name}".strip(), [f"blob-dir {draw(paths)}", *inner])
    if kind == "temporary" and not name:
        return section("temporarystorage", draw(keys({"name": texts})))
    return plain


@st.composite
def keys(draw: DrawFn, known: Keys, required: Sequence[str] = ()) -> list[str]:
    """Draw lines for some of the KNOWN keys, all that are REQUIRED among them."""
    chosen = draw(st.lists(st.sampled_from(sorted(known)), unique=True, max_size=6))
    return [f"{key} {draw(known[key])}" for key in dict.fromkeys((*required, *chosen))]


def section(head: str, lines: Sequence[str]) -> list[str]:
    """Return the lines of a section."""
    return [f"<{head}>", *(f"  {line}" for line in lines), f"</{head.split()[0]}>"]
