import { codeOf, type Import, importsOf, type SourceFile } from "./sources.ts";

/** A rule that a set of files may break; each breach is one sentence that begins with the file's path. */
export type Rule = (files: readonly SourceFile[]) => readonly string[];

/** The modules directly under `shared/` that the pure algorithms may use. */
const leafModules = ["env", "errors", "log", "json", "base64", "clock", "ids"].map((name) => `shared/${name}.ts`);
/** Modules of the runtime that compute and do nothing else. */
const purePackages = ["node:crypto", "node:buffer"];
/** The only file that joins the gateway and the actors, because Cloudflare binds classes of one script. */
const entryPoint = "workers/gateway/index.ts";
const actorFolders = ["room", "user", "server"];

/** Which file may import which: the layers of the project, from the top down. */
export const layers: Rule = (files) =>
  files.flatMap((file) =>
    importsOf(file).flatMap((imported) => {
      const complaint = layerComplaint(file.path, imported);
      return complaint === null ? [] : [`${file.path} imports ${imported.specifier}: ${complaint}`];
    }),
  );

function layerComplaint(path: string, { target, specifier }: Import): string | null {
  if (target === null) return packageComplaint(path, specifier);
  const isIn = (folder: string) => target.startsWith(folder);
  if (path.startsWith("schema/")) return isIn("schema/") ? null : "schema/ imports nothing";
  if (path.startsWith("shared/matrix/")) {
    return isIn("shared/matrix/") || leafModules.includes(target) ? null : "pure algorithms import only leaf modules";
  }
  if (path.startsWith("shared/")) return isIn("shared/") ? null : "shared/ imports only itself";
  if (path.startsWith("actors/")) return actorComplaint(path, target);
  if (path.startsWith("workers/")) {
    // The manifest says what the server calls itself, and is above no layer.
    if (isIn("shared/") || isIn("workers/") || target === "package.json") return null;
    return path === entryPoint && isIn("actors/") ? null : "workers/ imports only shared/";
  }
  return null;
}

function actorComplaint(path: string, target: string): string | null {
  if (!["actors/", "shared/", "schema/"].some((folder) => target.startsWith(folder))) {
    return "actors/ imports only shared/ and schema/";
  }
  const [own, other] = [path, target].map((name) => name.split("/")[1] ?? "");
  const areActors = [own, other].every((name) => actorFolders.includes(name ?? ""));
  return areActors && own !== other ? "actors reach one another through shared/rpc" : null;
}

function packageComplaint(path: string, specifier: string): string | null {
  if (path.startsWith("shared/matrix/"))
    return purePackages.includes(specifier) ? null : "pure algorithms use no package";
  if (path.startsWith("schema/")) return specifier.startsWith("node:") ? null : "schema/ imports nothing";
  return null;
}

/** Cycles among the imports that exist at run time. A type that goes round in a circle harms nobody. */
export const cycles: Rule = (files) => {
  const graph = new Map(
    files.map((file) => [
      file.path,
      importsOf(file).flatMap(({ target, isTypeOnly }) => (target === null || isTypeOnly ? [] : [target])),
    ]),
  );
  const done = new Set<string>();
  const breaches: string[] = [];
  const visit = (path: string, way: readonly string[]): void => {
    const start = way.indexOf(path);
    if (start >= 0) breaches.push(`${[...way.slice(start), path].join(" → ")}: a cycle of imports`);
    if (start >= 0 || done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...way, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return breaches;
};

/** Something that code in some places must not do. */
interface Ban {
  readonly pattern: RegExp;
  readonly appliesTo: (path: string) => boolean;
  readonly why: string;
}

const isActor = (path: string) => path.startsWith("actors/");
const isDeterministic = (path: string) => isActor(path) || path.startsWith("shared/matrix/");

/** The egress reaches the network; the runner of one machine, and only there, this machine. */
const isDoor = (path: string) => path === "workers/egress/workerd-transport.ts" || path.startsWith("workers/selfhost/");

const bans: readonly Ban[] = [
  {
    pattern: /\b(?:setTimeout|setInterval)\s*\(/,
    appliesTo: isActor,
    why: "a timer keeps an actor in memory, and billed",
  },
  {
    // A call, not the definition of a method of that name.
    pattern: /(?:\bawait|\breturn|=>|[=(,?:|&{;!])\s*(?:globalThis\.)?fetch\s*\((?![^()]*\)\s*\{)/,
    appliesTo: (path) => !isDoor(path),
    why: "the network is reached through the one door to it",
  },
  {
    pattern: /\bMath\.random\b|\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b/,
    appliesTo: isDeterministic,
    why: "time and randomness come from the context",
  },
  {
    pattern: /\b(?:getRandomValues|randomUUID|randomBytes)\b/,
    appliesTo: isDeterministic,
    why: "time and randomness come from the context",
  },
  {
    pattern: /\bconsole\./,
    appliesTo: (path) => path !== "shared/log.ts" && !path.startsWith("workers/selfhost/"),
    why: "what is logged goes through shared/log.ts",
  },
  {
    pattern: /\bINSERT\s+(?:OR\s+\w+\s+)?INTO\s+events\b/i,
    appliesTo: (path) => path !== "actors/room/store/events.ts",
    why: "events are stored by one function only",
  },
  {
    pattern: /\b(?:LIKE|GLOB|REGEXP)\s+[?'"(|]/i,
    appliesTo: (path) => isActor(path) || path.startsWith("schema/"),
    why: "the platform refuses patterns of more than 50 bytes: text is found through an index",
  },
];

/** What code must not do where it stands. */
export const forbiddenCode: Rule = (files) =>
  files.flatMap((file) => {
    const applying = bans.filter((ban) => ban.appliesTo(file.path));
    if (!applying.some((ban) => ban.pattern.test(file.text))) return [];
    const code = codeOf(file);
    return applying.flatMap(({ pattern, why }) => {
      const found = pattern.exec(code)?.[0].trim();
      return found === undefined ? [] : [`${file.path} has ${JSON.stringify(found)}: ${why}`];
    });
  });

/** Lines after which a file has surely more than one subject. */
const maxLines = 500;

/** Files too long to be about one thing. */
export const fileLength: Rule = (files) =>
  files.flatMap(({ path, text }) => {
    const lines = text.split("\n").length - 1;
    return lines > maxLines ? [`${path} has ${lines} lines, more than ${maxLines}`] : [];
  });

const endpointDefinition =
  /(\/\*\*(?:(?!\*\/)[\s\S])*\*\/\s*)?export const (\w+)(?::[^=\n]+)? = \w*[eE]ndpoint\s*[<(]/g;
const specLink = "https://spec.matrix.org/v1.19/";
const proposalLink = "https://github.com/matrix-org/matrix-spec-proposals/";

/** Endpoints without a link to the text that they obey: the spec, or for unstable ones the proposal. */
export const endpointDocs: Rule = (files) =>
  files
    .filter(({ path }) => /^workers\/gateway\/(?:client|federation)\/|^shared\/federation-api\//.test(path))
    .flatMap(({ path, text }) => {
      const link = path.includes("/unstable/") ? proposalLink : specLink;
      return [...text.matchAll(endpointDefinition)].flatMap(([, docs = "", name]) =>
        docs.includes(link) ? [] : [`${path} exports the endpoint ${name} without a docstring that links ${link}`],
      );
    });

const exportedFunction = /(\*\/\s*)?^export (?:async )?function (\w+)/gm;

/** Exported functions that do not say what they do. */
export const functionDocs: Rule = (files) =>
  files.flatMap(({ path, text }) =>
    [...text.matchAll(exportedFunction)].flatMap(([, docs, name]) =>
      docs === undefined ? [`${path} exports the function ${name} without a docstring`] : [],
    ),
  );
