"""Runs inside the environment with the 1.x line of the official SDK, JSON on stdout.

    python sdk1_client.py URL COOKIE    one session through the proxy, and what was found
    python sdk1_client.py               sessions on command: a line of JSON in, a line of JSON out
"""

import asyncio
import json
import sys

from mcp import ClientSession, McpError
from mcp.client.streamable_http import streamablehttp_client
from mcp.types import ElicitResult


async def main(url: str, cookie: str) -> dict:
    found: dict = {"progress": []}

    async def progress(done: float, total: float | None, message: str | None) -> None:
        found["progress"].append(done)

    try:
        async with streamablehttp_client(url, headers={"Cookie": cookie}) as (read, write, session_id):
            async with ClientSession(read, write) as session:
                found["version"] = (await session.initialize()).protocolVersion
                found["tools"] = [tool.name for tool in (await session.list_tools()).tools]
                found["session"] = session_id() is not None
                found["user"] = (await session.call_tool("whoami", {})).structuredContent["user"]
                found["sum"] = (await session.call_tool("add", {"a": 1, "b": 2})).content[0].text
                await session.call_tool("slow_stream", {"seconds": 0.6, "interval": 0.2}, progress_callback=progress)
                # Last, because this line of the SDK gives the connection up after any answer that is not 2xx.
                result = await asyncio.wait_for(session.call_tool("read_files", {"dialect": "json_rpc"}), 10)
                found["refusal"] = {"isError": result.isError, "text": result.content[0].text}
    except BaseException as error:
        found["refusal"] = repr(error)
    return found


# On command: {"open": URL, "cookie": …, "elicits": bool}, then any number of {"tool": …, "arguments": …}, then {"close": true}.

async def accept(context, params) -> ElicitResult:
    return ElicitResult(action="accept")


async def told(call) -> dict:
    try:
        result = await asyncio.wait_for(call, 35)
    except McpError as error:
        return {"error": error.error.model_dump(mode="json")}
    return {"result": result.model_dump(mode="json", by_alias=True)}


async def obey() -> None:
    def say(message: dict) -> None:
        print(json.dumps(message), flush=True)

    async def command() -> dict:
        return json.loads(await asyncio.to_thread(sys.stdin.readline) or "{}")

    while order := await command():
        try:
            async with streamablehttp_client(order["open"], headers={"Cookie": order["cookie"]}) as (read, write, _):
                async with ClientSession(read, write, elicitation_callback=accept if order["elicits"] else None) as session:
                    await session.initialize()
                    say({"open": True})
                    while "tool" in (order := await command()):
                        say(await told(session.call_tool(order["tool"], order["arguments"])))
            say({"closed": True})
        except BaseException as error:
            say({"broken": repr(error)})


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
    else:
        asyncio.run(obey())
