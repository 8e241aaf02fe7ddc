/**
 * The one door for events: every event is built or checked here, authorized against the state before it, and handed to
 * `persist.ts`. Nothing else may store an event.
 */
import { errors } from "../../shared/errors.ts";
import type { EventId, UserId } from "../../shared/ids.ts";
import type { JsonObject } from "../../shared/json.ts";
import { canonicalJson, checkCanonical } from "../../shared/matrix/canonical-json.ts";
import { draftOf, type MatrixEvent, type Pdu, type StateLookup } from "../../shared/matrix/event.ts";
import { authTypesForEvent } from "../../shared/matrix/event-auth/auth-types.ts";
import { authorize } from "../../shared/matrix/event-auth/state-dependent.ts";
import { buildPdu, depthAfter, signDraft } from "../../shared/matrix/event-draft.ts";
import { checkEventFormat } from "../../shared/matrix/event-format.ts";
import { referenceHash } from "../../shared/matrix/hashes.ts";
import type { RoomVersionRules } from "../../shared/matrix/room-version.ts";
import { chosenEventId } from "../../shared/room-creation.ts";
import type { SigningKey } from "../../shared/rpc/server.ts";
import type { RoomContext } from "./context.ts";
import { persistEvent } from "./persist.ts";
import { resolveRoots } from "./resolve.ts";
import { signingKeyNow } from "./signing.ts";
import { findCurrentState, findStateAt, stateLookupAt } from "./state.ts";
import type { StateRoot } from "./state-tree.ts";
import type { EventRecord } from "./store/events.ts";
import type { Extremity } from "./store/extremities.ts";
import type { RoomTransaction } from "./store/index.ts";

/** Forward extremities that a new event follows, at most; the deepest ones. */
const maxOwnPrevEvents = 10;
/** Forward extremities of which these are chosen. */
const maxConsideredEnds = 100;

/** Only after somebody has crafted a graph to that end; the next events bring its ends together again. */
const tooComplex = "The room's history forks too much to add to it now";

/** A new event of a local user. */
export interface LocalEvent {
  readonly sender: UserId;
  readonly type: string;
  /** Null: a message event. */
  readonly stateKey: string | null;
  readonly content: JsonObject;
  readonly redacts: EventId | null;
  readonly deviceId: string | null;
  readonly txnId: string | null;
}

/** A local event with nothing about the request that made it. */
export function stateEvent(sender: UserId, type: string, stateKey: string, content: JsonObject): LocalEvent {
  return { sender, type, stateKey, content, redacts: null, deviceId: null, txnId: null };
}

/**
 * Builds a local event on the room's forward extremities, authorizes and signs it, and stores it.
 *
 * A state event that would change nothing is not stored: the event that set the state is the answer.
 *
 * @throws MatrixError M_FORBIDDEN with the rule's reason, M_TOO_LARGE, M_BAD_JSON for content that is not canonical JSON
 * @see https://spec.matrix.org/v1.19/server-server-api/#pdus
 */
export function admitLocalEvent(room: RoomContext, tx: RoomTransaction, key: SigningKey, local: LocalEvent): EventId {
  const rules = tx.room.rules();
  const { pdu, before } = draftAllowed(room, tx, local);
  const unchanged = findUnchangedState(tx, local);
  if (unchanged !== null) return unchanged.eventId;
  const event = signDraft(pdu, rules, room.config.serverName, signingKeyNow(room, key));
  assertFormat(event, rules);
  const { deviceId, txnId } = local;
  if (!persistEvent(room, tx, { event, before, deviceId, txnId, isOurs: true })) throw errors.unknown(tooComplex);
  return event.eventId;
}

/**
 * An event on the room's forward extremities that the room's rules allow, neither hashed nor signed: the first half of a
 * local event, and all of what a server is offered that wants to join.
 *
 * @returns also the state before it.
 * @throws MatrixError M_FORBIDDEN with the rule's reason, M_BAD_JSON for content that is not canonical JSON
 */
export function draftAllowed(
  room: RoomContext,
  tx: RoomTransaction,
  local: LocalEvent,
): { pdu: Pdu; before: StateRoot } {
  const rules = tx.room.rules();
  const extremities = followedByOwn(tx, local.sender);
  const before = stateBeforeOwn(tx, extremities);
  // By the vector rather than the flat table: its nodes are in memory as a rule.
  const state = stateLookupAt(tx, before);
  const pdu = draftPdu(room, tx, { local, extremities, state });
  assertCanonical(pdu);
  const decision = authorize(draftOf(pdu, rules), rules, state, (server) => server === room.config.serverName);
  if (!decision.allowed) throw errors.forbidden(decision.reason);
  return { pdu, before };
}

/**
 * The ends of the graph that a new event follows: the deepest. Where there are too many, first those after which the
 * sender has the membership of the current state; else the event would not be allowed.
 */
function followedByOwn(tx: RoomTransaction, sender: UserId): Extremity[] {
  const few = tx.extremities.forward(maxOwnPrevEvents + 1);
  if (few.length <= maxOwnPrevEvents) return few;
  const member = findCurrentState(tx, "m.room.member", sender);
  const isOurs = ({ eventNid }: Extremity): boolean =>
    findStateAt(tx, tx.events.byNid(eventNid).stateRootAfter, "m.room.member", sender)?.eventNid === member?.eventNid;
  const many = tx.extremities.forward(maxConsideredEnds);
  const ours = new Set(many.filter(isOurs).slice(0, maxOwnPrevEvents));
  return [...ours, ...many.filter((end) => !ours.has(end))].slice(0, maxOwnPrevEvents);
}

/** The current state, unless the event can only follow some of the graph's ends. */
function stateBeforeOwn(tx: RoomTransaction, extremities: readonly Extremity[]): StateRoot {
  if (extremities.length < maxOwnPrevEvents || tx.extremities.count() === extremities.length) {
    return tx.room.get().stateRoot;
  }
  const resolution = resolveRoots(
    tx,
    extremities.map((extremity) => tx.events.byNid(extremity.eventNid).stateRootAfter),
  );
  if (!resolution.ok) throw errors.unknown(tooComplex);
  return resolution.root;
}

function draftPdu(
  room: RoomContext,
  tx: RoomTransaction,
  input: { local: LocalEvent; extremities: readonly Extremity[]; state: StateLookup },
): Pdu {
  const { local, extremities, state } = input;
  const rules = tx.room.rules();
  const authEvents: MatrixEvent[] = [];
  for (const [type, stateKey] of authTypesForEvent(local, rules)) {
    const event = state(type, stateKey);
    if (event !== null) authEvents.push(event);
  }
  const fields = {
    ...local,
    roomId: room.roomId,
    originServerTs: room.clock.now(),
    depth: depthAfter(extremities.map((extremity) => extremity.depth)),
    prevEvents: extremities.map((extremity) => extremity.eventId),
    authEvents: authEvents.map((event) => event.eventId),
  };
  if (rules.eventReferences === "ids") return buildPdu(fields, rules);
  const prevEvents = extremities.map((extremity) => tx.events.byNid(extremity.eventNid).event);
  const hashes = new Map<EventId, string>();
  for (const event of [...prevEvents, ...authEvents]) hashes.set(event.eventId, referenceHash(event.pdu, rules));
  const eventId = chosenEventId(room.config.serverName, room.random);
  return buildPdu({ ...fields, eventId, hashOf: (id) => hashes.get(id) ?? "" }, rules);
}

function assertCanonical(pdu: Pdu): void {
  const canonical = checkCanonical(pdu);
  if (!canonical.ok) throw errors.badJson(`The event is not canonical JSON: ${canonical.reason}`);
}

/** @throws MatrixError M_TOO_LARGE for an event over a size limit, M_BAD_JSON for one with a malformed field */
export function assertFormat(event: MatrixEvent, rules: RoomVersionRules): void {
  const format = checkEventFormat(event.pdu, rules);
  if (format.ok) return;
  throw format.tooLarge ? errors.tooLarge(`Event too large: ${format.reason}`) : errors.badJson(format.reason);
}

/** The current state event, if the same sender gave it the same content. */
function findUnchangedState(tx: RoomTransaction, local: LocalEvent): EventRecord | null {
  if (local.stateKey === null) return null;
  const current = findCurrentState(tx, local.type, local.stateKey);
  if (current === null || current.sender !== local.sender || current.redactedBy !== null) return null;
  return canonicalJson(current.event.content) === canonicalJson(local.content) ? current : null;
}
