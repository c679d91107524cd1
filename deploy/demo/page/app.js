// The demo page: shows the session, lists the server's tools and calls them. It never sees a token.

const $ = (id) => document.getElementById(id);
const PROTOCOL = "2026-07-28";
let lastId = 0;
let waiting = null; // for the user to decide about consent

/** Sends one MCP request and gives back the JSON-RPC answer. `onProgress` hears notifications/progress. */
async function mcp(method, params = {}, onProgress = () => {}) {
  const id = ++lastId;
  const meta = { "io.modelcontextprotocol/protocolVersion": PROTOCOL, "io.modelcontextprotocol/clientCapabilities": {}, progressToken: id };
  const headers = {
    "Content-Type": "application/json",
    Accept: "application/json, text/event-stream",
    "MCP-Protocol-Version": PROTOCOL,
    "Mcp-Method": method,
  };
  if (params.name) headers["Mcp-Name"] = params.name;
  const response = await fetch("/mcp", {
    method: "POST",
    headers,
    body: JSON.stringify({ jsonrpc: "2.0", id, method, params: { ...params, _meta: meta } }),
  });
  return answerTo(id, response, onProgress);
}

/** The JSON-RPC answer to request `id`, from JSON or an event stream. */
async function answerTo(id, response, onProgress) {
  const type = response.headers.get("Content-Type") ?? "";
  if (type.startsWith("text/event-stream")) {
    for await (const message of events(response.body)) {
      if (message.method === "notifications/progress") onProgress(message.params);
      else if (message.id === id) return message;
    }
    throw new Error("the stream ended without an answer");
  }
  if (type.startsWith("application/json")) return response.json();
  throw new Error(`the server answered ${response.status} ${response.statusText}`);
}

/** The JSON messages of an event stream. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value.replaceAll("\r\n", "\n");
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const data = text.slice(0, end).split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart()).join("\n");
      if (data) yield JSON.parse(data);
    }
  }
}

function element(name, properties = {}, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}

/** One card a tool: a form made from its input schema. */
function card(tool) {
  const form = element("form", { className: "tool", id: `tool-${tool.name}` });
  form.append(element("h2", { textContent: tool.name }), element("p", { className: "about", textContent: tool.description ?? "" }));
  const properties = Object.entries(tool.inputSchema?.properties ?? {});
  for (const [name, schema] of properties) {
    const id = `${tool.name}-${name}`;
    const numeric = schema.type === "number" || schema.type === "integer";
    const input = schema.enum
      ? element("select", { id, name }, ...schema.enum.map((choice) => element("option", { textContent: choice, selected: choice === schema.default })))
      : element("input", { id, name, type: numeric ? "number" : "text", value: schema.default ?? (numeric ? 2 : "") });
    if (numeric) input.step = "any";
    form.append(element("div", { className: "field" }, element("label", { htmlFor: id, textContent: name }), input));
  }
  form.append(element("button", { textContent: "Call" }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = properties.map(([name, schema]) => {
      const text = form.elements[name].value;
      return [name, schema.type === "number" || schema.type === "integer" ? Number(text) : text];
    });
    call(tool.name, Object.fromEntries(values));
  });
  return form;
}

function show(tool, from, text, bad = false) {
  const form = $(`tool-${tool}`);
  form.querySelector(".result")?.remove();
  form.append(element("div", { className: bad ? "result bad mono" : "result mono" }, element("span", { className: "from", textContent: from }), text));
  $("status").textContent = `${tool}: ${from}`;
}

/** Calls a tool and shows its answer. `send` gets the callback for progress and gives the answer; by default it makes the call. */
async function call(name, args, send = (onProgress) => mcp("tools/call", { name, arguments: args }, onProgress)) {
  const form = $(`tool-${name}`);
  const button = form.querySelector("button");
  button.disabled = true;
  let bar = null;
  try {
    const answer = await send((progress) => {
      bar ??= form.appendChild(element("progress", { ariaLabel: "Progress" }));
      bar.max = progress.total ?? 1;
      bar.value = progress.progress;
    });
    if (answer.error) refused(name, args, answer);
    else if (answer.result.isError) show(name, "The tool failed", text(answer.result), true);
    else show(name, "The server's answer", text(answer.result));
  } catch (error) {
    show(name, "The call failed", error.message, true);
  } finally {
    bar?.remove();
    button.disabled = false;
  }
}

const text = (result) => result.structuredContent && !("result" in result.structuredContent)
  ? JSON.stringify(result.structuredContent, null, 2)
  : result.content.map((part) => part.text ?? `[${part.type}]`).join("\n");

/** The proxy says what is missing in `error.data`, and where the user can give it. */
function refused(name, args, { id, error }) {
  const data = error.data ?? {};
  if (data.reason === "login_required") return render({ authenticated: false });
  if (data.reason !== "consent_required") return show(name, `Error ${error.code}`, error.message, true);
  const link = new URL(data.interaction_url, location.href);
  if (link.origin !== location.origin) return show(name, "Refused", "the consent link leaves this site", true);
  const scopes = data.scopes ?? [];
  show(name, "Consent is needed", scopes.join(", "), true);
  askForConsent(name, args, { id, link, scopes, reason: error.message, kept: data.kept === true });
}

/** Shows the link, which opens in another tab, and waits here for what the user decides there. */
async function askForConsent(name, args, { id, link, scopes, reason, kept }) {
  waiting?.abort();
  const mine = (waiting = new AbortController());
  $("consent-reason").textContent = reason;
  $("consent-scopes").replaceChildren(...scopes.map((scope) => element("li", {}, element("code", { textContent: scope }))));
  const page = new URL(link);
  page.searchParams.set("return_to", "/auth/?done=consent");
  $("consent-continue").href = page.href;
  if (!$("consent").open) $("consent").showModal();
  let state;
  try {
    state = await decision(link, mine.signal);
  } catch (error) {
    if (mine.signal.aborted) return;
    state = error.message;
  }
  if (waiting !== mine) return;
  waiting = null;
  $("consent").close();
  if (state === "granted") return call(name, args, kept ? (onProgress) => keptAnswer(id, link, name, args, onProgress) : undefined);
  if (state === "declined") return show(name, "You declined", "The call was not made.", true);
  show(name, "Consent is still needed", "This question is closed. Call again to get a new one.", true);
}

/** What became of the question behind a link: `granted`, `declined`, or `unknown` when it is not known any more. */
async function decision(link, signal) {
  const url = new URL(link);
  url.searchParams.set("wait", "20");
  for (;;) {
    const response = await fetch(url, { headers: { Accept: "application/json" }, signal });
    if (!response.ok) throw new Error(`the proxy answered ${response.status} ${response.statusText}`);
    const { state } = await response.json();
    if (state !== "pending") return state;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

/** The answer of the refused call, which the proxy has kept and now makes; when it has not, the call is made from here. */
async function keptAnswer(id, link, name, args, onProgress) {
  const response = await fetch(link, { method: "POST", headers: { Accept: "application/json, text/event-stream" } });
  const answer = await answerTo(id, response, onProgress);
  return answer.error?.data?.reason === "not_kept" ? mcp("tools/call", { name, arguments: args }, onProgress) : answer;
}

async function session() {
  const response = await fetch("/auth/session", { headers: { Accept: "application/json" } });
  if (!response.ok) return { authenticated: false };
  const body = await response.json();
  return { ...body, authenticated: body.authenticated ?? body.signed_in ?? true };
}

function render(state) {
  $("loading").hidden = true;
  $("account").hidden = $("signed-in").hidden = !state.authenticated;
  $("signed-out").hidden = state.authenticated;
  if (state.authenticated) $("who").textContent = state.name ?? state.claims?.name ?? state.claims?.preferred_username ?? "Signed in";
}

$("consent-cancel").addEventListener("click", () => $("consent").close());
$("consent").addEventListener("close", () => {
  waiting?.abort();
  waiting = null;
});

const state = await session();
render(state);
if (!state.authenticated) {
  document.body.dataset.ready = "signed-out";
} else {
  try {
    const answer = await mcp("tools/list");
    if (answer.error) throw new Error(answer.error.message);
    $("tools").replaceChildren(...answer.result.tools.map(card));
    document.body.dataset.ready = "tools";
  } catch (error) {
    $("tools").replaceChildren(element("p", { className: "result bad", role: "alert", textContent: `The tools could not be listed: ${error.message}` }));
    document.body.dataset.ready = "failed";
  }
  $("tools").setAttribute("aria-busy", "false");
}
