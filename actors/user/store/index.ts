import type { Sql } from "../../../schema/sql.ts";
import { AccountDataReader, AccountDataWriter } from "./account-data.ts";
import { AccountReader, AccountWriter } from "./accounts.ts";
import { DevicesReader, DevicesWriter } from "./devices.ts";
import { FiltersReader, FiltersWriter } from "./filters.ts";
import { ObligationsReader, ObligationsWriter } from "./obligations.ts";
import { OpenIdReader, OpenIdWriter } from "./openid.ts";
import { RoomsReader, RoomsWriter } from "./rooms.ts";
import { StreamReader, StreamWriter } from "./streams.ts";
import { ToDeviceReader, ToDeviceWriter } from "./to-device.ts";
import { TokensReader, TokensWriter } from "./tokens.ts";

/** What can be read at any time. */
export interface UserReader {
  readonly accounts: AccountReader;
  readonly accountData: AccountDataReader;
  readonly devices: DevicesReader;
  readonly filters: FiltersReader;
  readonly obligations: ObligationsReader;
  readonly openId: OpenIdReader;
  readonly rooms: RoomsReader;
  readonly streams: StreamReader;
  readonly toDevice: ToDeviceReader;
  readonly tokens: TokensReader;
}

/** Exists only inside a transaction. */
export interface UserWriter {
  readonly accounts: AccountWriter;
  readonly accountData: AccountDataWriter;
  readonly devices: DevicesWriter;
  readonly filters: FiltersWriter;
  readonly obligations: ObligationsWriter;
  readonly openId: OpenIdWriter;
  readonly rooms: RoomsWriter;
  readonly streams: StreamWriter;
  readonly toDevice: ToDeviceWriter;
  readonly tokens: TokensWriter;
}

/** A user's database: readers at hand, writers only inside {@link UserStore.transaction}. */
export class UserStore implements UserReader {
  readonly accounts: AccountReader;
  readonly accountData: AccountDataReader;
  readonly devices: DevicesReader;
  readonly filters: FiltersReader;
  readonly obligations: ObligationsReader;
  readonly openId: OpenIdReader;
  readonly rooms: RoomsReader;
  readonly streams: StreamReader;
  readonly toDevice: ToDeviceReader;
  readonly tokens: TokensReader;
  readonly #sql: Sql;
  readonly #writer: UserWriter;

  constructor(sql: Sql) {
    this.#sql = sql;
    this.accounts = new AccountReader(sql);
    this.accountData = new AccountDataReader(sql);
    this.devices = new DevicesReader(sql);
    this.filters = new FiltersReader(sql);
    this.obligations = new ObligationsReader(sql);
    this.openId = new OpenIdReader(sql);
    this.rooms = new RoomsReader(sql);
    this.streams = new StreamReader(sql);
    this.toDevice = new ToDeviceReader(sql);
    this.tokens = new TokensReader(sql);
    this.#writer = {
      accounts: new AccountWriter(sql),
      accountData: new AccountDataWriter(sql),
      devices: new DevicesWriter(sql),
      filters: new FiltersWriter(sql),
      obligations: new ObligationsWriter(sql),
      openId: new OpenIdWriter(sql),
      rooms: new RoomsWriter(sql),
      streams: new StreamWriter(sql),
      toDevice: new ToDeviceWriter(sql),
      tokens: new TokensWriter(sql),
    };
  }

  /** Runs `body` atomically: all of its writes are stored or, when it throws, none. */
  transaction<T>(body: (tx: UserWriter) => T): T {
    return this.#sql.transaction(() => body(this.#writer));
  }
}
