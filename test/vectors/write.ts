// Writes whither-v1.json; packages/testkit/src/transcript.test.ts proves that the file is current.
import { writeFileSync } from "node:fs";
import { transcriptText } from "@whither/testkit";

writeFileSync(new URL("whither-v1.json", import.meta.url), transcriptText());
