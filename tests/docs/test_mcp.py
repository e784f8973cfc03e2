"""The page about the tools: the files that it shows are what would be written."""

import pytest

from openfusion_auto.cli.adapter import OWN_ENV
from openfusion_auto.clients.spec import Values, load, names
from openfusion_auto.mcp.tools import TOOLS
from tests.docs.regenerate import ROOT

PAGE = (ROOT / "docs" / "how-to" / "mcp.md").read_text(encoding="utf-8")
VALUES = Values(command="/usr/local/bin/openfusion", env=(*OWN_ENV, "OPENROUTER_API_KEY"))


@pytest.mark.parametrize("name", names(mcp=True))
def test_the_files_on_the_page_are_what_is_written(name):
    adapter = load(name, mcp=True)
    (target,) = adapter.targets
    assert f"\n{target.snippet(VALUES).strip()}\n" in PAGE
    assert f"`{name}`" in PAGE
    assert f"{adapter.title.removesuffix(' CLI')} {adapter.tested}" in PAGE


def test_every_tool_stands_on_the_page_with_whether_it_calls_anybody():
    for tool in TOOLS:
        (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{tool.name}` |")]
        assert row.endswith("| none |") is not tool.calls
