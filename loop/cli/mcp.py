"""mcp: the read model for people's agents."""

from __future__ import annotations

from loop.cli.app import HERE, ProjectOption, app, opened


@app.command("mcp", epilog="Example: fieldloop mcp --project helmets")
def mcp_server(project: ProjectOption = HERE) -> None:
    """Answer an agent that speaks the Model Context Protocol over stdin and stdout; it reads alone."""
    from loop.web.mcp import build_mcp

    build_mcp(opened(project)).run("stdio")
