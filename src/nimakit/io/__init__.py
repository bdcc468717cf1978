"""Files, tables, arrays, threads and sockets: input and output without any knowledge of photographs."""
