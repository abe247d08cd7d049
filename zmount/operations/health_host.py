"""The checks of a whole host: its volumes, its generated files, its clock; and of all mounts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from zmount.effects.clock import now
from zmount.effects.space import free_bytes, mount_point, size_bytes, volume_of
from zmount.errors import ZMountError
from zmount.operations.diff_config import diff_config
from zmount.operations.health_readings import Reading, judged, worst
from zmount.operations.health_scene import Scene, Subject
from zmount.operations.health_seen import Seen
from zmount.operations.health_words import size_words, time_words
from zmount.operations.mount_reports import InstanceMounts
from zmount.operations.mounts import mounts
from zmount.sizes import counted
from zmount.topology.topology import Topology

DATE_S = 1.0  # HTTP tells whole seconds


def volume_readings(scene: Scene) -> Iterator[Reading]:
    """Yield how much is free on each volume that holds storages of this host."""
    if not scene.asks("free-space"):
        return
    largest: dict[int, tuple[int, PurePosixPath, str]] = {}
    for storage in scene.storages:
        if storage.data_fs is None or not scene.is_here(storage):
            continue
        found = (size_bytes(storage.data_fs), storage.data_fs, storage.name)
        try:
            volume = volume_of(storage.data_fs)
        except PermissionError as why:
            subject = Subject(scene=scene, kind="storage", name=storage.name)
            said = f"{storage.data_fs}: {why.strerror}"
            yield from subject.says("free-space", "unknown", said, hint="as root")
            continue
        largest[volume] = max(found, largest.get(volume, found))
    for size, path, name in largest.values():
        yield from _volume(scene, size, path, name)


def _volume(scene: Scene, size: int, path: PurePosixPath, name: str) -> Iterator[Reading]:
    subject = Subject(scene=scene, kind="volume", name=mount_point(path))
    free = free_bytes(path)
    number = subject.number("free_bytes", free, "bytes", "free-space")
    needed = subject.number("pack_needs_bytes", size, "bytes")
    state = judged(free, number.limits, key="free-space")
    said, hint = f"{size_words(free)} free", "" if state == "ok" else "zmount pack; df"
    if free < size:
        state = worst((state, "warning"))
        said += f"; a pack of {name} may need {size_words(size)}"
        hint = "free some space before the next pack"
    yield from subject.says("free-space", state, said, number, needed, hint=hint)


def mount_readings(scene: Scene, topology: Topology) -> Iterator[Reading]:
    """Yield how the mounts of the instances are; TOPOLOGY has those that are unmounted, too."""
    names = tuple(each.name for each in scene.instances)
    if not names or not scene.asks("mounts"):
        return
    try:
        seen = mounts(topology, scene.local.host, names, timeout_s=scene.timeout_s)
    except ZMountError as why:
        subject = Subject(scene=scene, kind="host", name=scene.local.host.name)
        yield from subject.says("mounts", "unknown", str(why), hint=why.hint)
        return
    for each in seen.instances:
        yield from _mounts(scene, each)


def _mounts(scene: Scene, instance: InstanceMounts) -> Iterator[Reading]:
    subject = Subject(scene=scene, kind="instance", name=instance.instance)
    reports = instance.mounts
    wrong = [each for each in reports if each.severity]
    offline = sum(1 for each in reports if each.offline is not None or each.is_unmounted)
    numbers = (
        subject.number("mounts", len(reports), "count"),
        subject.number("mounts_wrong", len(wrong), "count"),
        subject.number("mounts_offline", offline, "count"),
    )
    if wrong:
        told = ", ".join(f"{each.path} {each.state}" for each in wrong[:3])
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        said = f"{len(wrong)} of {counted(len(reports), 'mount')} not right: {told}{more}"
        hint = f"zmount mounts {instance.instance}"
        yield from subject.says("mounts", "critical", said, *numbers, hint=hint)
        return
    away = f", {offline} off-line" if offline else ""
    said = f"{counted(len(reports), 'mount')} right{away}"
    yield from subject.says("mounts", "ok", said, *numbers)


def config_readings(scene: Scene) -> Iterator[Reading]:
    """Yield whether the generated files of this host are as they should be."""
    if not scene.asks("config"):
        return
    subject = Subject(scene=scene, kind="host", name=scene.local.host.name)
    try:
        diff = diff_config(scene.local.topology, scene.local.host)
    except ZMountError as why:
        yield from subject.says("config", "unknown", str(why), hint=why.hint)
        return
    changed = [str(each.path) for each in (*diff.differences, *diff.conflicts)]
    number = subject.number("files_differing", len(changed), "count")
    if diff.is_empty:
        yield from subject.says("config", "ok", "the generated files are as they should be", number)
        return
    told = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
    said = (
        f"{counted(len(changed), 'file')} not as zmount.conf says: {told}"
        if changed
        else "an apply was interrupted"
        if diff.is_interrupted
        else "directories or files are not as zmount.conf says"
    )
    hint = "zmount diff-config"
    if diff.is_interrupted:
        said += "" if not changed else "; an apply was interrupted"
        hint = "zmount apply finishes it, zmount undo takes it back"
    yield from subject.says("config", "warning", said, number, hint=hint)


def clock_readings(scene: Scene, seen: Seen) -> Iterator[Reading]:
    """Yield how far the clock of the host of SEEN is from ours, if it is another."""
    if scene.local.is_here(seen.process) or seen.answer.date is None:
        return
    subject = Subject(scene=scene, kind="host", name=seen.process.host.name)
    # the date was cut to seconds, at some time between question and answer
    difference = abs(now() - seen.seconds / 2 - seen.answer.date - DATE_S / 2)
    apart = max(0.0, difference - DATE_S / 2 - seen.seconds / 2)
    number = subject.number("clock_difference_seconds", apart, "seconds", "clock")
    said = (
        f"its clock is {time_words(apart)} from ours or more"
        if apart
        else "its clock agrees with ours, as far as HTTP tells"
    )
    yield from subject.measured("clock", number, said)
