import { createHash } from "node:crypto";
import { endpoint, Page } from "../../../shared/endpoint.ts";
import type { RegistrationMode } from "../../../shared/env.ts";
import { serverSoftware } from "../software.ts";

const style =
  "body{font:16px/1.6 system-ui,sans-serif;max-width:36rem;margin:12vh auto;padding:0 1.5rem;color:#1c2430;background:#fbfbfa}" +
  "h1{font-size:1.5rem}dt{font-weight:600;margin-top:1rem}dd{margin:0}code{background:#ecebe7;padding:.1em .35em;border-radius:4px}" +
  "@media(prefers-color-scheme:dark){body{color:#e6e6e3;background:#16191d}code{background:#2a2f36}a{color:#8ab4f8}}";
const styleHash = createHash("sha256").update(style).digest("base64");

const headers = {
  "Content-Security-Policy": `default-src 'none'; style-src 'sha256-${styleHash}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'`,
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
};

const registrationText: Readonly<Record<RegistrationMode, string>> = {
  open: "Open: anybody may make an account, from within their client.",
  token: "With a registration token, which the operator of this server hands out.",
  closed: "Closed: the operator of this server makes the accounts.",
};

/** `GET /`: tells a person what they have found. Beside https://spec.matrix.org/v1.19/client-server-api/ */
export const getHomePage = endpoint(
  { operationId: "getHomePage", method: "GET", path: "/", auth: "none" },
  ({ config }) => {
    const { serverName, publicBaseUrl, registration } = config;
    return new Page("text/html; charset=utf-8", pageOf(serverName, publicBaseUrl, registration), headers);
  },
);

function pageOf(serverName: string, baseUrl: string, registration: RegistrationMode): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escapeHtml(serverName)}</title><style>${style}</style></head>
<body>
<h1>${escapeHtml(serverName)}</h1>
<p>This is a <a href="https://matrix.org">Matrix</a> homeserver. It runs ${serverSoftware.name} ${escapeHtml(serverSoftware.version)}.</p>
<dl>
<dt>How to connect</dt>
<dd>Choose any <a href="https://matrix.org/ecosystem/clients/">Matrix client</a> and give it this homeserver: <code>${escapeHtml(baseUrl)}</code></dd>
<dt>Your user id</dt>
<dd><code>@name:${escapeHtml(serverName)}</code></dd>
<dt>Registration</dt>
<dd>${registrationText[registration]}</dd>
</dl>
</body>
</html>
`;
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? "");
}
