"""The gunicorn worker: it receives whole requests in one thread, and only then has a thread answer each.

gunicorn's own threads read from their client while they hold it, so that as many slow clients as there are
threads stop the server. Here a slow client costs a socket and what it has sent, until its time is up.
"""

import contextlib
import io
import math
import os
import queue
import selectors
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from gunicorn.http import RequestParser  # type: ignore[import-untyped]
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from gunicorn.http.wsgi import create  # type: ignore[import-untyped]
from gunicorn.workers.base import Worker  # type: ignore[import-untyped]

from nimakit.errors import BusyError, NimakitError
from nimakit.machine import cores
from nimakit.serving import EXTENSION
from nimakit.serving.connection import Connection, State
from nimakit.serving.incoming import OVERSIZED, Incoming, MalformedError
from nimakit.serving.problems import plain_answer
from nimakit.serving.requestlog import write_line

if TYPE_CHECKING:
    from nimakit.serving.service import Service

_TURN_S = 0.25
_LINGER_S = 2.0
_SPARE_THREADS = 16
"""More threads than requests that can be waiting for scores: for health probes, and for refusals."""


_EXPENDABLE = (State.LINGERING, State.IDLE, State.RECEIVING, State.SENDING)


class SlowClientError(NimakitError):
    """A request that did not come in time."""

    http_status = 408


class BufferingWorker(Worker):  # type: ignore[misc]
    """Receives requests without waiting for any one client, and hands whole ones to threads."""

    def init_process(self) -> None:
        """Set up, load the application, and run; gunicorn calls it in the worker's process."""
        self._settings = self.app.settings
        self._selector = selectors.DefaultSelector()
        self._connections: set[Connection] = set()
        self._answered: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self._held = 0
        self._looked = 0.0
        workers = self._settings.workers or cores()
        threads = self._settings.queue_size + workers * (self._settings.batch_size or 8) + _SPARE_THREADS
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="nimakit-http")
        super().init_process()

    def run(self) -> None:
        """Serve until told to stop, then finish what has begun."""
        self._selector.register(self.PIPE[0], selectors.EVENT_READ, self._wake)
        for listener in self.sockets:
            listener.setblocking(0)
            self._selector.register(listener, selectors.EVENT_READ, self._accept)
        while self.alive:
            self._turn()
        self._drain()

    @property
    def _service(self) -> "Service":
        service: Service = self.wsgi.extensions[EXTENSION]
        return service

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
            for connection in [c for c in self._connections if c.deadline < now]:
                self._end_late(connection)
            if os.getppid() != self.ppid:
                self.alive = False

    def _drain(self) -> None:
        """Answer what has come, refuse what still comes on open connections, and end."""
        self._service.drain()
        for listener in self.sockets:
            self._selector.unregister(listener)
            listener.close()
        now = time.monotonic()
        for connection in self._connections:
            if connection.state is State.IDLE:
                connection.deadline = min(connection.deadline, now + _LINGER_S)
        while self._connections and time.monotonic() < now + self.cfg.graceful_timeout:
            self._turn()
        self._service.close()

    def _wake(self, pipe: int) -> None:
        """A signal came, or threads have answered."""
        os.read(pipe, 4096)
        while True:
            try:
                connection = self._answered.get_nowait()
            except queue.Empty:
                return
            connection.enter(State.SENDING, self._settings.body_timeout_s)
            self._selector.register(connection.sock, selectors.EVENT_WRITE, connection)
            self._flush(connection)

    def _accept(self, listener: Any) -> None:
        try:
            sock, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:  # no file descriptor left
            self._evict(*_EXPENDABLE)
            return
        if len(self._connections) >= self._settings.max_connections and not self._evict(*_EXPENDABLE):
            sock.close()
            return
        connection = Connection(sock, address, self._new_request(), self._settings.header_timeout_s)
        self._connections.add(connection)
        self._selector.register(sock, selectors.EVENT_READ, connection)

    def _new_request(self) -> Incoming:
        return Incoming(self._settings.max_body_bytes)

    def _serve(self, connection: Connection) -> None:
        """Go on with a connection that is ready for it."""
        if connection.state is State.SENDING:
            self._flush(connection)
            return
        data = connection.receive()
        if data == b"":
            self._close(connection)
        elif data and connection.state is not State.LINGERING:
            try:
                self._take(connection, data)
            except (BusyError, MalformedError) as error:
                self._refuse(connection, error)

    def _take(self, connection: Connection, data: bytes) -> None:
        incoming = connection.incoming
        if connection.state is State.IDLE:
            if not self.alive:
                raise BusyError("The server is stopping. Send the request again, on another connection.")
            connection.enter(State.RECEIVING, self._settings.header_timeout_s)
        had_head = bool(incoming.head)
        self._held -= incoming.size
        try:
            incoming.feed(data)
        finally:
            self._held += incoming.size
        if incoming.is_complete:
            connection.enter(State.ANSWERING, math.inf)
            self._selector.unregister(connection.sock)
            self._threads.submit(self._answer, connection)
        elif incoming.head and not had_head:
            connection.enter(State.RECEIVING, self._settings.body_timeout_s)
            if incoming.expects_continue:
                self._send(connection, b"HTTP/1.1 100 Continue\r\n\r\n")
        while self._held > self._settings.max_buffered_bytes and self._evict(State.RECEIVING):
            pass

    def _evict(self, *states: State) -> bool:
        """Make room: end the connection that is the least to be missed, and of those the oldest."""
        found = [connection for connection in self._connections if connection.state in states]
        if not found:
            return False
        oldest = min(found, key=lambda connection: (connection.state.value, connection.since))
        if oldest.state is State.RECEIVING:
            self._refuse(oldest, BusyError("The server has no room for slow requests. Try again later."))
        else:
            self._close(oldest)
        return True

    def _end_late(self, connection: Connection) -> None:
        if connection.state is State.RECEIVING and connection.incoming.has_begun:
            part = "body" if connection.incoming.head else "head"
            self._refuse(connection, SlowClientError(f"The {part} of a request must come in time."))
        else:
            self._close(connection)

    def _refuse(self, connection: Connection, error: NimakitError) -> None:
        """Answer what is not worth a thread, and take nothing more from the client."""
        status = error.http_status
        self._send(connection, plain_answer(status, str(error)))
        reason = "busy" if isinstance(error, BusyError) else "slow" if status == 408 else "malformed"
        self._service.metrics.rejected.labels(reason).inc()
        write_line(status=status)
        self._linger(connection)

    def _send(self, connection: Connection, data: bytes) -> None:
        """Send a few bytes, or none to a client that takes none."""
        connection.sendall(data)
        with contextlib.suppress(OSError):
            connection.flush()

    def _flush(self, connection: Connection) -> None:
        """Send on, and once all is sent take the next request of the connection, or end it."""
        try:
            if not connection.flush():
                return
        except OSError:
            self._close(connection)
            return
        incoming = connection.incoming
        if incoming.is_oversized or incoming.has_surplus:
            self._linger(connection)
        elif not connection.stays_open:
            self._close(connection)
        else:
            seconds = self._settings.keepalive_timeout_s if self.alive else _LINGER_S
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
        self._held -= connection.incoming.size
        connection.incoming = self._new_request()
        connection.enter(state, seconds)
        self._selector.modify(connection.sock, selectors.EVENT_READ, connection)

    def _close(self, connection: Connection) -> None:
        self._held -= connection.incoming.size
        self._connections.discard(connection)
        if connection.sock in self._selector.get_map():
            self._selector.unregister(connection.sock)
        connection.sock.close()

    # --- the threads that answer -----------------------------------------------------------------------

    def _answer(self, connection: Connection) -> None:
        try:
            connection.stays_open = self._respond(connection)
        except Exception:
            connection.stays_open = False
            self.log.exception("a response could not be made")
        self._answered.put(connection)
        with contextlib.suppress(BlockingIOError):  # so full that the other thread will look anyway
            os.write(self.PIPE[1], b"1")

    def _respond(self, connection: Connection) -> bool:
        """Run the application on a request; whether the connection stays open."""
        incoming = connection.incoming
        try:
            request = next(RequestParser(self.cfg, iter([incoming.head]), connection.address))
        except ParseException:
            connection.sendall(plain_answer(400, "The head of the request is malformed."))
            write_line(status=400)
            return False
        response, environ = create(
            request, connection, connection.address, connection.sock.getsockname(), self.cfg
        )
        environ["wsgi.input"] = io.BytesIO(incoming.body)
        environ["wsgi.multithread"] = True
        environ[OVERSIZED] = incoming.is_oversized
        if incoming.is_chunked:
            del environ["HTTP_TRANSFER_ENCODING"]
            environ["CONTENT_LENGTH"] = str(len(incoming.body))
        if not self.alive or incoming.is_oversized or incoming.has_surplus:
            response.force_close()
        body = self.wsgi(environ, response.start_response)
        try:
            for piece in body:
                response.write(piece)
            response.close()
        finally:
            if hasattr(body, "close"):
                body.close()
        return not response.should_close()
