"""`[page]`: it takes no keys unless it is told to."""

from openfusion_auto.config.page import PageSection


def test_no_keys_are_taken_by_default():
    assert PageSection().take_keys is False
