"""HTTP worker: it receives whole requests, within limits of time and memory, before a thread answers them."""
