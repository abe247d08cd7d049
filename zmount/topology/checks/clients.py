"""Rules about the ZEO clients in instances: <client> and <ssl>."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from zmount.topology.checks.claims import normal, shares_blobs
from zmount.topology.findings import Finding, error, warning
from zmount.topology.instances import Instance
from zmount.topology.mounts import CLIENTSTORAGE_ONLY, ZEOCLIENT_ONLY, Mount
from zmount.topology.options import Options
from zmount.topology.topology import Topology


def _clients(topology: Topology) -> Iterator[tuple[Instance, Mount]]:
    """Yield the mounts that are ZEO clients."""
    for instance in topology.instances:
        for mount in instance.mounts:
            if mount.storage.server is not None:
                yield instance, mount


def is_on(options: Options, key: str) -> bool:
    """True if KEY was said and switched on."""
    return options.text(key).lower() in ("on", "yes", "true", "1")


def keys_of_two_sections(topology: Topology) -> Iterator[Finding]:
    """Yield clients that need both of the sections that zope.conf has for one."""
    for instance, mount in _clients(topology):
        old = [key for key in mount.client if key in ZEOCLIENT_ONLY]
        new = [key for key in mount.client if key in CLIENTSTORAGE_ONLY]
        new += ["<ssl>"] if mount.tls is not None else []
        if old and new:
            yield error(
                "client-keys-mixed",
                mount.place.of(old[0]),
                f"instance {instance.name}: <client> has {' '.join(old)} and {' '.join(new)}",
                why="zeoclient knows only the former, clientstorage only the latter",
                hint="cache-path instead of client and var; ZEO 6 ignores the other old keys",
            )


def caches_named_after_paths(topology: Topology) -> Iterator[Finding]:
    """Yield persistent caches whose file name would have a directory in it."""
    for instance, mount in _clients(topology):
        if mount.client.text("client") and "/" in mount.storage.zeo_name:
            yield error(
                "client-with-slash",
                mount.place.of("client"),
                f"instance {instance.name}: client makes a file name of the storage's name, and "
                f"{mount.storage.zeo_name} has a /",
                why="the client does not start: FileNotFoundError",
                hint="cache-path var/%s.zec instead",
            )


def persistent_caches_of_staging(topology: Topology) -> Iterator[Finding]:
    """Yield persistent caches of storages that are replaced under their clients."""
    for instance, mount in _clients(topology):
        key = next((key for key in ("cache-path", "client") if key in mount.client), None)
        # a stage tells its clients what to forget, whatever they remember
        if key is not None and mount.storage.role == "staging" and mount.storage.stage is None:
            yield warning(
                "persistent-cache-on-staging",
                mount.place.of(key),
                f"instance {instance.name} keeps a cache of the staging storage "
                f"{mount.storage.name} over restarts",
                why="when staging is replaced by a copy of production, ZEO compares times only "
                "and goes on showing what was replaced",
                hint=f"{key} in the <client> of mounts that are not staging",
            )


def options_without_effect(topology: Topology) -> Iterator[Finding]:
    """Yield keys that ZEO takes and ignores."""
    for instance, mount in _clients(topology):
        if is_on(mount.client, "drop-cache-rather-verify"):
            yield warning(
                "drop-cache-ignored",
                mount.place.of("drop-cache-rather-verify"),
                f"instance {instance.name}: drop-cache-rather-verify",
                why="ZEO 6 ignores it, and a cache that should be dropped is not",
                hint="leave it out; do without cache-path and client where it matters",
            )


def contradictions(topology: Topology) -> Iterator[Finding]:
    """Yield keys that ZEO refuses together, or with this value."""
    for instance, mount in _clients(topology):
        if is_on(mount.client, "read-only") and is_on(mount.client, "read-only-fallback"):
            yield error(
                "read-only-twice",
                mount.place.of("read-only-fallback"),
                f"instance {instance.name}: <client> is read-only and has read-only-fallback",
                why="the one never writes, the other only when no server lets it",
                hint="leave one of them out",
            )
        check = mount.client.text("blob-cache-size-check")
        if check and int(check) >= 100 and "blob-cache-size" in mount.client:
            yield error(
                "blob-cache-size-check",
                mount.place.of("blob-cache-size-check"),
                f"instance {instance.name}: blob-cache-size-check {check}",
                why="ZEO does not start with 100 per cent or more",
                hint="blob-cache-size-check 10",
            )


def shared_blob_directories(topology: Topology) -> Iterator[Finding]:
    """Yield clients that share blobs with their server and look elsewhere for them."""
    for instance, mount in _clients(topology):
        said, theirs = mount.client.text("blob-dir"), mount.storage.blob_dir
        if not shares_blobs(mount) or not said or theirs is None:
            continue
        if instance.hosts[0].address != mount.storage.host.address:
            continue  # a file system that is mounted elsewhere there
        if normal(said) != normal(theirs):
            yield error(
                "shared-blob-dir-elsewhere",
                mount.place.of("blob-dir"),
                f"instance {instance.name}: it shares the blobs of {mount.storage.name} in {said}, "
                f"and the server has them in {theirs}",
                why="every blob would be missing",
                hint="leave blob-dir out",
            )


def shared_blobs_of_stages(topology: Topology) -> Iterator[Finding]:
    """Yield clients of stages that look for blobs in the server's directories themselves.

    What is said for all mounts of an instance, or of all, does not hold for a stage's.
    """
    for instance, mount in _clients(topology):
        storage = mount.storage
        if storage.stage is None:
            continue
        if shares_blobs(mount):
            yield error(
                "shared-blob-dir-of-stage",
                mount.place.of("shared-blob-dir"),
                f"instance {instance.name}: it shares the blob directory of {storage.name}, "
                "a stage",
                why="zmount swap-stage puts production's blobs in their place, in another "
                "directory: they would be missing",
                hint="leave shared-blob-dir out here, or stage-mode none",
            )
        elif _is_in_generations(instance, mount):
            yield error(
                "blob-cache-in-stage",
                mount.place.of("blob-dir"),
                f"instance {instance.name}: its blob cache of {storage.name} lies in that "
                f"stage's directory {storage.stage.generations}",
                why="the client would clean up its cache there: the server's blobs, and "
                "production's by hard link",
                hint="leave blob-dir out",
            )


def _is_in_generations(instance: Instance, mount: Mount) -> bool:
    said, storage = mount.client.text("blob-dir"), mount.storage
    if not said or storage.stage is None:
        return False
    if instance.hosts[0].address != storage.host.address:
        return False
    return PurePosixPath(normal(said)).is_relative_to(normal(storage.stage.generations))


def tls_on_one_side(topology: Topology) -> Iterator[Finding]:
    """Yield clients and servers of which only one speaks TLS."""
    for instance, mount in _clients(topology):
        server = mount.storage.server
        if server is None or "server" in mount.client or bool(server.tls) == bool(mount.tls):
            continue
        if mount.tls is not None:
            yield error(
                "tls-one-side",
                mount.tls.place,
                f"instance {instance.name} would speak TLS to zeo {server.name}, which does not",
                why="the client waits 30 s and does not start",
                hint=f"<ssl> in <zeo {server.name}>, or not in <client>",
            )
        else:
            yield error(
                "tls-one-side",
                instance.place,
                f"instance {instance.name} would not speak TLS to zeo {server.name}, which does",
                why="the client waits 30 s and does not start",
                hint="<ssl> in <client>, at the top of the file or in the instance",
            )


def tls_passphrases_of_an_instance(topology: Topology) -> Iterator[Finding]:
    """Yield instances whose mounts need passphrases that differ."""
    for instance in topology.instances:
        phrases = {
            mount.tls.passphrase: mount.tls
            for mount in instance.mounts
            if mount.tls is not None and mount.tls.passphrase is not None
        }
        if len(phrases) > 1:
            yield error(
                "tls-two-passphrases",
                list(phrases.values())[1].place,
                f"instance {instance.name}: its mounts have keys with different passphrases",
                why="a process has one passphrase file",
                hint="one key for the instance, or a password-function for the other",
            )


def tls_without_authority(topology: Topology) -> Iterator[Finding]:
    """Yield <ssl> sections that could accept nobody, or not start."""
    for server in topology.zeo_servers:
        if server.tls is not None and server.tls.authenticate in ("", "SIGNED", "DYNAMIC"):
            yield error(
                "tls-authenticate",
                server.tls.place.of("authenticate"),
                f"zeo {server.name}: <ssl> names no certificates of clients",
                why="ZEO 6 requires authenticate; SIGNED it takes for a file of that name, and "
                "with DYNAMIC it accepts nobody",
                hint="authenticate FILE, of the clients' certificates or who signed them",
            )
    for instance, mount in _clients(topology):
        if mount.tls is not None and mount.tls.authenticate in ("SIGNED", "DYNAMIC"):
            yield error(
                "tls-authenticate",
                mount.tls.place.of("authenticate"),
                f"instance {instance.name}: <client> cannot authenticate {mount.tls.authenticate}",
                why="a client needs the server's certificate, or that of who signed it",
                hint="authenticate FILE",
            )


RULES = (
    keys_of_two_sections,
    caches_named_after_paths,
    persistent_caches_of_staging,
    options_without_effect,
    contradictions,
    shared_blob_directories,
    shared_blobs_of_stages,
    tls_on_one_side,
    tls_passphrases_of_an_instance,
    tls_without_authority,
)
