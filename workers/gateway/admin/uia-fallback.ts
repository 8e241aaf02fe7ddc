import * as v from "valibot";
import { endpoint, type Services } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import { proveRegistrationToken } from "../uia.ts";
import { formPage } from "./page.ts";

/** The one stage that a client may not know: passwords are known to all, and the dummy asks for nothing. */
const stage = "m.login.registration_token";
const path = "/_matrix/client/v3/auth/:authType/fallback/web";
const aliases = ["/_matrix/client/r0/auth/:authType/fallback/web"];
/** Without one, it is a session that nobody has begun. */
const query = v.object({ session: v.optional(v.string(), "") });

/** The last lines are the specification's own: they tell the client that the stage is done. */
const script = `
const form = document.querySelector("form");
const note = document.querySelector("output");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = JSON.stringify({ token: new FormData(form).get("token") });
  const reply = await window.fetch(location.href, { method: "POST", headers: { "Content-Type": "application/json" }, body });
  if (!reply.ok) {
    note.textContent = (await reply.json()).error;
    return;
  }
  form.hidden = true;
  note.textContent = "Thank you. You can close this window.";
  if (window.onAuthDone) {
    window.onAuthDone();
  } else if (window.opener && window.opener.postMessage) {
    window.opener.postMessage("authDone", "*");
  }
});
`;

const form = `<label for="token">To make an account on this server you need a token from its operator.</label>
<input id="token" name="token" required autofocus autocomplete="off">
<button>Continue</button>`;

const page = formPage({ title: "Registration token", form, script });

/**
 * The page on which a person proves a stage that their client does not know.
 * @see https://spec.matrix.org/v1.19/client-server-api/#fallback
 */
export const getAuthFallback = endpoint(
  { operationId: "getAuthFallback", method: "GET", path, aliases, auth: "none", query },
  async (context) => {
    await assertStage(context, context.params.authType, context.query.session);
    return page;
  },
);

/** What that page sends. Afterwards the client repeats its request with the session alone. */
export const proveByFallback = endpoint(
  {
    operationId: "proveByFallback",
    method: "POST",
    path,
    aliases,
    auth: "none",
    query,
    body: v.object({ token: v.string() }),
  },
  async (context) => {
    const { actors, config, params, query: asked, body } = context;
    const { session } = asked;
    await assertStage(context, params.authType, session);
    await proveRegistrationToken(context, body.token, session);
    // Which request the session is for is the client's to show when it repeats it.
    await actors.server(config.serverName).completeUiaStage({ session, binding: null, stage });
    return {};
  },
);

/** @throws MatrixError M_NOT_FOUND for a stage without a page; M_UNKNOWN for a session that is unknown or over */
async function assertStage({ actors, config }: Services, authType: string, session: string): Promise<void> {
  if (authType !== stage) throw errors.notFound(`There is no page for ${authType}`);
  await actors.server(config.serverName).getUia(session);
}
