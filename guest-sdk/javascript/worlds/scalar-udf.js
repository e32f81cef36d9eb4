// The world `scalar-udf` for the functions that app.js declares.
import "../../app.js";
import { callScalar, describe } from "../functions.js";

export const scalarFunctions = { describe: () => describe("scalar"), call: callScalar };
