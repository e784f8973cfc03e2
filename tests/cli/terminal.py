"""A command at a real terminal (a pty of its own, with Ctrl-C as a signal), and an upstream that answers slowly."""

import contextlib
import fcntl
import http.server
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time

from .processes import environment

PROMPT = rb"\x1b\[\?2004h"  # what is typed from here on is read by the prompt: it has asked for pastes as such


# Makes the terminal that is its standard input its own, so that Ctrl-C there is a signal; then it is the command.
OWN = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.executable, sys.argv[1:])"


class Terminal:
    """A process at a terminal. `seen` is every byte that it has written there."""

    def __init__(self, *args, columns=100, rows=30, **env):
        self.seen = b""
        self.end, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        command = [sys.executable, "-m", "openfusion_auto", *args]
        self.process = subprocess.Popen(
            [sys.executable, "-IS", "-c", OWN, *command],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            # A test has no terminal emulator that would say where the cursor is.
            env=environment(PROMPT_TOOLKIT_NO_CPR="1", TERM="xterm-256color", **env),
        )  # fmt: skip
        os.close(theirs)

    def until(self, pattern, timeout_s=20):
        """Read until what came since the last call holds `pattern`; returns that."""
        new, end_s = b"", time.monotonic() + timeout_s
        while not re.search(pattern, new, re.DOTALL):
            left_s = end_s - time.monotonic()
            assert left_s > 0, (pattern, self.seen[-3000:])
            assert select.select([self.end], [], [], left_s)[0], (pattern, self.seen[-3000:])
            piece = self.read()
            assert piece, (pattern, self.seen[-3000:])
            new += piece
        return new

    def read(self):
        """Return what there is; b"" when the process has closed the terminal."""
        try:
            piece = os.read(self.end, 65536)
        except OSError:
            piece = b""
        self.seen += piece
        return piece

    def type(self, text):
        os.write(self.end, text.encode())

    def wait(self):
        """Read to the end; returns the exit code."""
        while self.read():
            pass
        return self.process.wait(20)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.end)


@contextlib.contextmanager
def at_terminal(*args, **more):
    made = Terminal(*args, **more)
    try:
        yield made
    finally:
        made.close()


class Relay(http.server.ThreadingHTTPServer):
    """An upstream over HTTP. `answers[model]` is a list of pieces, an endless one, or a status.

    `asked` are the models and keys in order, `left` the moments at which clients left in the middle.
    """

    daemon_threads = True

    def __init__(self, answers, pause_s=0.03):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.pause_s = answers, pause_s
        self.asked, self.bodies, self.left = [], [], []
        self.url = f"http://127.0.0.1:{self.server_port}/v1"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        relay = self.server
        relay.asked.append((body["model"], self.headers.get("Authorization")))
        relay.bodies.append(body)
        answer = relay.answers[body["model"]]
        if isinstance(answer, int):
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if not body.get("stream"):
            self.whole("".join(answer))
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            for piece in answer:
                self.event({"index": 0, "delta": {"content": piece}})
                time.sleep(relay.pause_s)
            self.event({"index": 0, "delta": {}, "finish_reason": "stop"})
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            relay.left.append(time.monotonic())

    def event(self, choice):
        chunk = {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())

    def whole(self, text):
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
        }
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        body = json.dumps(
            {
                "id": "c",
                "object": "chat.completion",
                "model": "m",
                "choices": [choice],
                "usage": usage,
            }
        )
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def relay(answers, **more):
    made = Relay(answers, **more)
    thread = threading.Thread(target=made.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        thread.join()
        made.server_close()


def count():
    """An answer of five minutes."""
    return (f"word {i} " for i in range(10_000))


def within(seconds, is_so):
    """Wait until something is so; returns whether it is."""
    end_s = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end_s:
        time.sleep(0.01)
    return is_so()
