"""The harness measures what it says: its requests have their sizes, its mock answers, its errors are not figures."""

from __future__ import annotations

import json
import os
import socket
import threading

import pytest

from tests.bench.load import NONCE, Request, all_at_once, body, check, one_by_one, receive
from tests.bench.procs import bare, can_measure, cpu_s, first_line, memory_mb, mock, spawned
from tests.bench.run import TARGETS, percentile, slowness, table


@pytest.mark.parametrize("size", [2_000, 20_000, 400_000])
def test_a_request_has_the_size_asked_for_and_one_number(size):
    raw = body("m", size)
    assert abs(len(raw) - size) <= max(60, size * 0.01)
    assert raw.count(NONCE.encode()) == 1
    assert json.loads(raw)["messages"][1]["content"].startswith("Fix the failing test")


def test_no_two_requests_are_alike():
    request = Request(1, body("m"))
    first, second = request.bytes(), request.bytes()
    assert len(first) == len(second)
    assert first != second


def test_an_error_is_not_a_figure():
    with pytest.raises(ConnectionError, match="not an answer"):
        check(b'HTTP/1.1 503 Busy\r\n\r\n{"choices"')
    with pytest.raises(ConnectionError, match="not an answer"):
        check(b'HTTP/1.1 200 OK\r\n\r\n{"error"')


def test_the_mock_answers_whole_and_streamed_and_the_first_data_comes_before_the_last():
    with mock() as target:
        whole, _ = one_by_one(target.request(), 5, warm=1)
        ended, first = one_by_one(target.request(stream=True, n=10, i=5), 3, warm=0)
        assert all_at_once(target.request(stream=True, n=3), 20, 8) > 0
    assert len(whole) == 5
    assert all(f < 0.040 < e for f, e in zip(first, ended, strict=True))


def test_the_bare_relay_passes_on_what_it_gets():
    with mock() as upstream, bare(upstream) as relay:
        for stream in (False, True):
            direct = receive_one(upstream.request(stream=stream))
            through = receive_one(relay.target.request(stream=stream))
            assert through.count(b"another word") == direct.count(b"another word")
            assert stream or through == direct


def receive_one(request):
    """One answer's body as the client gets it."""
    with socket.create_connection(("127.0.0.1", request.port), timeout=20) as sock:
        sock.sendall(request.bytes())
        return receive(sock)[0].partition(b"\r\n\r\n")[2]


def test_an_answer_that_is_cut_ends_the_load():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            for _ in range(2):
                peer = server.accept()[0]
                peer.recv(65536)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                peer.close()

        thread = threading.Thread(target=answer)
        thread.start()
        request = Request(server.getsockname()[1], body("m"))
        with pytest.raises(ConnectionError, match="cut"):
            one_by_one(request, 1)
        with pytest.raises(ConnectionError):
            all_at_once(request, 1, 1)
        thread.join()


def test_a_process_that_does_not_start_says_why():
    with (
        spawned("tests.bench.nothing_of_this_name", cpu=1) as process,
        pytest.raises(RuntimeError, match="nothing_of_this_name"),
    ):
        first_line(process)


@pytest.mark.skipif(not can_measure(), reason="needs /proc")
def test_processor_time_and_memory_are_those_of_the_process():
    before = cpu_s(os.getpid())
    sum(i * i for i in range(3_000_000))
    assert 0.05 < cpu_s(os.getpid()) - before < 10
    with spawned("tests.bench.mock", cpu=1) as idle:
        first_line(idle)
        assert 5 < memory_mb(idle.pid) < 500


def test_percentiles_are_values_that_were_seen():
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile(range(100), 0.99) == 99
    assert percentile([7], 0.99) == 7


def test_the_table_shows_how_far_each_figure_is_from_what_it_must_be():
    figures = {name: must or 1.0 for name, (_, must, _) in TARGETS.items()}
    lines = table({**figures, "cpu_chunk_us": 90.0, "throughput_rps": 1650.0}).splitlines()
    shown = {line.split()[0]: line for line in lines[1:]}
    assert " 2.00 " in shown["cpu_chunk_us"]
    assert " 2.00 " in shown["throughput_rps"], (
        "half the rate is missed by two, as twice the time is"
    )
    assert " 1.00 " in shown["cold_start_s"]


def test_the_fixed_work_takes_processor_time_in_the_measure_of_the_machine():
    assert 0.1 < slowness() < 50
