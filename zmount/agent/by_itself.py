"""Carrying out a plan where no Zope runs: one is set up for it, in this process.

The plan is ``{"zope_conf": PATH, "note": TEXT, "steps": [STEP, ...]}``, see ``steps``. With
``"without": [NAME, ...]`` the databases of these names are not opened.
"""

import contextlib
import pathlib
import re
import tempfile

from zmount.agent.steps import carry_out

TRIES = 4  # as many as Zope's own of a request


def prepare(plan):
    """Carry out PLAN in its instance, in one transaction; return the result."""
    import transaction
    import Zope2
    from AccessControl.SecurityManagement import newSecurityManager
    from AccessControl.users import system
    from Zope2.Startup.run import make_wsgi_app

    with _zope_conf(plan) as path:
        make_wsgi_app({}, path)
    app = Zope2.app()
    databases = dict(app._p_jar.db().databases)
    try:
        newSecurityManager(None, system)
        result = _carried_out(app, plan)
    finally:
        transaction.abort()
        app._p_jar.close()
        for database in databases.values():
            database.close()  # saves the index of each FileStorage
    return result


def _carried_out(app, plan):
    """Carry out PLAN in APP and commit; where others were first, begin anew, as Zope does."""
    import transaction
    from transaction.interfaces import TransientError

    for tries_left in reversed(range(TRIES)):
        try:
            result = carry_out(app, plan["steps"], plan["note"])
            transaction.commit()
            return result
        except TransientError:
            transaction.abort()
            if not tries_left:
                raise
    return None


@contextlib.contextmanager
def _zope_conf(plan):
    """Yield the path of the plan's zope.conf, or of a copy that lacks some databases.

    Zope opens all that it names, and does not start where one cannot be opened.
    """
    if not plan.get("without"):
        yield plan["zope_conf"]
        return
    text = pathlib.Path(plan["zope_conf"]).read_text(encoding="utf-8")
    for name in plan["without"]:
        section = rf"^[ \t]*<zodb_db[ \t]+{re.escape(name)}[ \t]*>.*?^[ \t]*</zodb_db>"
        text = re.sub(section, "", text, flags=re.DOTALL | re.IGNORECASE | re.MULTILINE)
    with tempfile.NamedTemporaryFile("w", suffix=".conf", encoding="utf-8") as copy:
        copy.write(text)
        copy.flush()
        yield copy.name
