"""All rows, from one file a group."""

from .answers_bodies import CASES as BODIES
from .answers_fields import CASES as ANSWER_FIELDS
from .answers_heads import CASES as HEADS
from .answers_order import CASES as ORDER
from .requests_chunked import CASES as CHUNKED
from .requests_connection import CASES as CONNECTION
from .requests_fields import CASES as FIELDS
from .requests_framing import CASES as FRAMING
from .requests_hosts import CASES as HOSTS
from .requests_identity import CASES as IDENTITY
from .requests_lines import CASES as LINES
from .requests_mcp import CASES as MCP
from .requests_pipelines import CASES as PIPELINES
from .requests_targets import CASES as TARGETS

REQUESTS = [*LINES, *TARGETS, *FIELDS, *HOSTS, *FRAMING, *CHUNKED, *PIPELINES, *CONNECTION, *IDENTITY, *MCP]
ANSWERS = [*HEADS, *ANSWER_FIELDS, *BODIES, *ORDER]
