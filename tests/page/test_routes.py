"""Every address of the page has its function."""

import inspect
from importlib import import_module

from openfusion_auto.page.routes import NAVIGATION, ROUTES


def test_every_route_names_a_function_that_takes_a_request():
    for route in ROUTES:
        module, _, name = route.target.partition(":")
        view = getattr(import_module(f"openfusion_auto.page.{module}"), name)
        assert inspect.iscoroutinefunction(view)
        assert route.path == "/ui" or route.path.startswith("/ui/")


def test_no_address_is_there_twice_and_what_takes_all_stands_last():
    assert len({(r.method, r.path) for r in ROUTES}) == len(ROUTES)
    assert [r.path for r in ROUTES if ".*" in r.path] == [ROUTES[-1].path]


def test_every_view_of_the_navigation_is_there():
    built = {r.path for r in ROUTES if r.method == "GET"}
    assert {href for _, _, href in NAVIGATION} - built <= {"/ui/playground"}
