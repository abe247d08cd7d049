"""Which ids Zope takes, and which paths it can mount at."""

from __future__ import annotations

# What a Zope 6 Folder has itself: no object in it can have one of these ids.
# tests/topology/test_check_reality.py asks Zope for them.
_OF_FOLDERS = frozenset(
    """
    COPY DELETE HEAD LOCK MKCOL MOVE OPTIONS PROPFIND PROPPATCH PUT TRACE UNLOCK ZopeFind
    ZopeFindAndApply absolute_url absolute_url_path ac_inherited_permissions access_debug_info
    aclAChecked aclEChecked aclPChecked acquiredRolesAreUsedBy all_meta_types cb_dataItems
    cb_dataValid cb_isCopyable cb_isMoveable cb_userHasCopyOrMovePermission changeOwnership
    compute_size dav__init dav__simpleifhandler dav__validate filtered_manage_options
    filtered_meta_types get getBookmarkableURLs getId getOwner getOwnerTuple getParentNode
    getPhysicalPath getPhysicalRoot getProperty getPropertyType getSiteManager getWrappedOwner
    get_local_roles get_local_roles_for_userid get_valid_userids hasObject hasProperty
    has_local_roles has_order_support http__etag http__parseMatchList http__processMatchHeaders
    http__refreshEtag id isAnObjectManager isPrincipiaFolderish
    isTopLevelPrincipiaApplicationObject items keys last_modified listDAVObjects list_imports
    manage manage_CopyContainerAllItems manage_CopyContainerFirstItem manage_DAVget
    manage_access manage_acquiredForm manage_acquiredPermissions manage_addLocalRoles
    manage_addProduct manage_addProperty manage_afterAdd manage_afterClone manage_beforeDelete
    manage_changeOwnershipType manage_changePermissions manage_changeProperties
    manage_changePropertyTypes manage_clone manage_copyObjects manage_cutObjects
    manage_defined_roles manage_delLocalRoles manage_delObjects manage_delProperties
    manage_editLocalRoles manage_editProperties manage_editRoles manage_editedDialog
    manage_exportObject manage_findForm manage_fixupOwnershipAfterAdd manage_form_title
    manage_getPermissionMapping manage_getUserRolesAndPermissions manage_get_sortedObjects
    manage_hasId manage_importExportForm manage_importObject manage_index_main
    manage_listLocalRoles manage_main manage_menu manage_navbar manage_options manage_owner
    manage_page_footer manage_page_header manage_pasteObjects manage_permission
    manage_permissionForm manage_propertiesForm manage_propertyTypeForm manage_renameForm
    manage_renameObject manage_renameObjects manage_reportUserPermissions manage_role
    manage_roleForm manage_setLocalRoles manage_setPermissionMapping manage_tabs
    manage_takeOwnership manage_workspace manage_zmi_logout meta_type meta_types objectIds
    objectIds_d objectItems objectItems_d objectMap objectMap_d objectValues objectValues_d
    owner_info permissionMappingPossibleValues permission_settings permissionsOfRole
    possible_permissions propdict propertyDescription propertyIds propertyItems propertyLabel
    propertyMap propertyValues propertysheets raise_standardErrorMessage restrictedTraverse
    rolesOfPermission selectedRoles setSiteManager smallRolesWidget superValues
    tabs_path_default tabs_path_info tabs_path_length this title title_and_id title_or_id tpURL
    tpValues unrestrictedTraverse userCanTakeOwnership userdefined_roles users_with_local_role
    validClipData validRoles valid_property_id valid_roles validate_roles values
    virtual_url_path wl_clearLocks wl_delLock wl_getLock wl_hasLock wl_isLocked wl_lockItems
    wl_lockTokens wl_lockValues wl_lockmapping wl_setLock zmi_icon zmi_show_add_dialog
    zope_copyright
    """.split()
)


def why_no_id(text: str) -> str:
    """Return why Zope refuses an object with the id TEXT, or "".

    Source: ``OFS.ObjectManager.checkValidId``; ``?`` and ``#`` are refused too,
    for they end a path in a URL.
    """
    if not text:
        return "an element is empty: //"
    if text in (".", ".."):
        return f"{text} is no name"
    if any(not char.isprintable() or char in '<>&?#%"' for char in text) or ":" in text:
        return f"{text!a} has characters that URLs give a meaning"
    if text != text.strip():
        return f"{text!a} begins or ends with a blank"
    if text.startswith("_"):
        return f"{text}: Zope refuses ids that begin with _"
    if text.endswith("__"):
        return f"{text}: Zope refuses ids that end with __"
    if text.startswith(("aq_", "@@", "++")):
        return f"{text}: Zope reserves ids that begin so"
    if text in _OF_FOLDERS:
        return f"{text}: every folder of Zope has something of that name"
    return f"{text} is reserved by Zope" if text == "REQUEST" else ""


def why_no_path(path: str) -> str:
    """Return why Zope cannot have an object at PATH, which begins with ``/``, or ""."""
    if path == "/":
        return ""
    return next(filter(None, map(why_no_id, path[1:].split("/"))), "")
