// Validates resources of other people's kinds (Gateway API, Prometheus operator, External Secrets) against the schemas
// of their definitions, as the packages @kubernetes-models/* carry them. Resources come as a JSON list on the standard
// input; argument: where the packages are. Prints a line for each fault; one that cannot be judged is a fault.
// The compiled schemas let unknown members pass, so that those are looked for in the types of the same version.
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const PACKAGES = {
  "external-secrets.io": "external-secrets",
  "gateway.networking.k8s.io": "gateway-api",
  "monitoring.coreos.com": "prometheus-operator",
};

const home = resolve(process.argv[2]);
let faults = 0;

/** Every member name that any type of this version has. */
function known(folder) {
  // Label selectors are of another package.
  const names = new Set(["matchLabels", "matchExpressions", "operator", "values"]);
  for (const file of readdirSync(folder).filter((file) => file.endsWith(".d.ts"))) {
    for (const [, name] of readFileSync(join(folder, file), "utf8").matchAll(/^\s*"([^"]+)"\??:/gm)) names.add(name);
  }
  return names;
}

/** Members below here that are not known; what people name themselves is left out. */
function* strangers(value, names, path) {
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) yield* strangers(item, names, `${path}/${index}`);
  } else if (value !== null && typeof value === "object") {
    for (const [name, item] of Object.entries(value)) {
      if (!names.has(name)) yield `${path}/${name}`;
      if (!["labels", "annotations", "matchLabels"].includes(name)) yield* strangers(item, names, `${path}/${name}`);
    }
  }
}

function complain(what, why) {
  faults += 1;
  console.log(`${what}: ${why}`);
}

for (const resource of JSON.parse(readFileSync(0, "utf8"))) {
  const what = `${resource.kind} ${resource.metadata?.name}`;
  const [group, version] = resource.apiVersion.split("/");
  const carrier = PACKAGES[group];
  if (!carrier) {
    complain(what, `nobody here knows ${resource.apiVersion}`);
    continue;
  }
  const folder = join(home, "node_modules/@kubernetes-models", carrier, group, version);
  const file = join(folder, `${resource.kind}.js`);
  let Kind;
  try {
    Kind = (await import(pathToFileURL(file)))[resource.kind];
  } catch (error) {
    complain(what, `${carrier} has no ${resource.apiVersion} ${resource.kind} (${error.message})`);
    continue;
  }
  try {
    new Kind(resource).validate();
  } catch (error) {
    complain(what, error.message);
  }
  for (const path of strangers(resource.spec, known(folder), "spec")) complain(what, `${path} is unknown`);
}
process.exit(faults ? 1 : 0);
