/**
 * Redactions: applied once, only with right, and whichever comes first, the redaction or its target.
 * @see https://spec.matrix.org/v1.19/rooms/v11/#handling-redactions
 */
import { PowerLevels } from "../../shared/matrix/content/power-levels.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import { mayRedact } from "../../shared/matrix/event-auth/state-dependent.ts";
import { findCurrentState, findStateAt } from "./state.ts";
import type { StateRoot } from "./state-tree.ts";
import type { EventRecord } from "./store/events.ts";
import type { RoomRead, RoomTransaction } from "./store/index.ts";

/** Redactions of one event that are looked at when it comes; without right, the others have hardly more. */
const maxPending = 100;

/** Marks the event that an accepted redaction names, or notes that the redaction waits for it. */
export function applyRedaction(
  tx: RoomTransaction,
  redaction: MatrixEvent,
  { eventNid, before }: { eventNid: number; before: StateRoot },
): void {
  if (redaction.type !== "m.room.redaction" || redaction.redacts === null) return;
  const target = tx.events.byId(redaction.redacts);
  // What is rejected on less than there is to know may be accepted once more of the room is known.
  const isToCome = target === null || (target.status === "rejected" && tx.partialState.isOn());
  if (isToCome) tx.redactions.insert(redaction.redacts, eventNid);
  else redactIfAllowed(tx, { redaction, before }, target);
}

/** A redaction that was accepted is none any more. */
export function undoRedaction(tx: RoomTransaction, { eventId, redacts }: MatrixEvent): void {
  const target = redacts === null ? null : tx.events.byId(redacts);
  if (target?.redactedBy === eventId) tx.events.setRedacted(target.eventNid, null);
}

/** Applies to an event that has come just now the first of the redactions that wait for it and have the right. */
export function applyPendingRedactions(tx: RoomTransaction, event: MatrixEvent, eventNid: number): void {
  const waiting = tx.redactions.waitingFor(event.eventId, maxPending);
  if (waiting.length === 0) return;
  const target = tx.events.byNid(eventNid);
  for (const nid of waiting) {
    const { event: redaction, stateRootBefore: before } = tx.events.byNid(nid);
    if (redactIfAllowed(tx, { redaction, before }, target)) break;
  }
  tx.redactions.delete(event.eventId);
}

/** @returns whether the target is redacted now */
function redactIfAllowed(
  tx: RoomTransaction,
  { redaction, before }: { redaction: MatrixEvent; before: StateRoot },
  target: EventRecord,
): boolean {
  // A create event says which version the room has, and some versions do not protect that.
  if (target.redactedBy !== null || target.status === "rejected" || target.type === "m.room.create") return false;
  if (target.event.roomId !== redaction.roomId || target.eventId === redaction.eventId) return false;
  // Room versions 1 and 2 decide by their authorization rules, which the redaction has passed.
  const isAllowed =
    tx.room.rules().authorizesRedactions || mayRedact(redaction, target.event, powerLevelsAt(tx, before));
  if (isAllowed) tx.events.setRedacted(target.eventNid, redaction.eventId);
  return isAllowed;
}

/** The power levels of the current state. */
export function currentPowerLevels(store: RoomRead): PowerLevels {
  const levels = findCurrentState(store, "m.room.power_levels", "");
  const create = findCurrentState(store, "m.room.create", "");
  return new PowerLevels(levels?.event ?? null, create?.event ?? null, store.room.rules());
}

function powerLevelsAt(store: RoomRead, root: StateRoot): PowerLevels {
  const levels = findStateAt(store, root, "m.room.power_levels", "");
  const create = findStateAt(store, root, "m.room.create", "");
  return new PowerLevels(levels?.event ?? null, create?.event ?? null, store.room.rules());
}
