"""Mount points of a real Zope, whose object another one takes the place of behind their back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deployments import ZEO_AND_ZOPE, Deployment
from zope_files import in_zope

from zmount.operations.prepare import prepare

REPLACED = """
import transaction
from OFS.Folder import Folder

before = app.content._p_oid
mounted = app.content._p_jar

def shown():
    return app.content._p_oid

def forget():
    # as a ZEO client does when it is told that its cache is too old
    mounted.db()._mvcc_storage.invalidateCache()
    transaction.begin()

def replace():
    inside = mounted.root()["Application"]
    inside._delOb("content")
    inside._setOb("content", Folder("content"))
    transaction.commit()
    forget()
    return inside._getOb("content")._p_oid

in_place = replace()
answer = {
    "is another": in_place != before,
    "is shown": shown() == in_place,
    "stays": shown() == shown() and app.content.title_or_id(),
}
mounted.root()["Application"]._delOb("content")
transaction.commit()
forget()
answer["gone"] = getattr(app.content.aq_base, "_isMountedObject", False)
"""


def answers(deployment: Deployment, *, has_agent: bool) -> dict[str, object]:
    prepare(deployment.topology, deployment.host)
    (replica,) = deployment.topology.instance("pub").replicas
    site_zcml = Path(replica.site_zcml)
    lines = site_zcml.read_text().splitlines(keepends=True)
    assert any("zmount.agent" in line for line in lines)
    if not has_agent:
        site_zcml.write_text("".join(line for line in lines if "zmount.agent" not in line))
    return dict(in_zope(deployment, "pub", REPLACED))


def test_an_object_that_was_emptied_is_looked_for_again(
    deploy: Callable[[str], Deployment],
) -> None:
    assert answers(deploy(ZEO_AND_ZOPE), has_agent=True) == {
        "is another": True,
        "is shown": True,
        "stays": "content",
        "gone": 1,  # the mount point says itself that there is nothing
    }


def test_zope_alone_goes_on_with_the_old_one(deploy: Callable[[str], Deployment]) -> None:
    found = answers(deploy(ZEO_AND_ZOPE), has_agent=False)

    assert (found["is another"], found["is shown"], found["gone"]) == (True, False, False)
