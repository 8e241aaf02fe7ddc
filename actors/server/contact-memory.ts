import type { StoredContact } from "./store/contact.ts";

/** What an instance remembers of its server's being there. */
export interface ContactMemory {
  /** Undefined: the database was not asked yet. Null: the server answered when it was asked last. */
  account: StoredContact | null | undefined;
  /** ms since epoch: when a host was last asked where the server is. */
  lookedUpTs: number;
  /** The server has spoken since it was looked for last: it may have moved. */
  hasSpoken: boolean;
}

export const newContactMemory = (): ContactMemory => ({ account: undefined, lookedUpTs: 0, hasSpoken: false });
