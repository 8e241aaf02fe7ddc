/**
 * Joining, leaving and knocking by way of a server in the room: `make_*` and `send_*`, as the asking server sees them.
 * @see https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
 */
import * as v from "valibot";
import { MatrixError } from "../errors.ts";
import type { EventId, RoomId, ServerName, UserId } from "../ids.ts";
import type { JsonObject, JsonValue } from "../json.ts";
import { parseSignedJson } from "../json-text.ts";
import { supportedRoomVersions } from "../matrix/room-version.ts";
import { parseStrippedState } from "../matrix/stripped-state.ts";
import type { PeerRequest } from "../rpc/egress.ts";
import type { MemberTemplate } from "../rpc/room-joining.ts";
import type { PduText } from "../rpc/room-peers.ts";
import type { HandshakeMembership } from "../rpc/room-resident.ts";
import { anyObject } from "../validate.ts";

/** A template is an event; what describes a room is a few. */
const maxAnswerBytes = 1_048_576;
const makeTimeoutMs = 30_000;
/** A large room takes its time to say what its state is. */
const sendTimeoutMs = 60_000;
const sendJoinTimeoutMs = 600_000;
/** "send_join streamed": of a room with hundreds of thousands of members. */
const maxJoinBytes = 500_000_000;

/** `GET /make_join`, `/make_leave`, `/make_knock`. */
export function makeMemberRequest(
  destination: ServerName,
  { membership, roomId, userId }: { membership: HandshakeMembership; roomId: RoomId; userId: UserId },
): PeerRequest {
  // Leaving asks no version: who is in a room is to get out of it.
  const versions =
    membership === "leave" ? "" : `?${supportedRoomVersions.map((version) => `ver=${version}`).join("&")}`;
  const path = `/_matrix/federation/v1/make_${membership}/${encodeURIComponent(roomId)}/${encodeURIComponent(userId)}`;
  return {
    destination,
    method: "GET",
    path: path + versions,
    content: null,
    isSigned: true,
    timeoutMs: makeTimeoutMs,
    maxBytes: maxAnswerBytes,
  };
}

/**
 * `PUT /send_join`, `/send_leave`, `/send_knock`; knocking has no second version.
 * @param sent `omitMembers`: the answer to a join may leave out members
 */
export function sendMemberRequest(
  destination: ServerName,
  sent: {
    membership: HandshakeMembership;
    roomId: RoomId;
    eventId: EventId;
    pdu: PduText;
    version: "v1" | "v2";
    omitMembers?: boolean;
  },
): PeerRequest {
  const { membership, roomId, eventId, pdu, version, omitMembers } = sent;
  const path = `send_${membership}/${encodeURIComponent(roomId)}/${encodeURIComponent(eventId)}`;
  const isJoin = membership === "join";
  return {
    destination,
    method: "PUT",
    path: `/_matrix/federation/${version}/${path}${omitMembers === true ? "?omit_members=true" : ""}`,
    content: pdu,
    isSigned: true,
    timeoutMs: isJoin ? sendJoinTimeoutMs : sendTimeoutMs,
    maxBytes: isJoin ? maxJoinBytes : maxAnswerBytes,
  };
}

const template = v.object({ room_version: v.optional(v.string(), "1"), event: anyObject });

/** What `make_*` answered: "If not provided, the room version is assumed to be either "1" or "2"". Null: it is no template. */
export function parseTemplate(server: ServerName, text: string): MemberTemplate | null {
  const parsed = v.safeParse(template, parseAnswer(text));
  if (!parsed.success) return null;
  // Not in canonical form: numbers stay as they came, and nothing is sure to have one.
  return { server, roomVersion: parsed.output.room_version, event: JSON.stringify(parsed.output.event) };
}

/** What `send_knock` answered; an old server has another name for it. */
export function parseKnockState(text: string): JsonObject[] {
  const named = v.safeParse(v.object({ knock_room_state: v.array(anyObject) }), parseAnswer(text));
  return named.success ? parseStrippedState(named.output.knock_room_state) : [];
}

/** An answer of another server; undefined for what is not JSON, or not fit to be handled. */
export function parseAnswer(text: string): JsonValue | undefined {
  try {
    return parseSignedJson(text);
  } catch (thrown) {
    if (thrown instanceof MatrixError) return undefined;
    throw thrown;
  }
}
