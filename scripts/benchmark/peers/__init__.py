"""The proxies that are measured: how each is configured, started and signed in to."""

from __future__ import annotations

from peers.apache import Apache
from peers.base import Peer, Setting
from peers.coatcheck import Coatcheck
from peers.envoy import Envoy
from peers.haproxy import HAProxy
from peers.nginx import Nginx

ALL: dict[str, type[Peer]] = {peer.name: peer for peer in (Nginx, HAProxy, Envoy, Apache, Coatcheck)}

__all__ = ["ALL", "Peer", "Setting"]
