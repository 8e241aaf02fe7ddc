import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import { parsedText, queryBoolean, queryInteger } from "../../../shared/validate.ts";
import { HierarchyWalk } from "./hierarchy-walk.ts";

const defaultLimit = 50;
const maxLimit = 50;
const maxDepth = 100;

/** A page's end: what was asked for, and how many rooms were given so far. */
interface HierarchyToken {
  readonly suggestedOnly: boolean;
  readonly maxDepth: number;
  readonly given: number;
}

const hierarchyToken = parsedText("a token of a hierarchy", (text): HierarchyToken | null => {
  const match = /^h([01])_(\d{1,3})_(\d{1,6})$/.exec(text);
  if (match === null) return null;
  return { suggestedOnly: match[1] === "1", maxDepth: Number(match[2]), given: Number(match[3]) };
});

const positive = parsedText("an integer greater than zero", (text) =>
  /^0*[1-9]\d{0,9}$/.test(text) ? Math.min(Number(text), maxLimit) : null,
);

/** `GET /_matrix/client/v1/rooms/{roomId}/hierarchy` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidhierarchy */
export const getSpaceHierarchy = endpoint(
  {
    operationId: "getSpaceHierarchy",
    method: "GET",
    path: "/_matrix/client/v1/rooms/:roomId/hierarchy",
    auth: "accessToken",
    query: v.object({
      suggested_only: v.optional(queryBoolean, "false"),
      limit: v.optional(positive),
      max_depth: v.optional(queryInteger(maxDepth)),
      from: v.optional(hierarchyToken),
    }),
  },
  async (context) => {
    const { params, auth, query } = context;
    const suggestedOnly = query.suggested_only;
    const depth = query.max_depth ?? query.from?.maxDepth ?? maxDepth;
    const { from } = query;
    if (from !== undefined && (from.suggestedOnly !== suggestedOnly || from.maxDepth !== depth)) {
      throw errors.invalidParam("suggested_only and max_depth cannot change on paginated requests");
    }
    const walk = new HierarchyWalk(context, auth.userId, { suggestedOnly, maxDepth: depth });
    const after = from?.given ?? 0;
    const through = after + (query.limit ?? defaultLimit);
    const { rooms, isComplete } = await walk.from(params.roomId, through);
    const page = rooms.slice(after);
    return isComplete
      ? { rooms: page }
      : { rooms: page, next_batch: `h${suggestedOnly ? 1 : 0}_${depth}_${after + page.length}` };
  },
);
