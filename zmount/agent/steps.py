"""Carrying out a plan of steps in an instance's root, inside Zope.

A step is a JSON object: its ``step`` names a function of a module below, its other
keys are that function's arguments. The function gets the Application and a set that
lasts as long as the plan; it raises NothingToDo or Refused (see ``paths``), or
returns an answer, plain values or None. It does not commit: all steps are one
transaction.

The result is ``{"done": [NUMBER, ...], "refused": [[NUMBER, WHY], ...],
"answers": {NUMBER: ANSWER}}``, steps by their position. A step that is in neither of
the first two had nothing to do; a refused one found something else than planned and
left it alone. Where one would write to a storage that is opened read-only, nothing is
done, and all that were not refused for another reason are refused for this one.
"""

from zmount.agent import (
    access_steps,
    attic_steps,
    offline_steps,
    push_steps,
    remount_steps,
    root_steps,
    sandbox_steps,
)
from zmount.agent.paths import NothingToDo, Refused


class UnknownStep(LookupError):
    """No module has a function of that name."""


MODULES = (
    root_steps,
    offline_steps,
    access_steps,
    attic_steps,
    remount_steps,
    sandbox_steps,
    push_steps,
)


def carry_out(app, steps, note):
    """Do STEPS in APP, a transaction that NOTE describes; who calls commits it."""
    import transaction
    from ZODB.POSException import ReadOnlyError

    before = transaction.savepoint(optimistic=True)
    try:
        result = _done(app, steps)
        read_only = _read_only_databases()
    except ReadOnlyError:  # of a step that needed an oid
        result = {"done": list(range(len(steps))), "refused": [], "answers": {}}
        read_only = _read_only_databases() or [app._p_jar.db().database_name]
    if read_only:
        before.rollback()
        why = f"the database {', '.join(read_only)} is opened read-only"
        result["refused"] += [[number, why] for number in result["done"]]
        result.update(done=[], answers={})
    transaction.get().note(note)
    return result


def _read_only_databases():
    """Return the names of the databases that would be written to, and cannot be."""
    import transaction
    from ZODB.Connection import Connection

    written = [each.db() for each in transaction.get()._resources if isinstance(each, Connection)]
    return sorted(each.database_name for each in written if _is_read_only(each.storage))


def _is_read_only(storage):
    """True if STORAGE is opened so; a client whose server is away only calls itself so."""
    is_away = hasattr(storage, "is_connected") and not storage.is_connected()
    return storage.isReadOnly() and not is_away


def _done(app, steps):
    done, refused, answers = [], [], {}
    made = set()
    for number, step in enumerate(steps):
        arguments = dict(step)
        make = _function(arguments.pop("step", ""))
        try:
            answer = make(app, made, **arguments)
            done.append(number)
            if answer is not None:
                answers[str(number)] = answer
        except NothingToDo:
            pass
        except Refused as why:
            refused.append([number, str(why)])
    return {"done": done, "refused": refused, "answers": answers}


def _function(name):
    for module in MODULES:
        found = vars(module).get(name)
        if found is not None and found.__module__ == module.__name__ and not name.startswith("_"):
            return found
    raise UnknownStep(f"zmount's agent is older than zmount: it knows no step {name!r}")
