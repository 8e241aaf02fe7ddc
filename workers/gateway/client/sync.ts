import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { define, field, isObject, type JsonObject, objectField, withFields } from "../../../shared/json.ts";
import { queryBoolean, queryInteger } from "../../../shared/validate.ts";
import { maxWaitMs, syncWhenNews } from "../wait.ts";

/** `use_state_after` and `state_after` by the names of MSC4222, by which matrix-js-sdk still asks for it. */
const unstableStateAfter = {
  query: "org.matrix.msc4222.use_state_after",
  section: "org.matrix.msc4222.state_after",
} as const;

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
      [unstableStateAfter.query]: v.optional(queryBoolean, "false"),
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
      useStateAfter: query.use_state_after || query[unstableStateAfter.query],
    };
    // With `full_state`, "the timeout parameter will be ignored"; a first answer is news by itself.
    const timeoutMs = since === null || query.full_state ? 0 : query.timeout;
    const { response } = await syncWhenNews(context, auth, input, timeoutMs);
    return query.use_state_after || !input.useStateAfter ? response : withUnstableStateAfter(response);
  },
);

/** The answer with the state after each timeline under the name that it had in the proposal. */
function withUnstableStateAfter(response: JsonObject): JsonObject {
  const places = objectField(response, "rooms");
  if (places === null) return response;
  const renamed = Object.entries(places).map(([place, rooms]) => [place, isObject(rooms) ? inEach(rooms) : rooms]);
  return withFields(response, { rooms: Object.fromEntries(renamed) });
}

function inEach(rooms: JsonObject): JsonObject {
  const renamed: JsonObject = {};
  for (const [roomId, section] of Object.entries(rooms)) {
    const state = isObject(section) ? field(section, "state_after") : undefined;
    const isRenamed = isObject(section) && state !== undefined;
    define(
      renamed,
      roomId,
      isRenamed ? withFields(section, { state_after: undefined, [unstableStateAfter.section]: state }) : section,
    );
  }
  return renamed;
}
