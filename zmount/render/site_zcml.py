"""site.zcml of a Zope process: which packages' ZCML is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import quoteattr

from zmount.topology.instances import Replica

_FILES = ("meta", "configure", "overrides")


def site_zcml(replica: Replica) -> str:
    """Return the text of REPLICA's site.zcml."""
    zcml = replica.instance.zcml
    lines = list(_site(replica))
    if zcml.site:
        lines = [f"  <include file={_file(replica, zcml.site)} />"]
    return "\n".join(
        (
            "<configure",
            '    xmlns="http://namespaces.zope.org/zope"',
            '    xmlns:browser="http://namespaces.zope.org/browser"',
            '    xmlns:five="http://namespaces.zope.org/five"',
            '    xmlns:i18n="http://namespaces.zope.org/i18n"',
            '    xmlns:plone="http://namespaces.plone.org/plone"',
            '    xmlns:zcml="http://namespaces.zope.org/zcml">',
            "",
            *lines,
            "",
            "</configure>",
            "",
        )
    )


def _site(replica: Replica) -> Iterator[str]:
    """Yield what Zope's own site.zcml loads, with the instance's in its place.

    Directives must be known before they are used: every meta.zcml comes before
    every configure.zcml. ``package-includes`` is the administrator's directory.
    """
    zcml = replica.instance.zcml
    said = [package_and_file(name) for name in zcml.packages]

    def includes(kind: str) -> Iterator[str]:
        element = "includeOverrides" if kind == "overrides" else "include"
        for package, file in said:
            if (file if file in ("meta.zcml", "overrides.zcml") else "configure.zcml") == (
                f"{kind}.zcml"
            ):
                yield f"  <{element} package={quoteattr(package)} file={quoteattr(file)} />"

    yield '  <include package="Zope2.App" />'
    yield ""
    yield '  <include files="package-includes/*-meta.zcml" />'
    yield '  <five:loadProducts file="meta.zcml" />'
    yield from includes("meta")
    yield ""
    yield '  <include files="package-includes/*-configure.zcml" />'
    yield "  <five:loadProducts />"
    yield from includes("configure")
    yield '  <include zcml:condition="installed zmount.agent" package="zmount.agent" />'
    yield from _directories(replica)
    yield ""
    yield '  <includeOverrides files="package-includes/*-overrides.zcml" />'
    yield "  <five:loadProductsOverrides />"
    yield from includes("overrides")
    if zcml.additional:
        yield f"  <includeOverrides file={_file(replica, zcml.additional)} />"


def _directories(replica: Replica) -> Iterator[str]:
    zcml = replica.instance.zcml
    if zcml.resources:
        directory = _file(replica, zcml.resources)
        has_plone = 'zcml:condition="installed plone.resource"'
        yield f'  <include {has_plone} package="plone.resource" file="meta.zcml" />'
        yield f"  <plone:static {has_plone} directory={directory} />"
        yield '  <browser:resourceDirectory zcml:condition="not-installed plone.resource"'
        yield f'      name="resources" directory={directory} />'
    if zcml.locales:
        yield '  <include package="zope.i18n" file="meta.zcml" />'
        yield f"  <i18n:registerTranslations directory={_file(replica, zcml.locales)} />"


def package_and_file(name: str) -> tuple[str, str]:
    """Return the package and file that PACKAGE, PACKAGE:FILE or PACKAGE-meta name."""
    package, colon, file = name.partition(":")
    if colon:
        return package, file
    for kind in _FILES:
        if package.endswith(f"-{kind}"):
            return package.removesuffix(f"-{kind}"), f"{kind}.zcml"
    return package, "configure.zcml"


def _file(replica: Replica, path: str) -> str:
    return quoteattr(str(replica.local(path)))
