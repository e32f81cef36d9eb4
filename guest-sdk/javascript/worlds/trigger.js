// The world `trigger` for the function that app.js declares.
import "../../app.js";
import { callTrigger } from "../triggers.js";

export const triggerFunctions = { call: callTrigger };
