// The world `aggregate-udf` for the aggregates that app.js declares.
import "../../app.js";
import { States, describe, start } from "../functions.js";

export const aggregateFunctions = { describe: () => describe("aggregate"), start, States };
