"""The scenarios by name, in the order in which they run and are printed."""

from __future__ import annotations

from scenarios import calls, coldstart, handshakes, idle, latency, refresh, sessions

ALL = {
    "small": calls.small,
    "small-tls": calls.small_tls,
    "rate-3000": latency.rate_3000,
    "answer-64k": calls.answer_64k,
    "upload-1m": calls.upload_1m,
    "sse-latency": latency.sse_latency,
    "idle-streams-5k": idle.idle_5k,
    "idle-streams-20k": idle.idle_20k,
    "idle-streams-tls": idle.idle_tls,
    "tls-full": handshakes.full,
    "tls-resumed": handshakes.resumed,
    "refresh-1000": refresh.refresh,
    "sessions-100k": sessions.sessions,
    "cold-start": coldstart.cold_start,
}
