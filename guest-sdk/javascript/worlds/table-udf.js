// The world `table-udf` for the functions that app.js declares.
import "../../app.js";
import { Rows, callTable, describe } from "../functions.js";

export const tableFunctions = { describe: () => describe("table"), call: callTable, Rows };
