"""What the demonstration puts into its sites, and how it looks for it."""

from __future__ import annotations

import re

from zmount.effects.clock import ticks
from zmount.effects.zope_http import ZopeClient
from zmount.errors import ProcessFailed
from zmount.topology.topology import Topology

_ADD_PAGE = "/manage_addProduct/PageTemplates/manage_addPageTemplate"
_FRONT_PAGE = (
    '<html><body><h1 tal:content="context/title_or_id">title</h1>'
    '<p tal:content="context/absolute_url">where</p></body></html>'
)
_COUNTER = (
    "<p tal:define=\"s request/SESSION; n python:s.get('n', 0) + 1; x python:s.set('n', n)\""
    ' tal:content="string:visits=${n}">visits</p>'
)


def create_content(topology: Topology, editor: ZopeClient) -> None:
    """Give each site a title and a front page, and the root a page that counts visits."""
    for site in topology.sites:
        editor.post(f"{site.real_path}/manage_changeProperties", title=f"Welcome to {site.name}")
        editor.add(f"{site.real_path}{_ADD_PAGE}", id="index_html", text=_FRONT_PAGE)
    editor.add(_ADD_PAGE, id="visits", text=_COUNTER)


def prove_same_objects(
    topology: Topology, developer: ZopeClient, visitor: ZopeClient, *, seen_within_s: float = 10.0
) -> None:
    """Change each site's title at /pub/SITE of DEVELOPER's Zope, see it in VISITOR's.

    An invalidation takes milliseconds; the machine may be busy.

    :raises ProcessFailed: a visitor sees something else
    """
    for site in topology.sites:
        title = f"{site.name}, changed by {developer.base}/pub/{site.name}"
        developer.post(f"/pub/{site.name}/manage_changeProperties", title=title)
        page = f"{site.real_path}/index_html"
        if not any(title in visitor.get(page) for _ in ticks(seen_within_s)):
            raise ProcessFailed(
                f"{developer.base}/pub/{site.name} and {visitor.base}{site.real_path} "
                "are not the same object"
            )


def visits(visitor: ZopeClient) -> int:
    """Count one more visit in VISITOR's session, and return how many there were."""
    page = visitor.get("/visits")
    found = re.search(r"visits=(\d+)", page)
    if found is None:
        raise ProcessFailed(f"the page that counts visits shows no counter: {page[:80]!r}")
    return int(found[1])
