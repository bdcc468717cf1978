"""gunicorn worker: one thread receives requests, and a pool of threads answers each complete request.

gunicorn's own threads read from the client while they serve it, so as many slow clients as there are threads
stop the server. Here a slow client costs a socket and the bytes it has sent, until its deadline.

Both servers need limits on the total time of a head and of a body, on the size of all buffered requests and
responses, and on open connections. No library that was examined has them all. gunicorn's gthread ties a
thread to an incomplete request; waitress and hypercorn do not limit the total size of buffered requests;
waitress and uvicorn limit the time between two bytes, not the total; granian and uvicorn call the application
before the body is complete. nginx limits everything except the total size of its buffers, but it stores
bodies on disk and would be a second program next to a command that also runs on a laptop.
"""

import contextlib
import math
import os
import queue
import selectors
import socket
import sys
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]
from gunicorn.http import RequestParser  # type: ignore[import-untyped]
from gunicorn.http.errors import LimitRequestHeaders, ParseException  # type: ignore[import-untyped]
from gunicorn.http.wsgi import create  # type: ignore[import-untyped]
from gunicorn.workers.base import Worker  # type: ignore[import-untyped]

from nimakit.errors import BusyError, NimakitError
from nimakit.progress import say
from nimakit.serving.http import memory
from nimakit.serving.http.connection import Connection, Connections, State
from nimakit.serving.http.descriptors import affordable_connections
from nimakit.serving.http.front import FRONT, Front
from nimakit.serving.http.request_reader import BEGAN, OVERSIZED, MalformedError, RequestReader
from nimakit.serving.problems import plain_answer

_POLL_S = 0.25
_LINGER_S = 2.0
_IDLE_BEFORE_RELEASE_S = 1.0
_PROBE_THREADS = 2
_MAX_PROBES = 64
_ACCEPTED_AT_ONCE = 4
_SWITCH_INTERVAL_S = 0.0002
"""Longest time a thread computes while others wait for the interpreter. A request passes between threads a
dozen times, and with Python's default of 5 ms those waits add up."""

_MAX_DIGITS = 640
"""Digits of a number in JSON, the lowest limit Python allows: reading it takes time quadratic in digits."""

_BUFFERED_AHEAD = 262_144
"""Bytes of a response that may wait for the client before the next piece is produced."""

_FULL = "The server has no room for more connections. Try again later."
_TOO_SLOW = "The server has no room for slow requests. Try again later."

_BULK_AT_ONCE = 2
"""Connections with large bodies that are received from in one turn."""
_EXPENDABLE = (State.LINGERING, State.NEW, State.IDLE, State.RECEIVING, State.SENDING)


class SlowClientError(NimakitError):
    """A request that was not received in time."""

    http_status = 408


class BufferingWorker(Worker):  # type: ignore[misc]
    """Receives requests without waiting for any client, and submits complete ones to threads."""

    def init_process(self) -> None:
        """Set up, load the application, and run; gunicorn calls this in the worker's process."""
        memory.configure_allocator()
        sys.set_int_max_str_digits(_MAX_DIGITS)
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        self._selector = selectors.DefaultSelector()
        self._connections = Connections()
        self._answered: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self._probed: set[Connection] = set()
        self._buffered = 0
        self._checked_at = 0.0
        self._release_at = math.inf
        super().init_process()

    def run(self) -> None:
        """Serve until told to stop, then finish the requests in progress."""
        self._front: Front = self.wsgi.extensions[FRONT]
        self._limits = self._front.limits
        try:
            self._max_connections = affordable_connections(self._limits, self._front.open_file is not None)
            self._threads = _start_threads(self._limits.threads, "nimakit-http")
            self._probe_threads = _start_threads(_PROBE_THREADS, "nimakit-probe")
            self._release_thread = _start_threads(1, "nimakit-release")
        except NimakitError as error:
            say(f"error: {error}")
            sys.exit(Arbiter.APP_LOAD_ERROR)
        memory.freeze_loaded()
        self._selector.register(self.PIPE[0], selectors.EVENT_READ, self._wake)
        for listener in self.sockets:
            listener.setblocking(0)
        self._listen()
        while self.alive:
            self._poll()
        self._drain()

    # --- the receiving thread --------------------------------------------------------------------------

    def _poll(self) -> None:
        self.notify()
        ready = [key for key, _ in self._selector.select(_POLL_S)]
        bulk = [key for key in ready if isinstance(key.data, Connection) and key.data.is_bulk]
        # Small requests do not wait for all large bodies; those left out are ready in the next turn, too.
        postponed = {id(key) for key in bulk[_BULK_AT_ONCE:]}
        for key in ready:
            if not isinstance(key.data, Connection):
                key.data(key.fileobj)
            elif key.data in self._connections and id(key) not in postponed:
                self._handle(key.data)  # unless it was closed by an event handled just before
        now = time.monotonic()
        if now - self._checked_at >= _POLL_S:
            self._checked_at = now
            for connection in self._connections.expired():
                part = "body" if connection.request.head else "head"
                self._drop(
                    connection, SlowClientError(f"The {part} of the request was not received in time.")
                )
            if self._release_at < now and not self._connections.count(State.ANSWERING):
                self._release_at = math.inf
                self._release_thread.submit(memory.release_free)
            if os.getppid() != self.ppid:
                self.alive = False
            if self.alive:
                self._listen()

    def _drain(self) -> None:
        """Answer received requests, refuse new ones on open connections, and stop."""
        self._front.drain()
        for listener in self.sockets:
            self._unwatch(listener)
            listener.close()
        now = time.monotonic()
        for connection in self._connections:
            if connection.state in (State.NEW, State.IDLE):
                connection.deadline = min(connection.deadline, now + _LINGER_S)
        while self._connections and time.monotonic() < now + self.cfg.graceful_timeout:
            self._poll()
        self._front.close()

    def _wake(self, pipe: int) -> None:
        """Handle a signal, and send the responses that threads have produced."""
        os.read(pipe, 4096)
        with contextlib.suppress(queue.Empty):
            while True:
                connection = self._answered.get_nowait()
                self._probed.discard(connection)
                self._connections.enter(connection, State.SENDING, self._limits.body_timeout_s)
                self._count(connection)
                self._flush(connection)

    def _listen(self) -> None:
        """Watch all listeners, including those that failed to accept before."""
        for listener in self.sockets:
            self._watch(listener, selectors.EVENT_READ, self._accept)

    def _watch(self, sock: Any, events: int, data: Any) -> None:
        if sock in self._selector.get_map():
            self._selector.modify(sock, events, data)
        else:
            self._selector.register(sock, events, data)

    def _unwatch(self, sock: Any) -> None:
        if sock in self._selector.get_map():
            self._selector.unregister(sock)

    def _accept(self, listener: Any) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                sock, address = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:  # no file descriptor left
                if not self._evict():
                    self._unwatch(listener)  # until the next `_listen`: it stays ready, and would spin
                return
            if len(self._connections) >= self._max_connections and not self._evict():
                with contextlib.closing(sock), contextlib.suppress(OSError):
                    sock.settimeout(0)
                    sock.send(plain_answer(503, _FULL))
                continue
            connection = Connection(sock, address, self._new_request(), self._limits.header_timeout_s)
            self._connections.add(connection)
            self._selector.register(sock, selectors.EVENT_READ, connection)

    def _new_request(self) -> RequestReader:
        return RequestReader(self._max_body, self._front.open_file)

    def _max_body(self, head: bytes) -> int:
        return 0 if self._is_probe(head) else self._front.max_body(head)

    def _is_probe(self, head: bytes) -> bool:
        method, _, rest = head.partition(b" ")
        return method == b"GET" and rest.partition(b" ")[0] in self._front.probes

    def _count(self, connection: Connection) -> None:
        """Update the total of buffered bytes."""
        self._buffered += connection.size - connection.counted
        connection.counted = connection.size

    def _handle(self, connection: Connection) -> None:
        """Receive from, or send to, a connection that is ready."""
        if connection.state is State.SENDING:
            self._flush(connection)
            return
        data = connection.receive()
        if data == b"":
            self._close(connection)
        elif data:
            try:
                self._receive(connection, data)
            except (BusyError, MalformedError) as error:
                self._refuse(connection, error)
            except OSError:
                self._refuse(connection, BusyError("The server has no room for this body. Try again later."))

    def _receive(self, connection: Connection, data: bytes) -> None:
        request = connection.request
        if connection.state is State.IDLE and not self.alive:
            raise BusyError("The server is stopping. Send the request again on another connection.")
        if connection.state is not State.RECEIVING:
            connection.began = time.monotonic()
            self._connections.enter(connection, State.RECEIVING, self._limits.header_timeout_s)
        had_head = bool(request.head)
        try:
            request.feed(data)
        finally:
            self._count(connection)
        if request.is_complete:
            self._admit(connection)
        elif request.head and not had_head:
            self._connections.enter(connection, State.RECEIVING, self._limits.body_timeout_s)
            if request.expects_continue:
                self._send(connection, b"HTTP/1.1 100 Continue\r\n\r\n")
        self._shed()

    def _admit(self, connection: Connection) -> None:
        """Submit a complete request to a thread, or refuse it if too many are waiting."""
        is_probe = self._is_probe(connection.request.head)
        probes = len(self._probed)
        others = self._connections.count(State.ANSWERING) - probes
        if probes >= _MAX_PROBES if is_probe else others >= self._limits.threads + self._limits.max_waiting:
            raise BusyError("The server is answering as many requests as it can. Try again later.")
        if is_probe:
            self._probed.add(connection)
        self._submit(connection, self._probe_threads if is_probe else self._threads)

    def _submit(self, connection: Connection, threads: ThreadPoolExecutor) -> None:
        """Have a thread produce the response, or its next piece."""
        self._connections.enter(connection, State.ANSWERING, math.inf)
        self._unwatch(connection.sock)
        threads.submit(self._answer, connection)

    def _shed(self) -> None:
        """Drop connections while too much is buffered: slowest senders, then slowest readers."""
        while self._buffered > self._limits.max_buffered_bytes:
            slowest = self._connections.oldest(State.RECEIVING, State.SENDING)
            if slowest is None:
                return
            self._drop(slowest, BusyError(_TOO_SLOW))

    def _evict(self) -> bool:
        """Close the cheapest connection to drop; False if there is none."""
        oldest = self._connections.oldest(*_EXPENDABLE)
        if oldest is None:
            return False
        if oldest.state is State.RECEIVING:
            self._send_refusal(oldest, BusyError(_TOO_SLOW))
        self._close(oldest)
        return True

    def _drop(self, connection: Connection, error: NimakitError) -> None:
        """Close a connection, with an error if it is in the middle of a request."""
        if connection.state is State.RECEIVING:
            self._refuse(connection, error)
        else:
            self._close(connection)

    def _refuse(self, connection: Connection, error: NimakitError) -> None:
        """Send an error without the application, and close the connection."""
        self._send_refusal(connection, error)
        self._linger(connection)

    def _send_refusal(self, connection: Connection, error: NimakitError) -> None:
        status = error.http_status
        self._send(connection, plain_answer(status, str(error)))
        reason = "busy" if isinstance(error, BusyError) else "slow" if status == 408 else "malformed"
        self._front.note_refusal(status, reason)

    def _send(self, connection: Connection, data: bytes) -> None:
        """Send a few bytes; what the socket does not take at once is lost."""
        connection.sendall(data)
        with contextlib.suppress(OSError):
            connection.flush()

    def _flush(self, connection: Connection) -> None:
        """Continue sending; once everything is sent, wait for the next request or close."""
        try:
            is_sent = connection.flush()
        except OSError:
            self._close(connection)
            return
        self._count(connection)
        request = connection.request
        if not is_sent:
            self._watch(connection.sock, selectors.EVENT_WRITE, connection)
        elif connection.response is not None:
            self._submit(connection, self._threads)
        elif request.is_oversized or request.has_surplus:
            self._linger(connection)
        elif not connection.stays_open:
            self._close(connection)
        else:
            self._reset(connection, State.IDLE, self._limits.keepalive_timeout_s if self.alive else _LINGER_S)

    def _linger(self, connection: Connection) -> None:
        """Close later: closing while the client still sends would discard the response."""
        try:
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(connection)
        else:
            self._reset(connection, State.LINGERING, _LINGER_S)

    def _reset(self, connection: Connection, state: State, seconds: float) -> None:
        """Discard the request, and wait in this state for the client."""
        connection.request.discard()
        connection.request = self._new_request()
        self._count(connection)
        self._connections.enter(connection, state, seconds)
        self._watch(connection.sock, selectors.EVENT_READ, connection)
        self._release_at = time.monotonic() + _IDLE_BEFORE_RELEASE_S

    def _close(self, connection: Connection) -> None:
        self._buffered -= connection.counted
        self._connections.discard(connection)
        self._unwatch(connection.sock)
        connection.close()
        self._release_at = time.monotonic() + _IDLE_BEFORE_RELEASE_S

    # --- the answering threads -------------------------------------------------------------------------

    def _answer(self, connection: Connection) -> None:
        """Produce the response, or its next piece."""
        connection.response = connection.response or self._respond(connection)
        try:
            next(connection.response)
        except StopIteration as ended:
            connection.response, connection.stays_open = None, ended.value
        except Exception:
            connection.response, connection.stays_open = None, False
            self.log.exception("a response could not be made")
        with contextlib.suppress(OSError):  # sent from here, it need not wait for the receiving thread
            connection.flush()
        self._answered.put(connection)
        with contextlib.suppress(BlockingIOError):  # a full pipe wakes the receiving thread anyway
            os.write(self.PIPE[1], b"1")

    def _respond(self, connection: Connection) -> Generator[None, None, bool]:
        """Run the application, and yield between pieces; returns whether the connection stays open."""
        received = connection.request
        try:
            request = next(RequestParser(self.cfg, iter([received.head]), connection.address))
        except ParseException as error:
            status, problem = 400, "The head of the request is malformed."
            if isinstance(error, LimitRequestHeaders):
                status, problem = 431, "The head of the request has too many or too long headers."
            connection.sendall(plain_answer(status, problem))
            self._front.note_refusal(status, "malformed")
            return False
        response, environ = create(
            request, connection, connection.address, connection.sock.getsockname(), self.cfg
        )
        environ["wsgi.input"] = received.body
        environ["wsgi.input_terminated"] = True
        environ["wsgi.multithread"] = True
        environ[OVERSIZED] = received.is_oversized
        environ[BEGAN] = connection.began
        if received.is_chunked:
            del environ["HTTP_TRANSFER_ENCODING"]
            environ["CONTENT_LENGTH"] = str(received.body_size)
        if not self.alive or received.is_oversized or received.has_surplus:
            response.force_close()
        body = self.wsgi(environ, response.start_response)
        try:
            for piece in body:
                response.write(piece)
                if connection.unsent >= _BUFFERED_AHEAD:
                    yield
            response.close()
        finally:
            if hasattr(body, "close"):
                body.close()
        return not response.should_close()


def _start_threads(count: int, name: str) -> ThreadPoolExecutor:
    """Start all threads of a pool now: later there may be none left, and a request would get no response.

    Raises:
        NimakitError: The system does not allow so many.
    """
    threads = ThreadPoolExecutor(count, thread_name_prefix=name)
    all_run = threading.Barrier(count)  # no thread is free until all run, so each submit starts another one
    try:
        for _ in range(count):
            threads.submit(all_run.wait)
    except RuntimeError as error:
        all_run.abort()
        threads.shutdown(wait=False)
        raise NimakitError(
            f"The server must be able to start {count} threads. Received: {error}. Raise the limit"
            " (docker run --pids-limit, ulimit -u)."
        ) from error
    return threads
