"""The gunicorn worker: it receives whole requests in one thread, and only then has a thread answer each.

gunicorn's own threads read from their client while they hold it, so that as many slow clients as there are
threads stop the server. Here a slow client costs a socket and what it has sent, until its time is up.

Both servers need a bound on the total time of a head and of a body, on the bytes of all requests and
answers together, and on open connections. No library that was judged has them all. gunicorn's gthread ties
a thread to a request that is not whole; waitress and hypercorn do not bound the sum of the requests they
buffer; waitress and uvicorn bound the time between two bytes, and not the whole; granian and uvicorn start
the application before the body has come. nginx bounds all but the sum of its buffers, keeps bodies on a
disk, and is a second program next to a command that runs on a laptop too; it is welcome in front.
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
from nimakit.serving.http.request_reader import OVERSIZED, Incoming, MalformedError
from nimakit.serving.problems import plain_answer

_TURN_S = 0.25
_LINGER_S = 2.0
_AT_REST_S = 1.0
_PROBE_THREADS = 2
_MOST_PROBES = 64
_ACCEPTED_AT_ONCE = 32
_TURN_OF_A_THREAD_S = 0.0002
"""A thread that comes back from a socket or a database waits at most so long for each that computes: Python's
own 5 ms add up, because a request comes back a dozen times."""

_MOST_DIGITS = 640
"""Of a number in JSON, the least there can be set: reading one takes time by the square of its digits."""

_AHEAD = 262_144
"""Bytes of an answer that wait for their client before no more of it are made."""

_TOO_SLOW = "The server has no room for slow requests. Try again later."

_EXPENDABLE = (State.LINGERING, State.SILENT, State.IDLE, State.RECEIVING, State.SENDING)


class SlowClientError(NimakitError):
    """A request that did not come in time."""

    http_status = 408


class BufferingWorker(Worker):  # type: ignore[misc]
    """Receives requests without waiting for any one client, and hands whole ones to threads."""

    def init_process(self) -> None:
        """Set up, load the application, and run; gunicorn calls it in the worker's process."""
        memory.keep_little()
        sys.set_int_max_str_digits(_MOST_DIGITS)
        sys.setswitchinterval(_TURN_OF_A_THREAD_S)
        self._selector = selectors.DefaultSelector()
        self._connections = Connections()
        self._answered: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self._probed: set[Connection] = set()
        self._held = 0
        self._looked = 0.0
        self._rests_at = math.inf
        super().init_process()

    def run(self) -> None:
        """Serve until told to stop, then finish what has begun."""
        self._front: Front = self.wsgi.extensions[FRONT]
        self._limits = self._front.limits
        try:
            self._max_connections = affordable_connections(self._limits, self._front.open_file is not None)
            self._threads = _started(self._limits.threads, "nimakit-http")
            self._probes = _started(_PROBE_THREADS, "nimakit-probe")
            self._rest = _started(1, "nimakit-rest")
        except NimakitError as error:
            say(f"error: {error}")
            sys.exit(Arbiter.APP_LOAD_ERROR)
        memory.settle()
        self._selector.register(self.PIPE[0], selectors.EVENT_READ, self._wake)
        for listener in self.sockets:
            listener.setblocking(0)
        self._listen()
        while self.alive:
            self._turn()
        self._drain()

    # --- the thread that receives ----------------------------------------------------------------------

    def _turn(self) -> None:
        self.notify()
        for key, _ in self._selector.select(_TURN_S):
            if not isinstance(key.data, Connection):
                key.data(key.fileobj)
            elif key.data in self._connections:  # it may have been ended since it was found ready
                self._serve(key.data)
        now = time.monotonic()
        if now - self._looked >= _TURN_S:
            self._looked = now
            for connection in self._connections.late():
                self._end_late(connection)
            if self._rests_at < now and not self._connections.count(State.ANSWERING):
                self._rests_at = math.inf
                self._rest.submit(memory.give_back)
            if os.getppid() != self.ppid:
                self.alive = False
            if self.alive:
                self._listen()

    def _drain(self) -> None:
        """Answer what has come, refuse what still comes on open connections, and end."""
        self._front.drain()
        for listener in self.sockets:
            if listener in self._selector.get_map():
                self._selector.unregister(listener)
            listener.close()
        now = time.monotonic()
        for connection in self._connections:
            if connection.state in (State.SILENT, State.IDLE):
                connection.deadline = min(connection.deadline, now + _LINGER_S)
        while self._connections and time.monotonic() < now + self.cfg.graceful_timeout:
            self._turn()
        self._front.close()

    def _wake(self, pipe: int) -> None:
        """A signal came, or threads have answered."""
        os.read(pipe, 4096)
        while True:
            try:
                connection = self._answered.get_nowait()
            except queue.Empty:
                return
            self._probed.discard(connection)
            self._connections.enter(connection, State.SENDING, self._limits.body_timeout_s)
            self._count(connection)
            self._flush(connection)

    def _listen(self) -> None:
        """Look at the listeners again that no connection could be accepted from."""
        for listener in self.sockets:
            if listener not in self._selector.get_map():
                self._selector.register(listener, selectors.EVENT_READ, self._accept)

    def _accept(self, listener: Any) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                sock, address = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:  # no file descriptor left
                if not self._evict():  # until the next look: the listener stays ready meanwhile
                    self._selector.unregister(listener)
                return
            if len(self._connections) >= self._max_connections and not self._evict():
                _refuse_socket(sock)
                continue
            connection = Connection(sock, address, self._new_request(), self._limits.header_timeout_s)
            self._connections.add(connection)
            self._selector.register(sock, selectors.EVENT_READ, connection)

    def _new_request(self) -> Incoming:
        return Incoming(self._max_body, self._front.open_file)

    def _max_body(self, head: bytes) -> int:
        return 0 if self._is_probe(head) else self._front.max_body(head)

    def _is_probe(self, head: bytes) -> bool:
        method, _, rest = head.partition(b" ")
        return method == b"GET" and rest.partition(b" ")[0] in self._front.probes

    def _count(self, connection: Connection) -> None:
        """Take into the sum what is held for a connection now."""
        self._held += connection.size - connection.counted
        connection.counted = connection.size

    def _serve(self, connection: Connection) -> None:
        """Go on with a connection that is ready for it."""
        if connection.state is State.SENDING:
            self._flush(connection)
            return
        if connection.state is State.LINGERING:
            if connection.skip():
                self._close(connection)
            return
        data = connection.receive()
        if data == b"":
            self._close(connection)
        elif data:
            try:
                self._take(connection, data)
            except (BusyError, MalformedError) as error:
                self._refuse(connection, error)
            except OSError:
                self._refuse(connection, BusyError("The server has no room for this body. Try again later."))

    def _take(self, connection: Connection, data: bytes) -> None:
        incoming = connection.incoming
        if connection.state is State.IDLE and not self.alive:
            raise BusyError("The server is stopping. Send the request again, on another connection.")
        if connection.state is not State.RECEIVING:
            self._connections.enter(connection, State.RECEIVING, self._limits.header_timeout_s)
        had_head = bool(incoming.head)
        try:
            incoming.feed(data)
        finally:
            self._count(connection)
        if incoming.is_complete:
            self._admit(connection)
        elif incoming.head and not had_head:
            self._connections.enter(connection, State.RECEIVING, self._limits.body_timeout_s)
            if incoming.expects_continue:
                self._send(connection, b"HTTP/1.1 100 Continue\r\n\r\n")
        self._relieve()

    def _admit(self, connection: Connection) -> None:
        """Have a thread answer a whole request, or refuse it where too many wait already."""
        is_probe = self._is_probe(connection.incoming.head)
        probed = len(self._probed)
        others = self._connections.count(State.ANSWERING) - probed
        if probed >= _MOST_PROBES if is_probe else others >= self._limits.threads + self._limits.max_waiting:
            raise BusyError("The server has as many requests as it can answer. Try again later.")
        if is_probe:
            self._probed.add(connection)
        self._answer_next(connection, self._probes if is_probe else self._threads)

    def _answer_next(self, connection: Connection, threads: ThreadPoolExecutor) -> None:
        """Have a thread make an answer, or the next piece of it."""
        self._connections.enter(connection, State.ANSWERING, math.inf)
        if connection.sock in self._selector.get_map():
            self._selector.unregister(connection.sock)
        threads.submit(self._answer, connection)

    def _relieve(self) -> None:
        """Have no more bytes held than may be: the slowest to send give way, then the slowest to read."""
        while self._held > self._limits.max_buffered_bytes:
            slowest = self._connections.least(State.RECEIVING, State.SENDING)
            if slowest is None:
                return
            if slowest.state is State.RECEIVING:
                self._refuse(slowest, BusyError(_TOO_SLOW))
            else:
                self._close(slowest)

    def _evict(self) -> bool:
        """Have one connection less: end the one that is the least to be missed, and of those the oldest."""
        oldest = self._connections.least(*_EXPENDABLE)
        if oldest is None:
            return False
        if oldest.state is State.RECEIVING:
            self._note(oldest, BusyError(_TOO_SLOW))
        self._close(oldest)
        return True

    def _end_late(self, connection: Connection) -> None:
        if connection.state is State.RECEIVING:
            part = "body" if connection.incoming.head else "head"
            self._refuse(connection, SlowClientError(f"The {part} of a request must come in time."))
        else:
            self._close(connection)

    def _refuse(self, connection: Connection, error: NimakitError) -> None:
        """Answer what is not worth a thread, and take nothing more from the client."""
        self._note(connection, error)
        self._linger(connection)

    def _note(self, connection: Connection, error: NimakitError) -> None:
        """Send why a request is refused, and count it."""
        status = error.http_status
        self._send(connection, plain_answer(status, str(error)))
        reason = "busy" if isinstance(error, BusyError) else "slow" if status == 408 else "malformed"
        self._front.note_refusal(status, reason)

    def _send(self, connection: Connection, data: bytes) -> None:
        """Send a few bytes, or none to a client that takes none."""
        connection.sendall(data)
        with contextlib.suppress(OSError):
            connection.flush()

    def _flush(self, connection: Connection) -> None:
        """Send on, and once all is sent take the next request of the connection, or end it."""
        try:
            is_sent = connection.flush()
        except OSError:
            self._close(connection)
            return
        self._count(connection)
        incoming = connection.incoming
        if not is_sent:
            self._watch(connection, selectors.EVENT_WRITE)
        elif connection.rest is not None:
            self._answer_next(connection, self._threads)
        elif incoming.is_oversized or incoming.has_surplus:
            self._linger(connection)
        elif not connection.stays_open:
            self._close(connection)
        else:
            seconds = self._limits.keepalive_timeout_s if self.alive else _LINGER_S
            self._await(connection, State.IDLE, seconds)

    def _linger(self, connection: Connection) -> None:
        """Close once the client has had its answer: closing while it still sends would lose it."""
        try:
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(connection)
        else:
            self._await(connection, State.LINGERING, _LINGER_S)

    def _await(self, connection: Connection, state: State, seconds: float) -> None:
        """Have done with a request, and wait for what comes next."""
        connection.incoming.discard()
        connection.incoming = self._new_request()
        self._count(connection)
        self._connections.enter(connection, state, seconds)
        self._watch(connection, selectors.EVENT_READ)
        self._rests_at = time.monotonic() + _AT_REST_S

    def _watch(self, connection: Connection, events: int) -> None:
        if connection.sock in self._selector.get_map():
            self._selector.modify(connection.sock, events, connection)
        else:
            self._selector.register(connection.sock, events, connection)

    def _close(self, connection: Connection) -> None:
        self._held -= connection.counted
        self._connections.discard(connection)
        if connection.sock in self._selector.get_map():
            self._selector.unregister(connection.sock)
        connection.close()
        self._rests_at = time.monotonic() + _AT_REST_S

    # --- the threads that answer -----------------------------------------------------------------------

    def _answer(self, connection: Connection) -> None:
        """Make an answer, or the next piece of it."""
        connection.rest = connection.rest or self._respond(connection)
        try:
            next(connection.rest)
        except StopIteration as ended:
            connection.rest, connection.stays_open = None, ended.value
        except Exception:
            connection.rest, connection.stays_open = None, False
            self.log.exception("a response could not be made")
        with contextlib.suppress(OSError):  # what is sent here need not wait for the other thread
            connection.flush()
        self._answered.put(connection)
        with contextlib.suppress(BlockingIOError):  # so full that the other thread will look anyway
            os.write(self.PIPE[1], b"1")

    def _respond(self, connection: Connection) -> Generator[None, None, bool]:
        """Run the application on a request, a piece at a time; whether the connection stays open."""
        incoming = connection.incoming
        try:
            request = next(RequestParser(self.cfg, iter([incoming.head]), connection.address))
        except LimitRequestHeaders:
            connection.sendall(plain_answer(431, "The head of the request has too many or too long headers."))
            self._front.note_refusal(431, "malformed")
            return False
        except ParseException:
            connection.sendall(plain_answer(400, "The head of the request is malformed."))
            self._front.note_refusal(400, "malformed")
            return False
        response, environ = create(
            request, connection, connection.address, connection.sock.getsockname(), self.cfg
        )
        environ["wsgi.input"] = incoming.body
        environ["wsgi.input_terminated"] = True
        environ["wsgi.multithread"] = True
        environ[OVERSIZED] = incoming.is_oversized
        if incoming.is_chunked:
            del environ["HTTP_TRANSFER_ENCODING"]
            environ["CONTENT_LENGTH"] = str(incoming.body_size)
        if not self.alive or incoming.is_oversized or incoming.has_surplus:
            response.force_close()
        body = self.wsgi(environ, response.start_response)
        try:
            for piece in body:
                response.write(piece)
                if connection.unsent >= _AHEAD:
                    yield
            response.close()
        finally:
            if hasattr(body, "close"):
                body.close()
        return not response.should_close()


def _started(count: int, name: str) -> ThreadPoolExecutor:
    """Threads that run already: later there may be none to be had, and a request would have no answer.

    Raises:
        NimakitError: There are not so many.
    """
    threads = ThreadPoolExecutor(count, thread_name_prefix=name)
    all_run = threading.Barrier(count)  # until then none is free, so that each piece of work starts another
    try:
        for _ in range(count):
            threads.submit(all_run.wait)
    except RuntimeError as error:
        all_run.abort()
        threads.shutdown(wait=False)
        raise NimakitError(
            f"The server must be able to start {count} threads. Received: {error}. Allow it more of them"
            " (docker run --pids-limit, ulimit -u)."
        ) from error
    return threads


def _refuse_socket(sock: socket.socket) -> None:
    """Refuse a client before anything is received: every connection there may be is being answered."""
    with contextlib.closing(sock), contextlib.suppress(OSError):
        sock.settimeout(0)
        sock.send(plain_answer(503, "The server has no room for more connections. Try again later."))
