"""How Sphinx builds the manual: ``python -m sphinx -W --keep-going -b html docs OUT``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

FOLDER = Path(__file__).parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent)]

project = "smtp_connection"
version = release = importlib.import_module("smtp_connection").__version__
html_title = f"smtp_connection {release}"

# "pictures" is a module of this folder.
extensions = ["sphinx.ext.autodoc", "pictures"]
exclude_patterns = ["build", "_build"]

# "python" only where a block says so: the others are shell commands and logs.
highlight_language = "none"

autodoc_default_options = {"member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_mock_imports = ["trio", "twisted", "zope"]
autodoc_typehints_format = "short"

# A name that leads nowhere is a warning, except for names that this manual does not document: those
# of other packages, and of our own modules, which signatures mention.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(collections|concurrent|email|pyee|selectors|ssl|tkinter|typing)\..*"),
    ("py:.*", r"smtp_connection\.(?!(aio|blocking|xoauth2|testing|types|hosting)\.\w+$)\w+\..*"),
    ("py:.*", r"(Any|Callable|EventEmitter|Iterator|Job|Loaded|Mapping|Sequence|Timer)"),
]

html_theme = "alabaster"
html_show_copyright = False
html_theme_options = {
    "description": "SMTP and LMTP in callback style, as in Node",
    "fixed_sidebar": True,
    "page_width": "1080px",
}
graphviz_output_format = "svg"


def _find_public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.TextElement
) -> nodes.reference | None:
    """Resolve a bare name in a docstring, which stands in another module than its own."""
    name = node.get("reftarget", "")
    domain = env.domains["py"]
    for package in ("", ".blocking", ".xoauth2", ".testing", ".types"):
        full = f"smtp_connection{package}.{name}"
        if full in domain.data["objects"]:
            return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", full, node, text)
    return None


def setup(app: Sphinx) -> None:
    """Let docstrings name the public classes without their modules."""
    app.connect("missing-reference", _find_public_name)
