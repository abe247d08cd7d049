"""``zmount swap-stage`` with users, certificates and hosts of other kinds than the simplest."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from certificates import make_certificates
from deployments import Deployment
from everybody import make_environment, python_of_everybody
from swapping import PRODUCTION, STAGING, Swaps, root_of
from ZODB.FileStorage import FileStorage

from zmount.effects.child_process import as_user
from zmount.effects.stage_files import generations_of, stage_state
from zmount.errors import SwapFailed, SwapRefused, UnknownName
from zmount.operations.swap_plan import SwapWish
from zmount.operations.swap_stage import refuse_failures, swap_stage

OF_NOBODY = """
user nobody
venv {directory}/venv
<zeo zeo>
  address var/zeo.sock
</zeo>
<site x.org/>
"""
TLS = """
<zeo zeo>
  address {port}
  <ssl>
    certificate {certificates}/server.pem
    key {certificates}/server.key
    authenticate {certificates}/client.pem
  </ssl>
</zeo>
<site x.org/>
<client>
  <ssl>
    certificate {certificates}/client.pem
    key {certificates}/client.key
    key-passphrase open sesame
    authenticate {certificates}/server.pem
    server-hostname localhost
  </ssl>
</client>
<instance dev>
  kind development
  http-address {port2}
</instance>
"""
TWO_HOSTS = """
<host one>
</host>
<host two>
  address two.example
</host>
<zeo zeo>
  host one
  address 8100
</zeo>
<zeo live>
  host two
  address 8101
</zeo>
<storage pub/x.org>
  server live
</storage>
<site x.org>
  server zeo
</site>
<site far.org>
  server live
</site>
<site here.org>
  server zeo
</site>
"""
SEVERAL = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<site x.org/>
<site empty.org/>
<site torn.org/>
<site z.org/>
"""
Deploy = Callable[[str], Deployment]
Make = Callable[[str], Swaps]


@pytest.fixture
def of_nobody(deploy: Deploy) -> Iterator[Swaps]:
    """What root has applied, whose processes are nobody's; its ZEO server is up."""
    if os.geteuid() != 0:
        pytest.skip("only root runs something as somebody else")
    python = python_of_everybody()
    if python is None:
        pytest.skip("no Python here that every user may run")
    deployment = deploy(OF_NOBODY)
    deployment.directory.parent.chmod(0o755)
    make_environment(deployment.directory / "venv", python)
    for made in ("zeo", "var"):  # root's, where apply asks whose it should be
        shutil.rmtree(deployment.directory / made)
    done = deployment.zmount("apply")
    assert done.returncode == 0, done.stdout + done.stderr
    swaps = Swaps(deployment)
    swaps.start(user="nobody")
    yield swaps
    swaps.close()


def as_daemon(swaps: Swaps, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run zmount as a user whom the deployment has nothing to do with."""
    deployment = swaps.deployment
    python = str(deployment.directory / "venv/bin/python")
    return subprocess.run(
        [python, "-m", "zmount", "-f", str(deployment.conf), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd="/",
        **as_user("daemon"),
    )


def owners(directory: Path) -> set[str]:
    """Return who owns what is in DIRECTORY and was not linked to production's own."""
    return {
        pwd.getpwuid(path.lstat().st_uid).pw_name
        for path in directory.rglob("*")
        if not path.is_symlink()
    }


def test_what_root_swaps_belongs_to_the_servers_user(of_nobody: Swaps) -> None:
    of_nobody.write(PRODUCTION, number=1)
    reader = of_nobody.client(STAGING)

    online = of_nobody.deployment.zmount("swap-stage", "x.org")
    assert online.returncode == 0, online.stderr
    assert root_of(reader)["number"] == 1
    of_nobody.write(PRODUCTION, number=2)
    of_nobody.stop()
    offline = of_nobody.deployment.zmount("swap-stage", "x.org")

    assert offline.returncode == 0, offline.stderr
    assert "the files alone are changed" in " ".join(offline.stdout.split())
    assert stage_state(of_nobody.staging).generation == 2
    assert owners(generations_of(of_nobody.staging).path) == {"nobody"}
    of_nobody.start(user="nobody")
    assert root_of(of_nobody.client(STAGING))["number"] == 2


def test_another_user_cannot_swap_whether_the_server_runs_or_not(of_nobody: Swaps) -> None:
    of_nobody.write(PRODUCTION, number=1)

    up = as_daemon(of_nobody, "swap-stage", "x.org")
    of_nobody.stop()
    down = as_daemon(of_nobody, "swap-stage", "x.org")

    for done in (up, down):
        assert done.returncode not in (0, 1), done.stdout + done.stderr
        assert "Traceback" not in done.stderr
    assert "does not take orders from us" in up.stderr
    assert "as nobody, or as root" in up.stderr
    assert stage_state(of_nobody.staging).is_plain


def test_a_server_that_asks_for_certificates_swaps_as_well(make: Make, tmp_path: Path) -> None:
    make_certificates(tmp_path)
    swaps = make(TLS.replace("{certificates}", str(tmp_path)))
    swaps.write(PRODUCTION, number=1)
    swaps.start()

    done = swaps.swap()

    assert done.error is None, done.error
    assert done.plan is not None and done.plan.seen.way == "ZEO"
    assert done.compared == 1  # a new client was let in, and read the root
    assert swaps.swap(undoes=True).error is None


def test_production_on_another_host_says_which_and_where_to_look(make: Make) -> None:
    swaps = make(TWO_HOSTS)
    topology = swaps.deployment.topology
    host = topology.host("one")

    (done,) = swap_stage(topology, host, SwapWish(names=("x.org",)), lambda event: None)

    assert isinstance(done.error, SwapRefused)
    assert "production's file is on host two, and not here" in str(done.error)
    assert done.error.hint == "a FileStorage that a ZEO server serves, on production's host"


def test_a_site_of_another_host_is_swapped_there(make: Make) -> None:
    swaps = make(TWO_HOSTS)
    topology = swaps.deployment.topology

    with pytest.raises(UnknownName) as caught:
        swap_stage(topology, topology.host("one"), SwapWish(names=("far.org",)), lambda event: None)

    assert "is on host two, not on one" in str(caught.value)
    assert caught.value.hint == "zmount --host two, on that machine"


@pytest.fixture
def several(make: Make) -> Swaps:
    """Two sites that can be swapped, one whose production is empty, one whose file is torn."""
    swaps = make(SEVERAL)
    for name in ("pub/x.org", "pub/z.org", "pub/torn.org"):
        swaps.write(name, number=1)
    torn = Path(str(swaps.deployment.topology.storage("pub/torn.org").data_fs))
    torn.write_bytes(b"this is no FileStorage" * 10)
    return swaps


def test_one_bad_site_does_not_stop_the_rest(several: Swaps) -> None:
    results = several.all(is_all=True)

    assert {each.site.name: each.done for each in results} == {
        "x.org": "swapped",
        "empty.org": "refused",
        "torn.org": "refused",
        "z.org": "swapped",
    }
    with pytest.raises(SwapFailed) as caught:
        refuse_failures(results)
    assert str(caught.value).startswith("2 of 4 sites went wrong: empty.org, torn.org\n")


def test_the_exit_status_tells_of_one_bad_site_among_many(several: Swaps) -> None:
    done = several.deployment.zmount("swap-stage", "--all")
    facts = several.deployment.zmount("swap-stage", "--all", "--json")

    assert done.returncode == facts.returncode == 19
    assert "Traceback" not in done.stderr
    assert (
        "\nempty.org: production, pub/empty.org: " in done.stderr and "is not there" in done.stderr
    )
    assert "\ntorn.org: " in done.stderr
    assert [each["done"] for each in json.loads(facts.stdout)] == [
        "swapped",
        "refused",
        "refused",
        "swapped",
    ]


def test_a_site_without_staging_among_others_stops_none_of_them(make: Make) -> None:
    swaps = make(SEVERAL.replace("<site z.org/>", "<site z.org>\nstaging none\n</site>"))
    swaps.write(PRODUCTION, number=1)

    results = swaps.all("x.org", "z.org")

    assert [each.done for each in results] == ["swapped", "refused"]
    assert "it has no staging storage" in str(results[1].error)


def test_a_site_whose_swap_fails_does_not_stop_the_next(several: Swaps) -> None:
    opened = FileStorage(str(several.deployment.topology.storage("stage/x.org").data_fs))
    try:
        results = several.all("x.org", "z.org")
    finally:
        opened.close()

    assert [each.done for each in results] == ["refused", "swapped"]
