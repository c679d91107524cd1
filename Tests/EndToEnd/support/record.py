"""The form of a session at rest, read and written by another program than the proxy: what a newer version of it would do."""

from __future__ import annotations

import hashlib
import os
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def counted(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


class Envelope:
    """AES-256-GCM with a head of version and key id, bound to the place it is kept at."""

    def __init__(self, key: bytes):
        self.head = b"\1" + hashlib.sha256(b"coatcheck sealing key" + key).digest()[:4]
        self.cipher = AESGCM(key)

    @staticmethod
    def place(table: str, row: bytes, field: str) -> bytes:
        return counted(table.encode()) + counted(row) + counted(field.encode())

    def open(self, sealed: bytes, place: bytes) -> bytes:
        assert sealed[:5] == self.head, "sealed under another key"
        return self.cipher.decrypt(sealed[5:17], sealed[17:], self.head + place)

    def seal(self, plain: bytes, place: bytes) -> bytes:
        nonce = os.urandom(12)
        return self.head + nonce + self.cipher.encrypt(nonce, plain, self.head + place)


class Record:
    """A session's record up to its extension fields (`start`), and these as (tag, bytes)."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0
        self.version = self.byte()
        assert self.version == 3, "not the form that has extension fields"
        self.generation = self.number()
        self.issuer, self.subject = self.bytes(), self.bytes()
        for _ in range(5):
            self.optional(self.bytes)
        self.number()
        self.optional(self.number)
        self.optional(self.bytes)
        self.refresh_token = self.optional(self.bytes)
        self.several(self.bytes)
        self.optional(self.bytes)
        self.optional(self.bytes)
        if self.byte():
            self.bytes()
        self.several(lambda: (self.bytes(), self.bytes(), self.optional(lambda: self.several(self.bytes)), [self.number() for _ in range(4)]))
        self.several(lambda: (self.bytes(), self.several(self.bytes)))
        self.several(self.bytes)
        self.start = self.at
        self.fields = self.several(lambda: (self.count(), self.bytes()))
        assert self.at == len(data), "more than the record"

    def written(self) -> bytes:
        fields = b"".join(struct.pack(">I", tag) + counted(content) for tag, content in self.fields)
        return self.data[:self.start] + struct.pack(">I", len(self.fields)) + fields

    def take(self, length: int) -> bytes:
        piece = self.data[self.at:self.at + length]
        assert len(piece) == length, "cut off"
        self.at += length
        return piece

    def byte(self) -> int:
        return self.take(1)[0]

    def count(self) -> int:
        return struct.unpack(">I", self.take(4))[0]

    def number(self) -> int:
        return struct.unpack(">q", self.take(8))[0]

    def bytes(self) -> bytes:
        return self.take(self.count())

    def optional(self, read):
        return read() if self.byte() else None

    def several(self, read) -> list:
        return [read() for _ in range(self.count())]
