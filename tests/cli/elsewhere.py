"""The command line with what Windows lacks taken away: no signals in the event loop, no SIGHUP, no locks, no terminal.

python tests/cli/elsewhere.py serve --port 0        as `openfusion serve --port 0` there, as far as one system can play another
"""

import os
import signal
import sys
import sysconfig
from asyncio import unix_events
from importlib import import_module

# Libraries choose their own way when they are imported: they are to run as they do here.
LIBRARIES = "aiohttp click numpy platformdirs prometheus_client pydantic rich.console sqlite3 subprocess zoneinfo"
MODULES = ("fcntl", "grp", "pwd", "resource", "termios", "tty", "uvloop")
SIGNALS = ("SIGHUP", "SIGUSR1", "SIGUSR2")
CALLS = ("fchmod", "fork", "geteuid", "getuid")


def refuse(*_):
    raise NotImplementedError


def taken_away():
    for name in LIBRARIES.split():
        import_module(name)
    sysconfig.get_config_vars()
    sys.modules.update(dict.fromkeys(MODULES))
    for owner, names in ((signal, SIGNALS), (os, CALLS)):
        for name in names:
            if hasattr(owner, name):
                delattr(owner, name)
    unix_events._UnixSelectorEventLoop.add_signal_handler = refuse
    unix_events._UnixSelectorEventLoop.remove_signal_handler = refuse
    sys.platform = "win32"


if __name__ == "__main__":
    taken_away()
    from openfusion_auto.cli.main import main

    main()
