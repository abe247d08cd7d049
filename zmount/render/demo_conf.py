"""The topology that ``zmount demo`` brings up: the design document's."""

from __future__ import annotations

from pathlib import PurePosixPath

SITES = (
    "srichinmoyraces.org",
    "srichinmoycentre.org",
    "srichinmoy.org",
    "srichinmoylibrary.com",
    "vs_sites",
)
PORTS = (8100, 8081, 8080, 8082)  # ZEO, development, public, admin

_TEXT = """\
# The Vasudeva Service Application, as zmount demo runs it: one ZEO server; a
# development, a public and an administrative Zope; five sites with production
# and staging; persistent sessions.
venv {venv}
administrator admin

<zeo zeo>
  address 127.0.0.1:{zeo}
  transaction-timeout 60
  invalidation-queue-size 1000
</zeo>

{sites}

<session>
  timeout-minutes 60
</session>

<instance dev>
  kind development
  http-address 127.0.0.1:{dev}
</instance>

<instance pub>
  kind public
  http-address 127.0.0.1:{pub}
</instance>

<instance adm>
  kind admin
  http-address 127.0.0.1:{adm}
</instance>
"""


def demo_conf(venv: PurePosixPath, ports: tuple[int, ...]) -> str:
    """Return a zmount.conf whose deployment lies in the directory it is put in.

    ``ports`` are those of the ZEO server, dev, pub and adm.
    """
    zeo, dev, pub, adm = ports
    sites = "\n".join(f"<site {name}/>" for name in SITES)
    return _TEXT.format(
        venv=str(venv).replace("$", "$$"), sites=sites, zeo=zeo, dev=dev, pub=pub, adm=adm
    )
