import type { Sql } from "../../../schema/sql.ts";
import { AliasesReader, AliasesWriter } from "./aliases.ts";
import { ContactReader, ContactWriter } from "./contact.ts";
import { InboxReader, InboxWriter } from "./inbox.ts";
import { OutboxReader, OutboxWriter } from "./outbox.ts";
import { ReceiptsReader, ReceiptsWriter } from "./receipts.ts";
import { RegisterReader, RegisterWriter } from "./register.ts";
import { RegistrationTokensReader, RegistrationTokensWriter } from "./registration-tokens.ts";
import { RoutesReader, RoutesWriter } from "./routes.ts";
import { SigningKeysReader, SigningKeysWriter } from "./signing-keys.ts";
import { UiaReader, UiaWriter } from "./uia.ts";
import { VerifyKeysReader, VerifyKeysWriter } from "./verify-keys.ts";

/** What can be read at any time. */
export interface ServerReader {
  readonly aliases: AliasesReader;
  readonly contact: ContactReader;
  readonly inbox: InboxReader;
  readonly outbox: OutboxReader;
  readonly receipts: ReceiptsReader;
  readonly register: RegisterReader;
  readonly registrationTokens: RegistrationTokensReader;
  readonly routes: RoutesReader;
  readonly signingKeys: SigningKeysReader;
  readonly uia: UiaReader;
  readonly verifyKeys: VerifyKeysReader;
}

/** Exists only inside a transaction. */
export interface ServerWriter {
  readonly aliases: AliasesWriter;
  readonly contact: ContactWriter;
  readonly inbox: InboxWriter;
  readonly outbox: OutboxWriter;
  readonly receipts: ReceiptsWriter;
  readonly register: RegisterWriter;
  readonly registrationTokens: RegistrationTokensWriter;
  readonly routes: RoutesWriter;
  readonly signingKeys: SigningKeysWriter;
  readonly uia: UiaWriter;
  readonly verifyKeys: VerifyKeysWriter;
}

/** A server's database: readers at hand, writers only inside {@link ServerStore.transaction}. */
export class ServerStore implements ServerReader {
  readonly aliases: AliasesReader;
  readonly contact: ContactReader;
  readonly inbox: InboxReader;
  readonly outbox: OutboxReader;
  readonly receipts: ReceiptsReader;
  readonly register: RegisterReader;
  readonly registrationTokens: RegistrationTokensReader;
  readonly routes: RoutesReader;
  readonly signingKeys: SigningKeysReader;
  readonly uia: UiaReader;
  readonly verifyKeys: VerifyKeysReader;
  readonly #sql: Sql;
  readonly #writer: ServerWriter;

  constructor(sql: Sql) {
    this.#sql = sql;
    this.aliases = new AliasesReader(sql);
    this.contact = new ContactReader(sql);
    this.inbox = new InboxReader(sql);
    this.outbox = new OutboxReader(sql);
    this.receipts = new ReceiptsReader(sql);
    this.register = new RegisterReader(sql);
    this.registrationTokens = new RegistrationTokensReader(sql);
    this.routes = new RoutesReader(sql);
    this.signingKeys = new SigningKeysReader(sql);
    this.uia = new UiaReader(sql);
    this.verifyKeys = new VerifyKeysReader(sql);
    this.#writer = {
      aliases: new AliasesWriter(sql),
      contact: new ContactWriter(sql),
      inbox: new InboxWriter(sql),
      outbox: new OutboxWriter(sql),
      receipts: new ReceiptsWriter(sql),
      register: new RegisterWriter(sql),
      registrationTokens: new RegistrationTokensWriter(sql),
      routes: new RoutesWriter(sql),
      signingKeys: new SigningKeysWriter(sql),
      uia: new UiaWriter(sql),
      verifyKeys: new VerifyKeysWriter(sql),
    };
  }

  /** Runs `body` atomically: all of its writes are stored or, when it throws, none. */
  transaction<T>(body: (tx: ServerWriter) => T): T {
    return this.#sql.transaction(() => body(this.#writer));
  }
}
