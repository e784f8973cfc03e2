"""The configuration files of coding agents."""
