"""How a storage is packed, ready to run: its server, its Zope or a process of ours."""

from __future__ import annotations

from pathlib import PurePath

from zmount.effects.administrator_file import known_password
from zmount.effects.child_process import acts_for
from zmount.effects.clock import now
from zmount.effects.local_files import is_executable
from zmount.effects.packing import Child, Packing, ThroughZeo, ThroughZope, own_python
from zmount.effects.stage_files import is_swapped, stage_blobs
from zmount.errors import PackFailed
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.pack_plan import PackJob
from zmount.render.pack_conf import pack_conf
from zmount.topology.processes import Process
from zmount.topology.storages import Storage

_DAY_S = 86_400


def way_of(job: PackJob, local: LocalProcesses) -> Packing:
    """Return what packs the storage of JOB.

    :raises PackFailed: its virtual environment, or a password, is not there
    """
    storage, time = job.storage, now() - job.days * _DAY_S
    if job.way == "ZEO" and storage.server is not None:
        return ThroughZeo(
            storage=storage,
            addresses=(storage.server.address_from(local.host),),
            tls=local.client_tls(storage.server),
            time=time,
        )
    if job.way == "Zope":
        return _through_zope(job, local)
    process = local.openers.get(storage.name)
    return Child(
        python=_python(storage, process),
        process=process,
        request={
            "action": "pack",
            "conf": pack_conf(storage, gc=job.gc, name=storage.zeo_name),
            "data_fs": str(job.data_fs),
            "time": time,
        },
    )


def preview_of(job: PackJob, local: LocalProcesses) -> Child:
    """Return what computes what a pack of JOB would free.

    It runs in zmount's own Python; where root would pack for another user, in
    that user's, for what a user's directories hold is not to be trusted.

    :raises PackFailed: the user's virtual environment is not there
    """
    process = local.openers.get(job.storage.name)
    as_other = process if process is not None and acts_for(process.user) else None
    blob_dir: PurePath | None = job.storage.blob_dir
    if is_swapped(job.storage):
        blob_dir = stage_blobs(job.storage)[-1]
    return Child(
        python=_python(job.storage, as_other) if as_other is not None else own_python(),
        process=as_other,
        request={
            "action": "preview",
            "data_fs": str(job.data_fs),
            "blob_dir": None if blob_dir is None else str(blob_dir),
            "time": now() - job.days * _DAY_S,
            "gc": job.gc,
            "is_closed": job.way == "file",
        },
    )


def _through_zope(job: PackJob, local: LocalProcesses) -> ThroughZope:
    process = local.openers[job.storage.name]
    administrator = local.topology.administrator
    password = known_password(administrator, local.host) if administrator is not None else None
    if administrator is None or password is None:
        raise PackFailed(f"zmount knows no administrator of {process.name}")
    return ThroughZope(
        address=local.address_of(process),
        user=administrator.name,
        password=password,
        database=_database(job.storage, process, local),
        days=job.days,
    )


def _database(storage: Storage, process: Process, local: LocalProcesses) -> str:
    """Return what the Zope PROCESS calls the database in STORAGE."""
    return next(
        mount.name
        for replica in local.topology.replicas
        if replica.name == process.name
        for mount in replica.instance.mounts
        if mount.storage.name == storage.name
    )


def _python(storage: Storage, process: Process | None) -> str:
    """Return the Python of who opens STORAGE, PROCESS; of its host where nobody does."""
    venv = process.venv if process is not None else storage.host.venv
    python = venv / "bin" / "python"
    if not is_executable(python):
        raise PackFailed(
            f"{python} is not there, which would open the storage",
            hint=f"python3 -m venv {venv}, and pip install what the deployment needs",
        )
    return str(python)
