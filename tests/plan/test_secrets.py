"""Every secret of a topology is found, so that it can be hidden."""

from __future__ import annotations

from pathlib import Path

from topologies import topology_of

from zmount.plan.secrets import secrets_of


def test_secrets_are_found_wherever_the_topology_keeps_them(tmp_path: Path) -> None:
    topology = topology_of(
        tmp_path,
        """
administrator admin
administrator-password one1
<zeo zeo>
  address 8100
  <ssl>
    certificate zeo.pem
    key-passphrase two2
  </ssl>
</zeo>
<storage content/>
<instance pub>
  http-address 8080
  <environment>
    DB_PASSWORD three3
    LANG C
  </environment>
  <product-config mail>
    smtp-password four4
  </product-config>
  <zope-conf>
    <product-config other>
      token five5
    </product-config>
  </zope-conf>
</instance>
""",
    )
    assert secrets_of(topology) == {"one1", "two2", "three3", "four4", "five5"}


def test_a_topology_without_secrets_has_none(tmp_path: Path) -> None:
    assert secrets_of(topology_of(tmp_path, "<zeo zeo>\n  address 8100\n</zeo>\n")) == frozenset()
