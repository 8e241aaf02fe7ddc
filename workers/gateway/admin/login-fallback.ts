import { endpoint } from "../../../shared/endpoint.ts";
import { formPage } from "./page.ts";

const form = `<label for="user">User name</label>
<input id="user" name="user" required autofocus autocomplete="username" autocapitalize="none" spellcheck="false">
<label for="password">Password</label>
<input id="password" name="password" type="password" required autocomplete="current-password">
<button>Log in</button>`;

/**
 * "Non-credential parameters valid for the `/login` endpoint can be provided as query string parameters here." The object
 * is there from the beginning, since apps put their function into it as soon as the page is loaded.
 */
const script = `
window.matrixLogin = window.matrixLogin || {};
const form = document.querySelector("form");
const button = document.querySelector("button");
const note = document.querySelector("output");
const given = new URLSearchParams(location.search);

function request() {
  const fields = new FormData(form);
  const body = {
    type: "m.login.password",
    identifier: { type: "m.id.user", user: fields.get("user") },
    password: fields.get("password"),
  };
  for (const name of ["device_id", "initial_device_display_name"]) {
    if (given.get(name)) body[name] = given.get(name);
  }
  if (given.get("refresh_token") === "true") body.refresh_token = true;
  return body;
}

async function logIn() {
  const headers = { "Content-Type": "application/json" };
  const reply = await window.fetch("/_matrix/client/v3/login", { method: "POST", headers, body: JSON.stringify(request()) });
  const answer = await reply.json();
  if (!reply.ok) {
    note.textContent = answer.error;
    return;
  }
  form.hidden = true;
  note.textContent = "You are logged in as " + answer.user_id + ".";
  window.matrixLogin.onLogin(answer);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (typeof window.matrixLogin.onLogin !== "function") {
    note.textContent = "Open this page from within the app that you want to use: no app is waiting for you to log in.";
    return;
  }
  button.disabled = true;
  note.textContent = "";
  try {
    await logIn();
  } catch (thrown) {
    note.textContent = "That did not work: " + thrown.message;
  } finally {
    button.disabled = false;
  }
});
`;

/**
 * `GET /_matrix/static/client/login/`: the page on which a person logs in whose client knows no login type of this server.
 * @see https://spec.matrix.org/v1.19/client-server-api/#login-fallback
 */
export const getLoginFallback = endpoint(
  { operationId: "getLoginFallback", method: "GET", path: "/_matrix/static/client/login/", auth: "none" },
  ({ config }) => formPage({ title: `Log in to ${config.serverName}`, form, script }),
);
