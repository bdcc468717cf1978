"""Files, tables, arrays, threads and sockets: input and output that knows nothing of photographs."""
