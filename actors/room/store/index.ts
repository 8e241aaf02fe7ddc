/**
 * The room's database: one reader for each table, and writers that exist only inside {@link RoomStore.transaction}.
 * Stores are the only callers of `Sql`; they take and return domain types and know no rule of Matrix.
 */
import type { Sql } from "../../../schema/sql.ts";
import { AuthChainsReader, AuthChainsWriter } from "./auth-chains.ts";
import { RoomCaches } from "./cache.ts";
import { CurrentStateReader, CurrentStateWriter } from "./current-state.ts";
import { EdgesReader, EdgesWriter } from "./edges.ts";
import { EventsReader, EventsWriter } from "./events.ts";
import { ExtremitiesReader, ExtremitiesWriter } from "./extremities.ts";
import { MembershipsReader, MembershipsWriter } from "./memberships.ts";
import { PartialStateReader, PartialStateWriter } from "./partial-state.ts";
import { ReceiptsReader, ReceiptsWriter } from "./receipts.ts";
import { RedactionsReader, RedactionsWriter } from "./redactions.ts";
import { RoomReader, RoomWriter } from "./room.ts";
import { ServersReader, ServersWriter } from "./servers.ts";
import { StateKeysReader, StateKeysWriter } from "./state-keys.ts";
import { StateNodesReader, StateNodesWriter } from "./state-nodes.ts";
import { TransactionsReader, TransactionsWriter } from "./transactions.ts";

/** What may be read at any time. */
export interface RoomRead {
  readonly room: RoomReader;
  readonly events: EventsReader;
  readonly edges: EdgesReader;
  readonly extremities: ExtremitiesReader;
  readonly authChains: AuthChainsReader;
  readonly redactions: RedactionsReader;
  readonly stateKeys: StateKeysReader;
  readonly stateNodes: StateNodesReader;
  readonly currentState: CurrentStateReader;
  readonly memberships: MembershipsReader;
  readonly receipts: ReceiptsReader;
  readonly servers: ServersReader;
  readonly transactions: TransactionsReader;
  readonly partialState: PartialStateReader;
}

/** What may be read and written inside a transaction. */
export interface RoomTransaction extends RoomRead {
  readonly room: RoomWriter;
  readonly events: EventsWriter;
  readonly edges: EdgesWriter;
  readonly extremities: ExtremitiesWriter;
  readonly authChains: AuthChainsWriter;
  readonly redactions: RedactionsWriter;
  readonly stateKeys: StateKeysWriter;
  readonly stateNodes: StateNodesWriter;
  readonly currentState: CurrentStateWriter;
  readonly memberships: MembershipsWriter;
  readonly receipts: ReceiptsWriter;
  readonly servers: ServersWriter;
  readonly transactions: TransactionsWriter;
  readonly partialState: PartialStateWriter;
}

export class RoomStore implements RoomRead {
  readonly room: RoomReader;
  readonly events: EventsReader;
  readonly edges: EdgesReader;
  readonly extremities: ExtremitiesReader;
  readonly authChains: AuthChainsReader;
  readonly redactions: RedactionsReader;
  readonly stateKeys: StateKeysReader;
  readonly stateNodes: StateNodesReader;
  readonly currentState: CurrentStateReader;
  readonly memberships: MembershipsReader;
  readonly receipts: ReceiptsReader;
  readonly servers: ServersReader;
  readonly transactions: TransactionsReader;
  readonly partialState: PartialStateReader;
  readonly #sql: Sql;
  readonly #caches = new RoomCaches();
  readonly #writer: RoomTransaction;

  constructor(sql: Sql) {
    const caches = this.#caches;
    this.#sql = sql;
    this.room = new RoomReader(sql, caches);
    this.events = new EventsReader(sql, caches);
    this.edges = new EdgesReader(sql);
    this.extremities = new ExtremitiesReader(sql);
    this.authChains = new AuthChainsReader(sql);
    this.redactions = new RedactionsReader(sql);
    this.stateKeys = new StateKeysReader(sql, caches);
    this.stateNodes = new StateNodesReader(sql, caches);
    this.currentState = new CurrentStateReader(sql);
    this.memberships = new MembershipsReader(sql);
    this.receipts = new ReceiptsReader(sql);
    this.servers = new ServersReader(sql, caches);
    this.transactions = new TransactionsReader(sql);
    this.partialState = new PartialStateReader(sql, caches);
    this.#writer = {
      room: new RoomWriter(sql, caches),
      events: new EventsWriter(sql, caches),
      edges: new EdgesWriter(sql),
      extremities: new ExtremitiesWriter(sql),
      authChains: new AuthChainsWriter(sql),
      redactions: new RedactionsWriter(sql),
      stateKeys: new StateKeysWriter(sql, caches),
      stateNodes: new StateNodesWriter(sql, caches),
      currentState: new CurrentStateWriter(sql),
      memberships: new MembershipsWriter(sql),
      receipts: new ReceiptsWriter(sql),
      servers: new ServersWriter(sql, caches),
      transactions: new TransactionsWriter(sql),
      partialState: new PartialStateWriter(sql, caches),
    };
  }

  /**
   * Runs `body` atomically: all of its writes are stored or, when it throws, none. Nests; an inner one may fail alone.
   * There is no `await` inside, so nothing else happens in the room meanwhile.
   */
  transaction<T>(body: (tx: RoomTransaction) => T): T {
    const writesBefore = this.#caches.writes;
    try {
      return this.#sql.transaction(() => body(this.#writer));
    } catch (thrown) {
      if (this.#caches.writes !== writesBefore) this.#caches.clear();
      throw thrown;
    }
  }
}
