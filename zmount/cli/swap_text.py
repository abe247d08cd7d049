"""How a swap's plan and result look to an administrator, and what a stage shows."""

from __future__ import annotations

from collections.abc import Iterator

from rich.filesize import decimal
from rich.text import Text

from zmount.effects.stage_files import Changes, Kept
from zmount.operations.swap_caches import ClientCache
from zmount.operations.swap_plan import SwapPlan, changes_counted, must_be_told
from zmount.operations.swap_stage import Swapped
from zmount.sizes import counted
from zmount.tids import tid_text, time_text

MOST_SHOWN = 5  # changes, the latest


def plan_text(plan: SwapPlan) -> Text:
    """Return what PLAN would do."""
    seen, site = plan.seen, plan.site
    text = Text()
    text.append(site.name, "bold")
    if plan.wish.undoes:
        before = "nothing" if plan.back_to is None else _content(plan.back_to)
        text.append(f": staging ({seen.staging.name}) gets back {before}\n")
    else:
        text.append(f": staging ({seen.staging.name}) gets what production holds now\n")
        text.append(
            f"  production: {site.production.name}, {decimal(seen.production_bytes)}, "
            f"last written {tid_text(seen.production_tid)}\n"
        )
    text.append(f"  staging:    {'; '.join(_staging(plan))}\n")
    text.append_text(_changes(plan.drops))
    if must_be_told(plan):
        text.append("    they would go from staging, and be kept for --undo: ", "yellow")
        text.append("a terminal asks, a script must say --drop-changes\n", "yellow")
    if not plan.wish.undoes:
        how = "a hard link to production's file" if plan.mode == "link" else "a copy"
        text.append(f"  by:         {how}{_why(plan)}; {_room(plan)}\n")
    if seen.way == "files":
        server = seen.staging.server.name if seen.staging.server is not None else ""
        text.append(f"  the ZEO server {server} does not run: the files alone are changed\n")
    text.append_text(_caches(seen.caches))
    text.rstrip()
    return text


def result_text(result: Swapped) -> Text:
    """Return what became of a site; nothing of one that was only planned."""
    text = Text()
    if result.state is None or result.plan is None:
        return text
    state, name = result.state, result.plan.seen.staging.name
    colour = "red" if result.error is not None else "green"
    text.append(f"{result.site.name}: ", "bold")
    text.append(_done(result), colour)
    what = "shows its file from before the first swap"
    if not state.is_plain:
        what = f"shows {result.site.production.name} as of {tid_text(state.base_tid)}"
    text.append(f": {name} {what}\n")
    if (why := result.told.get("why_copied")) and result.plan.mode == "link":
        text.append(f"  copied: {why}\n", "yellow")
    if result.compared:
        what = "1 object" if result.compared == 1 else f"{result.compared:,} objects"
        text.append(f"  checked: {what} of production's last transaction, read anew from staging\n")
    for sight in result.sights:
        colour = {True: "", False: "red", None: "yellow"}[sight.is_right]
        text.append(f"  {sight.name}, {sight.path}: {sight.said}\n", colour)
    text.append_text(_caches(result.caches))
    for note in result.notes:
        text.append(f"  {note}\n", "yellow")
    text.rstrip()
    return text


def _done(result: Swapped) -> str:
    undoes = result.plan is not None and result.plan.wish.undoes
    done = f"{'undone' if undoes else 'swapped'} in {result.seconds:.2f} s"
    return done if result.error is None else f"{done}, but something is wrong, see the end"


def _caches(caches: tuple[ClientCache, ...]) -> Text:
    text = Text()
    for each in caches:
        text.append(f"  {each}\n", "" if each.fate in ("goes", "removed") else "yellow")
    return text


def _staging(plan: SwapPlan) -> Iterator[str]:
    state = plan.seen.state
    if state.broken:
        yield f"broken: {state.broken}"
        return
    yield f"last written {tid_text(state.last_tid)}"
    if state.is_plain:
        yield "its own file" if any(state.floor) else "its own file, never swapped"
    else:
        since = time_text(state.swapped_at)
        yield f"production's content of {tid_text(state.base_tid)} since {since}"


def _changes(changes: Changes) -> Text:
    text = Text()
    if not changes.transactions:
        text.append("  changed:    nothing\n")
        return text
    text.append(f"  changed:    {changes_counted(changes)}\n", "yellow")
    for each in changes.last[-MOST_SHOWN:]:
        what = f" {each.description.splitlines()[0]}" if each.description else ""
        number = counted(each.objects, "object")
        text.append(f"    {tid_text(each.tid)} {each.user or 'anonymous'}: {number}{what}\n", "dim")
    if len(changes.last) > MOST_SHOWN or changes.transactions > len(changes.last):
        more = changes.transactions - min(MOST_SHOWN, len(changes.last))
        text.append(f"    and {more:,} before\n", "dim")
    return text


def _content(kept: Kept) -> str:
    if kept.generation and not any(kept.base_tid):
        return "a content that is damaged"
    if not any(kept.base_tid):
        return "its own file from before the first swap"
    since = time_text(kept.swapped_at)
    return f"production's content of {tid_text(kept.base_tid)}, as it was there from {since} on"


def _why(plan: SwapPlan) -> str:
    return f" ({plan.why_copied})" if plan.why_copied else ""


def _room(plan: SwapPlan) -> str:
    free = decimal(plan.seen.volumes.free_bytes)
    needed = plan.needed_bytes
    if needed is None:
        return f"more than {decimal(plan.seen.production_bytes)} needed, {free} free"
    return f"{decimal(needed)} needed, {free} free"
