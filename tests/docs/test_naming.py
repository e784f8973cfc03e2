"""`docs/reference/naming.md` against the code: its requests are read, its table of presets is the code's."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from openfusion_auto.config.models import ModelSection, own_models
from openfusion_auto.config.pool import load_pool
from openfusion_auto.runtime.names import wanted
from openfusion_auto.wire.chat_request import parse_request
from openfusion_auto.wire.options import PRESETS
from tests.docs.regenerate import ROOT

PAGE = (ROOT / "docs" / "reference" / "naming.md").read_text(encoding="utf-8")
CONFIG = (ROOT / "docs" / "reference" / "config.md").read_text(encoding="utf-8")
POOL = load_pool(ROOT / "candidates" / "default.toml")

TABLE = next(t for t in re.findall(r"```toml\n(.*?)```", CONFIG, re.DOTALL) if "[[models]]" in t)
SECTION = ModelSection.model_validate(tomllib.loads(TABLE)["models"][0])
OWN = {m.name: m for m in own_models([SECTION], POOL, {}, str)}


@pytest.mark.parametrize("body", re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL))
def test_a_request_of_the_page_is_one_that_is_served(body):
    prompt = parse_request(json.dumps(json.loads(body)).encode())
    assert wanted(prompt.model, prompt.options, POOL, {}, OWN)


def test_the_table_of_presets_says_what_they_are():
    section = PAGE.split("## Presets")[1].split("## ")[0]
    told = {
        name: dict(re.findall(r"`(\w+)` (\w+)", said))
        for name, said in re.findall(r"^\| `(\w+)` \| (.+) \|$", section, flags=re.MULTILINE)
    }
    assert told == {name: {k: str(v) for k, v in of.items()} for name, of in PRESETS.items()}
