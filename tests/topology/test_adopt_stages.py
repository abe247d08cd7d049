"""Staging storages of a deployment that is adopted: stages stay stages, others what they are."""

from __future__ import annotations

from pathlib import Path

from adopting import reproduce
from topologies import topology_of

from zmount.render.zeo_conf import zeo_conf
from zmount.topology.options import Options

CONF = """
{top}
<zeo zeo/>
<site x.org>
  {site}
</site>
"""


def rendered(directory: Path, *, top: str = "", site: str = "") -> Path:
    """Return the zeo.conf that zmount renders, where zmount did not sign it."""
    directory.mkdir()
    topology = topology_of(directory, CONF.format(top=top, site=site))
    (server,) = topology.zeo_servers
    path = Path(server.conf)
    path.parent.mkdir(parents=True)
    path.write_text(zeo_conf(server, topology.storages_of(server)))
    return path


def test_a_stage_comes_out_as_a_site_with_what_it_says(tmp_path: Path) -> None:
    path = rendered(tmp_path / "d", site="stage-mode copy\nstage-keep 3")

    found = reproduce(tmp_path, path)

    (site,) = found.topology.sites
    assert site.staging is not None and site.staging.stage is not None
    assert site.staging.stage.options == Options((("mode", ("copy",)), ("keep", ("3",))))
    assert "<stage" not in found.text
    assert found.zeo_confs[0].count("<stage stage/x.org>") == 1


def test_a_filestorage_stays_one_until_somebody_takes_a_line_out(tmp_path: Path) -> None:
    path = rendered(tmp_path / "d", top="stage-mode none")

    found = reproduce(tmp_path, path)

    assert "\nstage-mode none\n" in found.text
    assert "%import" not in found.zeo_confs[0]
    conf = tmp_path / "zmount.conf"
    conf.write_text(found.text.replace("stage-mode none\n", ""))
    again = topology_of(tmp_path, conf.read_text()).site("x.org")
    assert again.staging is not None and again.staging.stage is not None


def test_a_stage_of_something_else_is_kept_as_it_is_written(tmp_path: Path) -> None:
    path = rendered(tmp_path / "d")
    text = path.read_text()
    path.write_text(text.replace("var/pub/x.org/Data.fs\n  source-blob", "other.fs\n  source-blob"))

    found = reproduce(tmp_path, path)

    (site,) = found.topology.sites
    assert site.staging is not None and site.staging.stage is None
    assert site.staging.backend is not None
    assert "other.fs" in found.zeo_confs[0]
