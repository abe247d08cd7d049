"""Sphinx: builds the pages of this directory as HTML. They read as well without it."""

project = "zmount"
copyright = "the zmount founders"
extensions = ["myst_parser"]
root_doc = "README"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
# the pages link to each other; a forge shows no toctree
suppress_warnings = ["toc.not_included", "misc.highlighting_failure"]
