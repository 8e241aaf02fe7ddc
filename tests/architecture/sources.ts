import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { transformSync } from "esbuild";

/** One TypeScript file of the project. */
export interface SourceFile {
  /** From the project's root, with slashes. */
  readonly path: string;
  readonly text: string;
}

/** One module that a file names. */
export interface Import {
  /** As written. */
  readonly specifier: string;
  /** The file it means, from the project's root; null for a package or a module of the runtime. */
  readonly target: string | null;
  /** Gone at run time. */
  readonly isTypeOnly: boolean;
}

const root = join(import.meta.dirname, "../..");

/** All `.ts` files under the given folders of the project. Declarations (`.d.ts`) are left out. */
export function readSources(folders: readonly string[]): readonly SourceFile[] {
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith(".ts") && !entry.name.endsWith(".d.ts"))
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => ({ path: relative(root, path).replaceAll("\\", "/"), text: readFileSync(path, "utf8") })),
  );
}

const statement = /^[ \t]*(import|export)\s+(type\s+)?([^;"']*?\s*from\s+)?"([^"]+)"/gm;
const dynamicImport = /\bimport\(\s*"([^"]+)"/g;

/** What a file imports or re-exports, statically and dynamically. */
export function importsOf(file: SourceFile): readonly Import[] {
  const found: Import[] = [];
  for (const [, keyword, type, clause, specifier = ""] of file.text.matchAll(statement)) {
    if (keyword === "export" && clause === undefined) continue;
    const isTypeOnly = type !== undefined || hasOnlyTypes(clause ?? "");
    found.push({ specifier, target: resolveTarget(file.path, specifier), isTypeOnly });
  }
  for (const [, specifier = ""] of file.text.matchAll(dynamicImport)) {
    found.push({ specifier, target: resolveTarget(file.path, specifier), isTypeOnly: false });
  }
  return found;
}

/** `{ type A, type B }` names types only, without saying so at its head. */
function hasOnlyTypes(clause: string): boolean {
  const names = /^\s*\{([^}]*)\}\s*from\s+$/.exec(clause)?.[1];
  if (names === undefined) return false;
  const parts = names.split(",").filter((name) => name.trim() !== "");
  return parts.length > 0 && parts.every((name) => /^\s*type\s/.test(name));
}

function resolveTarget(from: string, specifier: string): string | null {
  if (!specifier.startsWith(".")) return null;
  const base = from.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") base.pop();
    else if (part !== ".") base.push(part);
  }
  return base.join("/");
}

/** A file's code as it runs: without comments and types, so that a rule sees only what is done. */
export function codeOf(file: SourceFile): string {
  return transformSync(file.text, { loader: "ts", legalComments: "none", target: "es2024" }).code;
}
