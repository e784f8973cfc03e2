"""The configuration files of coding agents: what to write into them, how to put it in, how to take it out again.

A client is data in `adapters/` (`spec`); its file is found by `place`. Each format has an editor that changes as little
text as it can (`tomltext`, `jsontext`, `yamltext`, `shelltext`); `install` ties them together, `record` remembers what
was there, and `files` reads and writes.
"""
