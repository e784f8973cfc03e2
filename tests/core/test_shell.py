"""Which programs a shell line runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.shell import COMMANDS, base, commands_of, unquoted


def texts(line: str) -> list[str]:
    return [c.text for c in commands_of(line)]


@pytest.mark.parametrize(
    ("line", "want"),
    [
        ("ls -la", ["ls -la"]),
        ("a; b && c || d | e\nf & g", ["a", "b", "c", "d", "e", "f", "g"]),
        ("echo 'a; b' \"c && d\" e\\ f", ["echo a; b c && d e\\ f"]),
        ("A=1 B='x y' make all", ["make all"]),
        ("sudo -u app env X=1 nice -n 5 make", ["make"]),
        ("echo $(date) `id`", ["echo", "date", "id"]),
        ("for f in *; do rm $f; done", ["for f in *", "rm $f", "done"]),
        ("if true; then a; else b; fi", ["true", "a", "b", "fi"]),
        ("ls # and more", ["ls"]),
        ("echo a#b", ["echo a#b"]),
        ("a \\\n  --b", ["a --b"]),
        ("C:\\Tools\\Git.EXE push", ["git push"]),
        ("bash -lc 'a b; c'", ["bash -lc a b; c", "a b", "c"]),
        ("cmd /c del x", ["cmd /c del x", "del x"]),
        ("bash script.sh -c x", ["bash script.sh -c x", "x"]),
        ("ssh -p 22 me@host 'a; b'", ["ssh -p 22 me@host a; b", "a", "b"]),
        ("docker exec -it -u app db psql", ["docker exec -it -u app db psql", "psql"]),
        ("kubectl exec -n x web -- ls /", ["kubectl exec -n x web -- ls /", "ls /"]),
        ("find . | xargs -n 1 rm", ["find .", "rm"]),
        ("$env:A=1; x", ["x"]),
        ("", []),
        ("  \n ; ", []),
    ],
)
def test_a_line_is_split_into_its_commands(line, want):
    assert texts(line) == want


def test_redirections_are_no_words_but_places_that_are_written_to():
    (command,) = commands_of("make > out.txt 2>> err.txt 2>&1 < in.txt")
    assert command.writes == ("out.txt", "err.txt")
    assert [c.writes for c in commands_of("> empty.txt")] == [("empty.txt",)]


def test_pipes_are_told():
    assert [c.piped for c in commands_of("a | b; c")] == [False, True, False]


@pytest.mark.parametrize("mark", ["EOF", "'EOF'", '"EOF"', "-EOF"])
def test_a_here_document_is_content_unless_a_shell_runs_it(mark):
    body = f"<<{mark}\nrm x\nEOF\nls"
    assert texts(f"cat > a {body}") == ["cat", "ls"]
    assert texts(f"python - {body}") == ["python -", "ls"]
    assert texts(f"bash {body}") == ["bash", "rm x", "eof", "ls"]
    assert texts(f"cat {body.removesuffix('EOF' + chr(10) + 'ls')}") == ["cat"]


def test_shells_in_shells_are_followed_to_a_depth():
    line = "x"
    for _ in range(9):
        line = f"eval {line}"
    assert len(texts(line)) == 5


def test_only_so_many_commands_are_looked_at():
    assert len(texts("a;" * 3 * COMMANDS)) == COMMANDS


def test_names_and_quotes_are_folded():
    assert base("/usr/bin/Git.exe") == "git"
    assert base("npm.cmd") == "npm"
    assert unquoted('a\'b c\'"d \\" e"') == 'ab cd " e'
    assert unquoted("plain") == "plain"


@given(
    st.text(alphabet=st.characters(), max_size=60)
    | st.text("ab'\"`$(){}|&;<>#\\ \nEOF-", max_size=60)
)
def test_any_line_can_be_split(line):
    assert texts(line) == texts(line)
