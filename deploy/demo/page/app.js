// The demo page: shows the session, lists the server's tools and calls them. It never sees a token.

const $ = (id) => document.getElementById(id);
const PROTOCOL = "2026-07-28";
const PENDING = "coatcheck-demo.pending"; // the call that waits while the user is away giving consent
let lastId = 0;

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

async function call(name, args) {
  const form = $(`tool-${name}`);
  const button = form.querySelector("button");
  button.disabled = true;
  let bar = null;
  try {
    const answer = await mcp("tools/call", { name, arguments: args }, (progress) => {
      bar ??= form.appendChild(element("progress", { ariaLabel: "Progress" }));
      bar.max = progress.total ?? 1;
      bar.value = progress.progress;
    });
    if (answer.error) refused(name, args, answer.error);
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

/** The proxy says what is missing in `error.data.reason`, and where the user can give it. */
function refused(name, args, error) {
  const data = error.data ?? {};
  if (data.reason === "login_required") return render({ authenticated: false });
  if (data.reason !== "consent_required") return show(name, `Error ${error.code}`, error.message, true);
  show(name, "Consent is needed", (data.scopes ?? []).join(", "), true);
  sessionStorage.setItem(PENDING, JSON.stringify({ name, args }));
  $("consent-scopes").replaceChildren(...(data.scopes ?? []).map((scope) => element("li", {}, element("code", { textContent: scope }))));
  const link = new URL(data.interaction_url, location.href);
  if (link.origin !== location.origin) return show(name, "Refused", "the consent link leaves this site", true);
  $("consent-continue").href = link.href;
  $("consent").showModal();
}

/** After the user came back from the provider: send the call again that had to wait. */
function resume() {
  const pending = sessionStorage.getItem(PENDING);
  if (!pending) return;
  sessionStorage.removeItem(PENDING);
  const { name, args } = JSON.parse(pending);
  const form = $(`tool-${name}`);
  if (!form) return;
  for (const [field, value] of Object.entries(args)) if (form.elements[field]) form.elements[field].value = value;
  form.scrollIntoView({ block: "center" });
  call(name, args);
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

$("consent-cancel").addEventListener("click", () => {
  sessionStorage.removeItem(PENDING);
  $("consent").close();
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
  resume();
}
