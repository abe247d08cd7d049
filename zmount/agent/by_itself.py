"""Carrying out a plan where no Zope runs: one is set up for it, in this process.

The plan is ``{"zope_conf": PATH, "note": TEXT, "steps": [STEP, ...]}``, see ``steps``.
"""

from zmount.agent.steps import carry_out


def prepare(plan):
    """Carry out PLAN in its instance, in one transaction; return the result."""
    import transaction
    import Zope2
    from AccessControl.SecurityManagement import newSecurityManager
    from AccessControl.users import system
    from Zope2.Startup.run import make_wsgi_app

    make_wsgi_app({}, plan["zope_conf"])
    app = Zope2.app()
    databases = dict(app._p_jar.db().databases)
    try:
        newSecurityManager(None, system)
        result = carry_out(app, plan["steps"], plan["note"])
        transaction.commit()
    finally:
        transaction.abort()
        app._p_jar.close()
        for database in databases.values():
            database.close()  # saves the index of each FileStorage
    return result
