import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import { inParallel } from "../../../shared/parallel.ts";
import { queryBoolean } from "../../../shared/validate.ts";

/** Rooms of a space that are looked at, at most, and so many at the same time. */
const maxChildren = 100;
const maxAtOnce = 10;

/** `GET /_matrix/federation/v1/hierarchy/{roomId}` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1hierarchyroomid */
export const getSpaceHierarchy = endpoint(
  {
    operationId: "getSpaceHierarchy",
    method: "GET",
    path: "/_matrix/federation/v1/hierarchy/:roomId",
    auth: "serverSignature",
    query: v.object({ suggested_only: v.optional(queryBoolean, "false") }),
  },
  async ({ params, auth, query, actors }) => {
    const visitor = { kind: "server", server: auth.origin } as const;
    const space = await actors.room(params.roomId).describeRoom(visitor);
    // The same for a room that is not here: whether it exists is nobody's business.
    if (space.kind !== "open") throw errors.notFound("The room is not known here");
    const { summary, children } = space.description;
    const shown = children.filter((child) => !query.suggested_only || child.isSuggested).slice(0, maxChildren);
    const rooms = await inParallel(shown, maxAtOnce, async ({ roomId }) => {
      return { roomId, ...(await actors.room(roomId).describeRoom(visitor)) };
    });
    return {
      room: { ...summary, children_state: shown.map((child) => child.event) },
      children: rooms.flatMap((room) => (room.kind === "open" ? [room.description.summary] : [])),
      inaccessible_children: rooms.flatMap((room) => (room.kind === "closed" ? [room.roomId] : [])),
    };
  },
);
