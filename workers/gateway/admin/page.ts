/** Pages that this server shows to a person in a browser: nothing is loaded with them, and nothing runs but their own script. */
import { createHash } from "node:crypto";
import { Page } from "../../../shared/endpoint.ts";

const commonStyle =
  "body{font:16px/1.6 system-ui,sans-serif;margin:12vh auto;padding:0 1.5rem;color:#1c2430;background:#fbfbfa}" +
  "h1{font-size:1.5rem}@media(prefers-color-scheme:dark){body{color:#e6e6e3;background:#16191d}}";

/** The style of a page with a form. */
const formStyle =
  "body{max-width:28rem}label{display:block}input,button{font:inherit;padding:.4em .6em;margin:.3em 0}" +
  "input{width:100%;box-sizing:border-box}";

const hashOf = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

/** A page to read. `title` is text, `body` is HTML. */
export function readingPage({ title, style, body }: { title: string; style: string; body: string }): Page {
  return pageOf({ title, style: commonStyle + style, policy: "", body });
}

/**
 * A page that holds a form, which is sent by its script to this server, and told what became of it in its `output`.
 * `title` is text, `form` and `script` are what stands in those elements.
 */
export function formPage({ title, form, script }: { title: string; form: string; script: string }): Page {
  const body = `<h1>${escapeHtml(title)}</h1>
<form method="post">
${form}
</form>
<output></output>
<script>${script}</script>`;
  // Apps that show the page within themselves are called by way of a frame with an address that they catch: `js:…`.
  const policy = `script-src ${hashOf(script)}; connect-src 'self'; frame-src js:; `;
  return pageOf({ title, style: commonStyle + formStyle, policy, body });
}

function pageOf({ title, style, policy, body }: { title: string; style: string; policy: string; body: string }): Page {
  const html = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escapeHtml(title)}</title><style>${style}</style></head>
<body>
${body}
</body>
</html>
`;
  return new Page("text/html; charset=utf-8", html, {
    "Content-Security-Policy": `default-src 'none'; style-src ${hashOf(style)}; ${policy}frame-ancestors 'none'; base-uri 'none'; form-action 'none'`,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
  });
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text as it stands in HTML. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? "");
}
