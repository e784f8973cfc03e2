"""`[cache]`: off, and nothing on disk, unless that is asked for."""

import pytest
from pydantic import ValidationError

from openfusion_auto.config.cache import CacheSection


def test_nothing_is_kept_and_nothing_written_unless_asked_for():
    section = CacheSection()
    assert (section.enabled, section.file) == (False, False)


@pytest.mark.parametrize(
    "wrong", [{"ttl_s": 0}, {"max_mb": 0}, {"max_entry_kb": -1}, {"file": "yes"}, {"on": True}]
)
def test_a_wrong_value_is_refused(wrong):
    with pytest.raises(ValidationError):
        CacheSection(**wrong)
