"""A site with CMF's catalog and a workflow, for tests of pushing objects."""

from __future__ import annotations

from typing import Any

from DateTime.DateTime import DateTime
from five.localsitemanager import make_site
from Persistence import PersistentMapping
from Products.CMFCore.CatalogTool import CatalogTool
from Products.CMFCore.interfaces import ICatalogTool, IWorkflowTool
from Products.CMFCore.PortalContent import PortalContent
from Products.CMFCore.PortalFolder import PortalFolder
from Products.CMFCore.WorkflowTool import WorkflowTool
from Products.DCWorkflow.DCWorkflow import DCWorkflowDefinition
from Products.PluginIndexes.DateIndex.DateIndex import DateIndex
from Products.PluginIndexes.FieldIndex.FieldIndex import FieldIndex

VIEW = "_View_Permission"
MODIFIED = DateTime("2020/01/02 03:04:05 UTC")
INDEXES = {"Title": FieldIndex, "review_state": FieldIndex, "modified": DateIndex}


class Page(PortalContent):  # type: ignore[misc]
    """Content that has a title, a workflow, and the time of its last change."""

    meta_type = portal_type = "Page"

    def __init__(self, name: str, title: str) -> None:
        self.id, self.title = name, title
        self.modification_date = MODIFIED

    def Title(self) -> str:
        """Return what the catalog has as Title."""
        return self.title

    def modified(self) -> DateTime:
        """Return what the catalog has as modified."""
        return self.modification_date

    def notifyModified(self) -> None:
        """Take note of a change, as the Dublin Core of content does."""
        self.modification_date = DateTime()


def make_cmf(site: Any) -> None:
    """Give SITE a portal_catalog, and a portal_workflow for new pages, which are private."""
    site._setObject("portal_catalog", CatalogTool(), set_owner=0)
    catalog = site._getOb("portal_catalog")
    for name, kind in INDEXES.items():
        catalog.addIndex(name, kind(name))
    catalog.addColumn("review_state")
    site._setObject("portal_workflow", WorkflowTool(), set_owner=0)
    workflow = site._getOb("portal_workflow")
    workflow._setObject("publishing", _publishing(), set_owner=0)
    workflow.setDefaultChain("publishing")
    make_site(site)
    components = site.getSiteManager()
    components.registerUtility(catalog, ICatalogTool)
    components.registerUtility(workflow, IWorkflowTool)


def _publishing() -> DCWorkflowDefinition:
    workflow = DCWorkflowDefinition("publishing")
    workflow.setProperties("publishing")
    workflow.permissions = ("View",)
    workflow.variables.setStateVar("review_state")
    for name, roles in (("private", ("Manager",)), ("published", ("Anonymous",))):
        workflow.states.addState(name)
        workflow.states[name].setPermission("View", 0, roles)
    workflow.states.setInitialState("private")
    return workflow


def add_page(container: Any, name: str, title: str, state: str) -> Any:
    """Add a page to CONTAINER, whose workflow has come to STATE."""
    page = Page(name, title)
    page.workflow_history = PersistentMapping(publishing=({"review_state": state},))
    setattr(page, VIEW, ("Anonymous",) if state == "published" else ("Manager",))
    container._setObject(name, page, set_owner=0)
    return container._getOb(name)


def add_section(container: Any, name: str) -> Any:
    """Add a folder of CMF to CONTAINER."""
    container._setObject(name, PortalFolder(name, name), set_owner=0)
    return container._getOb(name)


def cataloged(site: Any, name: str) -> dict[str, dict[str, Any]]:
    """Return what the catalog of SITE knows as index NAME, by the path below SITE."""
    catalog = site._getOb("portal_catalog")._catalog
    start = len("/".join(site.getPhysicalPath())) + 1
    index = catalog.getIndex(name)
    return {path[start:]: index._unindex.get(rid) for path, rid in catalog.uids.items()}
