"""What a Zope instance loads, so that zmount can look and work inside it.

    <include package="zmount.agent" />

in the instance's site.zcml, where zmount puts it. It needs nothing of zmount's
topology. At rest it costs nothing; a request costs it two copies of its path.

``steps`` and what it imports also run where the instance is down, in a Python that has
Zope and may not have zmount (``by_itself``).
"""
