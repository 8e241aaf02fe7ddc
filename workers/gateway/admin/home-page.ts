import { endpoint } from "../../../shared/endpoint.ts";
import type { RegistrationMode } from "../../../shared/env.ts";
import { serverSoftware } from "../software.ts";
import { escapeHtml, readingPage } from "./page.ts";

const style =
  "body{max-width:36rem}dt{font-weight:600;margin-top:1rem}dd{margin:0}code{background:#ecebe7;padding:.1em .35em;border-radius:4px}" +
  "@media(prefers-color-scheme:dark){code{background:#2a2f36}a{color:#8ab4f8}}";

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
    return readingPage({ title: serverName, style, body: bodyOf(serverName, publicBaseUrl, registration) });
  },
);

function bodyOf(serverName: string, baseUrl: string, registration: RegistrationMode): string {
  return `<h1>${escapeHtml(serverName)}</h1>
<p>This is a <a href="https://matrix.org">Matrix</a> homeserver. It runs ${serverSoftware.name} ${escapeHtml(serverSoftware.version)}.</p>
<dl>
<dt>How to connect</dt>
<dd>Choose any <a href="https://matrix.org/ecosystem/clients/">Matrix client</a> and give it this homeserver: <code>${escapeHtml(baseUrl)}</code></dd>
<dt>Your user id</dt>
<dd><code>@name:${escapeHtml(serverName)}</code></dd>
<dt>Registration</dt>
<dd>${registrationText[registration]}</dd>
</dl>`;
}
