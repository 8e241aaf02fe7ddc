import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { queryBoolean, queryInteger } from "../../../shared/validate.ts";
import { maxWaitMs, syncWhenNews } from "../wait.ts";

/** `GET /_matrix/client/v3/sync` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync */
export const sync = endpoint(
  {
    operationId: "sync",
    method: "GET",
    path: "/_matrix/client/v3/sync",
    aliases: ["/_matrix/client/r0/sync"],
    auth: "accessToken",
    query: v.object({
      filter: v.optional(v.string()),
      since: v.optional(v.string()),
      full_state: v.optional(queryBoolean, "false"),
      set_presence: v.optional(v.picklist(["offline", "online", "unavailable"])),
      timeout: v.optional(queryInteger(maxWaitMs), "0"),
      use_state_after: v.optional(queryBoolean, "false"),
    }),
  },
  async (context) => {
    const { auth, query } = context;
    const since = query.since === undefined || query.since === "" ? null : query.since;
    const input = {
      deviceId: auth.deviceId,
      since,
      filter: query.filter ?? null,
      fullState: query.full_state,
      useStateAfter: query.use_state_after,
    };
    // With `full_state`, "the timeout parameter will be ignored"; a first answer is news by itself.
    const timeoutMs = since === null || query.full_state ? 0 : query.timeout;
    const { response } = await syncWhenNews(context, auth, input, timeoutMs);
    return response;
  },
);
