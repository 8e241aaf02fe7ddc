/**
 * Cuts the answer of `send_join`, or `state`, into events while it arrives: of a large room it is hundreds of megabytes, of which one
 * event at a time is held.
 */

/** An event of one of the two lists, as JSON text. */
export interface ToldEvent {
  readonly isState: boolean;
  readonly text: string;
}

/** What stands beside the lists. */
export interface JoinFacts {
  /** The join with the other server's signature, as JSON text. */
  readonly event: string | null;
  readonly membersOmitted: boolean;
  /** The servers in the room, as JSON text. */
  readonly serversInRoom: string | null;
}

/** Where the characters go that come next. */
type Slot = "ignored" | "key" | "value" | "element";

/** Characters that are held. As it is sent, with what nobody signs, an event may be larger than its canonical form. */
const maxLengths: Readonly<Record<Exclude<Slot, "ignored">, number>> = { key: 256, value: 1_048_576, element: 262_144 };

const lists: ReadonlyMap<string, { isState: boolean }> = new Map([
  ["state", { isState: true }],
  // As `state` names it.
  ["pdus", { isState: true }],
  ["auth_chain", { isState: false }],
]);
const keptValues: ReadonlySet<string> = new Set(["event", "members_omitted", "servers_in_room"]);

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;

/**
 * Reads the answer in pieces of any size. Of the structure only brackets and strings are understood; whether an event is
 * JSON is for who parses it. The answer of the first version of the endpoint is the same, as the second entry of a list.
 */
export class JoinAnswerReader {
  /** Events that were cut and not taken yet. */
  #events: ToldEvent[] = [];
  readonly #values = new Map<string, string>();
  #hasBegun = false;
  #depth = 0;
  /** The depth inside of the object that is the answer. */
  #base = 1;
  #isInString = false;
  #isEscaped = false;
  #slot: Slot = "ignored";
  #key = "";
  #list: { isState: boolean } | null = null;
  #pieces: string[] = [];
  #length = 0;
  #tooLong = 0;

  /** Events that were left out because they are larger than any may be. */
  get tooLong(): number {
    return this.#tooLong;
  }

  /** Takes the next piece. @returns the events that it completes */
  push(text: string): ToldEvent[] {
    let mark = 0;
    for (let index = 0; index < text.length; index += 1) {
      const code = text.charCodeAt(index);
      if (this.#isInString) {
        if (this.#isEscaped) this.#isEscaped = false;
        else if (code === backslash) this.#isEscaped = true;
        else if (code === quote) this.#isInString = false;
      } else if (code === quote) {
        this.#isInString = true;
      } else if (this.#isBoundary(code)) {
        this.#keep(text, mark, index);
        this.#cross(code);
        mark = index + 1;
        this.#descend(code);
      } else this.#descend(code);
    }
    this.#keep(text, mark, text.length);
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /** @returns null when the answer broke off, or is something else */
  end(): JoinFacts | null {
    if (!this.#hasBegun || this.#depth !== 0 || this.#isInString) return null;
    const membersOmitted = this.#values.get("members_omitted") === "true";
    const [event = null, serversInRoom = null] = [this.#values.get("event"), this.#values.get("servers_in_room")];
    return { event, membersOmitted, serversInRoom };
  }

  #descend(code: number): void {
    if (code === openBrace || code === openBracket) {
      if (!this.#hasBegun && code === openBracket) this.#base = 2;
      this.#hasBegun = true;
      this.#depth += 1;
    } else if (code === closeBrace || code === closeBracket) this.#depth -= 1;
  }

  /** Whether a character outside of strings ends a slot, or begins one. */
  #isBoundary(code: number): boolean {
    const isInObject = this.#depth === this.#base;
    const isInList = this.#list !== null && this.#depth === this.#base + 1;
    switch (code) {
      case comma:
        return isInObject || isInList;
      case colon:
        return isInObject && this.#slot === "key";
      case openBrace:
        return this.#hasBegun ? this.#depth === this.#base - 1 : true;
      case openBracket:
        return isInObject && this.#slot === "value" && lists.has(this.#key);
      case closeBrace:
        return isInObject;
      case closeBracket:
        return isInList;
      default:
        return false;
    }
  }

  #cross(code: number): void {
    this.#endSlot();
    switch (code) {
      case openBrace:
        this.#slot = "key";
        break;
      case colon:
        this.#slot = "value";
        break;
      case comma:
        this.#slot = this.#list === null ? "key" : "element";
        break;
      case openBracket:
        this.#list = lists.get(this.#key) ?? null;
        this.#slot = "element";
        break;
      default:
        this.#list = null;
        this.#slot = "ignored";
    }
  }

  #keep(text: string, start: number, end: number): void {
    if (start === end || this.#slot === "ignored") return;
    if (this.#slot === "value" && !keptValues.has(this.#key)) return;
    this.#length += end - start;
    if (this.#length <= maxLengths[this.#slot]) this.#pieces.push(text.slice(start, end));
    else this.#pieces = [];
  }

  #endSlot(): void {
    const isTooLong = this.#slot !== "ignored" && this.#length > maxLengths[this.#slot];
    const text = this.#pieces.join("").trim();
    this.#pieces = [];
    this.#length = 0;
    if (this.#slot === "key") this.#key = keyOf(text);
    else if (this.#slot === "value" && !isTooLong && text !== "") this.#values.set(this.#key, text);
    else if (this.#slot === "element") {
      if (isTooLong) this.#tooLong += 1;
      else if (text !== "" && this.#list !== null) this.#events.push({ isState: this.#list.isState, text });
    }
  }
}

function keyOf(text: string): string {
  try {
    const key: unknown = JSON.parse(text);
    return typeof key === "string" ? key : "";
  } catch {
    return "";
  }
}
