"""Steps of a tool loop in chat messages: a call and what came of it."""


def step(name, arguments, result, id_="c1"):
    call = {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": id_, "content": result},
    ]


EDIT = step("edit", "{}", "done", "e")
PASSES = step("bash", '{"command": "pytest"}', "3 passed", "p")
FAILS = step("bash", '{"command": "pytest"}', "1 failed\nexit code: 1", "f")
