"""The router as tools that any agent can call over the Model Context Protocol."""
