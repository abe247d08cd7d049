"""What status sees of real servers."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from deployments import ZEO_AND_ZOPE, ZEO_ONLY, ZOPE_ALONE, Deployment, kill_manager, wait_until

from zmount.operations.start import start
from zmount.operations.status import ProcessStatus, Status, observe_processes, status

TWO_STORAGES = ZEO_ONLY + "<storage other/>\n"


def started(deployment: Deployment, *names: str) -> None:
    changes = start(deployment.topology, deployment.host, names, lambda _: None)
    assert [change.error for change in changes if change.error] == []


def seen(deployment: Deployment, *names: str) -> Status:
    return status(deployment.topology, deployment.host, names)


def only(deployment: Deployment) -> ProcessStatus:
    (found,) = observe_processes(deployment.topology, deployment.host)
    return found


def test_a_running_deployment_is_well_and_everything_is_measured(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(ZEO_AND_ZOPE)
    started(deployment)

    found = seen(deployment)

    assert found.is_well
    assert [(one.process.name, one.state) for one in found.processes] == [
        ("zeo", "running"),
        ("pub", "running"),
    ]
    for one in found.processes:
        assert one.memory_bytes is not None
        assert one.memory_bytes > 10_000_000
        assert one.uptime_s is not None
        assert one.uptime_s < 60
    content, root = found.storages
    assert (content.storage.name, content.clients) == ("content", 1)
    data_fs = deployment.directory / "pub_client/var/Data.fs"
    assert (root.use.size_bytes, root.clients) == (data_fs.stat().st_size, None)


def test_blobs_are_counted_without_zodbs_own_files(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_ONLY)
    blobs = deployment.directory / "var/content/blobs/0x00"
    blobs.mkdir(parents=True)
    (blobs / "one.blob").write_bytes(b"x" * 1000)
    (blobs.parent / ".layout").write_text("bushy")

    (content,) = seen(deployment).storages

    assert (content.use.size_bytes, content.use.blob_bytes) == (None, 1000)


def test_what_is_stopped_is_not_well_if_it_starts_by_itself(
    deploy: Callable[[str], Deployment],
) -> None:
    by_itself = deploy(ZEO_ONLY)
    on_demand = deploy(ZEO_ONLY.replace("<zeo zeo>", "<zeo zeo>\nautostart off"))

    assert (only(by_itself).state, only(on_demand).state) == ("stopped", "stopped")
    assert (seen(by_itself).is_well, seen(on_demand).is_well) == (False, True)
    assert not seen(on_demand, "zeo").is_well


def test_a_killed_zope_comes_back(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZOPE_ALONE)
    started(deployment)
    before = only(deployment)
    assert before.pid is not None

    os.kill(before.pid, signal.SIGKILL)

    states = {before.state}
    wait_until(
        lambda: states.add(only(deployment).state) or len(states) > 1,
        "it is seen to be away",
    )
    assert states <= {"running", "starting", "restarting"}
    wait_until(lambda: seen(deployment).is_well, "it is back", timeout_s=30)
    after = only(deployment)
    assert (after.state, after.restarts) == ("running", 1)
    assert after.pid != before.pid


def test_a_zope_that_accepts_and_says_nothing_is_not_taken_for_running(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(ZOPE_ALONE)
    started(deployment)
    pid = only(deployment).pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        found = only(deployment)
    finally:
        os.kill(pid, signal.SIGCONT)

    # it is younger than its start-timeout
    assert (found.state, found.detail) == ("starting", "it says nothing")


def test_something_else_at_its_address_is_named(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_ONLY)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(deployment.process("zeo").address))
        other.listen()
        found = only(deployment)

    assert (found.state, found.pid) == ("foreign", None)
    assert found.detail.startswith(f"pid {os.getpid()} (")


def test_a_server_that_lost_its_manager_is_still_seen(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(ZEO_ONLY)
    started(deployment)
    pid = only(deployment).pid
    kill_manager(deployment.process("zeo"))

    found = only(deployment)

    assert (found.state, found.pid) == ("unmanaged", pid)


def test_a_storage_that_the_running_server_does_not_know_is_marked(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(ZEO_ONLY)
    started(deployment)
    deployment.rewrite(TWO_STORAGES)

    content, other = seen(deployment).storages

    assert (content.is_missing_in_server, other.is_missing_in_server) == (False, True)


def test_zeo_servers_of_other_hosts_are_asked(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(
        "<host here>\naddress 127.0.0.1\n</host>\n<host there>\naddress 127.0.0.2\n</host>\n"
        + ZEO_AND_ZOPE.replace("address var/zeo.sock", "host there\naddress 127.0.0.2:{port2}")
    )

    (needed,) = seen(deployment).elsewhere

    assert (needed.process.name, needed.answer.is_answering) == ("zeo", False)
    assert [one.process.name for one in seen(deployment).processes] == ["pub"]


def test_ask_survives_a_data_fs_that_is_not_there(deploy: Callable[[str], Deployment]) -> None:
    (content,) = seen(deploy(ZEO_ONLY)).storages

    assert content.use.size_bytes is None
    assert not Path(str(content.storage.data_fs)).exists()


def test_a_process_whose_manager_does_not_tell_hides_no_other(
    deploy: Callable[[str], Deployment],
) -> None:
    """As for a user who may not talk to the owner's zdaemon; root may, so that one is mute."""
    deployment = deploy(ZEO_AND_ZOPE)
    started(deployment)
    kill_manager(deployment.process("pub"))
    place = Path(deployment.process("pub").zdaemon_socket)
    place.unlink()
    place.symlink_to(place)

    found = seen(deployment)

    assert [(one.process.name, one.state) for one in found.processes] == [
        ("zeo", "running"),
        ("pub", "unknown"),
    ]
    assert found.processes[1].detail == (
        f"HTTP 200 OK, but zdaemon at {place} cannot be asked: Too many levels of symbolic links"
    )
    assert not found.is_well
    assert len(found.storages) == 2
