"""HTTP/1.1 by table: what the proxy makes of requests and answers, seen from a raw client and by a strict upstream."""
