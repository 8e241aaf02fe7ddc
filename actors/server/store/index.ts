import type { Sql } from "../../../schema/sql.ts";
import { AliasesReader, AliasesWriter } from "./aliases.ts";
import { RegisterReader, RegisterWriter } from "./register.ts";
import { RegistrationTokensReader, RegistrationTokensWriter } from "./registration-tokens.ts";
import { SigningKeysReader, SigningKeysWriter } from "./signing-keys.ts";
import { UiaReader, UiaWriter } from "./uia.ts";

/** What can be read at any time. */
export interface ServerReader {
  readonly aliases: AliasesReader;
  readonly register: RegisterReader;
  readonly registrationTokens: RegistrationTokensReader;
  readonly signingKeys: SigningKeysReader;
  readonly uia: UiaReader;
}

/** Exists only inside a transaction. */
export interface ServerWriter {
  readonly aliases: AliasesWriter;
  readonly register: RegisterWriter;
  readonly registrationTokens: RegistrationTokensWriter;
  readonly signingKeys: SigningKeysWriter;
  readonly uia: UiaWriter;
}

/** A server's database: readers at hand, writers only inside {@link ServerStore.transaction}. */
export class ServerStore implements ServerReader {
  readonly aliases: AliasesReader;
  readonly register: RegisterReader;
  readonly registrationTokens: RegistrationTokensReader;
  readonly signingKeys: SigningKeysReader;
  readonly uia: UiaReader;
  readonly #sql: Sql;
  readonly #writer: ServerWriter;

  constructor(sql: Sql) {
    this.#sql = sql;
    this.aliases = new AliasesReader(sql);
    this.register = new RegisterReader(sql);
    this.registrationTokens = new RegistrationTokensReader(sql);
    this.signingKeys = new SigningKeysReader(sql);
    this.uia = new UiaReader(sql);
    this.#writer = {
      aliases: new AliasesWriter(sql),
      register: new RegisterWriter(sql),
      registrationTokens: new RegistrationTokensWriter(sql),
      signingKeys: new SigningKeysWriter(sql),
      uia: new UiaWriter(sql),
    };
  }

  /** Runs `body` atomically: all of its writes are stored or, when it throws, none. */
  transaction<T>(body: (tx: ServerWriter) => T): T {
    return this.#sql.transaction(() => body(this.#writer));
  }
}
