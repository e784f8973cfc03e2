"""What all tables of a configuration share: nothing unknown, nothing converted, nothing changed."""

import pytest
from pydantic import ValidationError

from openfusion_auto.config.section import Section, Strings, listed


class Table(Section):
    """A table."""

    count: int = 1
    names: Strings = ()


@pytest.mark.parametrize(
    "said", [{"other": 1}, {"count": "1"}, {"count": 1.5}, {"names": "a"}, {"names": [1]}]
)
def test_unknown_keys_and_other_types_are_refused(said):
    with pytest.raises(ValidationError):
        Table.model_validate(said)


def test_an_array_stands_where_several_are_meant():
    assert Table.model_validate({"names": ["a", "b"]}).names == ("a", "b")
    assert listed("ab") == "ab"


def test_a_value_cannot_be_changed_and_an_error_never_shows_it():
    with pytest.raises(ValidationError):
        Table().count = 2
    with pytest.raises(ValidationError) as caught:
        Table.model_validate({"count": "sk-secret"})
    assert "sk-secret" not in str(caught.value)
