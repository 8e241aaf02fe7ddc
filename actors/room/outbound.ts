/** What other servers are given of the room: events that this server sends, while they are in the room. */
import { errors } from "../../shared/errors.ts";
import { type ServerName, serverNameOf } from "../../shared/ids.ts";
import { describeError } from "../../shared/log.ts";
import { canonicalJson } from "../../shared/matrix/canonical-json.ts";
import { canonicalMode } from "../../shared/matrix/hashes.ts";
import type { OutboundBatch, TakeOutboundInput } from "../../shared/rpc/room-outbox.ts";
import type { PduText } from "../../shared/rpc/room-peers.ts";
import type { RoomContext } from "./context.ts";
import { receiptEdus, typingEdus } from "./outbound-ephemeral.ts";
import { findPdu } from "./serve.ts";
import type { OutboundEvent, ServerStay } from "./store/servers.ts";
import { prunedEvent } from "./visibility.ts";
import { serverCaughtUp } from "./wakes.ts";

/** PDUs of one batch, at most. @see https://spec.matrix.org/v1.19/server-server-api/#transactions */
const mostPdus = 50;
const mostEdus = 100;

/**
 * What this server has to send to another after a position: its events from the times that the other was in the room, and
 * what its users have read and that they type, if it is there now. Where nothing is left, the server may be woken again.
 *
 * Every position holds one item, so that a batch is cut at any of them and goes on after it.
 *
 * @throws MatrixError M_NOT_FOUND for an unknown room
 * @see https://spec.matrix.org/v1.19/server-server-api/#transactions
 */
export function takeOutbound(room: RoomContext, input: TakeOutboundInput): OutboundBatch {
  const { destination, since } = input;
  const head = room.store.room.find()?.streamPosition;
  if (head === undefined) throw errors.notFound("The room is not known here");
  const stays = room.store.servers.staysOf(destination);
  const through = Math.max(since, Math.min(input.through ?? head, head));
  const cut = eventsFor(room, stays, { since, through, limit: Math.min(input.maxPdus, mostPdus) });
  const isInRoom = stays.at(-1)?.until === null;
  const maxEdus = Math.min(input.maxEdus, mostEdus);
  const receipts = isInRoom ? receiptEdus(room, { since, through: cut.through, maxEdus }) : null;
  const position = receipts?.through ?? cut.through;
  const edus = receipts?.edus ?? [];
  if (isInRoom) edus.push(...typingEdus(room, { since, through: position, maxEdus: maxEdus - edus.length }));
  const events = cut.events.filter(({ streamPosition }) => streamPosition <= position);
  if (position >= head) serverCaughtUp(room, destination);
  forgetStays(room, stays, input);
  return { pdus: pdusOf(room, events, destination), edus, position, isMore: position < through };
}

interface Cut {
  readonly events: readonly OutboundEvent[];
  /** Position up to which these are all events. */
  readonly through: number;
}

/** The oldest events after a position that are from the times that the server was in the room. */
function eventsFor(
  room: RoomContext,
  stays: readonly ServerStay[],
  range: { since: number; through: number; limit: number },
): Cut {
  const events: OutboundEvent[] = [];
  for (const stay of stays) {
    const after = Math.max(range.since, stay.since);
    const last = Math.min(range.through, stay.until ?? range.through);
    if (after >= last) continue;
    const left = range.limit - events.length;
    const found = room.store.servers.outbound(stay, { after, through: last }, left + 1);
    events.push(...found.slice(0, left));
    const next = found[left];
    if (next !== undefined) return { events, through: next.streamPosition - 1 };
  }
  return { events, through: range.through };
}

/** What cannot be written is left out: it would be so for ever, and hold up everything after it. */
function pdusOf(room: RoomContext, events: readonly OutboundEvent[], destination: ServerName): PduText[] {
  const pdus: PduText[] = [];
  for (const event of events) {
    // Taken from that server on behalf of the others.
    if (serverNameOf(event.sender) === destination) continue;
    try {
      // Of what others have made, a server that is gone is sent what it may ask for.
      const { isParting, eventId } = event;
      const pdu = isParting ? findPdu(room, { origin: destination, eventId }) : pduTextOf(room, event);
      if (pdu !== null) pdus.push(pdu);
    } catch (thrown) {
      const fields = { room_id: room.roomId, event_id: event.eventId, error: describeError(thrown) };
      room.log.error("event cannot be sent to other servers", fields);
    }
  }
  return pdus;
}

/** The PDU as it was signed, without what a redaction took away. */
function pduTextOf(room: RoomContext, event: OutboundEvent): PduText {
  if (!event.isRedacted) return event.json;
  const { pdu } = prunedEvent(room, room.store.events.byNid(event.eventNid));
  return canonicalJson(pdu, ["unsigned"], canonicalMode(room.store.room.rules()));
}

/** What the server has for certain needs no stay any more, but for the last that it had. */
function forgetStays(room: RoomContext, stays: readonly ServerStay[], { destination, since }: TakeOutboundInput): void {
  const last = stays.findLast(({ joinedMembers }) => joinedMembers > 0);
  if (!stays.some((stay) => stay !== last && stay.until !== null && stay.until <= since)) return;
  room.store.transaction((tx) => tx.servers.deleteUntil(destination, since));
}
