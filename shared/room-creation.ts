/** The beginning of a room: its create event, which from room version 12 on decides its id. */
import { encodeBase64Url } from "./base64.ts";
import type { RandomSource } from "./clock.ts";
import { errors } from "./errors.ts";
import { type EventId, type RoomId, type ServerName, serverNameOf, trusted, type UserId } from "./ids.ts";
import type { JsonObject } from "./json.ts";
import { checkCanonical } from "./matrix/canonical-json.ts";
import { hasValidAdditionalCreators } from "./matrix/content/create.ts";
import type { Pdu } from "./matrix/event.ts";
import { buildPdu, depthAfter, signDraft } from "./matrix/event-draft.ts";
import { createContent, type RoomPreset } from "./matrix/room-presets.ts";
import { type RoomVersionRules, rulesFor, supportedRoomVersions } from "./matrix/room-version.ts";
import type { SigningKey } from "./rpc/server.ts";

/** A room is made in one transaction: these bound how long it keeps its actor busy. */
export const maxInvitees = 100;
export const maxInitialState = 500;

/** Of `POST /createRoom`, what the create event is made of. */
export interface CreateEventInput {
  /** A user of this server. */
  readonly creator: UserId;
  readonly roomVersion: string;
  /** `creation_content` */
  readonly creationContent: JsonObject;
  readonly preset: RoomPreset;
  readonly invite: readonly UserId[];
}

/** What the create event takes from the actor that makes it. */
export interface CreateEventSource {
  readonly key: SigningKey;
  /** ms since epoch */
  readonly now: number;
  /** For the room id, before room version 12. */
  readonly random: RandomSource;
}

/**
 * Builds and signs the create event of a new room.
 *
 * @returns the event in federation format, and the id of the room that it begins: its own hash from room version 12 on,
 *   a random one of this server before.
 * @throws MatrixError M_UNSUPPORTED_ROOM_VERSION; M_BAD_JSON for content that is not canonical JSON; M_INVALID_PARAM for
 *   `additional_creators` that are not user ids
 * @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom
 * @see https://spec.matrix.org/v1.19/rooms/v12/#event-format
 */
export function makeCreateEvent(
  input: CreateEventInput,
  source: CreateEventSource,
): { createEvent: Pdu; roomId: RoomId } {
  const rules = rulesOf(input.roomVersion);
  const serverName = serverNameOf(input.creator);
  const content = contentOf(input, rules);
  const pdu = buildPdu(
    {
      roomId: rules.roomIdIsCreateHash ? null : randomRoomId(serverName, source.random),
      sender: input.creator,
      type: "m.room.create",
      stateKey: "",
      content,
      originServerTs: source.now,
      depth: depthAfter([]),
      prevEvents: [],
      authEvents: [],
      eventId: chosenEventId(serverName, source.random),
      hashOf: () => "",
    },
    rules,
  );
  const event = signDraft(pdu, rules, serverName, source.key);
  return { createEvent: event.pdu, roomId: event.roomId };
}

function rulesOf(roomVersion: string): RoomVersionRules {
  const rules = supportedRoomVersions.some((version) => version === roomVersion) ? rulesFor(roomVersion) : null;
  if (rules === null) throw errors.unsupportedRoomVersion("This server does not make rooms of that version");
  return rules;
}

function contentOf(input: CreateEventInput, rules: RoomVersionRules): JsonObject {
  const { creationContent } = input;
  const canonical = checkCanonical(creationContent);
  if (!canonical.ok) throw errors.badJson(`creation_content is not canonical JSON: ${canonical.reason}`);
  if (rules.creatorsHaveInfinitePower && !hasValidAdditionalCreators(creationContent)) {
    throw errors.invalidParam("creation_content.additional_creators must be a list of user ids");
  }
  return createContent({ ...input, rules });
}

/** "The localpart of a room ID … MUST NOT contain `:`"; 18 random bytes. @see https://spec.matrix.org/v1.19/appendices/#room-ids */
function randomRoomId(serverName: string, random: RandomSource): RoomId {
  return trusted.roomId(`!${encodeBase64Url(random.bytes(18))}:${serverName}`);
}

/** An event id for room versions 1 and 2, in which the server chooses it. @see https://spec.matrix.org/v1.19/appendices/#event-ids */
export function chosenEventId(serverName: ServerName, random: RandomSource): EventId {
  return trusted.eventId(`$${encodeBase64Url(random.bytes(18))}:${serverName}`);
}
