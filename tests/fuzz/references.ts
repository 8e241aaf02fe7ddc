/** Names for what exists on the server, which generated requests use: they are made before anybody knows the real ids. */
import { isObject, type JsonValue } from "../../shared/json.ts";

/** What can be referred to. */
export const referenceKinds = [
  "roomId",
  "eventId",
  "userId",
  "deviceId",
  "roomAlias",
  "txnId",
  "filterId",
  "syncToken",
  "pageToken",
  "accessToken",
  "password",
  "registrationToken",
  "server",
  "session",
  "refreshToken",
  "openIdToken",
  "peerUserId",
  // Of the script that is running: what it made itself last.
  "ownRoomId",
  "ownEventId",
  // Of who asks.
  "ownUserId",
  "ownDeviceId",
  "ownPassword",
] as const;
export type ReferenceKind = (typeof referenceKinds)[number];

/** Most values of one kind that are remembered; then the newest takes the place of an older one. */
const maxRemembered = 64;

/** Private-use characters, which stand in requests for nothing else. */
const reference = /\ue000([A-Za-z]+) (\d+)( cut)?\ue001/gu;

/** Stands for the value of that kind with that number; `cut`: without its last character. */
export function referTo(kind: ReferenceKind, number: number, variant: "" | " cut" = ""): string {
  return `\ue000${kind} ${number}${variant}\ue001`;
}

/** Percent-encodes text for a path or a query, all but the references in it. */
export function encodeAround(text: string): string {
  const kept = [...text.matchAll(reference)].map(([match]) => match);
  const between = text.split(/\ue000[A-Za-z]+ \d+(?: cut)?\ue001/u);
  return between.map((part, index) => encodeURIComponent(part.toWellFormed()) + (kept[index] ?? "")).join("");
}

const fieldKinds: Readonly<Record<string, ReferenceKind>> = {
  room_id: "roomId",
  replacement_room: "roomId",
  event_id: "eventId",
  filter_id: "filterId",
  next_batch: "syncToken",
  prev_batch: "pageToken",
  start: "pageToken",
  end: "pageToken",
  token: "registrationToken",
  session: "session",
  refresh_token: "refreshToken",
  access_token: "openIdToken",
};

/** What is taken where nothing of one's own is there. */
function sharedKind(kind: ReferenceKind): ReferenceKind {
  if (kind === "ownRoomId") return "roomId";
  return kind === "ownEventId" ? "eventId" : kind;
}

/** What exists on the server, as far as its answers have told. */
export class Remembered {
  readonly #values = new Map<ReferenceKind, string[]>();
  #added = 0;

  add(kind: ReferenceKind, value: string): void {
    const values = this.#values.get(kind) ?? [];
    this.#values.set(kind, values);
    if (values.includes(value)) return;
    this.#added += 1;
    if (values.length < maxRemembered) values.push(value);
    else values[this.#added % maxRemembered] = value;
  }

  /** Remembers the identifiers and tokens in an answer. */
  learn(answer: JsonValue, depth = 0): void {
    if (depth > 6) return;
    if (Array.isArray(answer)) for (const entry of answer.slice(0, 5)) this.learn(entry, depth + 1);
    if (!isObject(answer)) return;
    for (const [name, value] of Object.entries(answer).slice(0, 50)) {
      const kind = Object.hasOwn(fieldKinds, name) ? fieldKinds[name] : undefined;
      if (kind !== undefined && typeof value === "string" && value.length < 2000) this.add(kind, value);
      else this.learn(value, depth + 1);
    }
  }

  /**
   * Puts real values in the place of all references of a text.
   * @param own of the script that asks
   * @param write how a value is written there
   */
  resolve(text: string, own: ReadonlyMap<string, string>, write: (value: string) => string): string {
    return text.replace(reference, (_, name: string, number: string, variant: string | undefined) => {
      const kind = referenceKinds.find((known) => known === name) ?? "roomId";
      const mine = own.get(kind);
      const values = mine === undefined ? (this.#values.get(sharedKind(kind)) ?? []) : [mine];
      const value = values[Number(number) % Math.max(1, values.length)] ?? "nothing";
      return write(variant === undefined ? value : value.slice(0, -1));
    });
  }
}
