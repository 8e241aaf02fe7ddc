/**
 * Events from other servers: the checks performed on receipt of a PDU, in the order of the specification. They end where
 * every event ends, in `persist.ts`; this file and `admit.ts` are the two sides of the one door.
 *
 * @see https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu
 */
import { type EventId, parseUserId, type ServerName, serverNameOf } from "../../shared/ids.ts";
import { field, type JsonObject, stringField, withoutField } from "../../shared/json.ts";
import { describeError } from "../../shared/log.ts";
import { eventFromPdu, type MatrixEvent, referencedEvents } from "../../shared/matrix/event.ts";
import type { AuthDecision } from "../../shared/matrix/event-auth/decision.ts";
import { authorize } from "../../shared/matrix/event-auth/state-dependent.ts";
import { checkStateIndependent } from "../../shared/matrix/event-auth/state-independent.ts";
import { checkEventFormat } from "../../shared/matrix/event-format.ts";
import { createEventIdOf, eventIdOf, roomIdOf } from "../../shared/matrix/event-id.ts";
import { numberValue } from "../../shared/matrix/exact-numbers.ts";
import { hasValidContentHash, signedText } from "../../shared/matrix/hashes.ts";
import { redact } from "../../shared/matrix/redaction.ts";
import type { RoomVersionRules } from "../../shared/matrix/room-version.ts";
import { requiredSigners, signingKeyIds, type VerifyKeys, verifyEvent } from "../../shared/matrix/signing.ts";
import type { PduOutcome } from "../../shared/rpc/room-peers.ts";
import { commit } from "./commit.ts";
import type { RoomContext } from "./context.ts";
import { leaveGap, type PlaceInPast } from "./gaps.ts";
import { isPartial, lookupFor, noteOutlier, notePlaced } from "./partial-state.ts";
import { persistEvent, persistPast, persistUnseen } from "./persist.ts";
import { resolveRoots } from "./resolve.ts";
import { isShutOut } from "./server-acl.ts";
import { findCurrentState } from "./state.ts";
import type { StateRoot } from "./state-tree.ts";
import type { EventRecord } from "./store/events.ts";
import type { RoomTransaction } from "./store/index.ts";
import type { ToldState } from "./store/partial-state-rows.ts";

/**
 * The keys by which a server's signature on an event counts; null: none are known.
 * @param validAt ms since epoch at which the keys must have been valid; null in room versions that do not ask.
 */
export type KeyLookup = (server: ServerName, validAt: number | null) => VerifyKeys | null;

/** How a PDU is taken. */
export interface Receipt {
  readonly keysFor: KeyLookup;
  /** Outside the graph: part of an auth chain or of a state, of which only the events that authorize it must be here. */
  readonly isOutlier: boolean;
  /** Whether this server sends it to the other servers in the room: taken from the server of a user who has just joined. */
  readonly isOurs?: boolean;
  /**
   * The state after those of its prev events that are not here, as another server told; several where they differ. Without
   * it, they must be here.
   */
  readonly stateOfMissing?: StateRoot | readonly ToldState[];
  /** This server was not in the room, and is told its state anew: that counts where all prev events are here, too. */
  readonly isToldAnew?: boolean;
  /** Where it belongs in the stream, where it is fetched as part of the past: it changes nothing of the present. */
  readonly past?: PlaceInPast;
}

/** PDUs of one call, at most: what a transaction may carry. @see https://spec.matrix.org/v1.19/server-server-api/#transactions */
export const maxPdus = 50;

/**
 * Takes PDUs that a server has sent, each by itself: what one of them ends in is no matter of the others. Those that
 * another of the same batch follows are taken before it.
 *
 * The room's ACL holds at this door: for the server that sends, and for the server of each event's sender, so that what is
 * shut out does not come in by way of a friend. It does not hold for `admitPdu`: an event that others have built upon is
 * fetched, and belongs to the graph, whoever sent it.
 *
 * @returns what became of each, in the order given.
 * @see https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1sendtxnid
 */
export async function receivePdus(
  room: RoomContext,
  origin: ServerName,
  pdus: readonly JsonObject[],
  keysFor: KeyLookup,
): Promise<PduOutcome[]> {
  if (pdus.length > maxPdus) throw new Error(`a batch of ${pdus.length} PDUs was not cut down`);
  return commit(room, (tx) => {
    if (tx.room.find() === null) return pdus.map(() => dropped(null, "the room is not known here"));
    const outcomes = new Map<JsonObject, PduOutcome>();
    for (const pdu of inOrder(pdus, tx.room.rules())) {
      // "ACLs MUST be applied to all PDUs on a per-PDU basis": one of the batch may change the ACL.
      const shutOut = [origin, serverOfSender(pdu)].find((server) => server !== null && isShutOut(room, tx, server));
      const outcome = shutOut
        ? dropped(nameOf(pdu, tx.room.rules()), `${shutOut} is shut out by the room's server ACL`)
        : admitPdu(room, pdu, { keysFor, isOutlier: false });
      outcomes.set(pdu, outcome);
    }
    return pdus.map((pdu) => outcomes.get(pdu) ?? dropped(null, "given twice"));
  });
}

/**
 * Takes PDUs that nobody has sent by themselves but that were fetched, each by itself; those that another of the same batch
 * refers to are taken before it. No ACL holds here: see {@link receivePdus}.
 *
 * @returns what became of each, in the order given.
 */
export async function receiveFetched(
  room: RoomContext,
  pdus: readonly JsonObject[],
  receipt: Receipt,
): Promise<PduOutcome[]> {
  return commit(room, (tx) => {
    if (tx.room.find() === null) return pdus.map(() => dropped(null, "the room is not known here"));
    const outcomes = new Map<JsonObject, PduOutcome>();
    for (const pdu of inOrder(pdus, tx.room.rules())) outcomes.set(pdu, admitPdu(room, pdu, receipt));
    return pdus.map((pdu) => outcomes.get(pdu) ?? dropped(null, "given twice"));
  });
}

/** Events after those of the batch that they follow; otherwise in the order given. */
function inOrder(pdus: readonly JsonObject[], rules: RoomVersionRules): readonly JsonObject[] {
  if (pdus.length === 1) return pdus;
  const byId = new Map<EventId, JsonObject>();
  const ordered = new Set<JsonObject>();
  for (const pdu of pdus) {
    const eventId = idOf(pdu, rules);
    // What is malformed is refused at any place, and may name a million events.
    if (eventId === null) ordered.add(pdu);
    else byId.set(eventId, pdu);
  }
  const entered = new Set<JsonObject>(ordered);
  const visit = (pdu: JsonObject): void => {
    // At most as deep as the batch is long. A cycle, which only chosen ids could make, ends at its second visit.
    if (entered.has(pdu)) return;
    entered.add(pdu);
    for (const key of ["prev_events", "auth_events"]) {
      for (const eventId of referencedEvents(field(pdu, key))) {
        const before = byId.get(eventId);
        if (before !== undefined) visit(before);
      }
    }
    ordered.add(pdu);
  };
  for (const pdu of pdus) visit(pdu);
  return [...ordered];
}

/** Null for what has no sender: its format is refused later. */
function serverOfSender(pdu: JsonObject): ServerName | null {
  const sender = parseUserId(stringField(pdu, "sender") ?? "");
  return sender === null ? null : serverNameOf(sender);
}

/** Null for what is so malformed that it has no id. */
function idOf(pdu: JsonObject, rules: RoomVersionRules): EventId | null {
  return checkEventFormat(withoutField(pdu, "unsigned"), rules).ok ? eventIdOf(pdu, rules) : null;
}

/** By which id the answer tells of it: also of what is no event, as far as one can be found. Null: there is none. */
function nameOf(pdu: JsonObject, rules: RoomVersionRules): EventId | null {
  const received = withoutField(pdu, "unsigned");
  const hasName = rules.eventIdFormat === "serverChosen" || signedText(received, rules) !== null;
  return hasName ? eventIdOf(received, rules) : null;
}

function dropped(eventId: EventId | null, reason: string): PduOutcome {
  return { kind: "dropped", eventId, reason };
}

/** Takes one PDU, in a transaction of its own inside the caller's: whatever goes wrong with it undoes nothing else. */
export function admitPdu(room: RoomContext, pdu: JsonObject, receipt: Receipt): PduOutcome {
  try {
    return room.store.transaction((tx) => checkPdu(room, tx, pdu, receipt));
  } catch (thrown) {
    room.log.error("pdu could not be taken", { room_id: room.roomId, error: describeError(thrown) });
    return dropped(null, "an error of this server");
  }
}

function checkPdu(room: RoomContext, tx: RoomTransaction, pdu: JsonObject, receipt: Receipt): PduOutcome {
  const rules = tx.room.rules();
  // Nobody signs what stands there.
  const received = withoutField(pdu, "unsigned");
  // 1. "Is a valid event, otherwise it is dropped."
  const format = checkEventFormat(received, rules, { isPast: receipt.past !== undefined });
  if (!format.ok) return dropped(nameOf(pdu, rules), format.reason);
  if (roomIdOf(received, rules) !== room.roomId) return dropped(null, "the event is of another room");
  const eventId = eventIdOf(received, rules);
  if (eventId === null) return dropped(null, "the event has no valid id");
  const known = tx.events.byId(eventId);
  if (known !== null && (receipt.isOutlier || known.stateRootAfter !== null)) return { kind: "duplicate", eventId };
  // 2. "Passes signature checks, otherwise it is dropped."
  const problem = signatureProblem(received, rules, receipt.keysFor);
  if (problem !== null) return { kind: "dropped", eventId, ...problem };
  // 3. "Passes hash checks, otherwise it is redacted before being processed further."
  const event = eventFromPdu(hasValidContentHash(received, rules) ? received : redact(received, rules), rules);
  return placePdu(room, tx, { event, known }, receipt);
}

/** Why an event is not signed as it must be; whether it may be, by keys that are not known. */
type SignatureProblem = { readonly reason: string; readonly lacksKeysOf?: ServerName };

function signatureProblem(pdu: JsonObject, rules: RoomVersionRules, keysFor: KeyLookup): SignatureProblem | null {
  const signers = requiredSigners(pdu, rules);
  if (signers === null) return { reason: "it does not follow who must have signed the event" };
  const validAt = rules.enforcesKeyValidity ? numberValue(field(pdu, "origin_server_ts")) : null;
  for (const signer of signers) {
    const keys = keysFor(signer, validAt);
    if (keys === null) return { reason: `no keys of ${signer} are known`, ...lacking(pdu, signer, keys) };
    if (!verifyEvent(pdu, rules, signer, keys)) {
      return { reason: `the event is not signed by ${signer}`, ...lacking(pdu, signer, keys) };
    }
  }
  return null;
}

function lacking(pdu: JsonObject, signer: ServerName, keys: VerifyKeys | null): { lacksKeysOf?: ServerName } {
  const used = signingKeyIds(pdu, signer);
  return used.length > 0 && !used.some((keyId) => keys?.has(keyId)) ? { lacksKeysOf: signer } : {};
}

/** An event whose signatures and hash are checked. */
interface Candidate {
  readonly event: MatrixEvent;
  /** The event as an outlier, where it is here as one. */
  readonly known: EventRecord | null;
}

function placePdu(room: RoomContext, tx: RoomTransaction, candidate: Candidate, receipt: Receipt): PduOutcome {
  const { event, known } = candidate;
  const { eventId } = event;
  const { past } = receipt;
  const authEvents = event.authEvents.map((id) => tx.events.byId(id));
  const authMissing = event.authEvents.filter((_, index) => authEvents[index] === null);
  const createEventId = findLackingCreate(room, tx, event);
  if (createEventId !== null) authMissing.push(createEventId);
  const prev = receipt.isOutlier ? { roots: [], missing: [] } : prevStates(tx, event);
  const isLost = prev.missing.length > 0 && receipt.stateOfMissing === undefined;
  if (isLost || authMissing.length > 0) {
    return { kind: "missing", eventId, prevEvents: isLost ? prev.missing : [], authEvents: authMissing };
  }
  const isTold = prev.missing.length > 0 || receipt.isToldAnew === true;
  const told = isTold ? toldStates(receipt) : [];
  const before = stateBefore(tx, [...prev.roots, ...told.map(({ root }) => root)]);
  if (!before.ok) return dropped(eventId, `the state before the event cannot be resolved: ${before.reason}`);
  const placed = { ...candidate, before: before.root };
  // What stands before an event of the past is asked for next, whatever becomes of the event itself.
  if (past !== undefined) tx.extremities.addMissing(prev.missing, past.after);
  // 4. "Passes authorisation rules based on the event's auth events, otherwise it is rejected."
  const selected = authEvents.filter((record) => record !== null);
  const rejection = known?.status === "rejected" ? alreadyRejected : checkByAuthEvents(room, tx, event, selected);
  const outcome = receipt.isOutlier
    ? keepOutlier(room, tx, placed, rejection)
    : place(room, tx, { ...placed, isOurs: receipt.isOurs ?? false, past: past ?? null, prev, rejection });
  if (isPartial(tx)) {
    if (receipt.isOutlier) noteOutlier(tx, eventId, selected);
    else notePlaced(tx, eventId, { told, past: past ?? null });
  }
  return outcome;
}

type Refusal = { readonly rule: string; readonly reason: string };
type Placed = Candidate & { readonly before: StateRoot };

/** What the server that gave an event has told of the states before it. */
function toldStates({ stateOfMissing }: Receipt): readonly ToldState[] {
  if (stateOfMissing === undefined) return [];
  if (stateOfMissing === null || typeof stateOfMissing === "number") return [{ root: stateOfMissing, doubtful: [] }];
  return stateOfMissing;
}

function keepOutlier(room: RoomContext, tx: RoomTransaction, placed: Placed, rejection: Refusal | null): PduOutcome {
  if (rejection !== null) return reject(room, tx, placed, rejection);
  persistUnseen(tx, { ...placed, status: "outlier" });
  return { kind: "outlier", eventId: placed.event.eventId };
}

function place(
  room: RoomContext,
  tx: RoomTransaction,
  input: Placed & { isOurs: boolean; past: PlaceInPast | null; prev: PrevStates; rejection: Refusal | null },
): PduOutcome {
  const { rejection, prev, past } = input;
  // What is refused on less than there is to know may be shown yet.
  const isShown = rejection === null || isPartial(tx);
  if (past === null && isShown && prev.missing.length > 0) tx.extremities.addMissing(prev.missing, leaveGap(tx));
  return rejection === null ? placeInGraph(room, tx, input) : reject(room, tx, input, rejection);
}

/**
 * From room version 12 no event names the create event, which authorizes it all the same: an event without it is to wait for
 * it like for those that it names. Null: it is here.
 */
function findLackingCreate(room: RoomContext, tx: RoomTransaction, { type }: MatrixEvent): EventId | null {
  if (tx.room.rules().createIsAuthEvent || type === "m.room.create") return null;
  const eventId = createEventIdOf(room.roomId);
  return tx.events.byId(eventId) === null ? eventId : null;
}

const alreadyRejected = { rule: "", reason: "the event was rejected when it was first seen" };

interface PrevStates {
  readonly roots: StateRoot[];
  readonly missing: EventId[];
}

/** The states after an event's prev events, and those of them of which no state is known. */
function prevStates(tx: RoomTransaction, event: MatrixEvent): PrevStates {
  const roots: StateRoot[] = [];
  const missing: EventId[] = [];
  for (const eventId of event.prevEvents) {
    const root = tx.events.byId(eventId)?.stateRootAfter ?? null;
    if (root === null) missing.push(eventId);
    else roots.push(root);
  }
  return { roots, missing };
}

/** The state before an event: what the states after its prev events resolve to. */
function stateBefore(tx: RoomTransaction, roots: readonly StateRoot[]): ReturnType<typeof resolveRoots> {
  const distinct = new Set(roots);
  if (distinct.size > 1) {
    // Most often it follows all ends of the graph, and those are resolved already.
    const ends = new Set(tx.extremities.ends().map((end) => end.root));
    if (ends.size === distinct.size && ends.isSubsetOf(distinct)) {
      return { ok: true, root: tx.room.get().stateRoot };
    }
  }
  return resolveRoots(tx, roots);
}

/** Steps 5 and 6, for an event whose place in the graph is known. */
function placeInGraph(
  room: RoomContext,
  tx: RoomTransaction,
  placed: Placed & { isOurs: boolean; past: PlaceInPast | null },
): PduOutcome {
  const { event, known, before } = placed;
  const { eventId } = event;
  const rules = tx.room.rules();
  // 5. "Passes authorisation rules based on the state before the event, otherwise it is rejected."
  const byState = authorize(event, rules, lookupFor(tx, event, before));
  if (!byState.allowed) return reject(room, tx, placed, byState);
  if (placed.past !== null) {
    persistPast(tx, placed, placed.past);
    return { kind: "accepted", eventId };
  }
  // 6. "Passes authorisation rules based on the current state of the room, otherwise it is soft failed."
  const current = tx.room.get().stateRoot;
  const byCurrent: AuthDecision = current === before ? byState : authorize(event, rules, lookupFor(tx, event, current));
  if (!byCurrent.allowed) persistUnseen(tx, { event, before, known, status: "soft_failed" });
  else if (persistEvent(room, tx, { ...placed, deviceId: null, txnId: null })) return { kind: "accepted", eventId };
  room.log.info("pdu soft-failed", { room_id: room.roomId, event_id: eventId });
  return { kind: "softFailed", eventId };
}

/** Null: the events in `auth_events` allow the event. */
export function checkByAuthEvents(
  room: RoomContext,
  tx: RoomTransaction,
  event: MatrixEvent,
  authEvents: readonly EventRecord[],
): Refusal | null {
  const rules = tx.room.rules();
  const create = rules.roomIdIsCreateHash
    ? tx.events.byId(createEventIdOf(room.roomId))
    : findCurrentState(tx, "m.room.create", "");
  // A room begins once: a second create event would be allowed by the rules, which ask nothing of a state for it.
  if (event.type === "m.room.create" && create !== null && create.eventId !== event.eventId) {
    return { rule: "1", reason: "the room has begun already" };
  }
  // An event named twice is "duplicate entries for a given type and state_key pair".
  const named = field(event.pdu, "auth_events");
  if (Array.isArray(named) && named.length !== event.authEvents.length) {
    return { rule: "authEvents.duplicate", reason: "auth_events names an event twice" };
  }
  const entries = authEvents.map((record) => ({ event: record.event, isRejected: record.status === "rejected" }));
  const independent = checkStateIndependent(event, rules, entries);
  if (independent !== null) return independent.allowed ? null : independent;
  const decision = authorize(event, rules, (type, stateKey) => {
    const found = authEvents.find((record) => record.type === type && record.stateKey === stateKey);
    if (found !== undefined) return found.event;
    // From room version 12 the room id names the create event, and no auth_events do.
    return type === "m.room.create" && !rules.createIsAuthEvent ? (create?.event ?? null) : null;
  });
  return decision.allowed ? null : decision;
}

function reject(
  room: RoomContext,
  tx: RoomTransaction,
  { event, known, before }: Placed,
  { rule, reason }: Refusal,
): PduOutcome {
  persistUnseen(tx, { event, before, known, status: "rejected" });
  room.log.info("pdu rejected", { room_id: room.roomId, event_id: event.eventId, rule });
  return { kind: "rejected", eventId: event.eventId, rule, reason };
}
