"""The official MCP SDKs as clients, through the proxy, with nothing but the user's cookie."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from pathlib import Path

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from provider import FILES_SCOPE
from proxy import ROOT
from support.server import run

SDK1 = ROOT / ".build" / "venv-mcp1" / "bin" / "python"


@contextlib.asynccontextmanager
async def client(stack, cookie: str, mode: str):
    async with httpx2.AsyncClient(headers={"Cookie": cookie} if cookie else {}, timeout=20) as http:
        async with Client(streamable_http_client(f"{stack.proxy.url}/mcp", http_client=http), mode=mode) as one:
            yield one


@pytest.mark.parametrize("mode", ["auto", "legacy", "2026-07-28"])
def test_sdk_2_calls_tools_as_the_user(stack, real_sign_in, mode):
    cookie = real_sign_in("harvey").cookie

    async def work():
        async with client(stack, cookie, mode) as one:
            tools = [tool.name for tool in (await one.list_tools()).tools]
            who = (await one.call_tool("whoami", {})).structured_content
            total = (await one.call_tool("add", {"a": 1, "b": 2})).content[0].text
            return tools, who, total

    tools, who, total = run(work())
    assert {"whoami", "add", "read_files"} <= set(tools)
    assert who["user"] == "harvey" and who["name"] == "Harvey Specter"
    assert total == "3"


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_sdk_2_hears_progress_while_a_tool_works(stack, real_sign_in, mode):
    cookie = real_sign_in("kim").cookie
    heard: list[float] = []

    async def work():
        async def progress(done, total, message):
            heard.append(asyncio.get_running_loop().time())
        async with client(stack, cookie, mode) as one:
            return (await one.call_tool("slow_stream", {"seconds": 1, "interval": 0.25}, progress_callback=progress)).content[0].text

    assert run(work()).startswith("kim waited")
    assert len(heard) == 4
    assert heard[-1] - heard[0] > 0.5, "progress came in one lump"


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
@pytest.mark.parametrize("dialect", ["challenge", "entra", "json_rpc", "tool_result"])
def test_sdk_2_is_told_which_scope_is_missing_and_where_to_consent(stack, real_sign_in, mode, dialect):
    cookie = real_sign_in("kim").cookie

    async def work():
        async with client(stack, cookie, mode) as one:
            try:
                result = await one.call_tool("read_files", {"dialect": dialect})
                return {"result": result.structured_content, "text": [part.text for part in result.content]}
            except MCPError as error:
                return error.data

    told = json.dumps(run(work()))
    assert FILES_SCOPE in told and "/auth/continue?i=" in told, told


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28", "auto"])
def test_sdk_2_without_a_cookie_fails_at_once_and_reaches_nothing(stack, mode):
    async def work():
        async with client(stack, "", mode) as one:
            await one.list_tools()

    with pytest.raises(BaseException):
        run(work(), 15)


def test_sdk_2_sessions_of_two_users_side_by_side(stack, real_sign_in):
    cookies = {user: real_sign_in(user).cookie for user in ("harvey", "kim")}

    async def calls(user: str, mode: str) -> set[str]:
        async with client(stack, cookies[user], mode) as one:
            results = await asyncio.gather(*[one.call_tool("whoami", {}) for _ in range(25)])
            return {result.structured_content["user"] for result in results}

    async def work():
        return await asyncio.gather(*[calls(user, mode) for user in cookies for mode in ("legacy", "2026-07-28")])

    assert run(work()) == [{"harvey"}, {"harvey"}, {"kim"}, {"kim"}]


def test_the_server_sees_no_cookie_and_no_client_credential(stack, real_sign_in):
    cookie = real_sign_in("harvey").cookie

    async def work():
        async with client(stack, cookie, "2026-07-28") as one:
            return (await one.call_tool("request_headers", {})).structured_content["headers"]

    fields = run(work())
    names = [name for name, _ in fields]
    assert "cookie" not in names and names.count("authorization") == 1
    assert cookie.partition("=")[2] not in json.dumps(fields)


def test_sdk_1_works_through_a_cookie(stack, real_sign_in):
    done = subprocess.run([SDK1, Path(__file__).parent / "sdk1_client.py", f"{stack.proxy.url}/mcp", real_sign_in("kim").cookie],
                          capture_output=True, text=True, timeout=40)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found.get("user") == "kim" and found["sum"] == "3", found
    assert found["progress"] == [1, 2, 3]
    assert found["session"] is True
    assert {"whoami", "read_files"} <= set(found["tools"])
    assert found["refusal"], "the refusal reaches the caller"
